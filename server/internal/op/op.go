package op

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"stagedoor/server/internal/fault"
	"stagedoor/tokens"
)

// ErrNoUserInfo says that nothing is stored about a user.
var ErrNoUserInfo = errors.New("no user info")

// UserInfoStore is where sign-ins left what they know about a user.
type UserInfoStore interface {
	// UserInfo returns the JSON document {"claims":{…}} of a user entity ref, or ErrNoUserInfo.
	UserInfo(ctx context.Context, userRef string) ([]byte, error)
}

// Verifier recognises our tokens.
type Verifier interface {
	// Verify returns the user whom raw speaks for. The error is a *fault.Error, or wraps tokens.ErrInvalid if raw is not one of
	// ours, no longer valid, or badly signed; any other says that keys cannot be read.
	Verify(ctx context.Context, raw string) (tokens.Principal, error)
}

// Config is what the room needs.
type Config struct {
	// BaseURL is the public address of the auth API, without a trailing slash; it is the issuer.
	BaseURL string
	// Algorithms are the JWS algorithms that our keys use.
	Algorithms []string
	Users      UserInfoStore
	Tokens     Verifier
}

// Server answers what an OpenID Provider answers.
type Server struct{ cfg Config }

// New makes the room.
func New(cfg Config) *Server { return &Server{cfg} }

// Discovery is the provider metadata of OpenID Connect Discovery 1.0, section 3.
type Discovery struct {
	Issuer, JWKSURI, UserinfoEndpoint                             string
	ResponseTypes, SubjectTypes, IDTokenSigningAlgorithms, Claims []string
}

// Discovery returns the document. Endpoints that do not exist are not named.
//
// Differs from Backstage: its document always names an authorization and a token endpoint, and ten algorithms.
func (s *Server) Discovery() Discovery {
	return Discovery{
		Issuer:                   s.cfg.BaseURL,
		JWKSURI:                  s.cfg.BaseURL + "/.well-known/jwks.json",
		UserinfoEndpoint:         s.cfg.BaseURL + "/v1/userinfo",
		ResponseTypes:            []string{},
		SubjectTypes:             []string{"public"},
		IDTokenSigningAlgorithms: s.cfg.Algorithms,
		Claims:                   []string{"sub", "ent"},
	}
}

// UserInfo returns the claims stored for the bearer (contract/core.md R16 to R21). An empty bearer means that the request had
// none. ErrNoUserInfo says that the token is good and nothing is stored.
func (s *Server) UserInfo(ctx context.Context, bearer string) (map[string]any, error) {
	if bearer == "" {
		return nil, fault.New(fault.Authentication, "token_missing", "No token provided", nil)
	}
	who, err := s.cfg.Tokens.Verify(ctx, bearer)
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return nil, f
	}
	switch {
	case errors.Is(err, tokens.ErrUnrecognised):
		return nil, fault.New(fault.Authentication, "token_illegal", "Illegal token", err)
	case errors.Is(err, tokens.ErrInvalid):
		return nil, fault.New(fault.Authentication, "token_invalid", "Failed user token verification", err)
	case err != nil:
		return nil, fault.New(fault.ServiceUnavailable, "keys_unavailable", "Signing keys are not available", err)
	}
	raw, err := s.cfg.Users.UserInfo(ctx, who.Subject)
	switch {
	case errors.Is(err, ErrNoUserInfo):
		return nil, err
	case err != nil:
		return nil, fault.New(fault.ServiceUnavailable, "store_unavailable", "The session store is not available", err)
	}
	var doc struct {
		Claims map[string]any `json:"claims"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("read stored user info: %w", err)
	}
	return doc.Claims, nil
}
