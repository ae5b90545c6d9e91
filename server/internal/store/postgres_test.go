package store

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store/pgtest"
	"stagedoor/tokens"
)

// withClock makes the database's own clock follow c: a function called now in a schema that its sessions look into before they look
// into the one of the system.
func withClock(t *testing.T, opts Options, c *clock) Options {
	t.Helper()
	name, cluster := opts.Postgres.Settings["database"], pgtest.Shared(t)
	cluster.Exec(t, name, fmt.Sprintf(`create table public.clock (at bigint not null); insert into public.clock values (%d);
		create function public.now() returns timestamptz language sql stable as 'select to_timestamp(at / 1000.0) from public.clock'`, c.ms.Load()))
	c.moved = func(ms int64) { cluster.Exec(t, name, fmt.Sprint("update public.clock set at = ", ms)) }
	return with(opts.Postgres.Settings, "search_path", "public, pg_catalog")
}

// with returns options with a setting changed; the empty value takes it away.
func with(settings map[string]string, name, value string) Options {
	settings = maps.Clone(settings)
	if settings[name] = value; value == "" {
		delete(settings, name)
	}
	return Options{Postgres: &Postgres{Settings: settings}}
}

// TestLeasesFollowTheDatabasesClock has two replicas whose clocks differ by hours.
func TestLeasesFollowTheDatabasesClock(t *testing.T) {
	opts := postgres(t)
	replica := func(offset time.Duration) *Store {
		opts.Now, opts.Idle = func() time.Time { return time.Now().Add(offset) }, time.Millisecond
		return open(t, opts)
	}
	behind, ahead := replica(-3*time.Hour), replica(3*time.Hour)
	s := session("a")
	s.UsedAt, s.ExpiresAt = time.Unix(0, 0), time.Now().Add(24*time.Hour)
	must(t, behind.CreateSession(t.Context(), s))
	for _, r := range []*Store{behind, ahead} {
		_, err := r.AcquireLease(t.Context(), signin.Lease{Session: "a", Owner: "x", TTL: time.Minute})
		must(t, err)
		for _, other := range []*Store{behind, ahead} {
			if _, err := other.AcquireLease(t.Context(), signin.Lease{Session: "a", Owner: "y", TTL: time.Minute}); !errors.Is(err, signin.ErrNotOwner) {
				t.Errorf("error is %v, want %v", err, signin.ErrNotOwner)
			}
			if n, err := other.Sweep(t.Context()); n != 0 || err != nil {
				t.Errorf("swept %d rows, %v: the session is leased", n, err)
			}
		}
	}
}

func TestSchemaAndRole(t *testing.T) {
	c := pgtest.Shared(t)
	name := c.Database(t)
	c.Exec(t, name, `create role "an owner"; grant create on database `+name+` to "an owner"`)
	t.Cleanup(func() { c.Exec(t, name, `drop owned by "an owner" cascade; drop role "an owner"`) })
	opts := Options{Postgres: &Postgres{Settings: c.Socket(name), Schema: `Auth "1"`, Role: "an owner"}}
	_, err := Open(t.Context(), opts)
	wantOpenError(t, err, addressOf(opts), "database_schema_missing", ErrNoSchema)

	opts.Postgres.CreateSchema = true
	openAtOnce(t, opts, 10)
	plain := with(c.Socket(name), "", "")
	if n := count(t, plain, `select count(*) from "Auth ""1""".stagedoor_sessions`); n != 10 {
		t.Errorf("%d sessions in the schema, want 10", n)
	}
	if n := count(t, plain, `select count(*) from pg_tables where tablename like 'stagedoor_%' and (schemaname <> 'Auth "1"' or tableowner <> 'an owner')`); n != 0 {
		t.Errorf("%d tables are elsewhere or somebody else's", n)
	}
}

// TestCreateDatabase has replicas start where there is no database yet.
func TestCreateDatabase(t *testing.T) {
	c := pgtest.Shared(t)
	opts := with(c.Socket(`backstage_plugin "auth"`), "", "")
	_, err := Open(t.Context(), opts)
	wantOpenError(t, err, addressOf(opts), "database_missing", ErrNoDatabase)

	opts.Postgres.CreateDatabase = true
	t.Cleanup(func() { c.Exec(t, pgtest.User, `drop database "backstage_plugin ""auth""" with (force)`) })
	openAtOnce(t, opts, 10)
	if n := count(t, opts, "select count(*) from stagedoor_sessions"); n != 10 {
		t.Errorf("%d sessions, want 10", n)
	}
}

func TestSessionSettings(t *testing.T) {
	c := pgtest.Shared(t)
	name := c.Database(t)
	settingsOf := func(opts Options) map[string]string {
		got, conn := map[string]string{}, open(t, opts).db.(*postgresDB).pool
		for _, setting := range []string{"application_name", "statement_timeout", "idle_in_transaction_session_timeout", "lock_timeout"} {
			var value string
			must(t, conn.QueryRow(t.Context(), "select current_setting($1)", setting).Scan(&value))
			got[setting] = value
		}
		return got
	}
	want := map[string]string{
		"application_name": "stagedoor", "statement_timeout": "8s", "idle_in_transaction_session_timeout": "8s", "lock_timeout": "0",
	}
	if diff := cmp.Diff(want, settingsOf(with(c.Socket(name), "", ""))); diff != "" {
		t.Errorf("settings differ (-want +got):\n%s", diff)
	}
	configured := c.Socket(name)
	configured["application_name"], configured["statement_timeout"], configured["lock_timeout"] = "portal's", "3000", "2000"
	want["application_name"], want["statement_timeout"], want["lock_timeout"] = "portal's", "3s", "2s"
	if diff := cmp.Diff(want, settingsOf(with(configured, "", ""))); diff != "" {
		t.Errorf("settings differ (-want +got):\n%s", diff)
	}
}

// TestWithoutPreparedStatements is how a pooler that shares connections between transactions wants it.
func TestWithoutPreparedStatements(t *testing.T) {
	c := pgtest.Shared(t)
	name := c.Database(t)
	for _, mode := range []string{"simple_protocol", "exec"} {
		s := open(t, with(c.TCP(name), "default_query_exec_mode", mode))
		want := session(mode)
		want.Tokens, want.Scope = []byte{0, 255, '\'', '\\'}, `o'k\"ta`
		must(t, s.AdoptSession(t.Context(), want))
		got, err := s.AcquireLease(t.Context(), signin.Lease{Session: mode, Owner: "x", TTL: time.Second})
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: session differs (-want +got):\n%s", mode, diff)
		}
		must(t, s.AddKey(t.Context(), tokens.Key{ID: mode, Generation: int64(len(mode)), RetireAt: time.Unix(1, 0)}))
		_, err = s.Sweep(t.Context())
		must(t, err)
	}
}
