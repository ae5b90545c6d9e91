package tokens_test

import (
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stagedoor/tokens"
)

// TestStatic holds contract/core.md K6: the first key signs, all are published and marked for signatures, for ever.
func TestStatic(t *testing.T) {
	first, second := newEC(t, elliptic.P256()), newEC(t, elliptic.P384())
	c := newClock()
	i := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Static: []tokens.StaticKey{
		pemPair(t, "first", "", first, first.Public()), pemPair(t, "second", "ES384", second, second.Public()),
	}})
	for range 3 {
		token := mustIssue(t, i, "user:default/jane")
		if kid := kidOf(t, token.Raw); kid != "first" {
			t.Errorf("signed by %q, want the first key", kid)
		}
		if got, want := verifyJose(t, i, token.Raw), segment(t, token.Raw, 1); got != want {
			t.Errorf("payload %s, want %s", got, want)
		}
		c.Advance(1000 * time.Hour)
	}
	doc, err := i.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(doc.Body, &set); err != nil {
		t.Fatal(err)
	}
	want := []map[string]string{
		{"kty": "EC", "crv": "P-256", "kid": "first", "alg": "ES256", "use": "sig"},
		{"kty": "EC", "crv": "P-384", "kid": "second", "alg": "ES384", "use": "sig"},
	}
	for _, k := range set.Keys {
		if k["x"] == "" || k["y"] == "" {
			t.Errorf("key %s has no coordinates", k["kid"])
		}
		delete(k, "x")
		delete(k, "y")
	}
	if diff := cmp.Diff(want, set.Keys); diff != "" {
		t.Errorf("published keys differ (-want +got):\n%s", diff)
	}
}

func TestStaticRefuses(t *testing.T) {
	p256, p384 := newEC(t, elliptic.P256()), newEC(t, elliptic.P384())
	good := pemPair(t, "k", "ES256", p256, p256.Public())
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*tokens.StaticKey)) []tokens.StaticKey {
		k := good
		change(&k)
		return []tokens.StaticKey{k}
	}
	for _, c := range []struct {
		name string
		in   []tokens.StaticKey
		want string
	}{
		{"empty list", []tokens.StaticKey{}, "Should provide at least one key pair"},
		{"no id", with(func(k *tokens.StaticKey) { k.ID = "" }), "key ID"},
		{"same id", []tokens.StaticKey{good, good}, "twice"},
		{"not a pair", with(func(k *tokens.StaticKey) {
			k.PrivatePEM = pemPair(t, "k", "", newEC(t, elliptic.P256()), p256.Public()).PrivatePEM
		}), "pair"},
		{"other curve", []tokens.StaticKey{pemPair(t, "k", "ES256", p384, p384.Public())}, "P-256"},
		{"other kind", []tokens.StaticKey{pemPair(t, "k", "RS256", p256, p256.Public())}, "RSA"},
		{"other kind of pair", []tokens.StaticKey{pemPair(t, "k", "ES256", ed, ed.Public())}, "P-256"},
		{"not Ed25519", []tokens.StaticKey{pemPair(t, "k", "EdDSA", p256, p256.Public())}, "Ed25519"},
		{"weak RSA", []tokens.StaticKey{pemPair(t, "k", "RS256", weak, weak.Public())}, "1024"},
		{"unknown algorithm", with(func(k *tokens.StaticKey) { k.Algorithm = "HS256" }), "HS256"},
		{"no public file", with(func(k *tokens.StaticKey) { k.PublicPEM = nil }), "PUBLIC KEY"},
		{"no private file", with(func(k *tokens.StaticKey) { k.PrivatePEM = []byte("nonsense") }), "PRIVATE KEY"},
		{"files swapped", with(func(k *tokens.StaticKey) {
			k.PublicPEM, k.PrivatePEM = k.PrivatePEM, k.PublicPEM
		}), `no "PUBLIC KEY" block`},
		{"damaged", with(func(k *tokens.StaticKey) {
			k.PrivatePEM = []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
		}), "parse PRIVATE KEY"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := tokens.NewIssuer(tokens.IssuerConfig{BaseURL: baseURL, Static: c.in})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one about %s", err, c.want)
			}
		})
	}
}
