package tokens_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stagedoor/tokens"
)

// TestStoreDown takes the store away: at the very first load that is an error, later it is not noticed.
func TestStoreDown(t *testing.T) {
	c, store := newClock(), newFlakyStore()
	store.down = true
	i := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store})
	if _, err := i.Issue(t.Context(), benchIdentity); !errors.Is(err, errDown) {
		t.Errorf("issue: error %v, want the store's", err)
	}
	if _, err := i.JWKS(t.Context()); !errors.Is(err, errDown) {
		t.Errorf("key set: error %v, want the store's", err)
	}
	if _, err := i.Verify(t.Context(), strings.TrimSpace(vectors(t)["plain/user"])); !errors.Is(err, errDown) || errors.Is(err, tokens.ErrInvalid) {
		t.Errorf("verify: error %v, want the store's", err)
	}

	store.set(func(s *flakyStore) { s.down = false })
	first := mustIssue(t, i, "user:default/jane")
	store.set(func(s *flakyStore) { s.down = true })
	for range 60 {
		c.Advance(time.Hour)
		token := mustIssue(t, i, "user:default/jane")
		if _, err := i.Verify(t.Context(), token.Raw); err != nil {
			t.Fatal(err)
		}
		if kids := publishedKids(t, i); len(kids) != 1 || kids[0] != kidOf(t, first.Raw) {
			t.Fatalf("published %v", kids)
		}
	}
	// Whether a key that is not in memory exists cannot be known now, so the token is not called invalid.
	if _, err := i.Verify(t.Context(), strings.TrimSpace(vectors(t)["plain/user"])); !errors.Is(err, errDown) || errors.Is(err, tokens.ErrInvalid) {
		t.Errorf("verify with an unknown key: error %v, want the store's", err)
	}

	store.set(func(s *flakyStore) { s.down = false })
	c.Advance(time.Hour)
	if kids := publishedKids(t, i); len(kids) != 2 {
		t.Errorf("published %v, want the overdue key as well", kids)
	}
	if _, err := i.Verify(t.Context(), strings.TrimSpace(vectors(t)["plain/user"])); !errors.Is(err, tokens.ErrInvalid) {
		t.Errorf("verify with an unknown key: error %v, want ErrInvalid", err)
	}
}

// TestStoreReadOnly cannot change keys; what is there goes on, and what has expired is served no longer.
func TestStoreReadOnly(t *testing.T) {
	c, store := newClock(), newFlakyStore()
	before := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store})
	first := kidOf(t, mustIssue(t, before, "user:default/jane").Raw)
	c.Advance(tokens.DefaultRotation)
	second := publishedKids(t, before)[1]
	store.readOnly = true
	c.Advance(60 * time.Hour)
	i := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store})
	if kid := kidOf(t, mustIssue(t, i, "user:default/jane").Raw); kid != second {
		t.Errorf("signed by %s, want the last key", kid)
	}
	if kids := publishedKids(t, i); !slices.Equal(kids, []string{second}) {
		t.Errorf("published %v, want the last key only; %s has expired", kids, first)
	}
	if _, err := i.Verify(t.Context(), strings.TrimSpace(vectors(t)["plain/user"])); !errors.Is(err, tokens.ErrInvalid) {
		t.Errorf("verify with an unknown key: error %v, want ErrInvalid, as all keys could be read", err)
	}
}

// TestStoreEmptied loses its keys and takes no new ones: the process goes on from memory.
func TestStoreEmptied(t *testing.T) {
	c, store := newClock(), newFlakyStore()
	i := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store})
	before := mustIssue(t, i, "user:default/jane")
	if err := store.RemoveKeys(t.Context(), kidOf(t, before.Raw)); err != nil {
		t.Fatal(err)
	}
	store.readOnly = true
	c.Advance(tokens.DefaultPublishAhead)
	if after := mustIssue(t, i, "user:default/jane"); kidOf(t, after.Raw) != kidOf(t, before.Raw) {
		t.Errorf("signed by %s, want the key in memory", kidOf(t, after.Raw))
	}
	if _, err := i.Verify(t.Context(), before.Raw); err != nil {
		t.Errorf("verify: %v", err)
	}
}

// TestClockSetBack must not stop the looks into the store until the clock has caught up.
func TestClockSetBack(t *testing.T) {
	c, store := newClock(), newFlakyStore()
	i := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store})
	token := mustIssue(t, i, "user:default/jane")
	before := store.readCount()
	c.Advance(-24 * time.Hour)
	if kid := kidOf(t, mustIssue(t, i, "user:default/jane").Raw); kid != kidOf(t, token.Raw) {
		t.Errorf("signed by %s, want the key there is", kid)
	}
	if store.readCount() == before {
		t.Error("the store was not asked")
	}
}

// TestImpatientCaller leaves while the store hangs; whoever came with it must still get the answer.
func TestImpatientCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFlakyStore()
		release := make(chan struct{})
		store.beforeAdd = func() { <-release }
		i := newIssuer(t, tokens.IssuerConfig{Now: time.Now, Store: store})
		ctx, leave := context.WithCancel(t.Context())
		impatient, patient := make(chan error, 1), make(chan error, 1)
		go func() { _, err := i.JWKS(ctx); impatient <- err }()
		synctest.Wait()
		go func() { _, err := i.JWKS(t.Context()); patient <- err }()
		synctest.Wait()
		leave()
		if err := <-impatient; !errors.Is(err, context.Canceled) {
			t.Errorf("who left got %v", err)
		}
		close(release)
		if err := <-patient; err != nil {
			t.Errorf("who stayed got %v", err)
		}
	})
}

// TestUnknownKeyFlood sends forged tokens with keys that nobody has: the store is asked once per cool-down.
func TestUnknownKeyFlood(t *testing.T) {
	c, store := newClock(), newFlakyStore()
	i := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store})
	mustIssue(t, i, "user:default/jane")
	c.Advance(time.Minute)
	before := store.readCount()
	forged := strings.TrimSpace(vectors(t)["plain/user"])
	for range 2 {
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				for range 10 {
					if _, err := i.Verify(t.Context(), forged); !errors.Is(err, tokens.ErrInvalid) {
						t.Errorf("error %v, want ErrInvalid", err)
					}
				}
			})
		}
		wg.Wait()
	}
	if n := store.readCount() - before; n != 1 {
		t.Errorf("the store was asked %d times, want once", n)
	}
	c.Advance(10 * time.Second)
	_, _ = i.Verify(t.Context(), forged)
	if n := store.readCount() - before; n != 2 {
		t.Errorf("after the cool-down the store was asked %d times, want twice", n)
	}
}

// TestForeignHeaderOfKnownKey must not cause a look into the store: the key is there, the header is just not ours.
func TestForeignHeaderOfKnownKey(t *testing.T) {
	c, store := newClock(), newFlakyStore()
	i := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store})
	kid := kidOf(t, mustIssue(t, i, "user:default/jane").Raw)
	c.Advance(time.Minute)
	before := store.readCount()
	forged := b64(`{"typ":"vnd.backstage.user","alg":"none","kid":"`+kid+`"}`) + "." + b64(goodPayload) + "."
	if _, err := i.Verify(t.Context(), forged); !errors.Is(err, tokens.ErrInvalid) {
		t.Errorf("error %v, want ErrInvalid", err)
	}
	if n := store.readCount() - before; n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}

// TestUnknownKeyIsLookedUp verifies at once what a replica with a brand-new key signed.
func TestUnknownKeyIsLookedUp(t *testing.T) {
	c, store := newClock(), tokens.NewMemoryStore()
	mine := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store, Sealer: newSealer(t, "one")})
	mustIssue(t, mine, "user:default/jane")
	c.Advance(time.Minute)
	stranger := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store, Sealer: newSealer(t, "two")})
	token := mustIssue(t, stranger, "user:default/jane")
	if _, err := mine.Verify(t.Context(), token.Raw); err != nil {
		t.Errorf("verify: %v", err)
	}
}

// TestRun keeps the keys fresh without any request, and lets none wait for a store that hangs.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFlakyStore()
		i := newIssuer(t, tokens.IssuerConfig{Now: time.Now, Store: store, Rotation: 10 * time.Hour})
		begin := time.Now()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- i.Run(ctx) }()
		<-time.After(95 * time.Hour)
		if n := len(store.added); n != 10 {
			t.Errorf("%d keys in 95 hours of a rotation in 10, want 10", n)
		}
		for n, k := range store.added[1:] {
			if gap := k.SignsFrom.Sub(store.added[n].SignsFrom); gap != 10*time.Hour {
				t.Errorf("key %d signs for %v", n, gap)
			}
		}
		store.set(func(s *flakyStore) { s.hold = true })
		<-time.After(time.Hour)
		now := time.Now()
		mustIssue(t, i, "user:default/jane")
		publishedKids(t, i)
		if waited := time.Since(now); waited != 0 {
			t.Errorf("waited %v for the store", waited)
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run ended with %v", err)
		}
		<-time.After(time.Minute) // the last look into the store gives up
		if time.Since(begin) < 96*time.Hour {
			t.Error("the clock did not move")
		}
	})
}

// TestRunStatic has nothing to do and still ends with its context.
func TestRunStatic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t, tokens.IssuerConfig{Static: []tokens.StaticKey{vectorKey(t)}})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- i.Run(ctx) }()
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("run ended early with %v", err)
		default:
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run ended with %v", err)
		}
	})
}
