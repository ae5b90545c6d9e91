package store

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"time"

	"stagedoor/server/internal/op"
	"stagedoor/server/internal/signin"
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
	// Postgres is the PostgreSQL database to use instead of an SQLite file; nil is SQLite. Path and BusyTimeout are without effect
	// then.
	Postgres *Postgres
	// Idle is how long a session may be unused before Sweep removes it; zero is for ever.
	Idle time.Duration
	// SweepEvery is the interval of Run; zero is DefaultSweepEvery.
	SweepEvery time.Duration
	// BusyTimeout is how long a statement waits for other processes to let go of the file; zero is DefaultBusyTimeout.
	BusyTimeout time.Duration
	// Timeout ends a call that takes longer, unless the caller's context ends it sooner; zero is DefaultTimeout. The wait for a
	// connection counts. In SQLite it does not cut a wait for another process short: that is what BusyTimeout is for.
	Timeout time.Duration
	// Now is the store's clock; nil is time.Now. Leases in PostgreSQL are counted by that database's own.
	Now func() time.Time
	// Migrations are those to run, in files named as the built-in ones, which they replace; nil is those. A test of an upgrade brings
	// the ones of a younger version.
	Migrations fs.FS
	// Log gets one line per migration and per failed sweep; nil is nowhere.
	Log *slog.Logger
}

// Store is an open database. It is safe for concurrent use, and several of them, in several processes, may be open on one
// database. Every method ends with its context, and has then stored all of what it was to store or nothing.
type Store struct {
	opts        Options
	db          database
	write, read queries
}

var _ interface {
	signin.SessionStore
	signin.TransactionStore
	signin.UserInfoStore
	op.UserInfoStore
	tokens.KeyStore
} = (*Store)(nil)

// Open opens the database and brings its schema up to date. The error is an *OpenError that wraps one of this package's sentinels
// where that is the cause.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	s := &Store{opts: opts, db: opts.database()}
	if err := s.db.open(ctx); err != nil {
		return nil, openError(s.db, errors.Join(err, s.Close()))
	}
	s.write, s.read = s.db.queries()
	return s, nil
}

func (o Options) database() database {
	if o.Postgres != nil {
		return &postgresDB{opts: o, Postgres: *o.Postgres, name: "PostgreSQL"}
	}
	return &sqliteDB{opts: o}
}

func (o Options) withDefaults() Options {
	o.Path = cmp.Or(o.Path, memory)
	o.SweepEvery = cmp.Or(o.SweepEvery, DefaultSweepEvery)
	o.BusyTimeout = cmp.Or(o.BusyTimeout, DefaultBusyTimeout)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Migrations == nil {
		o.Migrations, _ = fs.Sub(embedded, "migrations") // the error is about the name alone
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Close ends the use of the database. Calls that are under way fail, or end first.
func (s *Store) Close() error { return wrap("close database", s.db.close()) }

// Ping returns nil if the database answers. It reads, and does not wait for whoever is writing.
func (s *Store) Ping(ctx context.Context) error {
	return s.call(ctx, "ping database", func(ctx context.Context) error {
		_, err := s.read.CountKeys(ctx)
		return err
	})
}

// attempts is how often a call is made at most.
const attempts = 5

// call does the work of one method: under the deadline that every call has, again where the database asks for that, and with an
// error that says what was being done.
func (s *Store) call(ctx context.Context, doing string, work func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	err := work(ctx)
	for n := 1; n < attempts && err != nil && s.db.transient(err); n++ {
		if !pause(ctx, n) {
			break
		}
		err = work(ctx)
	}
	return wrap(doing, err)
}

// pause waits before the next attempt, longer each time, and not equally long in two processes that have met. It returns false if
// ctx ended meanwhile.
func pause(ctx context.Context, n int) bool {
	again := time.NewTimer(rand.N(5 * time.Millisecond << n))
	defer again.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-again.C:
		return true
	}
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
