package tokens_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"stagedoor/tokens"
)

// jwkJSON encodes a key with more members, which replace its own.
func jwkJSON(t tb, key jose.JSONWebKey, more map[string]any) string {
	t.Helper()
	text, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	for name, v := range more {
		if members[name] = v; v == nil {
			delete(members, name)
		}
	}
	if text, err = json.Marshal(members); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestKeySet looks for the key of a genuine token in all kinds of key sets.
func TestKeySet(t *testing.T) {
	key, other := newEC(t, elliptic.P256()), newEC(t, elliptic.P256())
	jwk := func(k *ecdsa.PrivateKey, more map[string]any) string {
		return jwkJSON(t, jose.JSONWebKey{Key: k.Public(), KeyID: "k1", Algorithm: "ES256"}, more)
	}
	const noKid = `{"typ":"vnd.backstage.plugin","alg":"ES256"}`
	good := jwk(key, nil)
	for _, c := range []struct {
		name, header string
		keys         []string
		want         error
	}{
		{"the key", pluginHeader, []string{good}, nil},
		{"no alg, no use", pluginHeader, []string{jwk(key, map[string]any{"alg": nil})}, nil},
		{"for signatures", pluginHeader, []string{jwk(key, map[string]any{"use": "sig"})}, nil},
		{"to verify", pluginHeader, []string{jwk(key, map[string]any{"key_ops": []string{"verify"}})}, nil},
		{"published with its private half", pluginHeader, []string{jwkJSON(t, jose.JSONWebKey{Key: key, KeyID: "k1"}, nil)}, nil},
		{"among unreadable ones", pluginHeader, []string{`{}`, `7`, `{"kty":"new"}`, `{"kty":"OKP","crv":"Ed25519","x":"AA"}`, good}, nil},
		{"beside a symmetric one", pluginHeader, []string{`{"kty":"oct","kid":"k1","k":"AAAA"}`, good}, nil},
		{"beside another one", noKid, []string{jwk(newEC(t, elliptic.P384()), map[string]any{"alg": "ES384"}), good}, nil},

		{"none", pluginHeader, nil, tokens.ErrUnknownKey},
		{"another alg", pluginHeader, []string{jwk(key, map[string]any{"alg": "ES384"})}, tokens.ErrUnknownKey},
		{"for encryption", pluginHeader, []string{jwk(key, map[string]any{"use": "enc"})}, tokens.ErrUnknownKey},
		{"to sign only", pluginHeader, []string{jwk(key, map[string]any{"key_ops": []string{"sign"}})}, tokens.ErrUnknownKey},
		{"another kid", pluginHeader, []string{jwk(key, map[string]any{"kid": "k2"})}, tokens.ErrUnknownKey},
		{"no kid in the set", pluginHeader, []string{jwk(key, map[string]any{"kid": nil})}, tokens.ErrUnknownKey},
		{"not on the curve", pluginHeader, []string{jwk(key, map[string]any{"x": strings.Repeat("A", 43)})}, tokens.ErrUnknownKey},
		{"a choice", noKid, []string{jwk(other, map[string]any{"kid": "k2"}), good}, tokens.ErrInvalid},
		{"one kid twice", pluginHeader, []string{jwk(other, nil), good}, tokens.ErrInvalid},
		{"somebody else's", pluginHeader, []string{jwk(other, nil)}, tokens.ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := mustParse(t, []byte(`{"keys":[`+strings.Join(c.keys, ",")+`]}`))
			_, err := tokens.VerifyPluginToken(forge(t, key, c.header, pluginPayload), set, "auth", epoch)
			if !errors.Is(err, c.want) || errors.Is(err, tokens.ErrUnknownKey) != errors.Is(c.want, tokens.ErrUnknownKey) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
	if _, err := tokens.VerifyPluginToken(forge(t, key, pluginHeader, pluginPayload), nil, "auth", epoch); !errors.Is(err, tokens.ErrUnknownKey) {
		t.Errorf("no key set: error %v, want ErrUnknownKey", err)
	}
}

// TestForeignAlgorithms has another library sign with every kind of key that a plugin may have.
func TestForeignAlgorithms(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	public, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p521 := newEC(t, elliptic.P521())
	for _, c := range []struct {
		name            string
		alg             jose.SignatureAlgorithm
		private, public any
		want            error
	}{
		{"ES512", jose.ES512, p521, p521.Public(), nil},
		{"RS256", jose.RS256, rsaKey, rsaKey.Public(), nil},
		{"PS512", jose.PS512, rsaKey, rsaKey.Public(), nil},
		{"EdDSA", jose.EdDSA, edKey, public, nil},
		{"RSA too weak", jose.RS256, weak, weak.Public(), tokens.ErrUnknownKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: c.alg, Key: jose.JSONWebKey{Key: c.private, KeyID: "k1"}},
				(&jose.SignerOptions{}).WithType("vnd.backstage.plugin"))
			if err != nil {
				t.Fatal(err)
			}
			signed, err := signer.Sign([]byte(pluginPayload))
			if err != nil {
				t.Fatal(err)
			}
			raw, err := signed.CompactSerialize()
			if err != nil {
				t.Fatal(err)
			}
			set := mustParse(t, []byte(`{"keys":[`+jwkJSON(t, jose.JSONWebKey{Key: c.public, KeyID: "k1"}, nil)+`]}`))
			if _, err := tokens.VerifyPluginToken(raw, set, "auth", epoch); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

func TestParseKeySetRefuses(t *testing.T) {
	for _, body := range []string{"", "<html>", "null", "[]", "{}", `{"keys":null}`, `{"keys":{}}`, `{"keys":[]}x`, `{"keys":"secret"}`} {
		if set, err := tokens.ParseKeySet([]byte(body)); err == nil || set != nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: key set %v, error %v", body, set, err)
		}
	}
}

// FuzzParseKeySet reads anything as a key set, and verifies a genuine token with what it found.
func FuzzParseKeySet(f *testing.F) {
	raw := pluginVector(f, "foreign/token")
	f.Add([]byte(pluginVector(f, "foreign/jwks.json")))
	f.Add([]byte(pluginVector(f, "issued/jwks.json")))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"OKP","crv":"Ed25519","x":""},{"kty":"oct","k":"AA"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		set, err := tokens.ParseKeySet(body)
		if (err == nil) != (set != nil) {
			t.Fatalf("key set %v, error %v", set, err)
		}
		if _, err := tokens.VerifyPluginToken(raw, set, "auth", epoch); err != nil && !errors.Is(err, tokens.ErrInvalid) {
			t.Fatalf("error %v, want ErrInvalid", err)
		}
	})
}
