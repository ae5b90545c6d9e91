package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// maxCachedTargets bounds the tokens that are kept to be used again. A Backstage has some dozens of plugins, of which one
// calls a few.
const maxCachedTargets = 64

// PluginConfig is what a PluginIssuer needs. Either Store and Sealer are set, or Static is not nil. The keys are another
// set than those of user tokens: the store is another, too.
type PluginConfig struct {
	// Plugin is our own plugin ID, the sub of tokens: "auth".
	Plugin string
	// Lifetime is the life of a token, a second to MaxLifetime; zero means DefaultLifetime. Claims count whole seconds.
	Lifetime time.Duration
	// Rotation and PublishAhead are those of IssuerConfig.
	Rotation, PublishAhead time.Duration

	// Store is shared by all replicas. Its keys are for DefaultAlgorithm.
	Store KeyStore
	// Sealer encrypts the private keys in Store.
	Sealer Sealer
	// Static are key pairs that replace Store, as in IssuerConfig.
	Static []StaticKey

	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log hears of new, unusable and unavailable keys, by kid; nil discards.
	Log *slog.Logger
}

// PluginIssuer issues the tokens with which we call other plugins of Backstage (contract/core.md T26). It is safe for
// concurrent use.
type PluginIssuer struct {
	plugin string
	ring   *ring

	mu     sync.Mutex
	issued map[string]issuedToken // by target
}

// issuedToken is a token that may be used again, and the key that signed it.
type issuedToken struct {
	Token
	kid string
}

// NewPluginIssuer checks cfg, static keys included. It does not touch the store: the first use or Run does.
func NewPluginIssuer(cfg PluginConfig) (*PluginIssuer, error) {
	if !isPluginID(cfg.Plugin) {
		return nil, errPluginID
	}
	if cfg.Log != nil {
		cfg.Log = cfg.Log.With("keys", "plugin")
	}
	r, err := newRing(forPlugins, ringConfig{
		lifetime: cfg.Lifetime, rotation: cfg.Rotation, publishAhead: cfg.PublishAhead,
		store: cfg.Store, sealer: cfg.Sealer, static: cfg.Static, now: cfg.Now, log: cfg.Log,
	})
	if err != nil {
		return nil, err
	}
	return &PluginIssuer{plugin: cfg.Plugin, ring: r, issued: map[string]issuedToken{}}, nil
}

var errPluginID = errors.New("plugin ID is not made of letters, digits, hyphens and underscores")

// isPluginID says whether id may name a plugin in a URL: ^[a-z0-9_-]+$ in either case (contract/core.md T27).
func isPluginID(id string) bool {
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return id != ""
}

// Token returns a token with which we may call the plugin target: in our own name, or, if onBehalfOf is not empty, in
// that of the user whose limited token it is (LimitedToken makes it; it is passed on and not verified).
//
// A token in our own name is used again during the first half of its life, so at least the other half is left to the
// caller. One on behalf of a user is signed for every call and ends no later than the user's. The error wraps ErrInvalid
// if onBehalfOf is no limited token or has expired, and ErrTooLarge if the token would exceed 32768 characters. Else it
// is about target, or it is the store's, and only possible before the first key is known.
func (p *PluginIssuer) Token(ctx context.Context, target, onBehalfOf string) (Token, error) {
	if !isPluginID(target) {
		return Token{}, fmt.Errorf("issue plugin token: target: %w", errPluginID)
	}
	now := p.ring.now()
	key, err := p.ring.signer(ctx, now)
	if err != nil {
		return Token{}, fmt.Errorf("issue plugin token: %w", err)
	}
	if onBehalfOf == "" {
		if token, ok := p.reuse(target, key, now); ok {
			return token, nil
		}
	}
	token, err := p.sign(key, target, onBehalfOf, now)
	if err != nil {
		return Token{}, fmt.Errorf("issue plugin token: %w", err)
	}
	if onBehalfOf == "" {
		p.keep(target, issuedToken{token, key.ID})
	}
	return token, nil
}

func (p *PluginIssuer) sign(key *signingKey, target, onBehalfOf string, now time.Time) (Token, error) {
	life := p.ring.period(now)
	if onBehalfOf != "" {
		end, err := limitedEnd(onBehalfOf)
		if err != nil {
			return Token{}, err
		}
		if life.exp = min(life.exp, end); life.exp <= life.iat {
			return Token{}, fmt.Errorf("%w: user's token has expired", ErrInvalid)
		}
	}
	claims, err := pluginClaims(p.plugin, target, life, onBehalfOf)
	if err != nil {
		return Token{}, err
	}
	header := key.headers[typPlugin]
	if n := key.compactLength(header, claims); n > maxTokenLength {
		return Token{}, fmt.Errorf("%w: %d characters", ErrTooLarge, n)
	}
	raw, err := key.compact(header, claims)
	return life.token(string(raw)), err
}

// limitedEnd returns the exp of a limited user token.
func limitedEnd(raw string) (int64, error) {
	t, err := splitCompact(raw)
	if err != nil {
		return 0, err
	}
	h, err := decodeHeader(t.header)
	if err != nil {
		return 0, err
	}
	// A full user token must not go out: the called plugin could act as the user everywhere.
	if h.typ != typLimited {
		return 0, ErrUnrecognised
	}
	c, err := t.claims()
	return c.exp, err
}

// reuse returns the last token for target if the key that signed it is still the one to sign with, and less than half of
// its life has passed.
func (p *PluginIssuer) reuse(target string, key *signingKey, now time.Time) (Token, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.issued[target]
	half := last.IssuedAt.Add(last.ExpiresAt.Sub(last.IssuedAt) / 2)
	return last.Token, last.kid == key.ID && !now.Before(last.IssuedAt) && now.Before(half)
}

// keep remembers a token. When there are too many, all are forgotten: that costs a signature each.
func (p *PluginIssuer) keep(target string, token issuedToken) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.issued[target]; !known && len(p.issued) >= maxCachedTargets {
		clear(p.issued)
	}
	p.issued[target] = token
}

// Verify says in whose name a plugin token of ours was issued that is addressed to ourselves. Those of other plugins are
// for VerifyPluginToken.
//
// The error is ErrUnrecognised if raw is not shaped like a plugin token, ErrInvalid if it is and does not hold, and the
// store's if the key is unknown and the store does not answer.
func (p *PluginIssuer) Verify(ctx context.Context, raw string) (PluginPrincipal, error) {
	t, err := splitCompact(raw)
	if err != nil {
		return PluginPrincipal{}, err
	}
	key, err := p.ring.verifier(ctx, t.header)
	if err != nil {
		return PluginPrincipal{}, err
	}
	if err := t.verify(key.verifier, key.public); err != nil {
		return PluginPrincipal{}, err
	}
	who, err := t.pluginPrincipal(p.plugin, p.ring.now())
	if err == nil && who.Plugin != p.plugin {
		return PluginPrincipal{}, fmt.Errorf("%w: another plugin's name under our key", ErrInvalid)
	}
	return who, err
}

// JWKS returns the public key set ready to be served at /.backstage/auth/v1/jwks.json (contract/core.md T27). The body is
// made once per change of the keys. The error is the store's, and only possible before the first success.
func (p *PluginIssuer) JWKS(ctx context.Context) (Document, error) { return p.ring.document(ctx) }

// Run keeps the keys fresh until ctx ends, as Issuer.Run does.
func (p *PluginIssuer) Run(ctx context.Context) error { return p.ring.run(ctx) }
