package store

import (
	"context"

	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store/pgdb"
	"stagedoor/server/internal/store/sqlitedb"
)

// pgQueries are PostgreSQL's statements. What takes and returns plain values is taken over as it is.
type pgQueries struct{ *pgdb.Queries }

var _ queries = pgQueries{}

func (q pgQueries) InsertSession(ctx context.Context, p sqlitedb.InsertSessionParams) error {
	return q.Queries.InsertSession(ctx, pgdb.InsertSessionParams(p))
}

func (q pgQueries) InsertAdoption(ctx context.Context, p sqlitedb.InsertAdoptionParams) (int64, error) {
	return q.Queries.InsertAdoption(ctx, pgdb.InsertAdoptionParams(p))
}

func (q pgQueries) SelectSession(ctx context.Context, id string) (sqlitedb.Session, error) {
	row, err := q.Queries.SelectSession(ctx, id)
	return sqlitedb.Session(row), err
}

func (q pgQueries) SessionsAfter(ctx context.Context, p sqlitedb.SessionsAfterParams) ([]sqlitedb.Session, error) {
	return pgSessions(q.Queries.SessionsAfter(ctx, pgdb.SessionsAfterParams(p)))
}

func (q pgQueries) SessionsOfUser(ctx context.Context, p sqlitedb.SessionsOfUserParams) ([]sqlitedb.Session, error) {
	return pgSessions(q.Queries.SessionsOfUser(ctx, pgdb.SessionsOfUserParams(p)))
}

func (q pgQueries) SessionsOfSubject(ctx context.Context, p sqlitedb.SessionsOfSubjectParams) ([]sqlitedb.Session, error) {
	return pgSessions(q.Queries.SessionsOfSubject(ctx, pgdb.SessionsOfSubjectParams(p)))
}

func (q pgQueries) SessionsUpstream(ctx context.Context, p sqlitedb.SessionsUpstreamParams) ([]sqlitedb.Session, error) {
	return pgSessions(q.Queries.SessionsUpstream(ctx, pgdb.SessionsUpstreamParams(p)))
}

func pgSessions(rows []pgdb.Session, err error) ([]sqlitedb.Session, error) {
	sessions := make([]sqlitedb.Session, len(rows))
	for i, r := range rows {
		sessions[i] = sqlitedb.Session(r)
	}
	return sessions, err
}

func (q pgQueries) SaveAttempt(ctx context.Context, p sqlitedb.SaveAttemptParams) error {
	return q.Queries.SaveAttempt(ctx, pgdb.SaveAttemptParams(p))
}

func (q pgQueries) SelectAttempt(ctx context.Context, p sqlitedb.SelectAttemptParams) ([]byte, error) {
	return q.Queries.SelectAttempt(ctx, pgdb.SelectAttemptParams(p))
}

func (q pgQueries) TouchSession(ctx context.Context, p sqlitedb.TouchSessionParams) (int64, error) {
	return q.Queries.TouchSession(ctx, pgdb.TouchSessionParams(p))
}

func (q pgQueries) ExpireSession(ctx context.Context, p sqlitedb.ExpireSessionParams) error {
	return q.Queries.ExpireSession(ctx, pgdb.ExpireSessionParams(p))
}

func (q pgQueries) FinishLease(ctx context.Context, p sqlitedb.FinishLeaseParams) (int64, error) {
	return q.Queries.FinishLease(ctx, pgdb.FinishLeaseParams(p))
}

func (q pgQueries) ReleaseLease(ctx context.Context, p sqlitedb.ReleaseLeaseParams) error {
	return q.Queries.ReleaseLease(ctx, pgdb.ReleaseLeaseParams(p))
}

func (q pgQueries) InsertTransaction(ctx context.Context, p sqlitedb.InsertTransactionParams) (int64, error) {
	return q.Queries.InsertTransaction(ctx, pgdb.InsertTransactionParams(p))
}

func (q pgQueries) SaveUserInfo(ctx context.Context, p sqlitedb.SaveUserInfoParams) error {
	return q.Queries.SaveUserInfo(ctx, pgdb.SaveUserInfoParams(p))
}

func (q pgQueries) SelectSettings(ctx context.Context) ([]sqlitedb.Setting, error) {
	rows, err := q.Queries.SelectSettings(ctx)
	settings := make([]sqlitedb.Setting, len(rows))
	for i, r := range rows {
		settings[i] = sqlitedb.Setting(r)
	}
	return settings, err
}

func (q pgQueries) SaveSetting(ctx context.Context, p sqlitedb.SaveSettingParams) error {
	return q.Queries.SaveSetting(ctx, pgdb.SaveSettingParams(p))
}

func (q pgQueries) InsertKey(ctx context.Context, p sqlitedb.InsertKeyParams) (int64, error) {
	return q.Queries.InsertKey(ctx, pgdb.InsertKeyParams(p))
}

func (q pgQueries) SelectKeys(ctx context.Context) ([]sqlitedb.SigningKey, error) {
	rows, err := q.Queries.SelectKeys(ctx)
	keys := make([]sqlitedb.SigningKey, len(rows))
	for i, r := range rows {
		keys[i] = sqlitedb.SigningKey(r)
	}
	return keys, err
}

func (q pgQueries) RetireKey(ctx context.Context, p sqlitedb.RetireKeyParams) error {
	return q.Queries.RetireKey(ctx, pgdb.RetireKeyParams(p))
}

func (q pgQueries) InsertPluginKey(ctx context.Context, p sqlitedb.InsertPluginKeyParams) (int64, error) {
	return q.Queries.InsertPluginKey(ctx, pgdb.InsertPluginKeyParams(p))
}

func (q pgQueries) SelectPluginKeys(ctx context.Context) ([]sqlitedb.PluginKey, error) {
	rows, err := q.Queries.SelectPluginKeys(ctx)
	keys := make([]sqlitedb.PluginKey, len(rows))
	for i, r := range rows {
		keys[i] = sqlitedb.PluginKey(r)
	}
	return keys, err
}

func (q pgQueries) RetirePluginKey(ctx context.Context, p sqlitedb.RetirePluginKeyParams) error {
	return q.Queries.RetirePluginKey(ctx, pgdb.RetirePluginKeyParams(p))
}

func (q pgQueries) SweepExpiredSessions(ctx context.Context, p sqlitedb.SweepExpiredSessionsParams) (int64, error) {
	return q.Queries.SweepExpiredSessions(ctx, pgdb.SweepExpiredSessionsParams(p))
}

func (q pgQueries) SweepAdoptions(ctx context.Context, p sqlitedb.SweepAdoptionsParams) (int64, error) {
	return q.Queries.SweepAdoptions(ctx, pgdb.SweepAdoptionsParams(p))
}

func (q pgQueries) SweepTransactions(ctx context.Context, p sqlitedb.SweepTransactionsParams) (int64, error) {
	return q.Queries.SweepTransactions(ctx, pgdb.SweepTransactionsParams(p))
}

func (q pgQueries) SweepAttempts(ctx context.Context, p sqlitedb.SweepAttemptsParams) (int64, error) {
	return q.Queries.SweepAttempts(ctx, pgdb.SweepAttemptsParams(p))
}

func (q pgQueries) acquireLease(ctx context.Context, l signin.Lease) (sqlitedb.Session, error) {
	row, err := q.AcquireLease(ctx, pgdb.AcquireLeaseParams{ID: l.Session, Owner: l.Owner, Ttl: l.TTL.Milliseconds()})
	return sqlitedb.Session(row), err
}

func (q pgQueries) renewLease(ctx context.Context, l signin.Lease) (int64, error) {
	return q.RenewLease(ctx, pgdb.RenewLeaseParams{ID: l.Session, Owner: l.Owner, Ttl: l.TTL.Milliseconds()})
}

func (q pgQueries) sweepIdleSessions(ctx context.Context, usedBefore, batch int64) (int64, error) {
	return q.SweepIdleSessions(ctx, pgdb.SweepIdleSessionsParams{UsedBefore: usedBefore, Batch: batch})
}
