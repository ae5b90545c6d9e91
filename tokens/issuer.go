package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// maxTokenLength is the most characters that a token may have (contract/core.md T7).
const maxTokenLength = 32768

// IssuerConfig is what an Issuer needs. Either Store and Sealer are set, or Static is not nil.
type IssuerConfig struct {
	// BaseURL is the public address of the auth API without a trailing slash, the iss of tokens.
	BaseURL string
	// Algorithm is the JWS algorithm of new keys (contract/core.md T4); empty means DefaultAlgorithm. Static keys have
	// their own.
	Algorithm string
	// Lifetime is the life of a token, a second to MaxLifetime; zero means DefaultLifetime. Claims count whole seconds.
	Lifetime time.Duration
	// Rotation is how long a key signs, a minute or more; zero means DefaultRotation. It is independent of Lifetime.
	Rotation time.Duration
	// PublishAhead is how long verifiers may cache the key set without ever missing the key of a token; zero means
	// DefaultPublishAhead. Keys are published longer than that before they sign, to cover slow replicas and caches.
	PublishAhead time.Duration
	// OmitOwnership leaves the ent claim out (contract/core.md T3).
	OmitOwnership bool

	// Store is shared by all replicas.
	Store KeyStore
	// Sealer encrypts the private keys in Store.
	Sealer Sealer
	// Static are key pairs that replace Store: the first signs, all are published, none is rotated. An empty list that
	// is not nil is an error.
	Static []StaticKey
	// Neighbour, if it is not nil, is another issuer of the same Backstage: its keys are published and verify with ours, and
	// ours with its. What fails there is logged and keeps nothing from going on. It needs Store.
	Neighbour Neighbour

	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// After is its timer; nil means time.After.
	After func(time.Duration) <-chan time.Time
	// Log hears of new, unusable and unavailable keys, by kid; nil discards.
	Log *slog.Logger
}

// Token is an issued token.
type Token struct {
	// Raw is the compact JWS (RFC 7515 section 7.1).
	Raw string
	// IssuedAt and ExpiresAt are the claims iat and exp: UTC, whole seconds.
	IssuedAt, ExpiresAt time.Time
}

// Issuer issues and verifies the tokens of one Backstage. It is safe for concurrent use.
type Issuer struct {
	baseURL       string
	omitOwnership bool
	ring          *ring
}

// NewIssuer checks cfg, static keys included. It does not touch the store: the first use or Run does.
func NewIssuer(cfg IssuerConfig) (*Issuer, error) {
	if u, err := url.Parse(cfg.BaseURL); err != nil || u.Host == "" {
		return nil, errors.New("base URL of tokens is not an absolute URL")
	}
	r, err := newRing(forUsers, ringConfig{
		algorithm: cfg.Algorithm, lifetime: cfg.Lifetime, rotation: cfg.Rotation, publishAhead: cfg.PublishAhead,
		store: cfg.Store, sealer: cfg.Sealer, static: cfg.Static, neighbour: cfg.Neighbour, now: cfg.Now, after: cfg.After, log: cfg.Log,
	})
	if err != nil {
		return nil, err
	}
	return &Issuer{baseURL: cfg.BaseURL, omitOwnership: cfg.OmitOwnership, ring: r}, nil
}

// Issue signs a user token for id.
//
// The error is ErrSubject if the subject is not an entity reference in lower case, and ErrTooLarge if the token would
// exceed 32768 characters. A claim with a reserved name or without a JSON form is an error too, as is invalid UTF-8.
// Else it is the store's, and only possible before the first key is known.
func (i *Issuer) Issue(ctx context.Context, id Identity) (Token, error) {
	if err := id.check(); err != nil {
		return Token{}, fmt.Errorf("issue token: %w", err)
	}
	now := i.ring.now()
	key, err := i.ring.signer(ctx, now)
	if err != nil {
		return Token{}, fmt.Errorf("issue token: %w", err)
	}
	p := i.ring.period(now)
	raw, err := i.sign(key, id, p)
	if err != nil {
		return Token{}, fmt.Errorf("issue token: %w", err)
	}
	return p.token(raw), nil
}

// sign makes both signatures: that of the limited token first, which becomes a claim of the full one.
func (i *Issuer) sign(key *signingKey, id Identity, p period) (string, error) {
	claims, err := limitedClaims(id.Subject, p)
	if err != nil {
		return "", err
	}
	proof, err := key.compact(key.headers[typLimited], claims)
	if err != nil {
		return "", err
	}
	uip := string(proof[len(proof)-key.signatureLength():])
	var ownership []string
	if !i.omitOwnership {
		ownership = id.ownership()
	}
	if claims, err = userClaims(i.baseURL, id, ownership, p, uip); err != nil {
		return "", err
	}
	if n := key.compactLength(key.headers[typUser], claims); n > maxTokenLength {
		return "", fmt.Errorf("%w: %d characters, %d ownership references", ErrTooLarge, n, len(ownership))
	}
	raw, err := key.compact(key.headers[typUser], claims)
	return string(raw), err
}

// PublicKeys returns a copy of the public key set (RFC 7517 section 5), oldest key first: those that sign, will sign, or
// signed tokens that may still be in use, and behind them the neighbour's. The error is the store's, and only possible before the first success.
func (i *Issuer) PublicKeys(ctx context.Context) (jwk.Set, error) {
	s, err := i.ring.published(ctx)
	if err != nil {
		return nil, err
	}
	set := jwk.NewSet()
	for _, k := range s.published {
		key, err := k.jwk.Clone()
		if err != nil {
			return nil, fmt.Errorf("copy key set: %w", err)
		}
		if err := set.AddKey(key); err != nil {
			return nil, fmt.Errorf("copy key set: %w", err)
		}
	}
	return set, nil
}

// JWKS returns the public key set ready to be served. The body is made once per change of the keys. The error is that
// of PublicKeys.
func (i *Issuer) JWKS(ctx context.Context) (Document, error) { return i.ring.document(ctx) }

// Run keeps the keys fresh until ctx ends, and returns nil then. While it runs, no call waits for the store, except the
// first, those that verify a token with an unknown key, and with a Neighbour those that publish the keys; without it, a call does so now and then. A store that does
// not answer is logged and asked again later. A look into the store that is under way when ctx ends is given ten seconds
// at most, and not waited for.
func (i *Issuer) Run(ctx context.Context) error { return i.ring.run(ctx) }
