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
// them run on one machine; PostgreSQL will use its own, as the replicas' clocks may differ by more than a lease lasts.
//
// A lease whose time is up is not lost before somebody else takes it: until then its holder may still renew or finish. What
// the holder learned may be the only copy of a rotated refresh token, so it must not be thrown away without need.

// AcquireLease takes the session's lease if nobody holds it, the holder's time is up, or l.Owner holds it already, and
// returns the session as it is then. signin.ErrNotOwner if somebody else holds it, signin.ErrNoSession if the session is gone.
func (s *Store) AcquireLease(ctx context.Context, l signin.Lease) (signin.Session, error) {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	row, err := s.write.AcquireLease(ctx, sqlitedb.AcquireLeaseParams{
		ID: l.Session, Owner: l.Owner, Until: s.leaseEnd(l), Now: millis(s.opts.Now()),
	})
	if errors.Is(err, sql.ErrNoRows) {
		return signin.Session{}, s.whyNot(ctx, "acquire lease", l.Session)
	}
	if err != nil {
		return signin.Session{}, wrap("acquire lease", err)
	}
	return sessionOf(row), nil
}

// RenewLease extends a held lease by its TTL from now. signin.ErrNotOwner if it was lost, also with its session.
func (s *Store) RenewLease(ctx context.Context, l signin.Lease) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	n, err := s.write.RenewLease(ctx, sqlitedb.RenewLeaseParams{ID: l.Session, Owner: l.Owner, Until: s.leaseEnd(l)})
	if err != nil {
		return wrap("renew lease", err)
	}
	if n == 0 {
		return signin.ErrNotOwner
	}
	return nil
}

// FinishLease stores what the holder learned and gives the lease back, in one statement. signin.ErrNotOwner if it was lost,
// signin.ErrNoSession if the session is gone; nothing is stored then.
func (s *Store) FinishLease(ctx context.Context, l signin.Lease, r signin.Renewal) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	n, err := s.write.FinishLease(ctx, sqlitedb.FinishLeaseParams{
		ID: l.Session, Owner: l.Owner, Scope: r.Scope, Tokens: blob(r.Tokens), RefreshedAt: millis(r.RefreshedAt),
	})
	if err != nil {
		return wrap("finish lease", err)
	}
	if n == 0 {
		return s.whyNot(ctx, "finish lease", l.Session)
	}
	return nil
}

// ReleaseLease gives the lease back without storing anything. A lost lease is no error.
func (s *Store) ReleaseLease(ctx context.Context, l signin.Lease) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	return wrap("release lease", s.write.ReleaseLease(ctx, sqlitedb.ReleaseLeaseParams{ID: l.Session, Owner: l.Owner}))
}

func (s *Store) leaseEnd(l signin.Lease) int64 { return millis(s.opts.Now().Add(l.TTL)) }

// whyNot tells the two reasons apart why a lease was not this flight's: the session is gone, or somebody else holds it.
func (s *Store) whyNot(ctx context.Context, doing, id string) error {
	_, err := s.write.SelectSession(ctx, id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return signin.ErrNoSession
	case err != nil:
		return wrap(doing, err)
	}
	return signin.ErrNotOwner
}
