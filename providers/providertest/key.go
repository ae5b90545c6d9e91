package providertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// Key is a signing key of a provider in a test.
type Key struct {
	// ID is the kid in headers and in the set; empty leaves it out of both.
	ID string
	// Alg is the JOSE algorithm: RS256 or ES256.
	Alg     jose.SignatureAlgorithm
	Private crypto.Signer
}

// rsaKey is made once: it takes longer than all else here together.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// RSAKey returns an RS256 key, always the same one.
func RSAKey(id string) (Key, error) {
	k, err := rsaKey()
	return Key{id, jose.RS256, k}, err
}

// ECKey returns a new ES256 key.
func ECKey(id string) (Key, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return Key{id, jose.ES256, k}, err
}

// Sign returns a compact JWS of claims.
func (k Key) Sign(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: k.Alg, Key: jose.JSONWebKey{Key: k.Private, KeyID: k.ID}}, nil)
	if err != nil {
		return "", fmt.Errorf("make signer: %w", err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign claims: %w", err)
	}
	return jws.CompactSerialize()
}

// KeySet returns the JWKS that publishes the keys.
func KeySet(keys ...Key) (string, error) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Private.Public(), KeyID: k.ID, Algorithm: string(k.Alg), Use: "sig"})
	}
	b, err := json.Marshal(set)
	return string(b), err
}

// PEM returns the public key as SubjectPublicKeyInfo in PEM (RFC 7468 section 13).
func (k Key) PEM() (string, error) {
	der, err := x509.MarshalPKIXPublicKey(k.Private.Public())
	if err != nil {
		return "", fmt.Errorf("encode key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}
