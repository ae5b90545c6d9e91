package devidp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"slices"
	"sync"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The algorithms that the provider can sign with (RFC 7518 §3.1).
const (
	RS256 = "RS256"
	ES256 = "ES256"
)

// signingKey is one key pair; its id is the thumbprint of RFC 7638.
type signingKey struct {
	id      string
	alg     jose.SignatureAlgorithm
	private crypto.Signer
}

var _ op.SigningKey = signingKey{}

func (k signingKey) ID() string                                  { return k.id }
func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return k.alg }
func (k signingKey) Key() any                                    { return k.private }

// publishedKey is the public half, as the key set shows it.
type publishedKey struct {
	id     string
	alg    jose.SignatureAlgorithm
	public crypto.PublicKey
}

var _ op.Key = publishedKey{}

func (k publishedKey) ID() string                         { return k.id }
func (k publishedKey) Algorithm() jose.SignatureAlgorithm { return k.alg }
func (k publishedKey) Use() string                        { return "sig" }
func (k publishedKey) Key() any                           { return k.public }

func newSigningKey(alg string) (signingKey, error) {
	private, err := generate(alg)
	if err != nil {
		return signingKey{}, fmt.Errorf("generate signing key: %w", err)
	}
	sum, err := (&jose.JSONWebKey{Key: private.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		return signingKey{}, fmt.Errorf("name signing key: %w", err)
	}
	id := base64.RawURLEncoding.EncodeToString(sum)
	return signingKey{id: id, alg: jose.SignatureAlgorithm(alg), private: private}, nil
}

func generate(alg string) (crypto.Signer, error) {
	switch alg {
	case RS256:
		return rsa.GenerateKey(rand.Reader, 2048)
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return nil, fmt.Errorf("algorithm %q is neither %s nor %s", alg, RS256, ES256)
}

// keyRing holds the keys in the order of their making. The last one signs, all of them are published.
type keyRing struct {
	alg  string
	mu   sync.RWMutex
	keys []signingKey
}

func newKeyRing(alg string) (*keyRing, error) {
	r := &keyRing{alg: alg}
	return r, r.rotate()
}

func (r *keyRing) rotate() error {
	key, err := newSigningKey(r.alg)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = append(r.keys, key)
	return nil
}

func (r *keyRing) withdrawOld() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = slices.Clone(r.keys[len(r.keys)-1:])
}

func (r *keyRing) current() signingKey {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys[len(r.keys)-1]
}

func (r *keyRing) published() []op.Key {
	r.mu.RLock()
	defer r.mu.RUnlock()
	keys := make([]op.Key, len(r.keys))
	for i, k := range r.keys {
		keys[i] = publishedKey{id: k.id, alg: k.alg, public: k.private.Public()}
	}
	return keys
}
