package tokens_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"stagedoor/tokens"
)

// jwksOf is what the owner of a key publishes, under the kid k1.
func jwksOf(t tb, keys ...*ecdsa.PrivateKey) *tokens.KeySet {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Public(), KeyID: "k1", Algorithm: "ES256"})
	}
	body, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return mustParse(t, body)
}

const (
	pluginHeader  = `{"typ":"vnd.backstage.plugin","alg":"ES256","kid":"k1"}`
	pluginPayload = `{"sub":"catalog","aud":"auth","iat":1893553445,"exp":1893557045}`
)

// TestForeignVectors accepts what another implementation signed, at our plugin in 2030.
func TestForeignVectors(t *testing.T) {
	keys, end := mustParse(t, []byte(pluginVector(t, "foreign/jwks.json"))), time.Unix(1893557045, 0).UTC()
	for name, onBehalfOf := range map[string]string{"foreign/token": "", "foreign/on behalf": pluginVector(t, "limited/plain")} {
		raw := pluginVector(t, name)
		plugin, kid, err := tokens.UnverifiedPlugin(raw)
		if err != nil || plugin != "catalog" || kid != kidOf(t, raw) {
			t.Errorf("%s: unverified plugin %q, kid %q, error %v", name, plugin, kid, err)
		}
		got, err := tokens.VerifyPluginToken(raw, keys, "auth", epoch)
		want := tokens.PluginPrincipal{Plugin: "catalog", OnBehalfOf: onBehalfOf, ExpiresAt: end}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: error %v, principal (-want +got):\n%s", name, err, diff)
		}
	}
	external, err := tokens.VerifyRemote(pluginVector(t, "foreign/external"), keys, tokens.RemoteRules{
		Issuers: []string{"https://ci.example/"}, Audiences: []string{"backstage"}, Algorithms: []string{"ES256"},
	}, epoch)
	if diff := cmp.Diff(tokens.ExternalPrincipal{Subject: "build", ExpiresAt: end}, external); err != nil || diff != "" {
		t.Errorf("external: error %v, principal (-want +got):\n%s", err, diff)
	}
	got, err := tokens.VerifyLegacy(pluginVector(t, "foreign/legacy"), []byte("a shared secret"), epoch)
	if err != nil || !got.Equal(end) {
		t.Errorf("legacy: expires at %v, error %v", got, err)
	}
}

// TestVerifyPluginToken sends tokens that the calling plugin's own key signed wherever a signature is possible, so that
// each is refused for what its name says and nothing else.
func TestVerifyPluginToken(t *testing.T) {
	key := newEC(t, elliptic.P256())
	signed := func(header, payload string) string { return forge(t, key, header, payload) }
	header := func(old, young string) string {
		return signed(strings.Replace(pluginHeader, old, young, 1), pluginPayload)
	}
	claim := func(old, young string) string {
		return signed(pluginHeader, strings.Replace(pluginPayload, old, young, 1))
	}
	good := signed(pluginHeader, pluginPayload)
	parts := strings.Split(good, ".")

	var accepted error
	foreign, invalid, unknown := tokens.ErrUnrecognised, tokens.ErrInvalid, tokens.ErrUnknownKey
	for _, c := range []struct {
		name, raw string
		want      error
	}{
		{"good", good, accepted},
		{"no kid, as there is one key", signed(`{"typ":"vnd.backstage.plugin","alg":"ES256"}`, pluginPayload), accepted},
		{"header in another order", signed(`{"kid":"k1","alg":"ES256","typ":"vnd.backstage.plugin"}`, pluginPayload), accepted},
		{"more audiences", claim(`"auth"`, `["x","auth"]`), accepted},
		{"issued in the future", claim("1893553445", "1893553945"), accepted},
		{"begins now", claim(`"iat"`, `"nbf":1893553445,"iat"`), accepted},
		{"fractions", claim("1893557045", "1893557045.25"), accepted},
		{"last second", claim("1893557045", "1893553446"), accepted},
		{"other claims", claim(`"iat"`, `"Sub":1,"EXP":"x","iat"`), accepted},

		{"empty", "", foreign},
		{"two parts", parts[0] + "." + parts[1], foreign},
		{"four parts", good + ".x", foreign},
		{"oversized", good + strings.Repeat("A", 32768), foreign},
		{"header is no JSON", signed("nothing", pluginPayload), foreign},
		{"header is null", signed("null", pluginPayload), foreign},
		{"no typ", header(`"typ":"vnd.backstage.plugin",`, ""), foreign},
		{"typ in another case", header("plugin", "Plugin"), foreign},
		{"name of typ in another case", header("typ", "Typ"), foreign},
		{"typ as a media type", header("vnd", "application/vnd"), foreign},
		{"user token", header("plugin", "user"), foreign},
		{"limited user token", header("plugin", "limited-user"), foreign},

		{"alg none", b64(strings.Replace(pluginHeader, "ES256", "none", 1)) + "." + parts[1] + ".", invalid},
		{"alg none, real signature", header("ES256", "none"), invalid},
		{"no alg", header(`"alg":"ES256",`, ""), invalid},
		{"alg of a MAC", header("ES256", "HS256"), invalid},
		{"alg of another curve", header("ES256", "ES384"), unknown},
		{"alg of another kind", header("ES256", "RS256"), unknown},
		{"unknown kid", header("k1", "k2"), unknown},
		{"crit", header(`"alg"`, `"crit":["exp"],"exp":1,"alg"`), invalid},
		{"key in the header", forge(t, newEC(t, elliptic.P256()), pluginHeader[:len(pluginHeader)-1]+`,"jwk":{}}`, pluginPayload), invalid},
		{"somebody else's signature", forge(t, newEC(t, elliptic.P256()), pluginHeader, pluginPayload), invalid},
		{"no signature", parts[0] + "." + parts[1] + ".", invalid},
		{"signature with a line break", good[:len(good)-4] + "\n" + good[len(good)-4:], invalid},

		{"payload is no JSON", signed(pluginHeader, "nothing"), invalid},
		{"payload is a list", signed(pluginHeader, "[]"), invalid},
		{"no sub", claim(`"sub":"catalog",`, ""), invalid},
		{"empty sub", claim(`"sub":"catalog"`, `"sub":""`), invalid},
		{"sub is a number", claim(`"sub":"catalog"`, `"sub":7`), invalid},
		{"sub is a path", claim("catalog", "catalog/../x"), invalid},
		{"sub with a line break", claim("catalog", `catalog\n`), invalid},
		{"sub with a long s", claim("catalog", "ſcaffolder"), invalid},
		{"no aud", claim(`"aud":"auth",`, ""), invalid},
		{"another aud", claim(`"auth"`, `"catalog"`), invalid},
		{"aud in another case", claim(`"auth"`, `"Auth"`), invalid},
		{"no audience", claim(`"auth"`, `[]`), invalid},
		{"aud is null", claim(`"auth"`, `null`), invalid},
		{"aud is an object", claim(`"auth"`, `{"auth":"auth"}`), invalid},
		{"aud has an object", claim(`"auth"`, `["auth",{}]`), invalid},
		{"no iat", claim(`"iat":1893553445,`, ""), invalid},
		{"iat is a string", claim("1893553445", `"1893553445"`), invalid},
		{"no exp", claim(`,"exp":1893557045`, ""), invalid},
		{"exp is null", claim("1893557045", "null"), invalid},
		{"exp is a string", claim("1893557045", `"1893557045"`), invalid},
		{"exp is huge", claim("1893557045", "1e400"), invalid},
		{"expired", claim("1893557045", "1893553445"), invalid},
		{"begins later", claim(`"iat"`, `"nbf":1893553446,"iat"`), invalid},
		{"nbf is a string", claim(`"iat"`, `"nbf":"1","iat"`), invalid},
		{"obo is an object", claim(`"iat"`, `"obo":{},"iat"`), invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			who, err := tokens.VerifyPluginToken(c.raw, jwksOf(t, key), "auth", epoch)
			if c.want == nil {
				if err != nil || who.Plugin != "catalog" {
					t.Fatalf("principal %v, error %v", who, err)
				}
				return
			}
			wantRefusal(t, err, c.want, "catalog", c.raw)
		})
	}
}

// wantRefusal checks that err is want, neither more nor less, and repeats nothing of the token.
func wantRefusal(t *testing.T, err, want error, value, raw string) {
	t.Helper()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, kind := range []error{tokens.ErrInvalid, tokens.ErrUnrecognised, tokens.ErrUnknownKey} {
		if errors.Is(err, kind) != errors.Is(want, kind) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
	if strings.Contains(err.Error(), value) || (len(raw) > 9 && strings.Contains(err.Error(), raw[:9])) {
		t.Errorf("error %q repeats the token", err)
	}
}

// TestEndOfTime accepts what never ends for all practical purposes, with an end that can be written down.
func TestEndOfTime(t *testing.T) {
	key := newEC(t, elliptic.P256())
	raw := forge(t, key, pluginHeader, strings.Replace(pluginPayload, "1893557045", "1e300", 1))
	who, err := tokens.VerifyPluginToken(raw, jwksOf(t, key), "auth", epoch)
	if want := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC); err != nil || !who.ExpiresAt.Equal(want) {
		t.Errorf("expires at %v, %v, want %v", who.ExpiresAt, err, want)
	}
}

// TestVerifyOwnPluginToken accepts what we sent to ourselves and nothing else that our key signed.
func TestVerifyOwnPluginToken(t *testing.T) {
	key := newEC(t, elliptic.P256())
	c := newClock()
	p := newPluginIssuer(t, tokens.PluginConfig{
		Now: c.Now, Static: []tokens.StaticKey{pemPair(t, "k1", "ES256", key, key.Public())},
	})
	own := mustCall(t, p, "auth", "")
	ours := strings.Replace(pluginPayload, "catalog", "auth", 1)
	for _, r := range []struct {
		name, raw string
		want      error
	}{
		{"for another plugin", mustCall(t, p, "catalog", "").Raw, tokens.ErrInvalid},
		{"in another plugin's name", forge(t, key, pluginHeader, pluginPayload), tokens.ErrInvalid},
		{"another header", forge(t, key, `{"alg":"ES256","typ":"vnd.backstage.plugin","kid":"k1"}`, ours), tokens.ErrInvalid},
		{"unknown kid", forge(t, key, strings.Replace(pluginHeader, "k1", "k2", 1), ours), tokens.ErrUnknownKey},
		{"somebody else's signature", forge(t, newEC(t, elliptic.P256()), pluginHeader, ours), tokens.ErrInvalid},
		{"no token", "x", tokens.ErrUnrecognised},
		{"payload is a list", forge(t, key, pluginHeader, "[]"), tokens.ErrInvalid},
	} {
		t.Run(r.name, func(t *testing.T) {
			_, err := p.Verify(t.Context(), r.raw)
			wantRefusal(t, err, r.want, "catalog", r.raw)
		})
	}
	c.Advance(own.ExpiresAt.Sub(epoch) - time.Millisecond)
	who, err := p.Verify(t.Context(), own.Raw)
	if diff := cmp.Diff(tokens.PluginPrincipal{Plugin: "auth", ExpiresAt: own.ExpiresAt}, who); err != nil || diff != "" {
		t.Errorf("in its last second: error %v, principal (-want +got):\n%s", err, diff)
	}
	c.Advance(time.Millisecond)
	if _, err := p.Verify(t.Context(), own.Raw); !errors.Is(err, tokens.ErrInvalid) {
		t.Errorf("at its end: error %v, want ErrInvalid", err)
	}
}

func TestUnverifiedPluginRefuses(t *testing.T) {
	for _, c := range []struct {
		name, header, payload string
		want                  error
	}{
		{"not a plugin token", goodHeader, pluginPayload, tokens.ErrUnrecognised},
		{"crit", `{"crit":["b64"],"typ":"vnd.backstage.plugin"}`, pluginPayload, tokens.ErrInvalid},
		{"payload is no JSON", pluginHeader, "nothing", tokens.ErrInvalid},
		{"no sub", pluginHeader, "{}", tokens.ErrInvalid},
		{"sub is a URL", pluginHeader, `{"sub":"//evil.example/"}`, tokens.ErrInvalid},
		{"sub goes up", pluginHeader, `{"sub":".."}`, tokens.ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := b64(c.header) + "." + b64(c.payload) + ".x"
			plugin, kid, err := tokens.UnverifiedPlugin(raw)
			if plugin != "" || kid != "" {
				t.Errorf("plugin %q, kid %q beside an error", plugin, kid)
			}
			wantRefusal(t, err, c.want, "evil", raw)
		})
	}
	if _, _, err := tokens.UnverifiedPlugin("x"); !errors.Is(err, tokens.ErrUnrecognised) {
		t.Errorf("error %v, want ErrUnrecognised", err)
	}
}

// FuzzUnverifiedPlugin sends anything: what comes back may be put into a URL, and no verifier accepts what was not signed.
func FuzzUnverifiedPlugin(f *testing.F) {
	keys := mustParse(f, []byte(pluginVector(f, "foreign/jwks.json")))
	genuine := map[string]bool{pluginVector(f, "foreign/token"): true, pluginVector(f, "foreign/on behalf"): true}
	for raw := range genuine {
		f.Add(raw)
		f.Add(raw + "\n")
	}
	for _, payload := range []string{pluginPayload, `{"sub":".."}`, `{"sub":null}`, `null`, `[]`, `{"sub":"a","sub":"b/c"}`} {
		f.Add(b64(pluginHeader) + "." + b64(payload) + ".")
	}
	f.Fuzz(func(t *testing.T, raw string) {
		plugin, _, err := tokens.UnverifiedPlugin(raw)
		if err != nil && (!errors.Is(err, tokens.ErrInvalid) || plugin != "") {
			t.Fatalf("plugin %q, error %v", plugin, err)
		}
		if rest := strings.Trim(strings.ToLower(plugin), "abcdefghijklmnopqrstuvwxyz0123456789-_"); rest != "" || (err == nil) != (plugin != "") {
			t.Fatalf("plugin %q, error %v", plugin, err)
		}
		who, failed := tokens.VerifyPluginToken(raw, keys, "auth", epoch)
		switch {
		case failed == nil && (!genuine[raw] || who.Plugin != plugin):
			t.Fatalf("accepted a forgery for %q", who.Plugin)
		case failed != nil && !errors.Is(failed, tokens.ErrInvalid):
			t.Fatalf("error %v, want ErrInvalid", failed)
		}
	})
}
