package providers

import (
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
)

// FuzzCallback: whatever a browser brings is a code, or an error that is short, printable and documented.
func FuzzCallback(f *testing.F) {
	for _, seed := range []string{"code=a&state=b", "error=access_denied&error_description=no", "code=a&code=b", "code=a&error=b", "iss=https://evil.example", "error=%e2%80%a8%00"} {
		f.Add(seed)
	}
	party := &oidcParty{issuer: "https://idp.example"}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		code, err := readCallback(q, party)
		if err == nil {
			if code == "" || q.Has("error") || len(q["code"]) != 1 {
				t.Errorf("%q gave code %q", raw, code)
			}
			return
		}
		e, ok := errors.AsType[*Error](err)
		if !ok || codes[e.Code] == "" || len([]rune(e.Message)) > 420 || !utf8.ValidString(e.Message) {
			t.Fatalf("%q gave %v", raw, err)
		}
		if strings.ContainsFunc(e.Message, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }) {
			t.Errorf("%q gave %q", raw, e.Message)
		}
	})
}

// FuzzIDToken: no text makes the verifier panic or accept.
func FuzzIDToken(f *testing.F) {
	for _, seed := range []string{"", "..", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA", `{"payload":"e30"}`} {
		f.Add(seed)
	}
	check := idTokenCheck{issuer: "https://idp.example", clientID: "c", alg: jose.HS256, keys: secretKey(strings.Repeat("s", 32)), now: time.Unix(1_800_000_000, 0)}
	f.Fuzz(func(t *testing.T, raw string) {
		_, err := check.verify(t.Context(), raw)
		if e, ok := errors.AsType[*Error](err); !ok || codes[e.Code] == "" {
			t.Errorf("%q gave %v", raw, err)
		}
	})
}

// FuzzClaims: no set of claims makes a check panic, and what passes has all that must be there.
func FuzzClaims(f *testing.F) {
	const good = `{"iss":"https://idp.example","aud":"c","sub":"u","exp":1800000100,"iat":1800000000}`
	for _, seed := range []string{good, `{"aud":[1]}`, `{"aud":["c"],"azp":[]}`, `{"exp":1e400}`, `{"exp":9223372036854775808}`, `null`} {
		f.Add(seed)
	}
	check := idTokenCheck{issuer: "https://idp.example", clientID: "c", alg: jose.RS256, now: time.Unix(1_800_000_000, 0)}
	f.Fuzz(func(t *testing.T, text string) {
		claims, err := jsonObject([]byte(text))
		if err != nil {
			return
		}
		for _, step := range []func(map[string]any) error{check.checkIssuer, check.checkAudience, check.checkTimes, check.checkSubject, check.checkHashes} {
			if step(claims) != nil {
				return
			}
		}
		for _, key := range []string{"iss", "aud", "sub", "exp", "iat"} {
			if claims[key] == nil {
				t.Errorf("accepted without %s: %s", key, text)
			}
		}
	})
}

// FuzzTokens: a token answer is read whole or refused.
func FuzzTokens(f *testing.F) {
	for _, seed := range []string{`{"access_token":"a","expires_in":"60"}`, `{"access_token":"a","expires_in":-1}`, `{"access_token":1}`, `[]`, `{"error":"invalid_grant"}`, `access_token=a`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := readTokens(answer{status: 200, body: []byte(text)})
		if err == nil && (got.AccessToken == "" || got.ExpiresIn < 0 || !json.Valid([]byte(text))) {
			t.Errorf("%q gave %+v", text, got)
		}
		if tokenError(answer{status: 400, body: []byte(text)}) == nil {
			t.Error("no error")
		}
	})
}

// FuzzKeys: a key set is read or refused, and never holds a key that is not public.
func FuzzKeys(f *testing.F) {
	f.Add(`{"keys":[{"kty":"oct","k":"AAAA"}]}`)
	f.Add(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`)
	f.Add(`{"keys":{}}`)
	f.Add(`{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		keys, _ := readKeys([]byte(text), jose.RS256)
		for _, k := range keys {
			if !k.IsPublic() {
				t.Errorf("%q gave a key of type %T", text, k.Key)
			}
		}
	})
}

func TestWeakKeysAreLeftOut(t *testing.T) {
	const weak = `{"kty":"RSA","e":"AQAB","n":"sXchDaQebHnPiGvyDOAT4saGEUetSyo9MKLOoWFsueri23bOdgWp4Dy1WlUzewbgBHod5pcM9H95GQRV3JDXboIRROSBigeC5yjU1hGzHHyXss8UDprecbAYxknTcQkhslANGRUZmdTOQ5qTRsLAt6BTYuyvVRdhS8exSZEy_c4"}`
	keys, err := readKeys([]byte(`{"keys":[`+weak+`]}`), jose.RS256)
	if err != nil || len(keys) != 0 {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

// TestCodes holds the table to its form, and keeps callers from changing it.
func TestCodes(t *testing.T) {
	form := regexp.MustCompile(`^[a-z]+(_[a-z]+)+$`)
	for code, meaning := range Codes() {
		if !form.MatchString(code) || !strings.HasSuffix(meaning, ".") {
			t.Errorf("%s: %q", code, meaning)
		}
	}
	clear(Codes())
	if len(codes) == 0 {
		t.Error("the caller's map is ours")
	}
}

func TestKindOf(t *testing.T) {
	has := func(keys ...string) func(string) bool { return func(k string) bool { return slices.Contains(keys, k) } }
	for _, tt := range []struct {
		name, id, explicit string
		has                func(string) bool
		want               string
	}{
		{"own id", "oidc", "", has(), "oidc"},
		{"explicit wins", "oidc", "guest", has("metadataUrl"), "guest"},
		{"by metadata", "oidc-pkce", "", has("metadataUrl"), "oidc"},
		{"nothing to go by", "mystery", "", has("clientId"), ""},
		{"unknown type", "oidc", "oidcc", has(), ""},
	} {
		got, err := KindOf(tt.id, tt.explicit, tt.has)
		if got.ID != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q, %v", tt.name, got.ID, err)
		}
	}
}

// TestRegister: a mistake in a provider's file shows at once, not at the first sign-in.
func TestRegister(t *testing.T) {
	before := maps.Clone(kinds)
	for name, k := range map[string]Kind{"duplicate": {ID: "oidc", New: newOIDC}, "no New": {ID: "x"}, "no ID": {New: newOIDC}} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil || len(kinds) != len(before) {
					t.Error("registered")
				}
			}()
			register(k)
		})
	}
}
