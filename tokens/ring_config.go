package tokens

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// What IssuerConfig and PluginConfig mean by zero.
const (
	// DefaultLifetime is the life of a token (contract/core.md T5, T26).
	DefaultLifetime = time.Hour
	// DefaultRotation is how long a key signs.
	DefaultRotation = 24 * time.Hour
	// DefaultPublishAhead is how long Backstage's verifiers cache the key set (contract/core.md T15).
	DefaultPublishAhead = 10 * time.Minute
)

// minRotation keeps the key set small: every key stays in it for a day after it signed.
const minRotation = time.Minute

// ringConfig is what both kinds of issuer say about their keys, under the names that their configurations have.
type ringConfig struct {
	algorithm                        string
	lifetime, rotation, publishAhead time.Duration
	store                            KeyStore
	sealer                           Sealer
	static                           []StaticKey
	neighbour                        Neighbour
	now                              func() time.Time
	after                            func(time.Duration) <-chan time.Time
	log                              *slog.Logger
}

// newRing checks c, static keys included. It does not touch the store.
func newRing(p purpose, c ringConfig) (*ring, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	r := &ring{purpose: p, store: c.store, sealer: c.sealer, now: c.now, after: c.after, log: c.log, schedule: schedule{
		algorithm: c.algorithm, lifetime: c.lifetime, rotation: c.rotation, publishAhead: c.publishAhead,
	}}
	r.neighbours = newNeighbourhood(c.neighbour, p, c)
	if c.static != nil {
		s, err := p.staticSnapshot(c.static, r.schedule.maxAge())
		if err != nil {
			return nil, err
		}
		r.current.Store(s)
	}
	return r, nil
}

func (c ringConfig) withDefaults() ringConfig {
	c.algorithm = cmp.Or(c.algorithm, DefaultAlgorithm)
	c.lifetime = cmp.Or(c.lifetime, DefaultLifetime)
	c.rotation = cmp.Or(c.rotation, DefaultRotation)
	c.publishAhead = cmp.Or(c.publishAhead, DefaultPublishAhead)
	if c.now == nil {
		c.now = time.Now
	}
	if c.after == nil {
		c.after = time.After
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c ringConfig) check() error {
	if (c.static != nil) == (c.store != nil) || (c.store != nil && c.sealer == nil) {
		return errors.New("token keys need either a store and a sealer, or static keys")
	}
	if c.neighbour != nil && c.store == nil {
		return errors.New("static keys have no neighbour")
	}
	if _, err := algorithmByName(c.algorithm); err != nil {
		return err
	}
	switch {
	case c.lifetime < time.Second || c.lifetime > MaxLifetime:
		return fmt.Errorf("token lifetime %v is not between a second and %v", c.lifetime, MaxLifetime)
	case c.rotation < minRotation:
		return fmt.Errorf("key rotation %v is shorter than %v", c.rotation, minRotation)
	case c.publishAhead < time.Second:
		return fmt.Errorf("key publication %v ahead is shorter than a second", c.publishAhead)
	}
	return nil
}
