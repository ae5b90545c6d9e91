package store

import (
	"context"
	"database/sql"
	"errors"

	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store/sqlitedb"
)

// A lease is two columns of the session's row, who holds it and until when, and every step is one statement that compares and
// swaps them. Its time is counted by one clock for all who share the database. For SQLite that is Options.Now, as all of
// them run on one machine; PostgreSQL uses its own, as the replicas' clocks may differ by more than a lease lasts.
//
// A lease whose time is up is not lost before somebody else takes it: until then its holder may still renew or finish. What
// the holder learned may be the only copy of a rotated refresh token, so it must not be thrown away without need.

// AcquireLease takes the session's lease if nobody holds it, the holder's time is up, or l.Owner holds it already, and
// returns the session as it is then. signin.ErrNotOwner if somebody else holds it, signin.ErrNoSession if the session is gone.
func (s *Store) AcquireLease(ctx context.Context, l signin.Lease) (session signin.Session, err error) {
	err = s.call(ctx, "acquire lease", func(ctx context.Context) error {
		row, err := s.write.acquireLease(ctx, l)
		if errors.Is(err, sql.ErrNoRows) {
			return s.whyNot(ctx, l.Session)
		}
		session = sessionOf(row)
		return err
	})
	if err != nil {
		return signin.Session{}, err
	}
	return session, nil
}

// RenewLease extends a held lease by its TTL from now. signin.ErrNotOwner if it was lost, also with its session.
func (s *Store) RenewLease(ctx context.Context, l signin.Lease) error {
	return s.call(ctx, "renew lease", func(ctx context.Context) error {
		n, err := s.write.renewLease(ctx, l)
		return changed(n, err, signin.ErrNotOwner)
	})
}

// FinishLease stores what the holder learned and gives the lease back, in one statement. signin.ErrNotOwner if it was lost,
// signin.ErrNoSession if the session is gone; nothing is stored then.
func (s *Store) FinishLease(ctx context.Context, l signin.Lease, r signin.Renewal) error {
	learned := sqlitedb.FinishLeaseParams{
		ID: l.Session, Owner: l.Owner, Scope: r.Scope, Tokens: blob(r.Tokens), RefreshedAt: millis(r.RefreshedAt),
		SubjectKey: r.SubjectKey, UpstreamKey: r.UpstreamKey,
	}
	return s.call(ctx, "finish lease", func(ctx context.Context) error {
		n, err := s.write.FinishLease(ctx, learned)
		if err == nil && n == 0 {
			return s.whyNot(ctx, l.Session)
		}
		return err
	})
}

// ReleaseLease gives the lease back without storing anything. A lost lease is no error.
func (s *Store) ReleaseLease(ctx context.Context, l signin.Lease) error {
	return s.call(ctx, "release lease", func(ctx context.Context) error {
		return s.write.ReleaseLease(ctx, sqlitedb.ReleaseLeaseParams{ID: l.Session, Owner: l.Owner})
	})
}

// whyNot tells the two reasons apart why a lease was not this flight's: the session is gone, or somebody else holds it.
func (s *Store) whyNot(ctx context.Context, id string) error {
	if _, err := s.write.SelectSession(ctx, id); err != nil {
		return found(err, signin.ErrNoSession)
	}
	return signin.ErrNotOwner
}
