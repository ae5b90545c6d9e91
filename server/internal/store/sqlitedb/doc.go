// Package sqlitedb is what sqlc makes of ../queries and ../migrations for SQLite: one method per query, one struct per row. It
// owns the statements as text and leaves their meaning to store, the only package that imports it. Its law: nothing here but
// this comment is written by hand.
package sqlitedb
