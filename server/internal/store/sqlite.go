package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

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
	if err := s.probe(ctx); err != nil {
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
	if s.writer, err = pool(s.dsn("journal_mode(WAL)", "synchronous(NORMAL)"), 1); err != nil {
		return err
	}
	s.reader, err = pool(s.dsn("query_only(1)"), readers)
	return err
}

// dsn names the file and its settings. WAL with synchronous NORMAL keeps every commit if the process dies; if the machine
// does, the last ones may be gone, but never part of one. WAL is a property of the file, so that only the writer sets it.
func (s *Store) dsn(pragmas ...string) string {
	busy := "busy_timeout(" + strconv.FormatInt(s.opts.BusyTimeout.Milliseconds(), 10) + ")"
	q := url.Values{"_txlock": {"immediate"}, "_pragma": append(pragmas, busy)}
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

// probeEvery is how often probe tries again.
const probeEvery = 10 * time.Millisecond

// probe makes the first connection, takes the write lock and gives it back: whether the file can be written must be known
// before the migrations, whose library tries again for seconds.
//
// It has to wait for other processes on its own account. A connection that turns a new file to WAL needs the file for
// itself, and where others are just connecting SQLite gives up at once instead of waiting for BusyTimeout.
func (s *Store) probe(ctx context.Context) error {
	patience, cancel := context.WithTimeout(ctx, s.opts.BusyTimeout)
	defer cancel()
	again := time.NewTicker(probeEvery)
	defer again.Stop()
	for {
		err := lockOnce(ctx, s.writer)
		if !errors.Is(classify(err), ErrBusy) || patience.Err() != nil {
			return err
		}
		select {
		case <-patience.Done():
			return err
		case <-again.C:
		}
	}
}

// lockOnce takes the write lock and gives it back.
func lockOnce(ctx context.Context, db *sql.DB) error {
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
