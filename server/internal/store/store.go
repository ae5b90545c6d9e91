package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"stagedoor/server/internal/op"
	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store/sqlitedb"
	"stagedoor/tokens"
)

// What Options falls back to.
const (
	DefaultBusyTimeout = 5 * time.Second
	DefaultTimeout     = 10 * time.Second
	DefaultSweepEvery  = time.Minute
)

// Options say which database to open and how to use it.
type Options struct {
	// Path is the SQLite file. It is made if it does not exist, mode 0600, with its directory, mode 0700. Empty or
	// ":memory:" is a private database in memory, which ends with Close.
	Path string
	// Idle is how long a session may be unused before Sweep removes it; zero is for ever.
	Idle time.Duration
	// SweepEvery is the interval of Run; zero is DefaultSweepEvery.
	SweepEvery time.Duration
	// BusyTimeout is how long a statement waits for other processes to let go of the file; zero is DefaultBusyTimeout.
	BusyTimeout time.Duration
	// Timeout ends a call that takes longer, unless the caller's context ends it sooner; zero is DefaultTimeout. Neither
	// cuts a wait for another process short: that is what BusyTimeout is for.
	Timeout time.Duration
	// Now is the store's clock; nil is time.Now.
	Now func() time.Time
	// Log gets one line per migration and per failed sweep; nil is nowhere.
	Log *slog.Logger
}

// Store is an open database. It is safe for concurrent use, and several of them, in several processes, may be open on one
// file. Every method ends with its context, and has then stored all of what it was to store or nothing.
type Store struct {
	opts        Options
	writer      *sql.DB
	reader      *sql.DB
	write, read *sqlitedb.Queries
}

var _ interface {
	signin.SessionStore
	signin.TransactionStore
	signin.UserInfoStore
	op.UserInfoStore
	tokens.KeyStore
} = (*Store)(nil)

// Open opens the database and brings its schema up to date. The error is an *OpenError that wraps ErrBusy, ErrCorrupt,
// ErrReadOnly, ErrFull or ErrNewerSchema where one of them is the cause.
func Open(ctx context.Context, opts Options) (*Store, error) {
	s := &Store{opts: opts.withDefaults()}
	if err := s.open(ctx); err != nil {
		return nil, openError(s.opts.Path, errors.Join(err, s.Close()))
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	o.Path = cmp.Or(o.Path, memory)
	o.SweepEvery = cmp.Or(o.SweepEvery, DefaultSweepEvery)
	o.BusyTimeout = cmp.Or(o.BusyTimeout, DefaultBusyTimeout)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Close ends the use of the database. Calls that are under way fail.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.reader, s.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return wrap("close database", errors.Join(errs...))
}

// Ping returns nil if the database answers. It reads, and does not wait for whoever is writing.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	_, err := s.read.CountKeys(ctx)
	return wrap("ping database", err)
}

// limit gives ctx the deadline that every call has.
func (s *Store) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.opts.Timeout)
}

// atomically runs fn in one transaction: all of it is stored, or nothing is.
func (s *Store) atomically(ctx context.Context, fn func(*sqlitedb.Queries) error) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // says only that the transaction is over, once it is
	if err := fn(s.write.WithTx(tx)); err != nil {
		return err
	}
	return tx.Commit()
}

// millis is a time as it is stored.
func millis(t time.Time) int64 { return t.UnixMilli() }

// instant is the time that millis made, in UTC. The zero time comes back as the zero time.
func instant(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// blob is a value for a column that is not null: the driver writes a nil slice as null.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
