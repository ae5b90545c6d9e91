package storetest

import (
	"testing"
	"time"

	"stagedoor/server/internal/signin"
)

var sessionCases = []testCase{
	{"a session comes back as it was stored", sessionComesBack},
	{"an unknown session is ErrNoSession", unknownSession},
	{"ids are compared exactly", idsAreExact},
	{"a taken id is a failure and changes nothing", takenID},
	{"times are kept to the millisecond", timesToTheMillisecond},
	{"touch sets last use and user", touchSession},
	{"expire brings the end forward only", expireSession},
	{"delete removes the session", deleteSession},
}

// everyByte holds each byte once, so that nothing that a driver might escape, trim or decode is missing.
func everyByte() []byte {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return all
}

func sessionComesBack(t *testing.T, b bench) {
	tests := []struct {
		name   string
		change func(*signin.Session)
	}{
		{"plain", func(*signin.Session) {}},
		{"empty", func(s *signin.Session) { *s = signin.Session{ID: s.ID, Tokens: []byte{}} }},
		{"binary", func(s *signin.Session) { s.Tokens = everyByte() }},
		{"large", func(s *signin.Session) { s.Tokens = make([]byte, 1<<20) }},
		{"text that looks like bytes", func(s *signin.Session) { s.Tokens = []byte("1e3") }},
		{"unicode", func(s *signin.Session) { s.UserRef, s.Scope = "user:default/zoë-😀", "läsa e\u0301 \u2028" }},
		{"quotes", func(s *signin.Session) { s.Provider, s.Env = `o'k"ta;--`, `%_\?1` }},
		{"numbers as text", func(s *signin.Session) { s.Provider, s.Env, s.Scope = "007", "1e3", " 1 " }},
	}
	for _, tt := range tests {
		want := b.session(tt.name)
		tt.change(&want)
		must(t, b.CreateSession(t.Context(), want))
		b.wantSession(t, want)
	}
}

func unknownSession(t *testing.T, b bench) {
	b.create(t, "known")
	b.wantNoSession(t, "unknown")
	b.wantNoSession(t, "")
}

func idsAreExact(t *testing.T, b bench) {
	lower := b.create(t, "abc")
	b.wantNoSession(t, "ABC")
	b.wantNoSession(t, "abc ")
	upper := b.session("ABC")
	upper.Scope = "other"
	must(t, b.CreateSession(t.Context(), upper))
	b.wantSession(t, lower)
	b.wantSession(t, upper)
}

func takenID(t *testing.T, b bench) {
	first := b.create(t, "a")
	second := b.session("a")
	second.Scope, second.Tokens = "other", []byte("other")
	wantPlainError(t, b.other.CreateSession(t.Context(), second))
	b.wantSession(t, first)
}

func timesToTheMillisecond(t *testing.T, b bench) {
	s := b.session("a")
	s.CreatedAt = time.Date(2026, 2, 28, 23, 59, 59, 123_987_654, time.FixedZone("", -7*3600))
	s.UsedAt = time.Time{}
	s.RefreshedAt = time.UnixMilli(-1)
	s.ExpiresAt = time.Date(9999, 12, 31, 23, 59, 59, 999_000_000, time.UTC)
	must(t, b.CreateSession(t.Context(), s))

	want := s
	want.CreatedAt = time.Date(2026, 3, 1, 6, 59, 59, 123_000_000, time.UTC)
	b.wantSession(t, want)
	got, err := b.Session(t.Context(), "a")
	must(t, err)
	wantEqual(t, got.UsedAt.IsZero(), true)
}

func touchSession(t *testing.T, b bench) {
	want, bystander := b.create(t, "a"), b.create(t, "b")
	want.UsedAt, want.UserRef = b.Now().Add(90*time.Second), "user:default/noor"
	must(t, b.TouchSession(t.Context(), "a", want.UserRef, want.UsedAt))
	b.wantSession(t, want)
	b.wantSession(t, bystander)
	wantError(t, b.TouchSession(t.Context(), "c", "", b.Now()), signin.ErrNoSession)
	b.wantNoSession(t, "c")
}

func expireSession(t *testing.T, b bench) {
	want := b.create(t, "a")
	must(t, b.ExpireSession(t.Context(), "a", want.ExpiresAt.Add(time.Second)))
	b.wantSession(t, want)
	want.ExpiresAt = b.Now()
	must(t, b.ExpireSession(t.Context(), "a", want.ExpiresAt))
	b.wantSession(t, want)
	must(t, b.ExpireSession(t.Context(), "unknown", b.Now()))
}

func deleteSession(t *testing.T, b bench) {
	b.create(t, "a")
	bystander := b.create(t, "b")
	for range 2 {
		must(t, b.DeleteSession(t.Context(), "a"))
		b.wantNoSession(t, "a")
	}
	b.wantSession(t, bystander)
	wantError(t, b.TouchSession(t.Context(), "a", "", b.Now()), signin.ErrNoSession)
}
