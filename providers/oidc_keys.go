package providers

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

// signatureVerifier returns what was signed, if the signature is good. The error wraps errUnverified, or is an *Error
// that says why there was no key.
type signatureVerifier interface {
	verify(ctx context.Context, jws *jose.JSONWebSignature) ([]byte, error)
}

var errUnverified = errors.New("no key verifies the signature")

// secretKey verifies HS* signatures.
type secretKey string

func (s secretKey) verify(_ context.Context, jws *jose.JSONWebSignature) ([]byte, error) {
	payload, err := jws.Verify([]byte(s))
	if err != nil {
		return nil, errUnverified
	}
	return payload, nil
}

const (
	// keysLife bounds how long a key that the provider has withdrawn is still believed.
	keysLife = time.Hour
	// Signatures that no known key verifies make us look for new keys: up to keysBurst times at once, and once in
	// keysPause over time. Without a bound, forged tokens would turn us on the provider.
	keysPause, keysBurst = 15 * time.Second, 4
	// shortestRSA is what RFC 7518 section 3.3 demands, in bits.
	shortestRSA = 2048
)

// keySet is a provider's published keys. It is safe for concurrent use.
//
// rp.NewRemoteKeySet is not used: it never forgets a key, fetches without a bound, and ties the fetch to whoever asked first.
type keySet struct {
	upstream *upstream
	address  string
	alg      jose.SignatureAlgorithm
	now      func() time.Time
	limit    *rate.Limiter

	flight singleflight.Group
	mu     sync.Mutex
	keys   []jose.JSONWebKey
	read   time.Time
}

func newKeySet(u *upstream, address string, alg jose.SignatureAlgorithm, now func() time.Time) *keySet {
	return &keySet{upstream: u, address: address, alg: alg, now: now, limit: rate.NewLimiter(rate.Every(keysPause), keysBurst)}
}

// verify tries the known keys, then those that are published now: the provider may have changed them since.
func (k *keySet) verify(ctx context.Context, jws *jose.JSONWebSignature) ([]byte, error) {
	keys, read := k.known()
	if payload, err := verifyWith(keys, jws); err == nil {
		return payload, nil
	}
	keys, err := k.refetch(ctx, read)
	if err != nil {
		return nil, err
	}
	return verifyWith(keys, jws)
}

// known are the keys as they were last read, none if that is too long ago.
func (k *keySet) known() ([]jose.JSONWebKey, time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.now().Sub(k.read) >= keysLife {
		return nil, k.read
	}
	return k.keys, k.read
}

// refetch reads the published keys, once for all who ask at the same time, and not at all if somebody did since seen.
// The fetch outlives the caller who began it. The bound counts fetches and not who waits for one: after a rotation many do.
func (k *keySet) refetch(ctx context.Context, seen time.Time) ([]jose.JSONWebKey, error) {
	done := k.flight.DoChan("", contained(func() (any, error) {
		switch keys, read := k.known(); {
		case len(keys) > 0 && read.After(seen):
			return keys, nil
		case len(keys) > 0 && !k.limit.AllowN(k.now(), 1):
			return nil, errUnverified
		}
		return k.fetch(context.WithoutCancel(ctx))
	}))
	return await[[]jose.JSONWebKey](ctx, done)
}

func (k *keySet) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	a, err := k.upstream.get(ctx, k.address, http.Header{"Accept": {"application/json"}})
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, unavailable(CodeKeys, "the keys of the identity provider cannot be read", fmt.Errorf("status %d", a.status))
	}
	keys, err := readKeys(a.body, k.alg)
	if err != nil {
		return nil, unavailable(CodeKeys, "the keys of the identity provider are unusable", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys, k.read = keys, k.now()
	return keys, nil
}

// readKeys returns the keys of a JWKS (RFC 7517 section 5) that may verify alg. Keys of an unknown kind are skipped.
func readKeys(body []byte, alg jose.SignatureAlgorithm) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil || set.Keys == nil {
		return nil, errors.New("not a JWKS")
	}
	var usable []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) == nil && mayVerify(key, alg) {
			usable = append(usable, key)
		}
	}
	return usable, nil
}

// mayVerify leaves out keys for encryption or another algorithm, weak ones, and symmetric ones: what is published is no
// secret. That the key's type fits the algorithm is checked by the signature's own code.
func mayVerify(key jose.JSONWebKey, alg jose.SignatureAlgorithm) bool {
	if weak, ok := key.Key.(*rsa.PublicKey); ok && weak.N.BitLen() < shortestRSA {
		return false
	}
	return key.IsPublic() && key.Use != "enc" && (key.Algorithm == "" || key.Algorithm == string(alg))
}

// verifyWith uses the keys that the signature's kid names, else those without a kid. A signature without a kid is tried
// with every key, and exactly one must fit.
func verifyWith(keys []jose.JSONWebKey, jws *jose.JSONWebSignature) ([]byte, error) {
	kid := jws.Signatures[0].Header.KeyID
	var payload []byte
	fits := 0
	for _, key := range candidates(keys, kid) {
		if p, err := jws.Verify(key.Key); err == nil {
			payload = p
			fits++
		}
	}
	if fits == 0 || kid == "" && fits > 1 {
		return nil, errUnverified
	}
	return payload, nil
}

func candidates(keys []jose.JSONWebKey, kid string) []jose.JSONWebKey {
	if kid == "" {
		return keys
	}
	var named, nameless []jose.JSONWebKey
	for _, key := range keys {
		switch key.KeyID {
		case kid:
			named = append(named, key)
		case "":
			nameless = append(nameless, key)
		}
	}
	if named != nil {
		return named
	}
	return nameless
}
