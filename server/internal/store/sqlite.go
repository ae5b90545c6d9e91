package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store/sqlitedb"
)

// memory is the path of a database that has no file.
const memory = ":memory:"

// readers is how many reads of a file run at once. In WAL mode none of them waits for the writer.
const readers = 4

// sqliteDB is a file, or memory.
type sqliteDB struct {
	opts        Options
	writer      *sql.DB
	reader      *sql.DB
	write, read *sqlitedb.Queries
}

func (d *sqliteDB) address() string { return d.opts.Path }

func (d *sqliteDB) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, d.opts.Timeout)
	defer cancel()
	if err := d.connect(); err != nil {
		return err
	}
	if err := d.probe(ctx); err != nil {
		return err
	}
	if err := migrate(ctx, d.migrated(), d.opts.Migrations, d.opts.Log); err != nil {
		return err
	}
	return d.prepare(ctx)
}

// migrated is what migrate needs to know. SQLite has no lock that outlives a transaction.
func (d *sqliteDB) migrated() migrated {
	return migrated{
		db: d.writer, dialect: goose.DialectSQLite3,
		find: "select count(*) from sqlite_schema where type = 'table' and name = ?",
	}
}

func (d *sqliteDB) close() error {
	var errs []error
	for _, db := range []*sql.DB{d.reader, d.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

func (d *sqliteDB) queries() (write, read queries) { return d.with(d.write), d.with(d.read) }

func (d *sqliteDB) with(q *sqlitedb.Queries) queries { return sqliteQueries{q, d.opts.Now} }

func (d *sqliteDB) node() nodeDialect {
	return nodeDialect{write: d.writer, read: d.reader, nodeStatements: sqliteNode}
}

// transient is never true: busy_timeout has done the waiting already.
func (d *sqliteDB) transient(error) bool { return false }

func (d *sqliteDB) atomically(ctx context.Context, fn func(queries) error) error {
	tx, err := d.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // says only that the transaction is over, once it is
	if err := fn(d.with(d.write.WithTx(tx))); err != nil {
		return err
	}
	return tx.Commit()
}

// sqliteQueries count leases by the clock of this process: all that share a file run on one machine.
type sqliteQueries struct {
	*sqlitedb.Queries
	now func() time.Time
}

func (q sqliteQueries) leaseEnd(l signin.Lease) int64 { return millis(q.now().Add(l.TTL)) }

func (q sqliteQueries) acquireLease(ctx context.Context, l signin.Lease) (sqlitedb.Session, error) {
	return q.AcquireLease(ctx, sqlitedb.AcquireLeaseParams{
		ID: l.Session, Owner: l.Owner, Until: q.leaseEnd(l), Now: millis(q.now()),
	})
}

func (q sqliteQueries) renewLease(ctx context.Context, l signin.Lease) (int64, error) {
	return q.RenewLease(ctx, sqlitedb.RenewLeaseParams{ID: l.Session, Owner: l.Owner, Until: q.leaseEnd(l)})
}

func (q sqliteQueries) sweepIdleSessions(ctx context.Context, usedBefore, batch int64) (int64, error) {
	return q.SweepIdleSessions(ctx, sqlitedb.SweepIdleSessionsParams{UsedBefore: usedBefore, Now: millis(q.now()), Batch: batch})
}

// connect sets up the pools. SQLite has one writer at a time, so one connection writes: those who wait for it queue here, in
// order, and not in SQLite's busy handler, which polls. A database in memory is its connection, so that one reads as well.
func (d *sqliteDB) connect() (err error) {
	if d.opts.Path == memory {
		d.writer, err = pool("file::memory:?_txlock=immediate", 1)
		d.reader = d.writer
		return err
	}
	if err := makeFile(d.opts.Path); err != nil {
		return err
	}
	if d.writer, err = pool(d.dsn("journal_mode(WAL)", "synchronous(NORMAL)"), 1); err != nil {
		return err
	}
	d.reader, err = pool(d.dsn("query_only(1)"), readers)
	return err
}

// dsn names the file and its settings. WAL with synchronous NORMAL keeps every commit if the process dies; if the machine
// does, the last ones may be gone, but never part of one. WAL is a property of the file, so that only the writer sets it.
func (d *sqliteDB) dsn(pragmas ...string) string {
	busy := "busy_timeout(" + strconv.FormatInt(d.opts.BusyTimeout.Milliseconds(), 10) + ")"
	q := url.Values{"_txlock": {"immediate"}, "_pragma": append(pragmas, busy)}
	file := url.URL{Scheme: "file", OmitHost: true, Path: d.opts.Path, RawQuery: q.Encode()}
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
func (d *sqliteDB) probe(ctx context.Context) error {
	patience, cancel := context.WithTimeout(ctx, d.opts.BusyTimeout)
	defer cancel()
	again := time.NewTicker(probeEvery)
	defer again.Stop()
	for {
		err := lockOnce(ctx, d.writer)
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

func (d *sqliteDB) prepare(ctx context.Context) (err error) {
	if d.write, err = sqlitedb.Prepare(ctx, d.writer); err != nil {
		return fmt.Errorf("prepare statements: %w", err)
	}
	if d.read, err = sqlitedb.Prepare(ctx, d.reader); err != nil {
		return fmt.Errorf("prepare statements: %w", err)
	}
	return nil
}
