package playground_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"stagedoor/server/internal/playground/browsertest"
)

func newKey(t *testing.T, alg jose.SignatureAlgorithm) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.ES384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case jose.ES512:
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case jose.EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestAlgorithms refreshes one page with every algorithm that a key may have, so that keys also rotate under the browser's
// cached key set.
func TestAlgorithms(t *testing.T) {
	s := newStub(t)
	tab := signIn(t, s, browsertest.Start(t))
	rsaKey := newKey(t, jose.RS256)
	for _, alg := range []jose.SignatureAlgorithm{
		jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
	} {
		t.Run(string(alg), func(t *testing.T) {
			key := rsaKey
			if alg[0] == 'E' {
				key = newKey(t, alg)
			}
			s.change(func() { s.useKey("key-"+string(alg), alg, key) })
			tab.Click("#refresh")
			tab.WaitText("#signature", "Signature valid: "+string(alg)+" by key key-"+string(alg))
		})
	}
}

// flip changes one character in the middle of part i of a token.
func flip(i int) func(string) string {
	return func(token string) string {
		parts := strings.Split(token, ".")
		middle := len(parts[i]) / 2
		other := "A"
		if parts[i][middle] == 'A' {
			other = "B"
		}
		parts[i] = parts[i][:middle] + other + parts[i][middle+1:]
		return strings.Join(parts, ".")
	}
}

func TestBadSignature(t *testing.T) {
	unsigned := func(token string) string {
		// {"alg":"none","kid":"first"}
		return "eyJhbGciOiJub25lIiwia2lkIjoiZmlyc3QifQ." + strings.Split(token, ".")[1] + "."
	}
	tests := []struct {
		name, state, text string
		spoil             func(s *stub)
	}{
		{
			name: "tampered signature", state: "invalid", text: "does not match this token",
			spoil: func(s *stub) { s.forge = flip(2) },
		},
		{
			name: "another key of that name", state: "invalid", text: "does not match this token",
			spoil: func(s *stub) { s.keys[0].Key = newKey(s.t, jose.ES256).Public() },
		},
		{
			name: "unknown key", state: "invalid", text: "the key set has no key first",
			spoil: func(s *stub) { s.keys = []jose.JSONWebKey{} },
		},
		{
			name: "key of another algorithm", state: "invalid", text: "key first is for ES384",
			spoil: func(s *stub) { s.keys[0].Algorithm = "ES384" },
		},
		{
			name: "key of another kind", state: "invalid", text: "malformed",
			spoil: func(s *stub) { s.keys[0].Key = newKey(s.t, jose.RS256).Public() },
		},
		{
			name: "no algorithm", state: "invalid", text: "the algorithm none is not accepted",
			spoil: func(s *stub) { s.forge = unsigned },
		},
		{
			name: "no token at all", state: "invalid", text: "malformed",
			spoil: func(s *stub) { s.forge = func(string) string { return "garbage" } },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(t)
			tt.spoil(s)
			tab := signIn(t, s, browsertest.Start(t))
			tab.WaitAttribute("#signature", "data-state", tt.state)
			tab.WaitText("#signature", tt.text)
		})
	}
}

func TestClaimChecks(t *testing.T) {
	s := newStub(t)
	s.header = object{"typ": "JWT"}
	tab := signIn(t, s, browsertest.Start(t))
	tab.WaitText("#checks .bad", "type JWT")
	tab.WaitAttribute("#signature", "data-state", "valid")
}

func TestKeySetOutOfReach(t *testing.T) {
	s := newStub(t)
	b := browsertest.Start(t)
	tab := visit(t, b, s.URL)
	tab.WaitText("#status", "Nobody is signed in.")
	browsertest.Eval[bool](tab, "(window.fetch = () => Promise.reject(new TypeError('offline')), true)")
	tab.Click("#provider-dev-popup")
	tab.WaitAttribute("#signature", "data-state", "unknown")
	tab.WaitText("#signature", "Signature not checked: The server did not answer.")
}
