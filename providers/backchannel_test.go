package providers_test

import (
	"errors"
	"maps"
	"testing"
	"time"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

// logoutEvents is the claim that makes a token a logout token.
var logoutEvents = map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}

// TestLogoutToken holds logout tokens to OpenID Connect Back-Channel Logout 1.0 section 2.6.
func TestLogoutToken(t *testing.T) {
	without := func(name string) func(map[string]any) { return func(c map[string]any) { delete(c, name) } }
	with := func(name string, value any) func(map[string]any) { return func(c map[string]any) { c[name] = value } }
	now := time.Unix(1_800_000_000, 0)
	for _, tt := range []struct {
		name   string
		change func(map[string]any)
		code   string
	}{
		{"good", func(map[string]any) {}, ""},
		{"session alone", without("sub"), ""},
		{"subject alone", without("sid"), ""},
		{"neither", func(c map[string]any) { delete(c, "sub"); delete(c, "sid") }, "logout_token_invalid"},
		{"no event", without("events"), "logout_token_invalid"},
		{"another event", with("events", map[string]any{"other": map[string]any{}}), "logout_token_invalid"},
		{"event that is no object", with("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": true}), "logout_token_invalid"},
		{"nonce", with("nonce", "n"), "logout_token_invalid"},
		{"no jti", without("jti"), "logout_token_invalid"},
		{"another issuer", with("iss", "https://evil.example"), "id_token_issuer"},
		{"another audience", with("aud", "somebody"), "id_token_audience"},
		{"no iat", without("iat"), "id_token_malformed"},
		{"from the future", with("iat", now.Add(5*time.Minute).Unix()), "id_token_clock"},
		{"expired", with("exp", now.Add(-5*time.Minute).Unix()), "id_token_clock"},
		{"old", with("iat", now.Add(-10*time.Minute).Unix()), "logout_token_invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			claims := map[string]any{
				"iss": issuer, "aud": "client", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "jti": "j1", "sub": "u1", "sid": "s1",
				"events": maps.Clone(logoutEvents),
			}
			tt.change(claims)
			raw, err := i.signer.Sign(claims)
			if err != nil {
				t.Fatal(err)
			}
			got, err := i.mustOpen(confidential).(providers.BackchannelLogouter).ReadLogoutToken(t.Context(), raw)
			if providertest.Code(err) != tt.code || tt.code != "" && !errors.Is(err, providers.ErrInput) {
				t.Fatalf("error %v, want code %q", err, tt.code)
			}
			sub, _ := claims["sub"].(string)
			sid, _ := claims["sid"].(string)
			if tt.code == "" && (got.Subject != sub || got.SessionID != sid || got.Once.ID == "" || !got.Once.Until.After(now)) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// TestLogoutTokenForged: only the provider's keys count, and a provider whose keys cannot be read is no reason to refuse for good.
func TestLogoutTokenForged(t *testing.T) {
	i := newIDP(t)
	p := i.mustOpen(confidential).(providers.BackchannelLogouter)
	foreign, err := providertest.RSAKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := foreign.Sign(map[string]any{"iss": issuer, "aud": "client", "jti": "j", "sub": "u1", "events": logoutEvents})
	if err != nil {
		t.Fatal(err)
	}
	for _, forged := range []string{raw, "", "a.b.c", raw + "x"} {
		if _, err := p.ReadLogoutToken(t.Context(), forged); !errors.Is(err, providers.ErrInput) {
			t.Errorf("%.10q: %v", forged, err)
		}
	}
	i = newIDP(t)
	i.handlers["/keys"] = body(503, "text/plain", "")
	if _, err := i.mustOpen(confidential).(providers.BackchannelLogouter).ReadLogoutToken(t.Context(), raw); !errors.Is(err, providers.ErrUnavailable) {
		t.Errorf("keys down: %v", err)
	}
}
