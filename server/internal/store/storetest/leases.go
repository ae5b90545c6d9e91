package storetest

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"stagedoor/server/internal/signin"
)

var leaseCases = []testCase{
	{"a lease returns the session as it is", leaseReturnsSession},
	{"one of many flights gets the lease", leaseRace},
	{"no update under a lease is lost", leaseExcludes},
	{"a held lease is kept from strangers", strangersAreRefused},
	{"finish stores and gives back", finishLease},
	{"release gives back and stores nothing", releaseLease},
	{"a lease ends when its time is up", leaseEnds},
	{"renewing extends a lease", leaseRenewed},
	{"a late holder finishes if nobody took over", lateHolder},
	{"delete ends the lease", deleteEndsLease},
	{"a missing session has no lease", missingSessionHasNoLease},
}

const ttl = 10 * time.Second

func lease(owner string) signin.Lease { return signin.Lease{Session: "a", Owner: owner, TTL: ttl} }

func (b bench) renewal() signin.Renewal {
	return signin.Renewal{Scope: "openid email", Tokens: everyByte(), RefreshedAt: b.Now().Add(time.Second)}
}

// acquire takes the lease or fails the test.
func (b bench) acquire(t *testing.T, owner string) signin.Session {
	t.Helper()
	s, err := b.AcquireLease(t.Context(), lease(owner))
	must(t, err)
	return s
}

// wantHeld checks that a stranger does not get the lease.
func (b bench) wantHeld(t *testing.T) {
	t.Helper()
	for i := range 2 {
		_, err := b.handle(i).AcquireLease(t.Context(), lease("stranger"))
		wantError(t, err, signin.ErrNotOwner)
	}
}

func leaseReturnsSession(t *testing.T, b bench) {
	want := b.create(t, "a")
	wantEqual(t, b.acquire(t, "x"), want)
	wantEqual(t, b.acquire(t, "x"), want)
	r := b.renewal()
	must(t, b.other.FinishLease(t.Context(), lease("x"), r))
	want.Scope, want.Tokens, want.RefreshedAt = r.Scope, r.Tokens, r.RefreshedAt
	wantEqual(t, b.acquire(t, "y"), want)
}

func leaseRace(t *testing.T, b bench) {
	b.create(t, "a")
	errs := race(func(i int) error {
		_, err := b.handle(i).AcquireLease(t.Context(), lease(strconv.Itoa(i)))
		return err
	})
	wantOneWinner(t, errs, signin.ErrNotOwner)
}

// leaseExcludes has many flights count in the session's tokens: read under the lease, add one, finish.
func leaseExcludes(t *testing.T, b bench) {
	const counters, rounds = 8, 5
	s := b.session("a")
	s.Tokens = []byte("0")
	must(t, b.CreateSession(t.Context(), s))
	finished := make(chan struct{}, counters*rounds)
	stuck, cancel := context.WithTimeout(t.Context(), time.Minute) // a lease that is never given back ends the test
	defer cancel()
	all, ctx := errgroup.WithContext(stuck)
	for i := range counters {
		c := counter{store: b.handle(i), lease: lease(strconv.Itoa(i)), finished: finished}
		all.Go(func() error { return c.count(ctx, rounds) })
	}
	must(t, all.Wait())
	got, err := b.Session(t.Context(), "a")
	must(t, err)
	wantEqual(t, string(got.Tokens), strconv.Itoa(counters*rounds))
}

// counter is one flight of leaseExcludes.
type counter struct {
	store Store
	lease signin.Lease
	// finished gets one value whenever a flight has given the lease back. Who was refused waits for it, because one that
	// asked on and on would keep the holder from writing.
	finished chan struct{}
}

func (c counter) count(ctx context.Context, rounds int) error {
	for range rounds {
		s, err := c.acquire(ctx)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(s.Tokens))
		if err != nil {
			return err
		}
		if err := c.store.FinishLease(ctx, c.lease, signin.Renewal{Tokens: []byte(strconv.Itoa(n + 1))}); err != nil {
			return err
		}
		c.finished <- struct{}{}
	}
	return nil
}

func (c counter) acquire(ctx context.Context) (signin.Session, error) {
	for {
		s, err := c.store.AcquireLease(ctx, c.lease)
		if !errors.Is(err, signin.ErrNotOwner) {
			return s, err
		}
		select {
		case <-ctx.Done():
			return signin.Session{}, ctx.Err()
		case <-c.finished:
		}
	}
}

func strangersAreRefused(t *testing.T, b bench) {
	want := b.create(t, "a")
	b.acquire(t, "x")
	b.wantHeld(t)
	wantError(t, b.RenewLease(t.Context(), lease("stranger")), signin.ErrNotOwner)
	wantError(t, b.FinishLease(t.Context(), lease("stranger"), b.renewal()), signin.ErrNotOwner)
	must(t, b.ReleaseLease(t.Context(), lease("stranger")))
	b.wantHeld(t)
	b.wantSession(t, want)
}

func finishLease(t *testing.T, b bench) {
	want, bystander := b.create(t, "a"), b.create(t, "b")
	b.acquire(t, "x")
	r := b.renewal()
	must(t, b.FinishLease(t.Context(), lease("x"), r))
	want.Scope, want.Tokens, want.RefreshedAt = r.Scope, r.Tokens, r.RefreshedAt
	b.wantSession(t, want)
	b.wantSession(t, bystander)

	wantError(t, b.FinishLease(t.Context(), lease("x"), signin.Renewal{}), signin.ErrNotOwner)
	wantError(t, b.RenewLease(t.Context(), lease("x")), signin.ErrNotOwner)
	b.wantSession(t, want)
	b.acquire(t, "y")
}

func releaseLease(t *testing.T, b bench) {
	want := b.create(t, "a")
	b.acquire(t, "x")
	must(t, b.ReleaseLease(t.Context(), lease("x")))
	b.wantSession(t, want)
	wantError(t, b.RenewLease(t.Context(), lease("x")), signin.ErrNotOwner)
	b.acquire(t, "y")
	b.wantHeld(t)
}

func leaseEnds(t *testing.T, b bench) {
	want := b.create(t, "a")
	b.acquire(t, "x")
	b.Advance(ttl - time.Millisecond)
	b.wantHeld(t)
	b.Advance(time.Millisecond)
	b.acquire(t, "y")

	wantError(t, b.RenewLease(t.Context(), lease("x")), signin.ErrNotOwner)
	wantError(t, b.FinishLease(t.Context(), lease("x"), b.renewal()), signin.ErrNotOwner)
	must(t, b.ReleaseLease(t.Context(), lease("x")))
	b.wantHeld(t)
	b.wantSession(t, want)
}

func leaseRenewed(t *testing.T, b bench) {
	b.create(t, "a")
	b.acquire(t, "x")
	b.Advance(ttl - time.Second)
	must(t, b.RenewLease(t.Context(), lease("x")))
	b.Advance(ttl - time.Second)
	b.wantHeld(t)
	b.Advance(time.Second)
	b.acquire(t, "y")
}

func lateHolder(t *testing.T, b bench) {
	want := b.create(t, "a")
	b.acquire(t, "x")
	b.Advance(2 * ttl)
	must(t, b.RenewLease(t.Context(), lease("x")))
	b.wantHeld(t)
	b.Advance(2 * ttl)
	r := b.renewal()
	must(t, b.FinishLease(t.Context(), lease("x"), r))
	want.Scope, want.Tokens, want.RefreshedAt = r.Scope, r.Tokens, r.RefreshedAt
	b.wantSession(t, want)
}

func deleteEndsLease(t *testing.T, b bench) {
	b.create(t, "a")
	b.acquire(t, "x")
	must(t, b.other.DeleteSession(t.Context(), "a"))
	wantError(t, b.FinishLease(t.Context(), lease("x"), b.renewal()), signin.ErrNoSession)
	b.wantNoSession(t, "a")

	again := b.create(t, "a")
	wantError(t, b.FinishLease(t.Context(), lease("x"), b.renewal()), signin.ErrNotOwner)
	wantError(t, b.RenewLease(t.Context(), lease("x")), signin.ErrNotOwner)
	b.wantSession(t, again)
	b.acquire(t, "y")
}

func missingSessionHasNoLease(t *testing.T, b bench) {
	_, err := b.AcquireLease(t.Context(), lease("x"))
	wantError(t, err, signin.ErrNoSession)
	wantError(t, b.FinishLease(t.Context(), lease("x"), b.renewal()), signin.ErrNoSession)
	wantError(t, b.RenewLease(t.Context(), lease("x")), signin.ErrNotOwner)
	must(t, b.ReleaseLease(t.Context(), lease("x")))
}
