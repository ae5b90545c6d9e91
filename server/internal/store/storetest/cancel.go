package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"stagedoor/server/internal/op"
	"stagedoor/server/internal/signin"
)

var cancelCases = []testCase{
	{"a cancelled call fails and changes nothing", cancelledCalls},
	{"a call that is cancelled on its way is whole or not there", cancelledMidway},
}

// calls is every method with what it would change.
func (b bench) calls() map[string]func(context.Context) error {
	s := b.session("b")
	return map[string]func(context.Context) error{
		"CreateSession": func(ctx context.Context) error { return b.CreateSession(ctx, s) },
		"AdoptSession":  func(ctx context.Context) error { return b.AdoptSession(ctx, s) },
		"Session":       func(ctx context.Context) error { _, err := b.Session(ctx, "a"); return err },
		"TouchSession":  func(ctx context.Context) error { return b.TouchSession(ctx, "a", "changed", b.Now()) },
		"ExpireSession": func(ctx context.Context) error { return b.ExpireSession(ctx, "a", b.Now()) },
		"DeleteSession": func(ctx context.Context) error { return b.DeleteSession(ctx, "a") },
		"AcquireLease":  func(ctx context.Context) error { _, err := b.AcquireLease(ctx, lease("y")); return err },
		"RenewLease":    func(ctx context.Context) error { return b.RenewLease(ctx, lease("x")) },
		"FinishLease":   func(ctx context.Context) error { return b.FinishLease(ctx, lease("x"), b.renewal()) },
		"ReleaseLease":  func(ctx context.Context) error { return b.ReleaseLease(ctx, lease("x")) },
		"Consume":       func(ctx context.Context) error { return b.Consume(ctx, "a", b.Now()) },
		"SaveUserInfo":  func(ctx context.Context) error { return b.SaveUserInfo(ctx, "u", []byte("{}")) },
		"UserInfo":      func(ctx context.Context) error { _, err := b.UserInfo(ctx, "u"); return err },
		"FindSessions": func(ctx context.Context) error {
			_, err := b.FindSessions(ctx, signin.SessionQuery{Limit: 1})
			return err
		},
		"SaveAttempt": func(ctx context.Context) error { return b.SaveAttempt(ctx, "a", []byte("{}"), b.Now()) },
		"Attempt":     func(ctx context.Context) error { _, err := b.Attempt(ctx, "a"); return err },
		"Sweep":       func(ctx context.Context) error { _, err := b.Sweep(ctx); return err },
	}
}

func cancelledCalls(t *testing.T, b bench) {
	want := b.create(t, "a")
	b.acquire(t, "x")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range b.calls() {
		if err := call(cancelled); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error is %v, want %v", name, err, context.Canceled)
		}
	}
	b.wantSession(t, want)
	b.wantHeld(t)
	b.wantNoSession(t, "b")
	must(t, b.AdoptSession(t.Context(), b.session("b")))
	must(t, b.Consume(t.Context(), "a", b.Now()))
	_, err := b.UserInfo(t.Context(), "u")
	wantError(t, err, op.ErrNoUserInfo)
}

// cancelledMidway cancels adoptions while they run. Whenever that happens, the session and the memory of its adoption are
// both there or both not.
func cancelledMidway(t *testing.T, b bench) {
	race(func(i int) error {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		return b.handle(i).AdoptSession(ctx, b.session(fmt.Sprint(i)))
	})
	for i := range flights {
		s := b.session(fmt.Sprint(i))
		_, err := b.Session(t.Context(), s.ID)
		there := err == nil
		if !there {
			wantError(t, err, signin.ErrNoSession)
		}
		remembered := errors.Is(b.AdoptSession(t.Context(), s), signin.ErrConsumed)
		wantEqual(t, remembered, there)
	}
}
