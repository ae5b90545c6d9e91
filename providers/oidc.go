package providers

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
)

// oidc.go: sign-in through any OpenID Provider that publishes its metadata: authorization code with PKCE, a verified
// id_token and userinfo. Docs: OpenID Connect Core 1.0 and Discovery 1.0, RFC 7636, RFC 9207; contract/providers.md 2.1, 2.2.
//
// Deviations of ours: PKCE is S256 or nothing, the issuer must be the one that metadataUrl stands for, the clocks may be
// a minute apart, discovery is repeated, a public client needs no secret.

func init() {
	register(Kind{
		ID:        "oidc",
		Title:     "OpenID Connect",
		New:       newOIDC,
		Scopes:    Scopes{Required: []string{"openid", "profile", "email"}, Persist: true},
		Resolvers: resolversFor("oidc"),
	})
}

var _ interface {
	Provider
	Starter
	Refresher
	Logouter
} = (*oidcProvider)(nil)

// oidcProvider is one client at one OpenID Provider.
type oidcProvider struct {
	config    oidcConfig
	auth      *clientAuth
	discovery *oidcDiscovery
	upstream  *upstream
	redirect  string
	now       func() time.Time
	log       *slog.Logger
}

func newOIDC(s Setup) (Provider, error) {
	c, err := readOIDCConfig(s)
	if err != nil {
		return nil, err
	}
	auth, err := newClientAuth(c.clientCredentials, s.Now)
	if err != nil {
		return nil, err
	}
	up := newUpstream(s.HTTP, c.Timeout)
	return &oidcProvider{
		config: c, auth: auth, upstream: up, redirect: s.CallbackURL, now: s.Now, log: s.Log,
		discovery: &oidcDiscovery{config: c, upstream: up, redirect: s.CallbackURL, now: s.Now, log: s.Log},
	}, nil
}

// oidcMemo is what a sign-in must remember until the browser returns.
type oidcMemo struct {
	Verifier string `json:"v"`
	Nonce    string `json:"n"`
}

// Start builds the authentication request (OpenID Connect Core section 3.1.2.1, RFC 7636 section 4.3). Of the configured
// parameters, those that we set ourselves are replaced.
func (o *oidcProvider) Start(ctx context.Context, in StartInput) (Redirect, error) {
	party, err := o.discovery.party(ctx)
	if err != nil {
		return Redirect{}, err
	}
	memo := oidcMemo{Verifier: oauth2.GenerateVerifier(), Nonce: rand.Text()}
	sealed, err := json.Marshal(memo)
	if err != nil {
		return Redirect{}, fmt.Errorf("encode memo: %w", err)
	}
	var opts []rp.AuthURLOpt
	set := func(name, value string) { opts = append(opts, rp.AuthURLOpt(rp.WithURLParam(name, value))) }
	for name, value := range o.config.StartParams {
		if !slices.Contains(fixedParams, name) {
			set(name, value)
		}
	}
	set("scope", in.Scope)
	set("nonce", memo.Nonce)
	if o.config.Prompt != promptAuto {
		set("prompt", o.config.Prompt)
	}
	opts = append(opts, rp.WithCodeChallenge(oidc.NewSHACodeChallenge(memo.Verifier)))
	return Redirect{URL: rp.AuthURL(in.State, party.rp, opts...), Memo: sealed}, nil
}

// Handle turns the callback into a user: the issuer is compared before anything is sent anywhere (RFC 9207), then the code
// is traded, once, and both tokens and userinfo are verified.
func (o *oidcProvider) Handle(ctx context.Context, r Request) (Result, error) {
	var memo oidcMemo
	if err := json.Unmarshal(r.Memo, &memo); err != nil || memo.Verifier == "" || memo.Nonce == "" {
		return Result{}, fail(CodeTransaction, "Authentication failed, the sign-in is unreadable", nil)
	}
	party, err := o.discovery.party(ctx)
	if err != nil {
		return Result{}, prefixed("Authentication failed, ", err)
	}
	code, err := readCallback(r.Query, party)
	if err != nil {
		return Result{}, err
	}
	token, err := o.exchange(ctx, party, code, memo.Verifier)
	if err != nil {
		return Result{}, prefixed("Authentication failed, ", err)
	}
	result, err := o.identify(ctx, party, token, idTokenCheck{nonce: memo.Nonce, code: code})
	if err != nil {
		words := "Authentication rejected, "
		if errors.Is(err, ErrUnavailable) {
			words = "Authentication failed, "
		}
		return Result{}, prefixed(words, err)
	}
	return result, nil
}

// Refresh sends no scope, so that the grant stays what it is (contract/providers.md 2.1); the answer's id_token, if there
// is one, and the userinfo must be about the same user as before (OpenID Connect Core section 12.2).
func (o *oidcProvider) Refresh(ctx context.Context, in RefreshInput) (Result, error) {
	party, err := o.discovery.party(ctx)
	if err != nil {
		return Result{}, err
	}
	token, err := o.renew(ctx, party, in.RefreshToken)
	if err != nil {
		return Result{Session: Session{RefreshToken: token.RefreshToken}}, err
	}
	result, err := o.identify(ctx, party, token, idTokenCheck{subject: in.Subject})
	if err != nil && token.RefreshToken != "" {
		return Result{Session: Session{RefreshToken: token.RefreshToken}}, err
	}
	return result, err
}

// identify verifies the id_token and reads the userinfo. Only a sign-in must have an id_token; check.nonce tells.
func (o *oidcProvider) identify(ctx context.Context, p *oidcParty, t tokenAnswer, check idTokenCheck) (Result, error) {
	check.issuer, check.clientID, check.alg = p.issuer, o.config.ID, jose.SignatureAlgorithm(o.config.Alg)
	check.keys, check.now, check.accessToken = p.keys, o.now(), t.AccessToken
	subject := check.subject
	var claims map[string]any
	switch {
	case t.IDToken != "":
		var err error
		if claims, err = check.verify(ctx, t.IDToken); err != nil {
			return Result{}, err
		}
		subject, _ = claims["sub"].(string)
	case check.nonce != "":
		return Result{}, fail(CodeIDTokenMissing, "id_token not present in the token answer", nil)
	}
	info, err := o.userInfo(ctx, p, t.AccessToken, subject)
	if err != nil {
		return Result{}, err
	}
	session := t.session()
	session.Subject, _ = info["sub"].(string)
	return Result{Session: session, Profile: o.profile(info), Claims: claims, UserInfo: info}, nil
}

// revokeTimeout keeps a slow provider from keeping a user who leaves.
const revokeTimeout = 3 * time.Second

// Logout revokes the refresh token (RFC 7009 section 2.1) and, if the config asks for it, leads the browser to the
// provider's own logout page (OpenID Connect RP-Initiated Logout 1.0 section 2).
func (o *oidcProvider) Logout(ctx context.Context, in LogoutInput) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	party, err := o.discovery.party(ctx)
	if err != nil {
		return "", err
	}
	return o.endSessionURL(party, in), o.revoke(ctx, party, in.RefreshToken)
}

// revoke does nothing without a token or a revocation endpoint.
func (o *oidcProvider) revoke(ctx context.Context, p *oidcParty, token string) error {
	if token == "" || p.meta.RevocationEndpoint == "" {
		return nil
	}
	header, form := http.Header{}, url.Values{"token": {token}}
	if err := o.auth.apply(header, form, p.meta.Issuer, p.meta.TokenEndpoint); err != nil {
		return err
	}
	a, err := o.upstream.post(ctx, p.meta.RevocationEndpoint, header, form)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return tokenError(a)
	}
	return nil
}

// endSessionURL is empty unless the config wants it and the provider has such a page, on https or on this machine.
func (o *oidcProvider) endSessionURL(p *oidcParty, in LogoutInput) string {
	if !o.config.EndSession || p.meta.EndSessionEndpoint == "" {
		return ""
	}
	u, err := url.Parse(p.meta.EndSessionEndpoint)
	if err != nil || u.Scheme != "https" && !isLoopback(u.Hostname()) {
		return ""
	}
	q := u.Query()
	for name, value := range map[string]string{
		"client_id": o.config.ID, "id_token_hint": in.IDToken, "post_logout_redirect_uri": in.ReturnTo,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}
