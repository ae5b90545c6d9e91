package store

import (
	"context"

	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store/sqlitedb"
)

// database is a dialect with its connections. It is safe for concurrent use once it is open.
type database interface {
	// open connects and migrates. What it opened is closed by close, also if it fails.
	open(ctx context.Context) error
	// address names the database for a person, without a password.
	address() string
	// queries returns the statements for calls that write, and those for calls that only read.
	queries() (write, read queries)
	// atomically runs fn in one transaction: all of it is stored, or nothing is.
	atomically(ctx context.Context, fn func(queries) error) error
	// node returns the connections and statements for Backstage's own tables, which may be in this database.
	node() nodeDialect
	// transient is told of each failure. It is true for that of something that has changed nothing and may well succeed if it is tried
	// again at once.
	transient(err error) bool
	close() error
}

// queries are the statements. The types of sqlitedb stand for those of pgdb as well: sqlc makes both from the same migrations, and
// if they had different fields, pgQueries would not compile.
type queries interface {
	InsertSession(context.Context, sqlitedb.InsertSessionParams) error
	InsertAdoption(context.Context, sqlitedb.InsertAdoptionParams) (int64, error)
	SelectSession(ctx context.Context, id string) (sqlitedb.Session, error)
	SessionsAfter(context.Context, sqlitedb.SessionsAfterParams) ([]sqlitedb.Session, error)
	SessionsOfUser(context.Context, sqlitedb.SessionsOfUserParams) ([]sqlitedb.Session, error)
	SessionsOfSubject(context.Context, sqlitedb.SessionsOfSubjectParams) ([]sqlitedb.Session, error)
	SessionsUpstream(context.Context, sqlitedb.SessionsUpstreamParams) ([]sqlitedb.Session, error)
	TouchSession(context.Context, sqlitedb.TouchSessionParams) (int64, error)
	ExpireSession(context.Context, sqlitedb.ExpireSessionParams) error
	DeleteSession(ctx context.Context, id string) error
	FinishLease(context.Context, sqlitedb.FinishLeaseParams) (int64, error)
	ReleaseLease(context.Context, sqlitedb.ReleaseLeaseParams) error
	InsertTransaction(context.Context, sqlitedb.InsertTransactionParams) (int64, error)
	SaveAttempt(context.Context, sqlitedb.SaveAttemptParams) error
	SelectAttempt(context.Context, sqlitedb.SelectAttemptParams) ([]byte, error)
	SaveUserInfo(context.Context, sqlitedb.SaveUserInfoParams) error
	SelectUserInfo(ctx context.Context, userRef string) ([]byte, error)

	SelectSettings(context.Context) ([]sqlitedb.Setting, error)
	SaveSetting(context.Context, sqlitedb.SaveSettingParams) error

	InsertKey(context.Context, sqlitedb.InsertKeyParams) (int64, error)
	SelectKeys(context.Context) ([]sqlitedb.SigningKey, error)
	RetireKey(context.Context, sqlitedb.RetireKeyParams) error
	DeleteKey(ctx context.Context, id string) error
	CountKeys(context.Context) (int64, error)
	InsertPluginKey(context.Context, sqlitedb.InsertPluginKeyParams) (int64, error)
	SelectPluginKeys(context.Context) ([]sqlitedb.PluginKey, error)
	RetirePluginKey(context.Context, sqlitedb.RetirePluginKeyParams) error
	DeletePluginKey(ctx context.Context, id string) error

	SweepExpiredSessions(context.Context, sqlitedb.SweepExpiredSessionsParams) (int64, error)
	SweepAdoptions(context.Context, sqlitedb.SweepAdoptionsParams) (int64, error)
	SweepTransactions(context.Context, sqlitedb.SweepTransactionsParams) (int64, error)
	SweepAttempts(context.Context, sqlitedb.SweepAttemptsParams) (int64, error)

	// Which clock a lease is counted by is the dialect's to know.
	acquireLease(context.Context, signin.Lease) (sqlitedb.Session, error)
	renewLease(context.Context, signin.Lease) (int64, error)
	sweepIdleSessions(ctx context.Context, usedBefore, batch int64) (int64, error)
}
