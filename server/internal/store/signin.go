package store

import (
	"bytes"
	"context"
	"time"

	"stagedoor/server/internal/op"
	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store/sqlitedb"
)

// Consume marks the transaction as used until the given time, after which Sweep forgets it. signin.ErrConsumed if it was
// marked before, by whichever process.
func (s *Store) Consume(ctx context.Context, id string, until time.Time) error {
	return s.call(ctx, "consume transaction", func(ctx context.Context) error {
		n, err := s.write.InsertTransaction(ctx, sqlitedb.InsertTransactionParams{ID: id, Until: millis(until)})
		return changed(n, err, signin.ErrConsumed)
	})
}

// SaveUserInfo stores the document about a user, replacing what was there.
//
// Most refreshes say what the last one said, so it looks before it writes: readers do not queue for the one writer that SQLite
// has, and a row of PostgreSQL's is not made anew. Somebody who writes between the look and the return is as if they had come
// afterwards.
func (s *Store) SaveUserInfo(ctx context.Context, userRef string, info []byte) error {
	return s.call(ctx, "save user info", func(ctx context.Context) error {
		if stored, err := s.read.SelectUserInfo(ctx, userRef); err == nil && bytes.Equal(stored, info) {
			return nil
		}
		return s.write.SaveUserInfo(ctx, sqlitedb.SaveUserInfoParams{UserRef: userRef, Info: blob(info)})
	})
}

// UserInfo returns the document about a user, or op.ErrNoUserInfo.
func (s *Store) UserInfo(ctx context.Context, userRef string) (info []byte, err error) {
	err = s.call(ctx, "read user info", func(ctx context.Context) (err error) {
		info, err = s.read.SelectUserInfo(ctx, userRef)
		return found(err, op.ErrNoUserInfo)
	})
	return info, err
}

// SaveAttempt keeps what became of a failed attempt until the given time.
func (s *Store) SaveAttempt(ctx context.Context, id string, attempt []byte, until time.Time) error {
	return s.call(ctx, "save attempt", func(ctx context.Context) error {
		return s.write.SaveAttempt(ctx, sqlitedb.SaveAttemptParams{ID: id, Attempt: blob(attempt), Until: millis(until)})
	})
}

// Attempt returns what SaveAttempt kept, or signin.ErrNoAttempt.
func (s *Store) Attempt(ctx context.Context, id string) (attempt []byte, err error) {
	err = s.call(ctx, "read attempt", func(ctx context.Context) (err error) {
		attempt, err = s.read.SelectAttempt(ctx, sqlitedb.SelectAttemptParams{ID: id, Now: millis(s.opts.Now())})
		return found(err, signin.ErrNoAttempt)
	})
	return attempt, err
}
