package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"golang.org/x/sync/errgroup"

	"stagedoor/server/internal/signin"
	"stagedoor/tokens"
)

// target opens a database as migrate wants it: as the store does, but with nothing migrated, and without a lock.
func target(t *testing.T, opts Options) migrated {
	t.Helper()
	if opts.Postgres == nil {
		d := &sqliteDB{opts: opts.withDefaults()}
		must(t, d.connect())
		t.Cleanup(func() { must(t, d.close()) })
		return d.migrated()
	}
	d := &postgresDB{opts: opts.withDefaults(), Postgres: *opts.Postgres}
	config, err := d.config()
	must(t, err)
	db := stdlib.OpenDB(*config.ConnConfig)
	t.Cleanup(func() { must(t, db.Close()) })
	return migrated{db: db, dialect: goose.DialectPostgres, find: findTable}
}

// execSQL runs SQL on a database, as a program of another version would.
func execSQL(t *testing.T, opts Options, query string) {
	t.Helper()
	_, err := target(t, opts).db.ExecContext(t.Context(), query)
	must(t, err)
}

// count returns the number that a query finds.
func count(t *testing.T, opts Options, query string) (n int) {
	t.Helper()
	must(t, target(t, opts).db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

func addressOf(opts Options) string {
	if opts.Postgres == nil {
		return opts.Path
	}
	s := opts.Postgres.Settings
	return s["database"] + " on " + s["host"] + ":" + s["port"] + " as " + s["user"]
}

func TestOpenNewerSchema(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		running := open(t, opts)
		execSQL(t, opts, "alter table stagedoor_sessions add column extra text not null default 'x'")
		execSQL(t, opts, "insert into stagedoor_migrations (version_id, is_applied) values (999, true)")

		_, err := Open(t.Context(), opts)
		wantOpenError(t, err, addressOf(opts), "database_newer", ErrNewerSchema)
		got, _ := errors.AsType[*NewerSchemaError](err)
		if diff := cmp.Diff(&NewerSchemaError{Database: 999, Known: int64(migrations(t))}, got); diff != "" {
			t.Errorf("versions differ (-want +got):\n%s", diff)
		}

		// The process that was there before goes on serving.
		must(t, running.CreateSession(t.Context(), session("a")))
		_, err = running.AcquireLease(t.Context(), signin.Lease{Session: "a", Owner: "x", TTL: time.Second})
		must(t, err)
		_, err = running.Session(t.Context(), "a")
		must(t, err)
	})
}

// migrations is how many migrations this version has.
func migrations(t *testing.T) int {
	t.Helper()
	files, err := fs.Glob(embedded, "migrations/*.sql")
	must(t, err)
	return len(files)
}

// TestOpenOlderSchema opens a database as the first version made it, while that version is serving from it: what that one writes is
// read, and what is new works beside it.
func TestOpenOlderSchema(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		first, err := fs.ReadFile(embedded, "migrations/00001_init.sql")
		must(t, err)
		older := target(t, opts)
		must(t, migrate(t.Context(), older, fstest.MapFS{"00001_init.sql": {Data: first}}, opts.withDefaults().Log))
		if _, err := older.db.ExecContext(t.Context(), "select * from stagedoor_plugin_keys"); err == nil {
			t.Fatal("the older schema has all tables of this version: the test shows nothing")
		}
		_, err = older.db.ExecContext(t.Context(), "insert into stagedoor_signing_keys values ('before', 1, 'ES256', '{}', 'sealed', 0, 0, null)")
		must(t, err)

		s := open(t, opts)
		key := tokens.Key{ID: "plugin", Generation: 1, Public: []byte("{}"), Private: []byte("sealed")}
		must(t, s.PluginKeys().AddKey(t.Context(), key))
		wantKeys(t, s.PluginKeys(), key)
		_, err = older.db.ExecContext(t.Context(), "update stagedoor_signing_keys set retire_at = 1 where id = 'before'")
		must(t, err)
		keys, err := s.Keys(t.Context())
		if err != nil || len(keys) != 1 || keys[0].ID != "before" || keys[0].RetireAt.UnixMilli() != 1 {
			t.Errorf("keys are %v, %v, want the one of the older version", keys, err)
		}
	})
}

func TestOpenBesideBackstageTables(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		for _, table := range []string{"sessions", "signing_keys", "user_info"} {
			execSQL(t, opts, "create table "+table+" (id text)")
		}
		must(t, open(t, opts).CreateSession(t.Context(), session("a")))
	})
}

// openAtOnce has so many processes start at the same time, of which each stores a session.
func openAtOnce(t *testing.T, opts Options, replicas int) {
	t.Helper()
	var g errgroup.Group
	for i := range replicas {
		g.Go(func() error {
			s, err := Open(t.Context(), opts)
			if err != nil {
				return err
			}
			return errors.Join(s.CreateSession(t.Context(), session(fmt.Sprint(i))), s.Close())
		})
	}
	must(t, g.Wait())
}

// TestOpenAtOnce has many processes start on an empty database. None fails, and each migration has run once.
func TestOpenAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		const replicas = 20
		openAtOnce(t, opts, replicas)
		if n := count(t, opts, "select count(*) from stagedoor_migrations where version_id > 0"); n != migrations(t) {
			t.Errorf("%d migrations ran, want %d", n, migrations(t))
		}
		if n := count(t, opts, "select count(*) from stagedoor_sessions"); n != replicas {
			t.Errorf("%d sessions, want %d", n, replicas)
		}
	})
}

// TestMigrateWithoutLock has processes start on an empty database that has no lock to offer: what is written down decides.
func TestMigrateWithoutLock(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		dir, err := fs.Sub(embedded, "migrations")
		must(t, err)
		var g errgroup.Group
		for range 8 {
			m := target(t, opts)
			g.Go(func() error { return migrate(context.WithoutCancel(t.Context()), m, dir, opts.withDefaults().Log) })
		}
		must(t, g.Wait())
		must(t, open(t, opts).CreateSession(t.Context(), session("a")))
	})
}

// pending is a folder of migrations of which an open database lacks n. None of them may run twice.
func pending(t *testing.T, n int) fstest.MapFS {
	t.Helper()
	dir, known := fstest.MapFS{}, migrations(t)
	for i := range known + n {
		statement := fmt.Appendf(nil, "-- +goose Up\ncreate table t%d (a text not null);\ninsert into made values (%[1]d);\n", i+1-known)
		dir[fmt.Sprintf("%05d_t.sql", i+1)] = &fstest.MapFile{Data: statement}
	}
	return dir
}

// TestMigrateAtOnce has replicas that serve, and are not locked out by one another, migrate at the same time.
func TestMigrateAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		open(t, opts)
		execSQL(t, opts, "create table made (n bigint not null)")
		var g errgroup.Group
		for range 4 {
			m := target(t, opts)
			g.Go(func() error {
				return migrate(context.WithoutCancel(t.Context()), m, pending(t, 7), opts.withDefaults().Log)
			})
		}
		must(t, g.Wait())
		if n := count(t, opts, "select count(*) from made"); n != 7 {
			t.Errorf("%d migrations ran, want 7", n)
		}
	})
}

func TestMigrateStopsAtAFailure(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		open(t, opts)
		execSQL(t, opts, "create table made (n bigint not null)")
		m, log := target(t, opts), opts.withDefaults().Log
		dir := pending(t, 3)
		second := fmt.Sprintf("%05d_t.sql", migrations(t)+2)
		dir[second].Data = []byte("-- +goose Up\ninsert into made values (2);\ncreate nonsense;\n")
		if err := migrate(t.Context(), m, dir, log); err == nil {
			t.Fatal("no error")
		}
		if n := count(t, opts, "select count(*) from made"); n != 1 {
			t.Errorf("%d migrations left something, want only the first", n)
		}
		must(t, migrate(t.Context(), m, pending(t, 3), log))
		if n := count(t, opts, "select count(*) from made"); n != 3 {
			t.Errorf("%d migrations ran, want 3", n)
		}
	})
}
