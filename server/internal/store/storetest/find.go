package storetest

import (
	"fmt"
	"testing"
	"time"

	"stagedoor/server/internal/signin"
)

var findCases = []testCase{
	{"sessions are found by user, subject and upstream session", findSessions},
	{"empty keys find nothing of their own", findEmptyKeys},
	{"a list goes on where it stopped", findPages},
	{"a refresh brings the keys of a session", findAfterRefresh},
	{"an attempt is kept until its time", keepAttempt},
	{"settings are kept by name", keepSettings},
}

// wantFound compares the ids that a query finds.
func (b bench) wantFound(t *testing.T, q signin.SessionQuery, want ...string) {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	found, err := b.other.FindSessions(t.Context(), q)
	must(t, err)
	got := []string{}
	for _, s := range found {
		got = append(got, s.ID)
	}
	wantEqual(t, got, append([]string{}, want...))
}

func findSessions(t *testing.T, b bench) {
	for _, s := range []struct{ id, user, subject, upstream string }{
		{"a", "user:default/mira", "s1", "u1"},
		{"b", "user:default/mira", "s1", "u2"},
		{"c", "user:default/noor", "s2", "u3"},
		{"d", "user:default/Mira", "", ""},
	} {
		session := b.session(s.id)
		session.UserRef, session.SubjectKey, session.UpstreamKey = s.user, s.subject, s.upstream
		must(t, b.CreateSession(t.Context(), session))
		b.wantSession(t, session)
	}
	b.wantFound(t, signin.SessionQuery{UserRef: "user:default/mira"}, "a", "b")
	b.wantFound(t, signin.SessionQuery{SubjectKey: "s1"}, "a", "b")
	b.wantFound(t, signin.SessionQuery{UpstreamKey: "u2"}, "b")
	b.wantFound(t, signin.SessionQuery{UpstreamKey: "s1"})
	b.wantFound(t, signin.SessionQuery{}, "a", "b", "c", "d")
}

func findEmptyKeys(t *testing.T, b bench) {
	b.create(t, "a")
	b.wantFound(t, signin.SessionQuery{SubjectKey: "x"})
	b.wantFound(t, signin.SessionQuery{UpstreamKey: "x"})
	b.wantFound(t, signin.SessionQuery{UserRef: "user:default/nobody"})
}

func findPages(t *testing.T, b bench) {
	for i := range 5 {
		b.create(t, fmt.Sprintf("%d", i))
	}
	b.wantFound(t, signin.SessionQuery{Limit: 2}, "0", "1")
	b.wantFound(t, signin.SessionQuery{Limit: 2, After: "1"}, "2", "3")
	must(t, b.DeleteSession(t.Context(), "3"))
	b.wantFound(t, signin.SessionQuery{Limit: 2, After: "3"}, "4")
	b.wantFound(t, signin.SessionQuery{Limit: 2, After: "4"})
}

func findAfterRefresh(t *testing.T, b bench) {
	s := b.create(t, "a")
	b.acquire(t, "x")
	r := b.renewal()
	r.SubjectKey, r.UpstreamKey = "s1", "u1"
	must(t, b.FinishLease(t.Context(), signin.Lease{Session: s.ID, Owner: "x", TTL: time.Second}, r))
	b.wantFound(t, signin.SessionQuery{SubjectKey: "s1"}, "a")
	b.wantFound(t, signin.SessionQuery{UpstreamKey: "u1"}, "a")
}

func keepAttempt(t *testing.T, b bench) {
	until := b.Now().Add(time.Minute)
	must(t, b.SaveAttempt(t.Context(), "one", []byte(`{"n":1}`), until))
	must(t, b.SaveAttempt(t.Context(), "one", everyByte(), until))
	got, err := b.other.Attempt(t.Context(), "one")
	must(t, err)
	wantEqual(t, got, everyByte())
	_, err = b.Attempt(t.Context(), "two")
	wantError(t, err, signin.ErrNoAttempt)
	b.Advance(time.Minute)
	_, err = b.Attempt(t.Context(), "one")
	wantError(t, err, signin.ErrNoAttempt)
	b.Advance(time.Millisecond)
	wantSwept(t, b, 1)
}

func keepSettings(t *testing.T, b bench) {
	got, err := b.Settings(t.Context())
	must(t, err)
	wantEqual(t, got, map[string]string{})
	for _, s := range [][2]string{{"a", "1"}, {"b", "2"}, {"a", "3 é"}} {
		must(t, b.SaveSetting(t.Context(), s[0], s[1]))
	}
	got, err = b.other.Settings(t.Context())
	must(t, err)
	wantEqual(t, got, map[string]string{"a": "3 é", "b": "2"})
}
