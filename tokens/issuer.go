package tokens

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// What an IssuerConfig means by zero.
const (
	// DefaultLifetime is the life of a token (contract/core.md T5).
	DefaultLifetime = time.Hour
	// DefaultRotation is how long a key signs.
	DefaultRotation = 24 * time.Hour
	// DefaultPublishAhead is how long Backstage's verifiers cache the key set (contract/core.md T15).
	DefaultPublishAhead = 10 * time.Minute
)

// minRotation keeps the key set small: every key stays in it for a day after it signed.
const minRotation = time.Minute

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

	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log hears of new, unusable and unavailable keys, by kid; nil discards.
	Log *slog.Logger
}

// Token is an issued user token.
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
	now           func() time.Time
	ring          *ring
}

// NewIssuer checks cfg, static keys included. It does not touch the store: the first use or Run does.
func NewIssuer(cfg IssuerConfig) (*Issuer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	r := &ring{store: cfg.Store, sealer: cfg.Sealer, now: cfg.Now, log: cfg.Log, schedule: schedule{
		algorithm: cfg.Algorithm, lifetime: cfg.Lifetime, rotation: cfg.Rotation, publishAhead: cfg.PublishAhead,
	}}
	if cfg.Static != nil {
		s, err := staticSnapshot(cfg.Static, r.schedule.maxAge())
		if err != nil {
			return nil, err
		}
		r.current.Store(s)
	}
	return &Issuer{baseURL: cfg.BaseURL, omitOwnership: cfg.OmitOwnership, now: cfg.Now, ring: r}, nil
}

func (c IssuerConfig) withDefaults() IssuerConfig {
	if c.Algorithm == "" {
		c.Algorithm = DefaultAlgorithm
	}
	for _, d := range []struct {
		value *time.Duration
		zero  time.Duration
	}{{&c.Lifetime, DefaultLifetime}, {&c.Rotation, DefaultRotation}, {&c.PublishAhead, DefaultPublishAhead}} {
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c IssuerConfig) check() error {
	if u, err := url.Parse(c.BaseURL); err != nil || u.Host == "" {
		return errors.New("base URL of tokens is not an absolute URL")
	}
	if (c.Static != nil) == (c.Store != nil) || (c.Store != nil && c.Sealer == nil) {
		return errors.New("token keys need either a store and a sealer, or static keys")
	}
	if _, err := algorithmByName(c.Algorithm); err != nil {
		return err
	}
	switch {
	case c.Lifetime < time.Second || c.Lifetime > MaxLifetime:
		return fmt.Errorf("token lifetime %v is not between a second and %v", c.Lifetime, MaxLifetime)
	case c.Rotation < minRotation:
		return fmt.Errorf("key rotation %v is shorter than %v", c.Rotation, minRotation)
	case c.PublishAhead < time.Second:
		return fmt.Errorf("key publication %v ahead is shorter than a second", c.PublishAhead)
	}
	return nil
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
	now := i.now()
	keys, err := i.ring.keys(ctx, now)
	if err != nil {
		return Token{}, fmt.Errorf("issue token: %w", err)
	}
	key := keys.signer(now, i.ring.schedule.lifetime)
	if key == nil {
		return Token{}, fmt.Errorf("issue token: %w", errNoSigner)
	}
	p := period{iat: now.Unix(), exp: now.Unix() + int64(i.ring.schedule.lifetime/time.Second)}
	raw, err := i.sign(key, id, p)
	if err != nil {
		return Token{}, fmt.Errorf("issue token: %w", err)
	}
	return Token{Raw: raw, IssuedAt: time.Unix(p.iat, 0).UTC(), ExpiresAt: time.Unix(p.exp, 0).UTC()}, nil
}

// sign makes both signatures: that of the limited token first, which becomes a claim of the full one.
func (i *Issuer) sign(key *signingKey, id Identity, p period) (string, error) {
	claims, err := limitedClaims(id.Subject, p)
	if err != nil {
		return "", err
	}
	proof, err := key.compact(key.limited, claims)
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
	if n := key.compactLength(key.user, claims); n > maxTokenLength {
		return "", fmt.Errorf("%w: %d characters, %d ownership references", ErrTooLarge, n, len(ownership))
	}
	raw, err := key.compact(key.user, claims)
	return string(raw), err
}

// PublicKeys returns a copy of the public key set (RFC 7517 section 5), oldest key first: those that sign, will sign, or
// signed tokens that may still be in use. The error is the store's, and only possible before the first success.
func (i *Issuer) PublicKeys(ctx context.Context) (jwk.Set, error) {
	s, err := i.ring.keys(ctx, i.now())
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
func (i *Issuer) JWKS(ctx context.Context) (Document, error) {
	s, err := i.ring.keys(ctx, i.now())
	if err != nil {
		return Document{}, err
	}
	return s.doc, nil
}

// Run keeps the keys fresh until ctx ends, and returns nil then. While it runs, no call waits for the store, except the
// first and those that verify a token with an unknown key; without it, a call does so now and then. A store that does
// not answer is logged and asked again later. A look into the store that is under way when ctx ends is given ten seconds
// at most, and not waited for.
func (i *Issuer) Run(ctx context.Context) error { return i.ring.run(ctx) }

// encoding is that of all parts of a JWS (RFC 7515 section 2), with only one accepted spelling.
var encoding = base64.RawURLEncoding.Strict()
