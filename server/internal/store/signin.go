package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"time"

	"stagedoor/server/internal/op"
	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store/sqlitedb"
)

// Consume marks the transaction as used until the given time, after which Sweep forgets it. signin.ErrConsumed if it was
// marked before, by whichever process.
func (s *Store) Consume(ctx context.Context, id string, until time.Time) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	n, err := s.write.InsertTransaction(ctx, sqlitedb.InsertTransactionParams{ID: id, Until: millis(until)})
	if err != nil {
		return wrap("consume transaction", err)
	}
	if n == 0 {
		return signin.ErrConsumed
	}
	return nil
}

// SaveUserInfo stores the document about a user, replacing what was there.
//
// Most refreshes say what the last one said, so it looks before it writes: readers do not queue for the one writer. Somebody who
// writes between the look and the return is as if they had come afterwards.
func (s *Store) SaveUserInfo(ctx context.Context, userRef string, info []byte) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	if stored, err := s.read.SelectUserInfo(ctx, userRef); err == nil && bytes.Equal(stored, info) {
		return nil
	}
	return wrap("save user info", s.write.SaveUserInfo(ctx, sqlitedb.SaveUserInfoParams{
		UserRef: userRef, Info: blob(info),
	}))
}

// UserInfo returns the document about a user, or op.ErrNoUserInfo.
func (s *Store) UserInfo(ctx context.Context, userRef string) ([]byte, error) {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	info, err := s.read.SelectUserInfo(ctx, userRef)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, op.ErrNoUserInfo
	}
	return info, wrap("read user info", err)
}
