package providers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

// pemKeys are a proxy's ES256 keys that are published in PEM, by their id: one at a time or all together. Each is believed
// for keysLife. It is safe for concurrent use.
//
// Differs from Backstage: it fetches Google's on every call.
type pemKeys struct {
	// load reads the key of that id from the proxy's host, and may return others with it. It returns no error if there is none.
	load  func(ctx context.Context, kid string) (map[string]*ecdsa.PublicKey, error)
	now   func() time.Time
	limit *rate.Limiter

	flight singleflight.Group
	mu     sync.Mutex
	known  map[string]pemKey
}

type pemKey struct {
	key  *ecdsa.PublicKey
	read time.Time
}

func newPEMKeys(now func() time.Time, load func(context.Context, string) (map[string]*ecdsa.PublicKey, error)) *pemKeys {
	return &pemKeys{load: load, now: now, limit: rate.NewLimiter(rate.Every(keysPause), keysBurst), known: map[string]pemKey{}}
}

// verify is for tokens in standard JWS form.
func (p *pemKeys) verify(ctx context.Context, jws *jose.JSONWebSignature) ([]byte, error) {
	key, err := p.key(ctx, jws.Signatures[0].Header.KeyID)
	if err != nil {
		return nil, err
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return nil, errUnverified
	}
	return payload, nil
}

// key returns the key of that id: as it is remembered, or else read once for all who ask for it at the same time. The
// error is errUnverified if there is none, or an *Error.
func (p *pemKeys) key(ctx context.Context, kid string) (*ecdsa.PublicKey, error) {
	if key, _ := p.remembered(kid); key != nil {
		return key, nil
	}
	done := p.flight.DoChan(kid, contained(func() (any, error) { return p.fetch(context.WithoutCancel(ctx), kid) }))
	return await[*ecdsa.PublicKey](ctx, done)
}

// remembered returns nil for a key that is too old; seen is true if it was good once.
func (p *pemKeys) remembered(kid string) (key *ecdsa.PublicKey, seen bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, seen := p.known[kid]
	if p.now().Sub(k.read) >= keysLife {
		return nil, seen
	}
	return k.key, seen
}

// fetch asks for ids that were never seen only so often: anybody can make one up.
func (p *pemKeys) fetch(ctx context.Context, kid string) (*ecdsa.PublicKey, error) {
	key, seen := p.remembered(kid)
	if key != nil {
		return key, nil
	}
	if !seen && !p.limit.AllowN(p.now(), 1) {
		return nil, unavailable(CodeKeys, "too many unknown keys were asked for", nil)
	}
	loaded, err := p.load(ctx, kid)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, k := range loaded {
		p.known[id] = pemKey{k, p.now()}
	}
	if loaded[kid] == nil {
		return nil, errUnverified
	}
	return loaded[kid], nil
}

// fetchPublished reads what a proxy's host publishes at address. A 404, or 403 as S3 answers for it, is a nil body.
func fetchPublished(ctx context.Context, u *upstream, address string) ([]byte, error) {
	a, err := u.get(ctx, address, http.Header{})
	switch {
	case err != nil:
		return nil, err
	case a.status == http.StatusNotFound, a.status == http.StatusForbidden:
		return nil, nil
	case a.status != http.StatusOK:
		return nil, unavailable(CodeKeys, "the keys of the proxy cannot be read", fmt.Errorf("status %d", a.status))
	}
	return a.body, nil
}

// readPEMKey reads one P-256 key, the only kind that ES256 takes (RFC 7518 section 3.4).
func readPEMKey(text []byte) (*ecdsa.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, unusableKey(errors.New("not a public key in PEM"))
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, unusableKey(errors.New("not a public key"))
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, unusableKey(errors.New("not a P-256 key"))
	}
	return key, nil
}

func unusableKey(err error) *Error {
	return unavailable(CodeKeys, "the keys of the proxy are unusable", err)
}
