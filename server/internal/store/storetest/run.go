package storetest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stagedoor/server/internal/op"
	"stagedoor/server/internal/signin"
)

// Idle is how long a session may be unused in the databases that the suite is given.
const Idle = time.Hour

// Store is one handle on a database, as one replica has it.
type Store interface {
	signin.SessionStore
	signin.TransactionStore
	signin.UserInfoStore
	signin.AttemptStore
	op.UserInfoStore
	// Settings are what SaveSetting keeps, by name.
	Settings(ctx context.Context) (map[string]string, error)
	SaveSetting(ctx context.Context, name, value string) error
	// Sweep removes what is over and returns how many rows that were.
	Sweep(ctx context.Context) (int, error)
}

// Database is an empty database of its own for one test, and the clock by which it counts.
type Database struct {
	// Open returns a further handle. The test's clean-up closes it.
	Open func() Store
	// Now is the database's clock. It stands still unless Advance moves it, which is safe for concurrent use.
	Now     func() time.Time
	Advance func(time.Duration)
}

// Run runs the suite. The database that open makes removes sessions after Idle without use.
func Run(t *testing.T, open func(t *testing.T) Database) {
	for _, c := range suite() {
		t.Run(c.name, func(t *testing.T) {
			db := open(t)
			c.run(t, bench{Database: db, Store: db.Open(), other: db.Open()})
		})
	}
}

type testCase struct {
	name string
	run  func(*testing.T, bench)
}

func suite() []testCase {
	var all []testCase
	for _, cases := range [][]testCase{sessionCases, adoptCases, leaseCases, signinCases, findCases, sweepCases, cancelCases} {
		all = append(all, cases...)
	}
	return append(all, testCase{"behaves like the model", behavesLikeTheModel})
}

// bench is a database with two handles on it.
type bench struct {
	Database
	Store
	other Store
}

// handles returns both handles in turn, for the i-th of many.
func (b bench) handle(i int) Store {
	if i%2 == 0 {
		return b.Store
	}
	return b.other
}

// session is a session that is good for a day.
func (b bench) session(id string) signin.Session {
	now := b.Now()
	return signin.Session{
		ID: id, Provider: "okta", Env: "production", UserRef: "user:default/mira", Scope: "openid profile",
		Tokens: []byte("sealed " + id), CreatedAt: now, UsedAt: now, RefreshedAt: now, ExpiresAt: now.Add(24 * time.Hour),
	}
}

// create stores a session that is good for a day.
func (b bench) create(t *testing.T, id string) signin.Session {
	t.Helper()
	s := b.session(id)
	must(t, b.CreateSession(t.Context(), s))
	return s
}

// wantSession checks what is stored, through both handles.
func (b bench) wantSession(t *testing.T, want signin.Session) {
	t.Helper()
	for i := range 2 {
		got, err := b.handle(i).Session(t.Context(), want.ID)
		must(t, err)
		wantEqual(t, got, want)
	}
}

// wantNoSession checks that nothing is stored.
func (b bench) wantNoSession(t *testing.T, id string) {
	t.Helper()
	for i := range 2 {
		_, err := b.handle(i).Session(t.Context(), id)
		wantError(t, err, signin.ErrNoSession)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}

// difference is empty if got is want. An empty byte slice may come back as nil.
func difference(want, got any) string { return cmp.Diff(want, got, cmp.Comparer(bytes.Equal)) }

func wantEqual(t *testing.T, got, want any) {
	t.Helper()
	if diff := difference(want, got); diff != "" {
		t.Fatalf("differs (-want +got):\n%s", diff)
	}
}

// wantPlainError checks for a failure that is none of the answers a caller branches on.
func wantPlainError(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, answer := range []error{signin.ErrNoSession, signin.ErrConsumed, signin.ErrNotOwner, op.ErrNoUserInfo} {
		if errors.Is(err, answer) {
			t.Fatalf("error is the answer %v, want a failure", answer)
		}
	}
}
