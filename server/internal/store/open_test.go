package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/google/go-cmp/cmp"

	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store/sqlitedb"
	"stagedoor/tokens"
)

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := open(t, Options{Path: filepath.Join(dir, "auth.db")})
	must(t, s.CreateSession(t.Context(), session("a")))
	entries, err := os.ReadDir(dir)
	must(t, err)
	got := map[string]os.FileMode{}
	for _, e := range entries {
		info, err := e.Info()
		must(t, err)
		got[e.Name()] = info.Mode()
	}
	want := map[string]os.FileMode{"auth.db": 0o600, "auth.db-wal": 0o600, "auth.db-shm": 0o600}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modes differ (-want +got):\n%s", diff)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if info, err := os.Stat(d); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: mode %v, %v", d, info.Mode(), err)
		}
	}
}

func TestOddPaths(t *testing.T) {
	for _, name := range []string{"a b.db", "a?b=c&d.db", "a#b.db", "a%41.db", "é😀.db", "a:b.db", "memory:"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			open(t, Options{Path: path})
			if info, err := os.Stat(path); err != nil || info.Size() == 0 {
				t.Errorf("nothing was written to %q: %v", path, err)
			}
		})
	}
	t.Run("relative", func(t *testing.T) {
		t.Chdir(t.TempDir())
		open(t, Options{Path: "auth.db"})
		if info, err := os.Stat("auth.db"); err != nil || info.Size() == 0 {
			t.Errorf("nothing was written: %v", err)
		}
	})
}

// wantOpenError checks what Open says about the file at path.
func wantOpenError(t *testing.T, err error, path, code string, cause error) {
	t.Helper()
	got, ok := errors.AsType[*OpenError](err)
	if !ok {
		t.Fatalf("error is %v, want an *OpenError", err)
	}
	if got.Path != path || got.Code != code || !strings.Contains(got.Error(), path) {
		t.Errorf("error is %v, want code %s of %s", got, code, path)
	}
	if cause != nil && (!errors.Is(err, cause) || got.Advice == "") {
		t.Errorf("error is %v, want %v with advice", err, cause)
	}
}

func TestOpenLocked(t *testing.T) {
	path := file(t)
	release := lock(t, path)
	_, err := Open(t.Context(), Options{Path: path, BusyTimeout: time.Millisecond})
	wantOpenError(t, err, path, "database_locked", ErrBusy)
	release()
	open(t, Options{Path: path})
}

func TestOpenDamaged(t *testing.T) {
	path := file(t)
	good, err := Open(t.Context(), Options{Path: path})
	must(t, err)
	for i := range 100 {
		must(t, good.CreateSession(t.Context(), session(fmt.Sprint(i))))
	}
	must(t, good.Close())
	whole, err := os.ReadFile(path)
	must(t, err)

	tests := []struct {
		name    string
		content []byte
	}{
		{"no database", []byte(strings.Repeat("backend: {}\n", 1000))},
		{"zeros", make([]byte, 8192)},
		{"cut short", whole[:len(whole)/2]},
		{"schema overwritten", overwritten(whole, 100, 4096)},
		{"all but the header overwritten", overwritten(whole, 4096, len(whole))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := file(t)
			must(t, os.WriteFile(path, tt.content, 0o600))
			_, err := Open(t.Context(), Options{Path: path})
			wantOpenError(t, err, path, "database_corrupt", ErrCorrupt)
			left, err := os.ReadFile(path)
			must(t, err)
			if !bytes.Equal(left, tt.content) {
				t.Error("the file was changed")
			}
		})
	}
}

func overwritten(whole []byte, from, to int) []byte {
	b := bytes.Clone(whole)
	for i := from; i < to; i++ {
		b[i] = 0xa5
	}
	return b
}

func TestOpenEmptyFile(t *testing.T) {
	path := file(t)
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, open(t, Options{Path: path}).Ping(t.Context()))
}

func TestOpenNeitherFileNorRoom(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(t.Context(), Options{Path: dir})
	wantOpenError(t, err, dir, "database_unavailable", nil)

	path := filepath.Join(dir, "file", "auth.db")
	must(t, os.WriteFile(filepath.Dir(path), nil, 0o600))
	_, err = Open(t.Context(), Options{Path: path})
	wantOpenError(t, err, path, "database_unavailable", nil)
}

// nobody is a user without rights, for tests that run as root, who may write everything.
const nobody = 65534

func TestOpenReadOnly(t *testing.T) {
	tests := []struct {
		name              string
		fileMode, dirMode os.FileMode
	}{
		{"file", 0o400, 0o700},
		{"directory", 0o600, 0o500},
		{"directory without file", 0, 0o500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := file(t)
			if tt.fileMode != 0 {
				s, err := Open(t.Context(), Options{Path: path})
				must(t, err)
				must(t, s.Close())
				giveAway(t, path, tt.fileMode)
			}
			giveAway(t, filepath.Dir(path), tt.dirMode)
			must(t, os.Chmod(filepath.Dir(filepath.Dir(path)), 0o755))
			out, err := child(t, "open", path).Output()
			must(t, err)
			if !strings.Contains(string(out), path+" [database_read_only]") {
				t.Errorf("open says %q", out)
			}
		})
	}
}

// giveAway sets the mode, and as root the owner, so that the mode counts. The directory can be removed afterwards.
func giveAway(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if os.Getuid() == 0 {
		must(t, os.Chown(path, nobody, nobody))
	}
	must(t, os.Chmod(path, mode))
	t.Cleanup(func() { must(t, os.Chmod(path, 0o700)) })
}

// openUnprivileged runs in the child of TestOpenReadOnly and prints what Open says.
func openUnprivileged(path string) {
	if os.Getuid() == 0 {
		if err := syscall.Setuid(nobody); err != nil {
			fmt.Println("drop rights:", err)
			return
		}
	}
	s, err := Open(context.Background(), Options{Path: path})
	fmt.Println(err)
	if s != nil {
		_ = s.Close()
	}
}

// execSQL runs SQL on the file, as a program of another version would.
func execSQL(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must(t, err)
	_, err = db.ExecContext(t.Context(), query)
	must(t, err)
	must(t, db.Close())
}

func TestOpenNewerSchema(t *testing.T) {
	path := file(t)
	running := open(t, Options{Path: path})
	execSQL(t, path, `alter table stagedoor_sessions add column extra text not null default 'x';
		insert into stagedoor_migrations (version_id, is_applied) values (999, 1)`)

	_, err := Open(t.Context(), Options{Path: path})
	wantOpenError(t, err, path, "database_newer", ErrNewerSchema)
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
}

// migrations is how many migrations this version has.
func migrations(t *testing.T) int {
	t.Helper()
	files, err := fs.Glob(embedded, "migrations/*.sql")
	must(t, err)
	return len(files)
}

// TestOpenOlderSchema opens a database as the first version made it, while that version is serving from it.
func TestOpenOlderSchema(t *testing.T) {
	path := file(t)
	first, err := fs.ReadFile(embedded, "migrations/00001_init.sql")
	must(t, err)
	db, err := sql.Open("sqlite", path)
	must(t, err)
	log := Options{}.withDefaults().Log
	must(t, migrate(t.Context(), db, fstest.MapFS{"00001_init.sql": {Data: first}}, log))
	older, err := sqlitedb.Prepare(t.Context(), db)
	if older != nil || err == nil {
		t.Fatal("the older schema has all tables of this version: the test shows nothing")
	}
	const insert = "insert into stagedoor_signing_keys values (?, 1, 'ES256', '{}', 'sealed', 0, 0, null)"
	_, err = db.ExecContext(t.Context(), insert, "before")
	must(t, err)

	s := open(t, Options{Path: path})
	key := tokens.Key{ID: "plugin", Generation: 1, Public: []byte("{}"), Private: []byte("sealed")}
	must(t, s.PluginKeys().AddKey(t.Context(), key))
	wantKeys(t, s.PluginKeys(), key)
	_, err = db.ExecContext(t.Context(), "update stagedoor_signing_keys set retire_at = 1 where id = 'before'")
	must(t, err)
	must(t, db.Close())
	keys, err := s.Keys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].ID != "before" || keys[0].RetireAt.UnixMilli() != 1 {
		t.Errorf("keys are %v, %v, want the one of the older version", keys, err)
	}
}

func TestOpenBesideBackstageTables(t *testing.T) {
	path := file(t)
	execSQL(t, path, `create table sessions (sid text); create table signing_keys (kid text); create table user_info (ref text)`)
	must(t, open(t, Options{Path: path}).CreateSession(t.Context(), session("a")))
}

func TestOpenAtOnce(t *testing.T) {
	path := file(t)
	var g errgroup.Group
	for i := range 6 {
		g.Go(func() error {
			s, err := Open(t.Context(), Options{Path: path})
			if err != nil {
				return err
			}
			return errors.Join(s.CreateSession(t.Context(), session(fmt.Sprint(i))), s.Close())
		})
	}
	must(t, g.Wait())
}

// pending is a folder of migrations of which an open database lacks n. None of them may run twice.
func pending(t *testing.T, n int) fstest.MapFS {
	t.Helper()
	dir, known := fstest.MapFS{}, migrations(t)
	for i := range known + n {
		statement := fmt.Appendf(nil, "-- +goose Up\ncreate table t%d (a text not null);\n", i+1-known)
		dir[fmt.Sprintf("%05d_t.sql", i+1)] = &fstest.MapFile{Data: statement}
	}
	return dir
}

// schema returns the number of tables that pending's migrations made.
func schema(t *testing.T, db *sql.DB) (tables int) {
	t.Helper()
	must(t, db.QueryRowContext(t.Context(), "select count(*) from sqlite_schema where name glob 't[0-9]*'").Scan(&tables))
	return tables
}

func TestMigrateAtOnce(t *testing.T) {
	path, log := file(t), Options{}.withDefaults().Log
	replicas := make([]*Store, 4)
	for i := range replicas {
		replicas[i] = open(t, Options{Path: path})
	}
	var g errgroup.Group
	for _, s := range replicas {
		g.Go(func() error { return migrate(t.Context(), s.writer, pending(t, 7), log) })
	}
	must(t, g.Wait())
	if n := schema(t, replicas[0].writer); n != 7 {
		t.Errorf("%d tables, want those of 7 migrations", n)
	}
}

func TestMigrateStopsAtAFailure(t *testing.T) {
	s, log := open(t, Options{}), Options{}.withDefaults().Log
	dir := pending(t, 3)
	second := fmt.Sprintf("%05d_t.sql", migrations(t)+2)
	dir[second].Data = []byte("-- +goose Up\ncreate table t2 (a text);\ncreate nonsense;\n")
	if err := migrate(t.Context(), s.writer, dir, log); err == nil {
		t.Fatal("no error")
	}
	if n := schema(t, s.writer); n != 1 {
		t.Errorf("%d tables, want only that of the first", n)
	}
	must(t, migrate(t.Context(), s.writer, pending(t, 3), log))
	if n := schema(t, s.writer); n != 3 {
		t.Errorf("%d tables, want 3", n)
	}
}
