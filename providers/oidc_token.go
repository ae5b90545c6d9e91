package providers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// tokenAnswer is a successful answer of the token endpoint (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3).
type tokenAnswer struct {
	AccessToken, RefreshToken, IDToken, Scope string
	// ExpiresIn is zero if the provider does not say.
	ExpiresIn time.Duration
}

func (t tokenAnswer) session() Session {
	return Session{
		AccessToken: t.AccessToken, IDToken: t.IDToken, RefreshToken: t.RefreshToken,
		Scope: joinScopes(SplitScope(t.Scope)), ExpiresIn: t.ExpiresIn,
	}
}

// exchange trades the code for tokens. The call is never repeated: a code is good for one use, and a provider that sees
// it twice may revoke what the first use gave (RFC 6749 section 4.1.2).
func (o *oidcProvider) exchange(ctx context.Context, p *oidcParty, code, verifier string) (tokenAnswer, error) {
	return o.tokens(ctx, p, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {o.redirect}, "code_verifier": {verifier},
	}, &Error{Code: CodeCodeRejected})
}

func (o *oidcProvider) renew(ctx context.Context, p *oidcParty, refreshToken string) (tokenAnswer, error) {
	return o.tokens(ctx, p, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}},
		&Error{Kind: ErrExpired, Code: CodeTokenRejected})
}

// tokens calls the token endpoint; invalidGrant is what its error of that name means for the grant.
//
// rp.CodeExchange and rp.RefreshTokens are not used: they differ in their errors and in which client authentication they
// know, quote the answer in what they return, and the second loses the scope and sends one.
func (o *oidcProvider) tokens(ctx context.Context, p *oidcParty, form url.Values, invalidGrant *Error) (tokenAnswer, error) {
	header := http.Header{"Accept": {"application/json"}}
	if err := p.auth.apply(header, form, p.meta.Issuer, p.meta.TokenEndpoint); err != nil {
		return tokenAnswer{}, err
	}
	a, err := o.upstream.post(ctx, p.meta.TokenEndpoint, header, form)
	if err != nil {
		return tokenAnswer{}, err
	}
	return a.tokens(invalidGrant)
}

// tokens sorts an answer of a token endpoint.
func (a answer) tokens(invalidGrant *Error) (tokenAnswer, error) {
	if a.status == http.StatusOK {
		if t, err := readTokens(a); err == nil || !a.namesError() {
			return t, err
		}
	}
	failure := tokenError(a)
	if failure.Code == CodeTokenRejected {
		failure.Kind, failure.Code = invalidGrant.Kind, invalidGrant.Code
	}
	return tokenAnswer{}, failure
}

// readTokens demands an access token: every later step needs it. What the answer says beside it and cannot be read counts as not
// said: to refuse the answer for that would throw away a refresh token that the provider has rotated.
//
// The refresh token is returned beside an error as well, if it can be read.
func readTokens(a answer) (tokenAnswer, error) {
	m, err := a.object()
	if err != nil {
		return tokenAnswer{}, malformedTokens(err)
	}
	var t tokenAnswer
	t.RefreshToken, _ = m["refresh_token"].(string)
	t.Scope, _ = m["scope"].(string)
	t.ExpiresIn = lifetime(m["expires_in"])
	err = texts(m, map[string]*string{"access_token": &t.AccessToken, "id_token": &t.IDToken})
	if err == nil && t.AccessToken == "" {
		err = errors.New("no access_token")
	}
	if err != nil {
		return tokenAnswer{RefreshToken: t.RefreshToken}, malformedTokens(err)
	}
	return t, nil
}

func malformedTokens(err error) error {
	return unavailable(CodeAnswer, "the token answer of the identity provider is malformed", err)
}

// lifetime reads expires_in: seconds as a number, or, as some providers send them, as a string. Zero is unknown.
func lifetime(v any) time.Duration {
	const longest = 100 * 365 * 24 * time.Hour // a time.Duration holds it
	var seconds float64
	switch v := v.(type) {
	case float64:
		seconds = v
	case string:
		seconds, _ = strconv.ParseFloat(v, 64)
	}
	if !(seconds > 0 && seconds <= longest.Seconds()) {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// namesError is true for an OAuth error, whatever the status: some providers send it with 200.
func (a answer) namesError() bool {
	var e struct {
		Error string `json:"error"`
	}
	return json.Unmarshal(a.body, &e) == nil && e.Error != ""
}

// tokenError folds an error answer (RFC 6749 section 5.2). Only the provider's own invalid_grant ends a session; its bad
// days, and our wrong credentials, pass.
func tokenError(a answer) *Error {
	var code, description string
	if m, err := a.object(); err == nil {
		code, _ = m["error"].(string)
		description, _ = m["error_description"].(string)
	}
	message := oauthError(code, description)
	status := fmt.Errorf("status %d", a.status)
	switch {
	case code == "" && a.status == http.StatusUnauthorized:
		return unavailable(CodeClientRejected, "the identity provider does not accept our client credentials", status)
	case a.passing() || code == "":
		return unavailable(CodeUpstream, "the identity provider answered with an error", status)
	case code == "invalid_grant":
		return &Error{Kind: ErrExpired, Code: CodeTokenRejected, Message: message, Err: status}
	case code == "invalid_client" || code == "unauthorized_client":
		return unavailable(CodeClientRejected, message, status)
	}
	return unavailable(CodeUpstream, message, status)
}
