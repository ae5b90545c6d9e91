package store

import (
	"context"
	"time"

	"stagedoor/server/internal/store/sqlitedb"
)

// sweepBatch is how many rows one statement of a sweep removes at most: few enough that a sign-in which waits for the writer
// does not notice.
const sweepBatch = 200

// Run sweeps at intervals until ctx ends. What fails is logged and tried again at the next one. Several replicas may run it.
func (s *Store) Run(ctx context.Context) {
	tick := time.NewTicker(s.opts.SweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.sweepAndLog(ctx)
		}
	}
}

func (s *Store) sweepAndLog(ctx context.Context) {
	n, err := s.Sweep(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.opts.Log.WarnContext(ctx, "sweep failed", "err", err)
	case n > 0:
		s.opts.Log.DebugContext(ctx, "expired rows removed", "rows", n)
	}
}

// Sweep removes what is over: sessions past ExpiresAt, sessions unused for Options.Idle unless a refresh of theirs is under way,
// and the marks of consumed transactions, adopted sessions and failed attempts whose time is up. It returns how many rows went, also beside an
// error. It works in small batches and lets every other writer go first between two of them.
func (s *Store) Sweep(ctx context.Context) (int, error) {
	total := 0
	for _, remove := range s.sweeps() {
		n, err := s.drain(ctx, remove)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// removal deletes one batch of what was over before now, and returns how many rows that were.
type removal func(ctx context.Context, now time.Time) (int64, error)

func (s *Store) sweeps() []removal {
	all := []removal{s.sweepExpired, s.sweepAdoptions, s.sweepTransactions, s.sweepAttempts}
	if s.opts.Idle > 0 {
		all = append(all, s.sweepIdle)
	}
	return all
}

// drain repeats remove until a batch is not full.
func (s *Store) drain(ctx context.Context, remove removal) (int, error) {
	for total := 0; ; {
		n, err := s.batch(ctx, remove)
		total += int(n)
		if err != nil || n < sweepBatch {
			return total, err
		}
	}
}

func (s *Store) batch(ctx context.Context, remove removal) (n int64, err error) {
	err = s.call(ctx, "sweep", func(ctx context.Context) (err error) {
		n, err = remove(ctx, s.opts.Now())
		return err
	})
	return n, err
}

func (s *Store) sweepExpired(ctx context.Context, now time.Time) (int64, error) {
	return s.write.SweepExpiredSessions(ctx, sqlitedb.SweepExpiredSessionsParams{Now: millis(now), Batch: sweepBatch})
}

func (s *Store) sweepIdle(ctx context.Context, now time.Time) (int64, error) {
	return s.write.sweepIdleSessions(ctx, millis(now.Add(-s.opts.Idle)), sweepBatch)
}

func (s *Store) sweepAdoptions(ctx context.Context, now time.Time) (int64, error) {
	return s.write.SweepAdoptions(ctx, sqlitedb.SweepAdoptionsParams{Now: millis(now), Batch: sweepBatch})
}

func (s *Store) sweepTransactions(ctx context.Context, now time.Time) (int64, error) {
	return s.write.SweepTransactions(ctx, sqlitedb.SweepTransactionsParams{Now: millis(now), Batch: sweepBatch})
}

func (s *Store) sweepAttempts(ctx context.Context, now time.Time) (int64, error) {
	return s.write.SweepAttempts(ctx, sqlitedb.SweepAttemptsParams{Now: millis(now), Batch: sweepBatch})
}
