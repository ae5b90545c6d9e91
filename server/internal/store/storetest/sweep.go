package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var sweepCases = []testCase{
	{"an empty database has nothing to sweep", func(t *testing.T, b bench) { wantSwept(t, b, 0) }},
	{"sweep removes expired sessions only", sweepExpired},
	{"sweep removes idle sessions only", sweepIdle},
	{"sweep spares a session that is being refreshed", sweepSparesLeased},
	{"sweep forgets what was consumed and adopted", sweepMarks},
	{"sweep removes more than a batch", sweepMany},
	{"two replicas sweep at once", sweepRace},
}

func wantSwept(t *testing.T, b bench, want int) {
	t.Helper()
	got, err := b.Sweep(t.Context())
	must(t, err)
	wantEqual(t, got, want)
}

func sweepExpired(t *testing.T, b bench) {
	long, short := b.session("long"), b.session("short")
	short.ExpiresAt = b.Now().Add(time.Minute)
	must(t, b.CreateSession(t.Context(), long))
	must(t, b.CreateSession(t.Context(), short))
	b.Advance(time.Minute)
	wantSwept(t, b, 0)
	b.Advance(time.Millisecond)
	wantSwept(t, b, 1)
	b.wantNoSession(t, "short")
	b.wantSession(t, long)
	wantSwept(t, b, 0)
}

func sweepIdle(t *testing.T, b bench) {
	b.create(t, "idle")
	used := b.create(t, "used")
	b.Advance(Idle)
	wantSwept(t, b, 0)
	used.UsedAt = b.Now()
	must(t, b.TouchSession(t.Context(), "used", used.UserRef, used.UsedAt))
	b.Advance(time.Millisecond)
	wantSwept(t, b, 1)
	b.wantNoSession(t, "idle")
	b.wantSession(t, used)
}

func sweepSparesLeased(t *testing.T, b bench) {
	s := b.create(t, "a")
	b.Advance(Idle)
	b.acquire(t, "x")
	b.Advance(time.Millisecond)
	wantSwept(t, b, 0)
	b.wantSession(t, s)
	b.Advance(ttl)
	wantSwept(t, b, 1)
}

func sweepMarks(t *testing.T, b bench) {
	until := b.Now().Add(time.Minute)
	must(t, b.Consume(t.Context(), "short", until))
	must(t, b.Consume(t.Context(), "long", until.Add(time.Minute)))
	s := b.session("adopted")
	s.ExpiresAt = until
	must(t, b.AdoptSession(t.Context(), s))
	must(t, b.DeleteSession(t.Context(), s.ID))

	b.Advance(time.Minute)
	wantSwept(t, b, 0)
	b.Advance(time.Millisecond)
	wantSwept(t, b, 2)
	b.Advance(time.Minute)
	wantSwept(t, b, 1)
}

// many is more than one batch of any sensible size, and no multiple of one.
const many = 1234

// consumeMany consumes transactions that are over within a minute.
func consumeMany(t *testing.T, b bench) {
	for i := range many {
		must(t, b.Consume(t.Context(), fmt.Sprint(i), b.Now().Add(time.Minute)))
	}
}

func sweepMany(t *testing.T, b bench) {
	for i := range many {
		b.create(t, fmt.Sprint(i))
	}
	b.Advance(time.Millisecond)
	young := b.create(t, "young")
	consumeMany(t, b)
	b.Advance(Idle)
	wantSwept(t, b, 2*many)
	b.wantSession(t, young)
}

func sweepRace(t *testing.T, b bench) {
	consumeMany(t, b)
	b.Advance(time.Hour)
	var removed atomic.Int64
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			n, err := b.handle(i).Sweep(t.Context())
			if err != nil {
				t.Errorf("sweep: %v", err)
			}
			removed.Add(int64(n))
		})
	}
	wg.Wait()
	wantEqual(t, removed.Load(), int64(many))
}
