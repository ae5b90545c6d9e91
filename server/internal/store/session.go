package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store/sqlitedb"
)

// CreateSession stores a new session. An ID that is taken is an error, and the session that has it stays as it is.
func (s *Store) CreateSession(ctx context.Context, session signin.Session) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	return wrap("create session", s.write.InsertSession(ctx, sessionRow(session)))
}

// AdoptSession stores a session that comes from elsewhere, at most once per ID: signin.ErrConsumed if it was adopted before.
// The memory of it is a row of its own, which stays until ExpiresAt whatever happens to the session.
func (s *Store) AdoptSession(ctx context.Context, session signin.Session) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	err := s.atomically(ctx, func(q *sqlitedb.Queries) error {
		n, err := q.InsertAdoption(ctx, sqlitedb.InsertAdoptionParams{
			SessionID: session.ID, Until: millis(session.ExpiresAt),
		})
		if err != nil {
			return err
		}
		if n == 0 {
			return signin.ErrConsumed
		}
		return q.InsertSession(ctx, sessionRow(session))
	})
	return wrap("adopt session", err)
}

// Session returns the session, expired or not, or signin.ErrNoSession.
func (s *Store) Session(ctx context.Context, id string) (signin.Session, error) {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	row, err := s.read.SelectSession(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return signin.Session{}, signin.ErrNoSession
	}
	if err != nil {
		return signin.Session{}, wrap("read session", err)
	}
	return sessionOf(row), nil
}

// TouchSession sets UsedAt and UserRef. signin.ErrNoSession if the session is gone.
func (s *Store) TouchSession(ctx context.Context, id, userRef string, usedAt time.Time) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	n, err := s.write.TouchSession(ctx, sqlitedb.TouchSessionParams{ID: id, UserRef: userRef, UsedAt: millis(usedAt)})
	if err != nil {
		return wrap("touch session", err)
	}
	if n == 0 {
		return signin.ErrNoSession
	}
	return nil
}

// ExpireSession brings ExpiresAt forward to at, never back. A missing session is no error.
func (s *Store) ExpireSession(ctx context.Context, id string, at time.Time) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	return wrap("expire session", s.write.ExpireSession(ctx, sqlitedb.ExpireSessionParams{ID: id, At: millis(at)}))
}

// DeleteSession removes the session with its lease. A missing session is no error.
func (s *Store) DeleteSession(ctx context.Context, id string) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	return wrap("delete session", s.write.DeleteSession(ctx, id))
}

func sessionRow(s signin.Session) sqlitedb.InsertSessionParams {
	return sqlitedb.InsertSessionParams{
		ID: s.ID, Provider: s.Provider, Env: s.Env, UserRef: s.UserRef, Scope: s.Scope, Tokens: blob(s.Tokens),
		CreatedAt: millis(s.CreatedAt), UsedAt: millis(s.UsedAt),
		RefreshedAt: millis(s.RefreshedAt), ExpiresAt: millis(s.ExpiresAt),
	}
}

func sessionOf(r sqlitedb.Session) signin.Session {
	return signin.Session{
		ID: r.ID, Provider: r.Provider, Env: r.Env, UserRef: r.UserRef, Scope: r.Scope, Tokens: r.Tokens,
		CreatedAt: instant(r.CreatedAt), UsedAt: instant(r.UsedAt),
		RefreshedAt: instant(r.RefreshedAt), ExpiresAt: instant(r.ExpiresAt),
	}
}
