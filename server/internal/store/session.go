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
	return s.call(ctx, "create session", func(ctx context.Context) error {
		return s.write.InsertSession(ctx, sessionRow(session))
	})
}

// AdoptSession stores a session that comes from elsewhere, at most once per ID: signin.ErrConsumed if it was adopted before.
// The memory of it is a row of its own, which stays until ExpiresAt whatever happens to the session.
func (s *Store) AdoptSession(ctx context.Context, session signin.Session) error {
	mark := sqlitedb.InsertAdoptionParams{SessionID: session.ID, Until: millis(session.ExpiresAt)}
	return s.call(ctx, "adopt session", func(ctx context.Context) error {
		return s.db.atomically(ctx, func(q queries) error {
			n, err := q.InsertAdoption(ctx, mark)
			if err := changed(n, err, signin.ErrConsumed); err != nil {
				return err
			}
			return q.InsertSession(ctx, sessionRow(session))
		})
	})
}

// Session returns the session, expired or not, or signin.ErrNoSession.
func (s *Store) Session(ctx context.Context, id string) (session signin.Session, err error) {
	err = s.call(ctx, "read session", func(ctx context.Context) error {
		row, err := s.read.SelectSession(ctx, id)
		session = sessionOf(row)
		return found(err, signin.ErrNoSession)
	})
	if err != nil {
		return signin.Session{}, err
	}
	return session, nil
}

// FindSessions returns up to q.Limit sessions in the order of their IDs, expired ones included.
func (s *Store) FindSessions(ctx context.Context, q signin.SessionQuery) (found []signin.Session, err error) {
	err = s.call(ctx, "find sessions", func(ctx context.Context) error {
		rows, err := s.findSessions(ctx, q)
		found = nil
		for _, r := range rows {
			found = append(found, sessionOf(r))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (s *Store) findSessions(ctx context.Context, q signin.SessionQuery) ([]sqlitedb.Session, error) {
	batch := int64(q.Limit)
	switch {
	case q.UserRef != "":
		return s.read.SessionsOfUser(ctx, sqlitedb.SessionsOfUserParams{UserRef: q.UserRef, After: q.After, Batch: batch})
	case q.UpstreamKey != "":
		return s.read.SessionsUpstream(ctx, sqlitedb.SessionsUpstreamParams{UpstreamKey: q.UpstreamKey, After: q.After, Batch: batch})
	case q.SubjectKey != "":
		return s.read.SessionsOfSubject(ctx, sqlitedb.SessionsOfSubjectParams{SubjectKey: q.SubjectKey, After: q.After, Batch: batch})
	}
	return s.read.SessionsAfter(ctx, sqlitedb.SessionsAfterParams{After: q.After, Batch: batch})
}

// TouchSession sets UsedAt and UserRef. signin.ErrNoSession if the session is gone.
func (s *Store) TouchSession(ctx context.Context, id, userRef string, usedAt time.Time) error {
	return s.call(ctx, "touch session", func(ctx context.Context) error {
		n, err := s.write.TouchSession(ctx, sqlitedb.TouchSessionParams{ID: id, UserRef: userRef, UsedAt: millis(usedAt)})
		return changed(n, err, signin.ErrNoSession)
	})
}

// ExpireSession brings ExpiresAt forward to at, never back. A missing session is no error.
func (s *Store) ExpireSession(ctx context.Context, id string, at time.Time) error {
	return s.call(ctx, "expire session", func(ctx context.Context) error {
		return s.write.ExpireSession(ctx, sqlitedb.ExpireSessionParams{ID: id, At: millis(at)})
	})
}

// DeleteSession removes the session with its lease. A missing session is no error.
func (s *Store) DeleteSession(ctx context.Context, id string) error {
	return s.call(ctx, "delete session", func(ctx context.Context) error { return s.write.DeleteSession(ctx, id) })
}

// changed is the answer none if a statement that is to change a row has changed none.
func changed(rows int64, err, none error) error {
	if err == nil && rows == 0 {
		return none
	}
	return err
}

// found is the answer none if a statement that is to find a row has found none.
func found(err, none error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return none
	}
	return err
}

func sessionRow(s signin.Session) sqlitedb.InsertSessionParams {
	return sqlitedb.InsertSessionParams{
		ID: s.ID, Provider: s.Provider, Env: s.Env, UserRef: s.UserRef, Scope: s.Scope, Tokens: blob(s.Tokens),
		CreatedAt: millis(s.CreatedAt), UsedAt: millis(s.UsedAt),
		RefreshedAt: millis(s.RefreshedAt), ExpiresAt: millis(s.ExpiresAt),
		SubjectKey: s.SubjectKey, UpstreamKey: s.UpstreamKey,
	}
}

func sessionOf(r sqlitedb.Session) signin.Session {
	return signin.Session{
		ID: r.ID, Provider: r.Provider, Env: r.Env, UserRef: r.UserRef, Scope: r.Scope, Tokens: r.Tokens,
		CreatedAt: instant(r.CreatedAt), UsedAt: instant(r.UsedAt),
		RefreshedAt: instant(r.RefreshedAt), ExpiresAt: instant(r.ExpiresAt),
		SubjectKey: r.SubjectKey, UpstreamKey: r.UpstreamKey,
	}
}
