package devidp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
)

// newParty is a relying party by an independent hand: zitadel's rp package.
func newParty(t *testing.T, r *rig, clientID, clientSecret string, style oauth2.AuthStyle) rp.RelyingParty {
	t.Helper()
	nonce := func(ctx context.Context) string {
		value, _ := ctx.Value(nonceKey{}).(string)
		return value
	}
	scopes := []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail, oidc.ScopeOfflineAccess}
	party, err := rp.NewRelyingPartyOIDC(t.Context(), r.Issuer(), clientID, clientSecret, callback, scopes,
		rp.WithHTTPClient(&http.Client{}), rp.WithAuthStyle(style), rp.WithSigningAlgsFromDiscovery(),
		rp.WithVerifierOpts(rp.WithNonce(nonce)))
	if err != nil {
		t.Fatal(err)
	}
	return party
}

type nonceKey struct{}

func TestLoginByRelyingParty(t *testing.T) {
	for _, test := range []struct {
		name, alg, clientID, secret string
		style                       oauth2.AuthStyle
	}{
		{"public, ES256", ES256, publicID, "", oauth2.AuthStyleInParams},
		{"secret in the header, RS256", RS256, secretID, secret, oauth2.AuthStyleInHeader},
		{"secret in the body, ES256", ES256, secretID, secret, oauth2.AuthStyleInParams},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, func(o *Options) { o.Algorithm = test.alg })
			party := newParty(t, r, test.clientID, test.secret, test.style)
			tokens := partyLogin(t, r, party)
			checkTokens(t, tokens, test.clientID)
			checkUserinfo(t, party, tokens)
			refreshed := checkRotation(t, party, tokens)
			checkRevocation(t, party, refreshed)
			checkEndSession(t, r, party, refreshed)
		})
	}
}

func partyLogin(t *testing.T, r *rig, party rp.RelyingParty) *oidc.Tokens[*oidc.IDTokenClaims] {
	t.Helper()
	start := rp.AuthURL(someState, party, rp.WithCodeChallenge(oidc.NewSHACodeChallenge(verifier)),
		rp.AuthURLOpt(rp.WithURLParam("nonce", someNonce)))
	to, err := Login(r.browser, start, "jane-doe")
	if err != nil {
		t.Fatal(err)
	}
	back, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	query := back.Query()
	if query.Get("state") != someState || query.Get("iss") != r.Issuer() {
		t.Errorf("callback has state %q and iss %q", query.Get("state"), query.Get("iss"))
	}
	ctx := context.WithValue(t.Context(), nonceKey{}, someNonce)
	tokens, err := rp.CodeExchange[*oidc.IDTokenClaims](ctx, query.Get("code"), party, rp.WithCodeVerifier(verifier))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func checkTokens(t *testing.T, tokens *oidc.Tokens[*oidc.IDTokenClaims], clientID string) {
	t.Helper()
	claims := tokens.IDTokenClaims
	if claims.Subject != "jane-doe" || claims.Nonce != someNonce || claims.AccessTokenHash == "" {
		t.Errorf("id_token has sub %q, nonce %q, at_hash %q", claims.Subject, claims.Nonce, claims.AccessTokenHash)
	}
	if diff := cmp.Diff(oidc.Audience{clientID}, claims.Audience); diff != "" {
		t.Errorf("aud (-want +got):\n%s", diff)
	}
	if claims.AuthTime.AsTime().IsZero() || claims.Email != "" {
		t.Errorf("auth_time is %v, email %q; want a time, and no profile in the id_token", claims.AuthTime, claims.Email)
	}
	if tokens.RefreshToken == "" || tokens.ExpiresIn != 3600 {
		t.Errorf("refresh token given: %v, expires_in %d", tokens.RefreshToken != "", tokens.ExpiresIn)
	}
}

func checkUserinfo(t *testing.T, party rp.RelyingParty, tokens *oidc.Tokens[*oidc.IDTokenClaims]) {
	t.Helper()
	info, err := rp.Userinfo[*oidc.UserInfo](t.Context(), tokens.AccessToken, "Bearer", "jane-doe", party)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{info.Name, info.GivenName, info.FamilyName, info.PreferredUsername, info.Email, info.EmailVerified}
	want := []any{"Jane Doe", "Jane", "Doe", "jane.doe", jane, oidc.Bool(true)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("userinfo (-want +got):\n%s", diff)
	}
}

// checkRotation refreshes, and shows that the refresh token of before is dead.
func checkRotation(t *testing.T, party rp.RelyingParty, tokens *oidc.Tokens[*oidc.IDTokenClaims]) *oidc.Tokens[*oidc.IDTokenClaims] {
	t.Helper()
	refreshed, err := rp.RefreshTokens[*oidc.IDTokenClaims](t.Context(), party, tokens.RefreshToken, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if refreshed.RefreshToken == "" || refreshed.RefreshToken == tokens.RefreshToken {
		t.Error("the refresh gave no new refresh token")
	}
	if !refreshed.IDTokenClaims.AuthTime.AsTime().Equal(tokens.IDTokenClaims.AuthTime.AsTime()) {
		t.Error("the refresh changed auth_time")
	}
	if err := rp.RevokeToken(t.Context(), party, refreshed.AccessToken, "access_token"); err != nil {
		t.Errorf("revoke access token: %v", err)
	}
	if _, err := rp.Userinfo[*oidc.UserInfo](t.Context(), refreshed.AccessToken, "Bearer", "jane-doe", party); err == nil {
		t.Error("a revoked access token still opens userinfo")
	}
	return refreshed
}

func checkRevocation(t *testing.T, party rp.RelyingParty, tokens *oidc.Tokens[*oidc.IDTokenClaims]) {
	t.Helper()
	if err := rp.RevokeToken(t.Context(), party, tokens.RefreshToken, "refresh_token"); err != nil {
		t.Fatal(err)
	}
	_, err := rp.RefreshTokens[*oidc.IDTokenClaims](t.Context(), party, tokens.RefreshToken, "", "")
	if refused := new(oidc.Error); !errors.As(err, &refused) || refused.ErrorType != oidc.InvalidGrant {
		t.Errorf("refresh after revocation: %v, want invalid_grant", err)
	}
	if err := rp.RevokeToken(t.Context(), party, tokens.RefreshToken, "refresh_token"); err != nil {
		t.Errorf("second revocation: %v, want silence", err)
	}
}

// checkEndSession signs out at the provider from the application's server, and asks whether the browser is still known.
func checkEndSession(t *testing.T, r *rig, party rp.RelyingParty, tokens *oidc.Tokens[*oidc.IDTokenClaims]) {
	t.Helper()
	if got := r.signIn(t, "nobody is asked", "prompt", "none").Get("code"); got == "" {
		t.Fatal("the browser is not signed in before the sign-out")
	}
	to, err := rp.EndSession(t.Context(), party, tokens.IDToken, "http://localhost:9/goodbye", "st", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := "http://localhost:9/goodbye?state=st"; to.String() != want {
		t.Errorf("end session leads to %s, want %s", to, want)
	}
	if got := r.signIn(t, "nobody is asked", "prompt", "none").Get("error"); got != "login_required" {
		t.Errorf("after the sign-out prompt=none gives error %q, want login_required", got)
	}
}

func TestParallelLogins(t *testing.T) {
	r := newRig(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			browser := &rig{Misbehaving: r.Misbehaving, browser: newBrowser(t)}
			to, err := Login(browser.browser, browser.authURL(), jane)
			if err != nil {
				t.Error(err)
				return
			}
			back, err := url.Parse(to)
			if err != nil {
				t.Error(err)
				return
			}
			response, err := http.PostForm(browser.Issuer()+tokenPath, codeForm(back.Query().Get("code")))
			if err != nil {
				t.Error(err)
				return
			}
			response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Errorf("token endpoint answers %d, want 200", response.StatusCode)
			}
		})
	}
	group.Wait()
	if got := r.Calls().Grant["authorization_code"]; got != 8 {
		t.Errorf("counted %d code exchanges, want 8", got)
	}
}

func TestParallelRefreshHasOneWinner(t *testing.T) {
	r := newRig(t, func(o *Options) { o.KeepGrantOnReplay = true })
	token, _ := r.tokens(t, jane)["refresh_token"].(string)
	var group sync.WaitGroup
	var mu sync.Mutex
	answers := map[int]int{}
	for range 8 {
		group.Go(func() {
			response, err := http.PostForm(r.Issuer()+tokenPath, refreshForm(token))
			if err != nil {
				t.Error(err)
				return
			}
			response.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			answers[response.StatusCode]++
		})
	}
	group.Wait()
	if diff := cmp.Diff(map[int]int{http.StatusOK: 1, http.StatusBadRequest: 7}, answers); diff != "" {
		t.Errorf("answers by status (-want +got):\n%s", diff)
	}
}

func TestClockOfTheProvider(t *testing.T) {
	clock := &fakeClock{now: time.Unix(1_800_000_000, 0)}
	r := newRig(t, func(o *Options) {
		o.Now, o.AccessTokenLifetime, o.RefreshTokenLifetime = clock.Now, 5*time.Minute, time.Hour
	})
	code := r.signIn(t, jane).Get("code")
	tokens := r.tokens(t, jane)
	if tokens["expires_in"] != 300.0 {
		t.Errorf("expires_in is %v, want 300", tokens["expires_in"])
	}
	clock.pass(codeLifetime)
	if status, body := r.post(t, tokenPath, codeForm(code)); status != http.StatusBadRequest || body["error"] != "invalid_grant" {
		t.Errorf("old code: %d %v, want 400 invalid_grant", status, body["error"])
	}
	clock.pass(4 * time.Minute)
	access, _ := tokens["access_token"].(string)
	if status, _ := r.get(t, userinfoPath, access); status != http.StatusUnauthorized {
		t.Errorf("old access token: %d, want 401", status)
	}
	refresh, _ := tokens["refresh_token"].(string)
	for range 2 { // The second refresh comes later than the first refresh token would have lived.
		clock.pass(50 * time.Minute)
		status, body := r.post(t, tokenPath, refreshForm(refresh))
		if status != http.StatusOK {
			t.Fatalf("refresh in time: %d, want 200", status)
		}
		refresh, _ = body["refresh_token"].(string)
	}
	clock.pass(time.Hour)
	if status, body := r.post(t, tokenPath, refreshForm(refresh)); body["error"] != "invalid_grant" {
		t.Errorf("old refresh token: %d %v, want invalid_grant", status, body["error"])
	}
}
