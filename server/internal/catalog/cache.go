package catalog

import (
	"sync"
	"time"
)

// maxGeneration is how many users one generation of a cache holds; there are two.
const maxGeneration = 5_000

// cache keeps users for a while, at most two generations of them: a new one is begun when the young one is full or as old
// as an entry may become, and the old one is dropped whole.
type cache struct {
	keep time.Duration

	mu         sync.Mutex
	begun      time.Time
	young, old map[string]cached
}

type cached struct {
	user User
	from time.Time
}

func newCache(keep time.Duration) *cache { return &cache{keep: keep, young: map[string]cached{}} }

// get returns what was put under key less than keep before now.
func (c *cache) get(key string, now time.Time) (User, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.young[key]
	if !ok {
		e, ok = c.old[key]
	}
	return e.user, ok && now.Sub(e.from) < c.keep
}

// put keeps user under key, counted from the moment from.
func (c *cache) put(key string, user User, from time.Time) {
	if c.keep <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= maxGeneration || from.Sub(c.begun) >= c.keep {
		c.begun, c.old, c.young = from, c.young, map[string]cached{}
	}
	c.young[key] = cached{user, from}
}
