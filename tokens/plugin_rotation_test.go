package tokens_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"stagedoor/tokens"
)

// TestPluginReplicas holds the law of the package for plugin tokens over random lives of two replicas: a called plugin
// that keeps the key set for PublishAhead can verify every token until it ends, and whoever gets one, be it used again,
// has half its life left.
func TestPluginReplicas(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := newClock()
		cfg := tokens.PluginConfig{
			Store: tokens.NewMemoryStore(), Now: c.Now, PublishAhead: modelAhead,
			Lifetime: time.Duration(rapid.IntRange(10, 24*60).Draw(r, "lifetime")) * time.Minute,
			Rotation: time.Duration(rapid.IntRange(1, 30).Draw(r, "rotation")) * time.Hour,
		}
		replicas := []*tokens.PluginIssuer{newPluginIssuer(r, cfg), newPluginIssuer(r, cfg)}
		replica := rapid.SampledFrom(replicas)
		called, fetched := keySetOf(r, replicas[0]), c.Now()
		var live []tokens.Token // in the order of their ends
		for range rapid.IntRange(1, 100).Draw(r, "ticks") {
			c.Advance(modelTick)
			for _, p := range replicas {
				publishedKids(r, p)
			}
			if c.Now().Sub(fetched) >= modelAhead {
				called, fetched = keySetOf(r, replica.Draw(r, "origin")), c.Now()
			}
			token := mustCall(r, replica.Draw(r, "caller"), "catalog", "")
			if left := token.ExpiresAt.Sub(c.Now()); left < cfg.Lifetime/2-time.Second {
				r.Fatalf("token has %v left of %v", left, cfg.Lifetime)
			}
			live = append(live, token)
			for !c.Now().Before(live[0].ExpiresAt) {
				live = live[1:]
			}
			for _, token := range []tokens.Token{live[0], token} {
				if _, err := tokens.VerifyPluginToken(token.Raw, called, "catalog", c.Now()); err != nil {
					r.Fatalf("token of %v at %v: %v", token.IssuedAt, c.Now(), err)
				}
			}
		}
	})
}
