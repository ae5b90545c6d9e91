package tokens_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"stagedoor/tokens"
)

var benchIdentity = tokens.Identity{Subject: "user:default/jane", Ownership: []string{"user:default/jane", "group:default/team-a"}}

// BenchmarkRawTwoSignatures is the yardstick of BenchmarkIssue: the two signatures of a token and nothing else.
func BenchmarkRawTwoSignatures(b *testing.B) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("message"))
	b.ReportAllocs()
	for b.Loop() {
		for range 2 {
			if _, _, err := ecdsa.Sign(rand.Reader, key, digest[:]); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkIssue(b *testing.B) {
	i := newIssuer(b, tokens.IssuerConfig{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := i.Issue(b.Context(), benchIdentity); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	i := newIssuer(b, tokens.IssuerConfig{})
	token, err := i.Issue(b.Context(), benchIdentity)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := i.Verify(b.Context(), token.Raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJWKS(b *testing.B) {
	i := newIssuer(b, tokens.IssuerConfig{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := i.JWKS(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyPluginToken(b *testing.B) {
	keys, raw := mustParse(b, []byte(pluginVector(b, "foreign/jwks.json"))), pluginVector(b, "foreign/token")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tokens.VerifyPluginToken(raw, keys, "auth", epoch); err != nil {
			b.Fatal(err)
		}
	}
}
