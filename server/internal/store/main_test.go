package store

import (
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store/pgtest"
)

// childVar names what a re-executed test binary does instead of running tests; the rest of its command line are arguments.
const childVar = "STAGEDOOR_STORE_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childVar) {
	case "write":
		writeForEver(os.Args[1], os.Args[2])
	case "open":
		openUnprivileged(os.Args[1])
	default:
		os.Exit(m.Run())
	}
}

// child is this test binary in the given role.
func child(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), childVar+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// clock stands still until it is moved.
type clock struct {
	ms atomic.Int64
	// moved is told of each move; nil is nobody.
	moved func(ms int64)
}

func newClock() *clock {
	c := &clock{}
	c.ms.Store(time.Date(2026, 2, 3, 4, 5, 6, 789_000_000, time.UTC).UnixMilli())
	return c
}

func (c *clock) now() time.Time { return time.UnixMilli(c.ms.Load()).UTC() }

func (c *clock) advance(d time.Duration) {
	if ms := c.ms.Add(d.Milliseconds()); c.moved != nil {
		c.moved(ms)
	}
}

// open opens a database that is closed when the test ends.
func open(t testing.TB, opts Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// lite is the SQLite database of a store.
func lite(s *Store) *sqliteDB { return s.db.(*sqliteDB) }

// postgres is a new and empty PostgreSQL database.
func postgres(t testing.TB) Options {
	t.Helper()
	c := pgtest.Shared(t)
	return Options{Postgres: &Postgres{Settings: c.Socket(c.Database(t))}}
}

// onBoth runs a test on a new and empty database of each dialect.
func onBoth(t *testing.T, test func(*testing.T, Options)) {
	t.Run("SQLite", func(t *testing.T) { test(t, Options{Path: file(t)}) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, postgres(t)) })
}

// file is the path of a database that does not exist yet.
func file(t testing.TB) string { return t.TempDir() + "/auth.db" }

func session(id string) signin.Session {
	now := newClock().now()
	return signin.Session{
		ID: id, Provider: "okta", Env: "production", UserRef: "user:default/mira", Scope: "openid", Tokens: []byte("sealed"),
		CreatedAt: now, UsedAt: now, RefreshedAt: now, ExpiresAt: now.Add(time.Hour),
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
