package providers_test

import (
	"net/http"
	"strings"
	"testing"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

func TestJWTHeader(t *testing.T) {
	key, err := providertest.RSAKey("k-1")
	if err != nil {
		t.Fatal(err)
	}
	set, err := providertest.KeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"aud": "backstage", "sub": "u1", "email": "jane@corp.example", "exp": 1_800_000_600}
	p := newProxied(t, "jwtHeader", "{header: x-corp, audience: backstage, jwksUrl: 'https://k.example/keys', algorithms: [RS256]}", nil)
	token := func(changes map[string]any) http.Header {
		return http.Header{"X-Corp": {signed(t, key, with(claims, changes))}}
	}
	p.down = true
	_, err = p.handle(token(nil))
	wantCode(t, err, providers.CodeUnreachable)
	p.down, p.pages = false, map[string]string{"https://k.example/keys": set}
	r, err := p.handle(token(map[string]any{"email_verified": false}))
	wantCode(t, err, "")
	if r.Profile.Email != "" {
		t.Error("an unverified email is in the profile")
	}
	p.down = true
	_, err = p.handle(token(nil))
	wantCode(t, err, "")
	_, err = p.handle(token(map[string]any{"exp": 1_799_999_940}))
	wantCode(t, err, providers.CodeAssertionClock)
	_, err = p.handle(token(map[string]any{"nbf": 1_800_000_061}))
	wantCode(t, err, providers.CodeAssertionClock)
	_, err = p.handle(token(map[string]any{"sub": nil}))
	wantCode(t, err, providers.CodeAssertionClaim)
	other, _ := proxyECKey(t)
	_, err = p.handle(http.Header{"X-Corp": {signed(t, other, claims)}})
	wantCode(t, err, providers.CodeAssertionAlg)
}

func TestJWTHeaderConfig(t *testing.T) {
	for _, tt := range []struct{ name, config, want string }{
		{"nobody's tokens", "{header: x-corp, audience: a}", "issuer or jwksUrl"},
		{"shared secret", "{header: x-corp, audience: a, issuer: 'https://i.example', algorithms: [HS256]}", "algorithms"},
		{"plain http", "{header: x-corp, audience: a, jwksUrl: 'http://i.example'}", "https"},
		{"issuer is no address", "{header: x-corp, audience: a, issuer: me}", "issuer"},
		{"underscores", "{header: x_corp, audience: a, issuer: 'https://i.example'}", "header"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := (&proxied{t: t}).open("jwtHeader", tt.config, false)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New: %v, want %q in it", err, tt.want)
			}
		})
	}
}
