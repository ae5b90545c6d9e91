package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"stagedoor/server/internal/store/sqlitedb"
)

// memory is the path of a database that has no file.
const memory = ":memory:"

// readers is how many reads of a file run at once. In WAL mode none of them waits for the writer.
const readers = 4

// open connects, migrates and prepares. What it opened is closed by Close, also if it fails.
func (s *Store) open(ctx context.Context) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	if err := s.connect(); err != nil {
		return err
	}
	if err := probe(ctx, s.writer); err != nil {
		return err
	}
	migrations, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return fmt.Errorf("find migrations: %w", err)
	}
	if err := migrate(ctx, s.writer, migrations, s.opts.Log); err != nil {
		return err
	}
	return s.prepare(ctx)
}

// connect sets up the pools. SQLite has one writer at a time, so one connection writes: those who wait for it queue here, in
// order, and not in SQLite's busy handler, which polls. A database in memory is its connection, so that one reads as well.
func (s *Store) connect() (err error) {
	if s.opts.Path == memory {
		s.writer, err = pool("file::memory:?_txlock=immediate", 1)
		s.reader = s.writer
		return err
	}
	if err := makeFile(s.opts.Path); err != nil {
		return err
	}
	if s.writer, err = pool(s.dsn("synchronous(NORMAL)"), 1); err != nil {
		return err
	}
	s.reader, err = pool(s.dsn("query_only(1)"), readers)
	return err
}

// dsn names the file and its settings. WAL with synchronous NORMAL keeps every commit if the process dies; if the machine
// does, the last ones may be gone, but never part of one.
func (s *Store) dsn(pragma string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(" + strconv.FormatInt(s.opts.BusyTimeout.Milliseconds(), 10) + ")", "journal_mode(WAL)", pragma,
	}}
	file := url.URL{Scheme: "file", OmitHost: true, Path: s.opts.Path, RawQuery: q.Encode()}
	return file.String()
}

func pool(dsn string, size int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

// makeFile makes the file and its directory if they are not there: SQLite would make the file readable for everybody. The
// files that SQLite puts beside it take over its mode.
func makeFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open file: %w", err)
	}
	return f.Close()
}

// probe takes the write lock and gives it back: whether the file can be written must be known before the migrations, whose
// library tries again for seconds.
func probe(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("lock for writing: %w", err)
	}
	return tx.Rollback()
}

func (s *Store) prepare(ctx context.Context) (err error) {
	if s.write, err = sqlitedb.Prepare(ctx, s.writer); err != nil {
		return fmt.Errorf("prepare statements: %w", err)
	}
	if s.read, err = sqlitedb.Prepare(ctx, s.reader); err != nil {
		return fmt.Errorf("prepare statements: %w", err)
	}
	return nil
}
