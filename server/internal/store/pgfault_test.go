package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store/pgtest"
)

// TestOpenPostgresErrors: whatever stands between here and a database is told apart, with what to do about it, and never with the
// password.
func TestOpenPostgresErrors(t *testing.T) {
	c := pgtest.Shared(t)
	name := c.Database(t)
	closed := closedPort(t)
	with := func(change map[string]string, tls *TLS) *Postgres {
		s := c.TCP(name)
		for k, v := range change {
			s[k] = v
		}
		return &Postgres{Settings: s, TLS: tls}
	}
	plain := pgtest.Start(t, "ssl=off")
	tests := []struct {
		name string
		at   *Postgres
		code string
		is   error
	}{
		{"wrong password", with(map[string]string{"password": "a-wrong-password"}, nil), "database_login", ErrLogin},
		{"unknown user", with(map[string]string{"user": "nobody"}, nil), "database_login", ErrLogin},
		{"nobody listens", with(map[string]string{"port": closed}, nil), "database_unreachable", ErrUnreachable},
		{"no such host", with(map[string]string{"host": "nosuchhost.invalid"}, nil), "database_unreachable", ErrUnreachable},
		{"no such database", with(map[string]string{"database": "nosuch"}, nil), "database_missing", ErrNoDatabase},
		{"TLS wanted, none there", &Postgres{Settings: plain.TCP(pgtest.User), TLS: &TLS{Insecure: true}}, "database_tls", ErrTLS},
		{"TLS there, none wanted", with(map[string]string{"user": pgtest.TLSOnly}, nil), "database_tls", ErrTLS},
		{"not trusted", with(map[string]string{"host": "localhost"}, &TLS{}), "database_tls", ErrTLS},
		{"another name", with(nil, &TLS{CA: c.CA, ServerName: "db.example.com"}), "database_tls", ErrTLS},
		{"bad CA", with(nil, &TLS{CA: "no PEM"}), "database_unavailable", nil},
		{"bad key", with(nil, &TLS{Certificate: "no PEM"}), "database_unavailable", nil},
		{"bad port", with(map[string]string{"port": "-"}, nil), "database_unavailable", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(t.Context(), Options{Postgres: tt.at})
			got, ok := errors.AsType[*OpenError](err)
			if !ok {
				t.Fatalf("error is %v, want an *OpenError", err)
			}
			if got.Code != tt.code || tt.is != nil && (!errors.Is(err, tt.is) || got.Advice == "") {
				t.Errorf("error is %v, want %s", err, tt.code)
			}
			if strings.Contains(err.Error(), "password-of-pgtest") || strings.Contains(err.Error(), "a-wrong-password") {
				t.Errorf("the error holds the password: %v", err)
			}
		})
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func TestTLS(t *testing.T) {
	c := pgtest.Shared(t)
	name := c.Database(t)
	for what, tls := range map[string]*TLS{"trusted": {CA: c.CA}, "another name": {CA: c.CA, ServerName: "localhost"}, "insecure": {Insecure: true}} {
		settings := c.TCP(name)
		settings["user"] = pgtest.TLSOnly
		s, err := Open(t.Context(), Options{Postgres: &Postgres{Settings: settings, TLS: tls}})
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		must(t, s.Ping(t.Context()))
		must(t, s.Close())
	}
}

func TestReadOnlyServer(t *testing.T) {
	c := pgtest.Shared(t)
	name := c.Database(t)
	opts := Options{Postgres: &Postgres{Settings: c.Socket(name)}}
	running := open(t, opts)
	must(t, running.CreateSession(t.Context(), session("a")))
	c.Exec(t, pgtest.User, "alter database "+name+" set default_transaction_read_only = on")
	_, err := Open(t.Context(), opts)
	wantOpenError(t, err, addressOf(opts), "database_read_only", ErrReadOnly)

	running.db.(*postgresDB).pool.Reset()
	if err := running.CreateSession(t.Context(), session("b")); !errors.Is(err, ErrReadOnly) {
		t.Errorf("error is %v, want %v", err, ErrReadOnly)
	}
	_, err = running.Session(t.Context(), "a")
	must(t, err)
	// The primary is back: the connection to what became a replica is not used again.
	c.Exec(t, pgtest.User, "alter database "+name+" reset all")
	if err := running.CreateSession(t.Context(), session("b")); err != nil && !errors.Is(err, ErrReadOnly) {
		t.Errorf("error is %v", err)
	}
	must(t, running.CreateSession(t.Context(), session("c")))
}

func TestOpenWithoutRights(t *testing.T) {
	c := pgtest.Shared(t)
	name := c.Database(t)
	c.Exec(t, name, "create role weak login; grant usage on schema public to weak")
	t.Cleanup(func() { c.Exec(t, name, "drop owned by weak; drop role weak") })
	opts := with(c.Socket(name), "user", "weak")
	_, err := Open(t.Context(), opts)
	wantOpenError(t, err, addressOf(opts), "database_read_only", ErrReadOnly)
}

// hold locks the row of a session, as somebody would who is in the middle of changing it.
func hold(t *testing.T, opts Options, id string) (release func()) {
	t.Helper()
	opts.Timeout = DefaultTimeout
	tx, err := target(t, opts).db.BeginTx(t.Context(), nil)
	must(t, err)
	_, err = tx.ExecContext(t.Context(), "update stagedoor_sessions set scope = scope where id = $1", id)
	must(t, err)
	return func() { must(t, tx.Rollback()) }
}

// TestHangingStatement is cut by the server, and the connection is good afterwards.
func TestHangingStatement(t *testing.T) {
	opts := postgres(t)
	opts.Timeout = 250 * time.Millisecond
	s := open(t, opts)
	must(t, s.CreateSession(t.Context(), session("a")))
	pool := s.db.(*postgresDB).pool
	made := pool.Stat().NewConnsCount()
	release := hold(t, opts, "a")
	if err := s.DeleteSession(t.Context(), "a"); !errors.Is(err, ErrBusy) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want %v", err, ErrBusy)
	}
	must(t, s.Ping(t.Context()))
	if n := pool.Stat().NewConnsCount(); n > made+1 {
		t.Errorf("%d connections were made anew", n-made)
	}
	release()
	must(t, s.DeleteSession(t.Context(), "a"))
}

// TestSweepLeavesWhatOthersHold: a session that somebody is using at this moment is not waited for, nor removed when they are done.
func TestSweepLeavesWhatOthersHold(t *testing.T) {
	opts := postgres(t)
	opts.Idle = time.Millisecond
	s := open(t, opts)
	for _, id := range []string{"a", "b"} {
		idle := session(id)
		idle.UsedAt, idle.ExpiresAt = time.Unix(0, 0), time.Now().Add(time.Hour)
		must(t, s.CreateSession(t.Context(), idle))
	}
	release := hold(t, opts, "a")
	if n, err := s.Sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("swept %d rows, %v, want the one that nobody holds", n, err)
	}
	release()
	_, err := s.Session(t.Context(), "a")
	must(t, err)
}

// TestWaitForAConnectionIsBounded has one connection, which somebody keeps.
func TestWaitForAConnectionIsBounded(t *testing.T) {
	opts := postgres(t)
	opts.Postgres.MaxConns = 1
	s := open(t, opts)
	conn, err := s.db.(*postgresDB).pool.Acquire(t.Context())
	must(t, err)
	s.opts.Timeout = 10 * time.Millisecond
	if err := s.Ping(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want %v", err, context.DeadlineExceeded)
	}
	conn.Release()
	s.opts.Timeout = DefaultTimeout
	must(t, s.Ping(t.Context()))
}

// TestServerKilled has the server crash, stay away and come back under an open store: calls fail meanwhile, nothing that was
// acknowledged is lost, and the store goes on by itself.
func TestServerKilled(t *testing.T) {
	c := pgtest.Start(t)
	opts := Options{Postgres: &Postgres{Settings: c.TCP(c.Database(t)), MinConns: 3}}
	s := open(t, opts)
	for i, end := range []func(testing.TB){c.Kill, c.Stop} {
		must(t, s.CreateSession(t.Context(), session(fmt.Sprint(i))))
		_, err := s.AcquireLease(t.Context(), signin.Lease{Session: fmt.Sprint(i), Owner: "x", TTL: time.Minute})
		must(t, err)
		end(t)
		for failed := 0; failed < 4; {
			err := s.CreateSession(t.Context(), session(rand.Text()))
			if err == nil && failed == 0 {
				continue // the processes of a killed server outlive it for a moment
			}
			if !errors.Is(err, ErrUnreachable) {
				t.Fatalf("error is %v, want %v", err, ErrUnreachable)
			}
			failed++
		}
		c.Restart(t)
		for j := range i + 1 {
			_, err := s.Session(t.Context(), fmt.Sprint(j))
			must(t, err)
		}
		_, err = s.AcquireLease(t.Context(), signin.Lease{Session: fmt.Sprint(i), Owner: "y", TTL: time.Minute})
		if !errors.Is(err, signin.ErrNotOwner) {
			t.Errorf("the lease did not survive: error is %v", err)
		}
	}
}

// TestServerRestartedUnnoticed: of all connections that broke while nobody looked, one call fails at most.
func TestServerRestartedUnnoticed(t *testing.T) {
	c := pgtest.Start(t)
	s := open(t, Options{Postgres: &Postgres{Settings: c.TCP(c.Database(t))}})
	pool := s.db.(*postgresDB).pool
	var held []*pgxpool.Conn
	for range 4 {
		conn, err := pool.Acquire(t.Context())
		must(t, err)
		held = append(held, conn)
	}
	for _, conn := range held {
		conn.Release()
	}
	c.Stop(t)
	c.Restart(t)
	failed := 0
	for range 5 {
		if err := s.Ping(t.Context()); err != nil {
			failed++
		}
	}
	if failed > 1 {
		t.Errorf("%d calls failed, want one at most", failed)
	}
}

// TestRetry has the database undo the first attempts, as one does that runs transactions as if one after the other.
func TestRetry(t *testing.T) {
	const trigger = `create sequence tries; create function undo() returns trigger language plpgsql as $$ begin
		if nextval('tries') <= %d then raise exception 'try again' using errcode = '%s'; end if; return new; end $$;
		create trigger undo before insert on stagedoor_adoptions for each row execute function undo()`
	tests := []struct {
		state string
		fails int
		tries int
		want  error
	}{
		{"40001", attempts - 1, attempts, nil},
		{"40P01", 1, 2, nil},
		{"40001", attempts, attempts, ErrBusy},
		{"40003", 1, 1, ErrBusy}, // whether it is done nobody knows, so it is not done again
		{"53100", 1, 1, ErrFull},
		{"XX001", 1, 1, ErrCorrupt},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.state, " ", tt.fails), func(t *testing.T) {
			c := pgtest.Shared(t)
			name := c.Database(t)
			opts := Options{Postgres: &Postgres{Settings: c.Socket(name)}}
			s := open(t, opts)
			c.Exec(t, name, fmt.Sprintf(trigger, tt.fails, tt.state))
			if err := s.AdoptSession(t.Context(), session("a")); !errors.Is(err, tt.want) {
				t.Errorf("error is %v, want %v", err, tt.want)
			}
			if n := count(t, opts, "select last_value from tries"); n != tt.tries {
				t.Errorf("%d tries, want %d", n, tt.tries)
			}
			if n := count(t, opts, "select count(*) from stagedoor_sessions"); (n == 1) != (tt.want == nil) {
				t.Errorf("%d sessions are stored", n)
			}
		})
	}
}
