package tokenstest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stagedoor/tokens"
)

// Run holds the stores that open returns against the contract of tokens.KeyStore. Every call of open must return a
// store of its own that is empty; open registers its own clean-up.
func Run(t *testing.T, open func(t *testing.T) tokens.KeyStore) {
	for _, c := range []struct {
		name string
		test func(*testing.T, tokens.KeyStore)
	}{
		{"empty store", testEmpty},
		{"a key comes back as it went in", testRoundTrip},
		{"oldest generation first", testOrder},
		{"what Keys returns is a copy", testCopy},
		{"an id is taken once", testSameID},
		{"a generation is taken once", testSameGeneration},
		{"replicas racing for a generation", testRace},
		{"a key retires once", testRetireOnce},
		{"replicas racing to retire", testRetireRace},
		{"unknown keys neither retire nor go", testUnknown},
		{"removal", testRemove},
		{"cancelled context", testCancelled},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// epoch has milliseconds but nothing finer, which is all that stores have to keep.
var epoch = time.Date(2031, 5, 6, 7, 8, 9, 123_000_000, time.UTC)

// binary is every byte there is: a store that takes it for text will not return it.
func binary() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func key(generation int64) tokens.Key {
	at := epoch.Add(time.Duration(generation) * time.Hour)
	return tokens.Key{
		ID: fmt.Sprintf("kid-%d", generation), Generation: generation, Algorithm: "ES256",
		Public: []byte(`{"kty":"EC"}`), Private: binary(), CreatedAt: at, SignsFrom: at.Add(15 * time.Minute),
	}
}

func add(t *testing.T, s tokens.KeyStore, keys ...tokens.Key) {
	t.Helper()
	for _, k := range keys {
		if err := s.AddKey(t.Context(), k); err != nil {
			t.Fatalf("add key %s: %v", k.ID, err)
		}
	}
}

// expect compares what is stored with want; times are equal if they are the same instant.
func expect(t *testing.T, s tokens.KeyStore, want ...tokens.Key) {
	t.Helper()
	got, err := s.Keys(t.Context())
	if err != nil {
		t.Fatalf("list keys: %v", err)
	}
	if len(got) == 0 && len(want) == 0 {
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored keys differ (-want +got):\n%s", diff)
	}
}

func testEmpty(t *testing.T, s tokens.KeyStore) { expect(t, s) }

func testRoundTrip(t *testing.T, s tokens.KeyStore) {
	odd := key(2)
	odd.ID, odd.Public = "Ünï-'\"-\u2028", binary()
	odd.CreatedAt = odd.CreatedAt.In(time.FixedZone("east", 5*3600))
	odd.RetireAt = epoch.Add(999*time.Hour + time.Millisecond)
	add(t, s, key(1), odd)
	expect(t, s, key(1), odd)
	if keys, err := s.Keys(t.Context()); err != nil || !keys[0].RetireAt.IsZero() {
		t.Errorf("RetireAt of a key that does not retire must be zero (error %v)", err)
	}
}

func testOrder(t *testing.T, s tokens.KeyStore) {
	old, young := key(9), key(10) // in this order as numbers, not as text
	old.CreatedAt = young.CreatedAt.Add(time.Hour)
	add(t, s, young, old)
	expect(t, s, old, young)
}

func testCopy(t *testing.T, s tokens.KeyStore) {
	mine := key(1)
	add(t, s, mine)
	mine.Private[0] ^= 0xff
	got, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got[0].Private[1] ^= 0xff
	expect(t, s, key(1))
}

func testSameID(t *testing.T, s tokens.KeyStore) {
	add(t, s, key(1))
	other := key(2)
	other.ID = key(1).ID
	if err := s.AddKey(t.Context(), other); !errors.Is(err, tokens.ErrConflict) {
		t.Errorf("second key of one id: error %v, want ErrConflict", err)
	}
	expect(t, s, key(1))
}

func testSameGeneration(t *testing.T, s tokens.KeyStore) {
	add(t, s, key(1))
	other := key(1)
	other.ID = "another"
	if err := s.AddKey(t.Context(), other); !errors.Is(err, tokens.ErrConflict) {
		t.Errorf("second key of one generation: error %v, want ErrConflict", err)
	}
	expect(t, s, key(1))
}

// racers is the number of goroutines that do the same thing at the same time.
const racers = 50

// race runs do in many goroutines and returns their errors.
func race(do func(n int) error) []error {
	errs := make([]error, racers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for n := range racers {
		wg.Go(func() {
			<-start
			errs[n] = do(n)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

func testRace(t *testing.T, s tokens.KeyStore) {
	add(t, s, key(1))
	contender := func(n int) tokens.Key {
		k := key(2)
		k.ID = fmt.Sprintf("racer-%d", n)
		return k
	}
	winners := []tokens.Key{}
	for n, err := range race(func(n int) error { return s.AddKey(t.Context(), contender(n)) }) {
		switch {
		case err == nil:
			winners = append(winners, contender(n))
		case !errors.Is(err, tokens.ErrConflict):
			t.Errorf("racer %d: error %v, want ErrConflict", n, err)
		}
	}
	if len(winners) != 1 {
		t.Fatalf("%d racers stored the same generation, want 1", len(winners))
	}
	expect(t, s, key(1), winners[0])
}

func testRetireOnce(t *testing.T, s tokens.KeyStore) {
	add(t, s, key(1), key(2))
	first, second := epoch.Add(48*time.Hour), epoch.Add(96*time.Hour)
	for _, at := range []time.Time{first, second} {
		if err := s.RetireKey(t.Context(), key(1).ID, at); err != nil {
			t.Fatalf("retire: %v", err)
		}
	}
	want := key(1)
	want.RetireAt = first
	expect(t, s, want, key(2))
}

func testRetireRace(t *testing.T, s tokens.KeyStore) {
	add(t, s, key(1))
	at := func(n int) time.Time { return epoch.Add(time.Duration(n+1) * time.Minute) }
	for n, err := range race(func(n int) error { return s.RetireKey(t.Context(), key(1).ID, at(n)) }) {
		if err != nil {
			t.Errorf("racer %d: %v", n, err)
		}
	}
	got, err := s.Keys(t.Context())
	if err != nil || len(got) != 1 {
		t.Fatalf("list keys: %d keys, error %v", len(got), err)
	}
	settled := got[0].RetireAt
	if settled.Before(at(0)) || settled.After(at(racers-1)) {
		t.Errorf("RetireAt is %v, which nobody asked for", settled)
	}
	if err := s.RetireKey(t.Context(), key(1).ID, at(racers)); err != nil {
		t.Fatalf("retire: %v", err)
	}
	want := key(1)
	want.RetireAt = settled
	expect(t, s, want)
}

func testUnknown(t *testing.T, s tokens.KeyStore) {
	add(t, s, key(1))
	if err := s.RetireKey(t.Context(), "nobody", epoch); err != nil {
		t.Errorf("retire an unknown key: %v", err)
	}
	if err := s.RemoveKeys(t.Context(), "nobody"); err != nil {
		t.Errorf("remove an unknown key: %v", err)
	}
	if err := s.RemoveKeys(t.Context()); err != nil {
		t.Errorf("remove no key: %v", err)
	}
	expect(t, s, key(1))
}

func testRemove(t *testing.T, s tokens.KeyStore) {
	add(t, s, key(1), key(2), key(3), key(4))
	if err := s.RemoveKeys(t.Context(), key(1).ID, "nobody", key(3).ID); err != nil {
		t.Fatalf("remove: %v", err)
	}
	expect(t, s, key(2), key(4))
	add(t, s, key(5))
	expect(t, s, key(2), key(4), key(5))
}

func testCancelled(t *testing.T, s tokens.KeyStore) {
	add(t, s, key(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, listed := s.Keys(ctx)
	for name, err := range map[string]error{
		"AddKey": s.AddKey(ctx, key(2)), "Keys": listed, "RetireKey": s.RetireKey(ctx, key(1).ID, epoch),
		"RemoveKeys": s.RemoveKeys(ctx, key(1).ID),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: error %v, want context.Canceled", name, err)
		}
	}
	expect(t, s, key(1))
}
