package signin_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"stagedoor/server/internal/signin"
)

// inBubble runs a test in virtual time: the world's clock is the bubble's.
func inBubble(t *testing.T, test func(t *testing.T, w *world, j jar)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.clock.add(time.Since(w.clock.Now()))
		j := w.signIn()
		<-time.After(time.Minute) // virtual time
		w.clock.add(time.Minute)
		test(t, w, j)
	})
}

// follow keeps the world's clock at the bubble's for as long as ctx lasts.
func (w *world) follow(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.clock.add(100 * time.Millisecond)
		}
	}
}

// TestSlowProviderKeepsItsLease: a call that takes longer than the lease is not repeated by another replica.
func TestSlowProviderKeepsItsLease(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, j jar) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go w.follow(ctx)
		gate := make(chan struct{})
		w.up.set(func(u *upstream) { u.gate = gate })
		errs := make(chan error)
		for _, f := range []*signin.Flow{w.Flow, w.replica(), w.replica()} {
			go func() {
				_, err := f.Refresh(t.Context(), signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: j.cookies()})
				errs <- err
			}()
		}
		<-time.After(20 * time.Second) // virtual time
		close(gate)
		for range 3 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if _, n := w.up.calls(); n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
	})
}

// TestCrashedReplica: the lease of a replica that died blocks the session for seconds only.
func TestCrashedReplica(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, j jar) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go w.follow(ctx)
		w.leaseOf(j, "dead")
		began := time.Now()
		if _, err := w.again(j); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 4*time.Second || took > 7*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// TestHungReplica: a lease that is held for ever ends in a coded answer, and the session lives.
func TestHungReplica(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, j jar) {
		w.leaseOf(j, "hung") // the world's clock stands still: the store never sees it run out
		_, err := w.again(j)
		wantCode(t, err, "refresh_busy")
		if j[signin.SessionCookie] == nil {
			t.Error("the cookie was cleared")
		}
		w.clock.add(time.Minute)
		if _, err := w.again(j); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// TestSlowProviderTimesOut: a provider that never answers ends in a coded answer, and gives the lease back.
func TestSlowProviderTimesOut(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, j jar) {
		w.up.set(func(u *upstream) { u.gate = make(chan struct{}) })
		_, err := w.again(j)
		wantCode(t, err, "idp_timeout")
		w.up.set(func(u *upstream) { u.gate = nil })
		if _, err := w.again(j); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// TestStoppedReplica: a process that was stopped for longer than its lease, and whose token was then spent by another, takes the
// winner's answer and ends nothing.
func TestStoppedReplica(t *testing.T) {
	for _, winner := range []bool{true, false} {
		inBubble(t, func(t *testing.T, w *world, j jar) {
			gate := make(chan struct{})
			w.up.set(func(u *upstream) { u.gate = gate })
			done := make(chan error)
			go func() {
				_, err := w.Refresh(t.Context(), signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: j.cookies()})
				done <- err
			}()
			synctest.Wait()
			w.clock.add(time.Minute) // the store's clock: the lease has run out, though the process did not notice
			if winner {
				w.up.set(func(u *upstream) { u.gate = nil })
				if _, err := w.replica().Refresh(t.Context(), signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: j.cookies()}); err != nil {
					t.Fatal(err)
				}
			} else {
				w.leaseOf(j, "other")
				w.up.set(func(u *upstream) { u.current = "rotated by the other" })
			}
			close(gate)
			if err := <-done; winner && err != nil {
				t.Errorf("the winner's answer was not taken: %v", err)
			} else if !winner {
				wantCode(t, err, "refresh_busy")
			}
			w.clock.add(time.Second)
			w.up.set(func(u *upstream) { u.gate = nil })
			if _, err := w.store.Store.Session(t.Context(), w.rowOf(j)); err != nil {
				t.Errorf("the session did not survive: %v", err)
			}
		})
	}
}

// TestStoreGoneBehindTheProvider: the provider has rotated the token, and then the store is away for two minutes. Whoever asked is told in
// time, and the token is there when the store is back.
func TestStoreGoneBehindTheProvider(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, j jar) {
		gate := make(chan struct{})
		w.up.set(func(u *upstream) { u.gate = gate })
		began, done := time.Now(), make(chan error)
		go func() {
			_, err := w.Refresh(t.Context(), signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: j.cookies()})
			done <- err
		}()
		synctest.Wait()
		w.store.breakWith(errors.New("gone"))
		close(gate)
		wantCode(t, <-done, "refresh_busy")
		if took := time.Since(began); took > time.Minute {
			t.Errorf("answered after %v", took)
		}
		<-time.After(2 * time.Minute) // virtual time
		w.store.breakWith(nil)
		<-time.After(time.Second) // virtual time
		if err := w.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		w.up.set(func(u *upstream) { u.gate = nil })
		if _, err := w.again(j); err != nil {
			t.Errorf("the session does not live: %v", err)
		}
	})
}
