package tokens

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// StaticKey is one key pair from PEM files (contract/core.md K6).
type StaticKey struct {
	// ID is the kid. It must not be empty.
	ID string
	// Algorithm is the JWS algorithm (RFC 7518 section 3.1); empty means DefaultAlgorithm.
	Algorithm string
	// PublicPEM is a SubjectPublicKeyInfo ("PUBLIC KEY"), PrivatePEM a PKCS #8 key ("PRIVATE KEY").
	PublicPEM, PrivatePEM []byte
}

// errNoStaticKey ends in Backstage's words.
var errNoStaticKey = errors.New("static key store: Should provide at least one key pair")

// staticSnapshot publishes all pairs; the first one signs.
func (p purpose) staticSnapshot(pairs []StaticKey, maxAge time.Duration) (*snapshot, error) {
	if len(pairs) == 0 {
		return nil, errNoStaticKey
	}
	keys := make([]*signingKey, len(pairs))
	seen := map[string]bool{}
	for i, pair := range pairs {
		if pair.ID == "" || seen[pair.ID] {
			return nil, fmt.Errorf("static key %d: key ID %q is empty or used twice", i, pair.ID)
		}
		seen[pair.ID] = true
		var err error
		if keys[i], err = pair.read(p); err != nil {
			return nil, fmt.Errorf("static key %q: %w", pair.ID, err)
		}
	}
	s, err := newSnapshot(keys, nil, time.Time{}, maxAge, nil)
	if err != nil {
		return nil, err
	}
	s.signers = s.signers[:1]
	return s, nil
}

func (s StaticKey) read(p purpose) (*signingKey, error) {
	name := s.Algorithm
	if name == "" {
		name = DefaultAlgorithm
	}
	alg, err := algorithmByName(name)
	if err != nil {
		return nil, err
	}
	public, err := parsePEM(s.PublicPEM, "PUBLIC KEY", x509.ParsePKIXPublicKey)
	if err != nil {
		return nil, err
	}
	private, err := parsePEM(s.PrivatePEM, "PRIVATE KEY", x509.ParsePKCS8PrivateKey)
	if err != nil {
		return nil, err
	}
	k, err := p.newSigningKey(Key{ID: s.ID, Algorithm: name}, alg, public)
	if err != nil {
		return nil, err
	}
	if p.staticUse {
		if err := k.jwk.Set(jwk.KeyUsageKey, jwk.ForSignature); err != nil {
			return nil, fmt.Errorf("mark key for signatures: %w", err)
		}
	}
	return k, k.pair(private)
}

func parsePEM(text []byte, kind string, parse func([]byte) (any, error)) (any, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("no %q block in PEM", kind)
	}
	key, err := parse(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", kind, err)
	}
	return key, nil
}
