package storetest

import (
	"testing"
	"time"

	"stagedoor/server/internal/signin"
)

var adoptCases = []testCase{
	{"a session is adopted once", adoptOnce},
	{"adoption is remembered after the session ends", adoptionOutlivesSession},
	{"a failed adoption is not remembered", failedAdoption},
	{"one of many flights adopts", adoptRace},
}

func adoptOnce(t *testing.T, b bench) {
	first := b.session("a")
	must(t, b.AdoptSession(t.Context(), first))
	second := b.session("a")
	second.Tokens = []byte("other")
	wantError(t, b.other.AdoptSession(t.Context(), second), signin.ErrConsumed)
	b.wantSession(t, first)

	another := b.session("b")
	must(t, b.other.AdoptSession(t.Context(), another))
	b.wantSession(t, another)
}

func adoptionOutlivesSession(t *testing.T, b bench) {
	s := b.session("a")
	must(t, b.AdoptSession(t.Context(), s))
	must(t, b.DeleteSession(t.Context(), "a"))
	wantError(t, b.AdoptSession(t.Context(), s), signin.ErrConsumed)
	b.wantNoSession(t, "a")

	must(t, b.ExpireSession(t.Context(), "a", b.Now()))
	b.Advance(s.ExpiresAt.Sub(b.Now()) - time.Millisecond)
	_, err := b.Sweep(t.Context())
	must(t, err)
	wantError(t, b.other.AdoptSession(t.Context(), s), signin.ErrConsumed)
}

func failedAdoption(t *testing.T, b bench) {
	created := b.create(t, "a")
	wantPlainError(t, b.AdoptSession(t.Context(), b.session("a")))
	b.wantSession(t, created)
	must(t, b.DeleteSession(t.Context(), "a"))
	must(t, b.AdoptSession(t.Context(), created))
	b.wantSession(t, created)
}

func adoptRace(t *testing.T, b bench) {
	s := b.session("a")
	errs := race(func(i int) error { return b.handle(i).AdoptSession(t.Context(), s) })
	wantOneWinner(t, errs, signin.ErrConsumed)
	b.wantSession(t, s)
}
