package devidp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

var errPostLogout = errors.New("post_logout_redirect_uri is on no origin of the client")

// endSession ends the session at the provider: the browser's own, and those of the person in id_token_hint (OpenID Connect
// RP-Initiated Logout 1.0 §2). It goes on to post_logout_redirect_uri only if that lies on an origin of a known client.
func (p *Provider) endSession(w http.ResponseWriter, r *http.Request) {
	to, err := p.logout(r)
	if err != nil {
		p.notice(w, http.StatusBadRequest, "You are still signed in", "The application asked for a sign-out that is not valid.")
		return
	}
	p.endBrowserSession(w, r)
	if to == "" {
		p.notice(w, http.StatusOK, "You are signed out", "The next application asks again who you are.")
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (p *Provider) logout(r *http.Request) (to string, err error) {
	request, err := op.ParseEndSessionRequest(r, p.op.Decoder())
	if err != nil {
		return "", fmt.Errorf("parse end session request: %w", err)
	}
	wanted, state := request.PostLogoutRedirectURI, request.State
	request.PostLogoutRedirectURI, request.State = "", "" // op would compare whole addresses.
	ended, err := op.ValidateEndSessionRequest(r.Context(), request, p.op)
	if err != nil {
		return "", fmt.Errorf("validate end session request: %w", err)
	}
	if wanted != "" && !p.store.clients[ended.ClientID].ownsOrigin(wanted) {
		return "", fmt.Errorf("validate end session request: %w", errPostLogout)
	}
	if err := p.endSessionsOf(r.Context(), ended); err != nil {
		return "", err
	}
	return withState(wanted, state), nil
}

func (p *Provider) endSessionsOf(ctx context.Context, ended *op.EndSessionRequest) error {
	if ended.UserID == "" {
		return nil
	}
	return p.store.TerminateSession(ctx, ended.UserID, ended.ClientID)
}

// withState adds state to address, which ownsOrigin has parsed before.
func withState(address, state string) string {
	to, err := url.Parse(address)
	if err != nil || address == "" || state == "" {
		return address
	}
	query := to.Query()
	query.Set("state", state)
	to.RawQuery = query.Encode()
	return to.String()
}

// LogoutToken is what the provider would post to a client's back channel when the person's sessions end (OpenID Connect Back-Channel
// Logout 1.0 section 2.4). It is for tests: the provider itself calls nobody.
func (p *Provider) LogoutToken(client, subject string) (string, error) {
	now, key := time.Now(), p.keys.current()
	t := idToken{
		header: map[string]any{"alg": string(key.alg), "kid": key.id, "typ": "logout+jwt"},
		claims: map[string]any{
			"iss": p.issuer, "aud": client, "sub": subject, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
		},
	}
	return t.compact(func(input string) ([]byte, error) { return signInput(key.private, input) })
}
