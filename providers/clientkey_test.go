package providers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// TestClientKeys: every common form of a private key signs, with the algorithm that its kind is used with.
func TestClientKeys(t *testing.T) {
	curve := func(c elliptic.Curve) crypto.Signer {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(curve(elliptic.P256()).(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		der  []byte
		want jose.SignatureAlgorithm
	}{
		{"PKCS #1", x509.MarshalPKCS1PrivateKey(rsaKey), jose.RS256},
		{"SEC 1", sec1, jose.ES256},
		{"RSA", pkcs8(t, rsaKey), jose.RS256},
		{"P-384", pkcs8(t, curve(elliptic.P384())), jose.ES384},
		{"P-521", pkcs8(t, curve(elliptic.P521())), jose.ES512},
		{"Ed25519", pkcs8(t, edKey), jose.EdDSA},
		{"P-224, which JOSE does not know", pkcs8(t, curve(elliptic.P224())), ""},
		{"no key", []byte("text"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			signer, err := keySigner(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: tt.der})), "kid")
			if (err == nil) != (tt.want != "") {
				t.Fatalf("error %v, want algorithm %q", err, tt.want)
			}
			if err != nil {
				return
			}
			signed, err := signer.Sign([]byte("{}"))
			if err != nil {
				t.Fatal(err)
			}
			jws, err := jose.ParseSigned(signed.FullSerialize(), []jose.SignatureAlgorithm{tt.want})
			if err != nil {
				t.Fatal(err)
			}
			if h := jws.Signatures[0].Header; h.Algorithm != string(tt.want) || h.KeyID != "kid" {
				t.Errorf("signs with %s as %q, want %s", h.Algorithm, h.KeyID, tt.want)
			}
		})
	}
}

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestLeftHash compares with values that another implementation computed for "at".
func TestLeftHash(t *testing.T) {
	for alg, want := range leftHashes {
		if got := leftHash(alg, "at"); got != want {
			t.Errorf("%s: %s, want %s", alg, got, want)
		}
	}
}

var leftHashes = map[jose.SignatureAlgorithm]string{
	jose.RS256: "sda5G2fCr6XjIpiNlGJjjQ",
	jose.ES384: "4hulEO2T04y86FsZK2pA8fxDcRCCi6uc",
	jose.PS512: "dTR5nNqNrsxqjWP_lCTH2ESWpeTv9f1yZraJ_wsSjjE",
	jose.EdDSA: "dTR5nNqNrsxqjWP_lCTH2ESWpeTv9f1yZraJ_wsSjjE",
}
