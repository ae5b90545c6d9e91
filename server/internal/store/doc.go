// Package store is the SQL behind the store interfaces of tokens, signin and op: sessions with their leases, the marks of
// used transactions, user info, the keys of user tokens and those of plugin tokens. It leaves to signin what a session means and
// when it ends, to tokens the life of a key, and to whoever writes a value its encryption: what is secret arrives sealed. Its law:
// a write that was acknowledged is there after the process dies, and one that was not has changed nothing.
//
// SQLite and PostgreSQL stand behind the same Go API: text, bigint and bytea, times as milliseconds since 1970 in UTC (what is
// finer than a millisecond is cut off), and one conformance suite, package storetest, for both. The SQL is in one folder of migrations
// and one of queries, from which sqlc makes a package per dialect; what they have to say differently is in queries/sqlite and
// queries/postgres. What the SQL does not say differently, Go does not either: see dialect.go. On PostgreSQL nothing depends on locks
// of a session, on notifications or on more than a row being changed by one at a time, so that what speaks its protocol will do. To
// generate again, from the top of the repository:
//
//	sqlc generate -f server/internal/store/sqlc.yaml
//
// Backstage's own tables are nobody's but its own, except that NodeKeys reads its table of public keys, and keeps rows of ours in it.
//
// Migrations only add: tables, indices, columns with a default. A process of version N that is running goes on serving while
// another of version N+1 has migrated the database under it; so a column is dropped, renamed or given a new meaning no
// earlier than one version after the last code that reads it. A process of version N that starts later refuses: see
// ErrNewerSchema.
package store
