package devidp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

var (
	errUnknownToken = errors.New("token is unknown, expired, used or revoked")
	errRequestType  = errors.New("token request is of an unknown type")
)

// refreshPolicy is how refresh tokens behave; the zero value is what RFC 9700 §4.14.2 asks for.
type refreshPolicy struct {
	keepToken         bool // A refresh gives no new refresh token: the old one stays.
	keepGrantOnReplay bool // A used one is refused, and nothing else happens.
}

// grant is what one sign-in gave to one client. Every token hangs on it: without its grant a token is worth nothing, so
// revoking is removing one entry. Its id is that of the authorization request.
type grant struct {
	id       string
	clientID string
	subject  string
	scopes   []string
	authTime time.Time
}

type accessToken struct {
	grantID string
	scopes  []string
}

// refreshToken stays behind after its use, so that a second use is seen.
type refreshToken struct {
	grantID string
	used    bool
}

// refreshRequest is a grant that asks for new tokens, perhaps for fewer scopes.
type refreshRequest struct {
	grant
	asked []string
}

var _ op.RefreshTokenRequest = (*refreshRequest)(nil)

func (r *refreshRequest) GetAMR() []string                 { return nil }
func (r *refreshRequest) GetAudience() []string            { return []string{r.clientID} }
func (r *refreshRequest) GetAuthTime() time.Time           { return r.authTime }
func (r *refreshRequest) GetClientID() string              { return r.clientID }
func (r *refreshRequest) GetScopes() []string              { return r.asked }
func (r *refreshRequest) GetSubject() string               { return r.subject }
func (r *refreshRequest) SetCurrentScopes(scopes []string) { r.asked = scopes }

// CreateAccessToken starts a grant without a refresh token.
func (s *storage) CreateAccessToken(_ context.Context, in op.TokenRequest) (string, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	granted, err := s.startGrant(in)
	if err != nil {
		return "", time.Time{}, err
	}
	id, expires := s.newAccessToken(granted.id, in.GetScopes())
	return id, expires, nil
}

// CreateAccessAndRefreshTokens starts a grant, or uses current up and carries its grant on. Of two calls with one current
// token, one succeeds.
func (s *storage) CreateAccessAndRefreshTokens(
	_ context.Context, in op.TokenRequest, current string,
) (accessID, refresh string, expires time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	granted, err := s.grantFor(in, current)
	if err != nil {
		return "", "", time.Time{}, err
	}
	accessID, expires = s.newAccessToken(granted.id, in.GetScopes())
	if current != "" && s.policy.keepToken {
		return accessID, current, expires, nil
	}
	refresh = rand.Text()
	s.refresh.put(digest(refresh), refreshToken{grantID: granted.id}, s.now().Add(s.lifetime.refresh))
	return accessID, refresh, expires, nil
}

func (s *storage) grantFor(in op.TokenRequest, current string) (grant, error) {
	if current == "" {
		return s.startGrant(in)
	}
	granted, err := s.liveGrant(current)
	if err != nil {
		return grant{}, oidc.ErrInvalidGrant().WithParent(err)
	}
	if !s.policy.keepToken {
		s.refresh.put(digest(current), refreshToken{granted.id, true}, s.now().Add(s.lifetime.refresh))
	}
	s.grants.put(granted.id, granted, s.now().Add(s.lifetime.refresh))
	return granted, nil
}

func (s *storage) startGrant(in op.TokenRequest) (grant, error) {
	request, ok := in.(*authRequest)
	if !ok {
		return grant{}, fmt.Errorf("start grant: %w", errRequestType)
	}
	granted := grant{
		id: request.id, clientID: request.ClientID, subject: request.subject,
		scopes: request.Scopes, authTime: request.authTime,
	}
	s.grants.put(granted.id, granted, s.now().Add(max(s.lifetime.access, s.lifetime.refresh)))
	return granted, nil
}

// newAccessToken returns the time of expiry by the real clock, since op subtracts the real time to get expires_in.
func (s *storage) newAccessToken(grantID string, scopes []string) (id string, expires time.Time) {
	id = rand.Text()
	s.access.put(id, accessToken{grantID, slices.Clone(scopes)}, s.now().Add(s.lifetime.access))
	// Half a second more, because op cuts expires_in down to whole seconds.
	return id, time.Now().Add(s.lifetime.access + time.Second/2)
}

// TokenRequestByRefreshToken finds the grant of a refresh token that was not used yet.
func (s *storage) TokenRequestByRefreshToken(_ context.Context, token string) (op.RefreshTokenRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	granted, err := s.liveGrant(token)
	if err != nil {
		return nil, err
	}
	return &refreshRequest{grant: granted, asked: granted.scopes}, nil
}

// liveGrant finds the grant of a refresh token. A used token means that two parties hold it, and that nobody knows which is
// the thief: the grant ends (RFC 9700 §4.14.2), unless the policy says otherwise.
func (s *storage) liveGrant(token string) (grant, error) {
	found, ok := s.refresh.get(digest(token), s.now())
	if !ok {
		return grant{}, errUnknownToken
	}
	if found.used {
		if !s.policy.keepGrantOnReplay {
			s.grants.remove(found.grantID)
		}
		return grant{}, errUnknownToken
	}
	granted, ok := s.grants.get(found.grantID, s.now())
	if !ok {
		return grant{}, errUnknownToken
	}
	return granted, nil
}

// GetRefreshTokenInfo recognises a refresh token. The answer's token id is the token itself.
func (s *storage) GetRefreshTokenInfo(_ context.Context, _, token string) (userID, tokenID string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.refresh.get(digest(token), s.now())
	if !ok {
		return "", "", op.ErrInvalidRefreshToken
	}
	granted, _ := s.grants.get(found.grantID, s.now())
	return granted.subject, token, nil
}

// RevokeToken ends the whole grant for a refresh token, and one access token otherwise (RFC 7009 §2.1). An unknown token and
// another client's are left alone without a word (§2.2).
func (s *storage) RevokeToken(_ context.Context, token, _, clientID string) *oidc.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found, ok := s.refresh.get(digest(token), s.now()); ok && s.isOf(found.grantID, clientID) {
		s.grants.remove(found.grantID)
	}
	if found, ok := s.access.get(token, s.now()); ok && s.isOf(found.grantID, clientID) {
		s.access.remove(token)
	}
	return nil
}

func (s *storage) isOf(grantID, clientID string) bool {
	granted, ok := s.grants.get(grantID, s.now())
	return ok && granted.clientID == clientID
}
