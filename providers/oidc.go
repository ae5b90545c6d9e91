package providers

import (
	"cmp"
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
// The engine serves other Kinds as well, each of which is an oidcSpec.
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

// oidcSpec is a Kind on this engine: data, and the functions that are really its own.
type oidcSpec struct {
	// nonce binds the id_token to the sign-in.
	nonce bool
	// userInfo asks the userinfo endpoint, which must then be there; without it there is no profile.
	userInfo bool
	// lifetime tells how long the access token lives.
	lifetime bool
	// logout tells the provider that the user leaves.
	logout bool
	// authOffered sends the secret in the body if the metadata offers that and not the header.
	authOffered bool
	// metadataLife is how long metadata is believed: then it is read again, in the background.
	metadataLife time.Duration
	// remember keeps something of the start's query until the browser returns. An error ends the start.
	remember func(query url.Values) (string, error)
	// afterExchange may call the token endpoint once more, when everything is verified, and change the session by it.
	afterExchange func(ctx context.Context, call oidcGrant, remembered string, s *Session) error
}

// oidcGrant calls the token endpoint with a grant of the Kind's own; invalidGrant is what its error of that name means.
type oidcGrant func(ctx context.Context, form url.Values, invalidGrant *Error) (tokenAnswer, error)

// oidcProvider is one client at one OpenID Provider.
type oidcProvider struct {
	spec      oidcSpec
	config    oidcConfig
	discovery *published[oidcParty]
	upstream  *upstream
	redirect  string
	now       func() time.Time
	log       *slog.Logger
}

// oidcLeaver is an oidcProvider that can be told that a user leaves.
type oidcLeaver struct{ *oidcProvider }

var (
	_ interface {
		Provider
		Starter
		Refresher
	} = (*oidcProvider)(nil)
	_ Logouter = oidcLeaver{}
)

func newOIDC(s Setup) (Provider, error) {
	c, err := readOIDCConfig(s)
	if err != nil {
		return nil, err
	}
	return oidcSpec{nonce: true, userInfo: true, lifetime: true, logout: true, metadataLife: 4 * time.Hour}.open(s, c)
}

// open checks the config and returns the provider.
func (v oidcSpec) open(s Setup, c oidcConfig) (Provider, error) {
	c.Timeout = cmp.Or(c.Timeout, oidcTimeout)
	if err := c.check(s); err != nil {
		return nil, err
	}
	auth, err := newClientAuth(c.clientCredentials, s.Now)
	if err != nil {
		return nil, err
	}
	up := newUpstream(s.HTTP, c.Timeout)
	d := &oidcDiscovery{spec: v, config: c, auth: auth, upstream: up, redirect: s.CallbackURL, now: s.Now}
	o := &oidcProvider{
		spec: v, config: c, upstream: up, redirect: s.CallbackURL, now: s.Now, log: s.Log,
		discovery: newPublished(d.discover, v.metadataLife, s.Now, s.Log),
	}
	if v.logout {
		return oidcLeaver{o}, nil
	}
	return o, nil
}

// oidcMemo is what a sign-in must remember until the browser returns.
type oidcMemo struct {
	Verifier string `json:"v"`
	Nonce    string `json:"n,omitempty"`
	// Kept is what the Kind remembers.
	Kept string `json:"k,omitempty"`
}

// newMemo makes the secrets of one sign-in.
func (v oidcSpec) newMemo(query url.Values) (oidcMemo, error) {
	memo := oidcMemo{Verifier: oauth2.GenerateVerifier()}
	if v.nonce {
		memo.Nonce = rand.Text()
	}
	if v.remember == nil {
		return memo, nil
	}
	var err error
	memo.Kept, err = v.remember(query)
	return memo, err
}

func (v oidcSpec) readMemo(b []byte) (oidcMemo, error) {
	var memo oidcMemo
	if err := json.Unmarshal(b, &memo); err != nil || memo.Verifier == "" || v.nonce != (memo.Nonce != "") {
		return memo, fail(CodeTransaction, "Authentication failed, the sign-in is unreadable", nil)
	}
	return memo, nil
}

// Start builds the authentication request (OpenID Connect Core section 3.1.2.1, RFC 7636 section 4.3). Of the configured
// parameters, those that we set ourselves are replaced.
func (o *oidcProvider) Start(ctx context.Context, in StartInput) (Redirect, error) {
	memo, err := o.spec.newMemo(in.Query)
	if err != nil {
		return Redirect{}, err
	}
	party, err := o.discovery.current(ctx)
	if err != nil {
		return Redirect{}, err
	}
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
	if memo.Nonce != "" {
		set("nonce", memo.Nonce)
	}
	if o.config.Prompt != promptAuto {
		set("prompt", o.config.Prompt)
	}
	opts = append(opts, rp.WithCodeChallenge(oidc.NewSHACodeChallenge(memo.Verifier)))
	return Redirect{URL: rp.AuthURL(in.State, party.rp, opts...), Memo: sealed}, nil
}

// Handle turns the callback into a user: the issuer is compared before anything is sent anywhere (RFC 9207), then the code
// is traded, once, and both tokens and userinfo are verified. What the Kind does after that words its own errors.
func (o *oidcProvider) Handle(ctx context.Context, r Request) (Result, error) {
	memo, err := o.spec.readMemo(r.Memo)
	if err != nil {
		return Result{}, err
	}
	party, err := o.discovery.current(ctx)
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
	if err := o.finish(ctx, party, memo.Kept, &result.Session); err != nil {
		return Result{}, err
	}
	return result, nil
}

// finish lets the Kind change the session of a sign-in.
func (o *oidcProvider) finish(ctx context.Context, p *oidcParty, remembered string, s *Session) error {
	if o.spec.afterExchange == nil {
		return nil
	}
	call := func(ctx context.Context, form url.Values, invalidGrant *Error) (tokenAnswer, error) {
		return o.tokens(ctx, p, form, invalidGrant)
	}
	return o.spec.afterExchange(ctx, call, remembered, s)
}

// Refresh sends no scope, so that the grant stays what it is (contract/providers.md 2.1); the answer's id_token, if there
// is one, and the userinfo must be about the same user as before (OpenID Connect Core section 12.2).
func (o *oidcProvider) Refresh(ctx context.Context, in RefreshInput) (Result, error) {
	party, err := o.discovery.current(ctx)
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

// identify verifies the id_token and reads the userinfo. Only a sign-in must have an id_token; check.code tells.
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
	case check.code != "":
		return Result{}, fail(CodeIDTokenMissing, "id_token not present in the token answer", nil)
	}
	var info map[string]any
	if o.spec.userInfo {
		var err error
		if info, err = o.userInfo(ctx, p, t.AccessToken, subject); err != nil {
			return Result{}, err
		}
		subject, _ = info["sub"].(string)
	}
	session := t.session()
	session.Subject = subject
	if !o.spec.lifetime {
		session.ExpiresIn = 0
	}
	return Result{Session: session, Profile: o.profile(info), Claims: claims, UserInfo: info}, nil
}

// revokeTimeout keeps a slow provider from keeping a user who leaves.
const revokeTimeout = 3 * time.Second

// Logout revokes the refresh token (RFC 7009 section 2.1) and, if the config asks for it, leads the browser to the
// provider's own logout page (OpenID Connect RP-Initiated Logout 1.0 section 2).
func (o oidcLeaver) Logout(ctx context.Context, in LogoutInput) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	party, err := o.discovery.current(ctx)
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
	if err := p.auth.apply(header, form, p.meta.Issuer, p.meta.TokenEndpoint); err != nil {
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
