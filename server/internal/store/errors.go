package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"stagedoor/server/internal/signin"
)

// What a caller may branch on, beside the sentinels of signin, op and tokens.
var (
	// ErrBusy says that others held the database for longer than a call waits, or that it has no more connections to give. Trying
	// again may help.
	ErrBusy = errors.New("database is locked")
	// ErrCorrupt says that the file is not a database, or no longer a whole one.
	ErrCorrupt = errors.New("database is damaged")
	// ErrReadOnly says that the process may not write the file, or may not make files beside it; or that the server is a replica, or
	// the user has no right to do what was to be done.
	ErrReadOnly = signin.ErrReadOnly
	// ErrUnreachable says that there is no way to the server: it is down, starting, or somewhere else, or the connection broke.
	ErrUnreachable = errors.New("database cannot be reached")
	// ErrLogin says that the server does not accept the user, or the password.
	ErrLogin = errors.New("database refuses the user")
	// ErrTLS says that the server has no TLS and is to have it, has none but TLS, or has a certificate that is not trusted.
	ErrTLS = errors.New("no agreement on TLS")
	// ErrNoDatabase and ErrNoSchema say that what is named does not exist.
	ErrNoDatabase = errors.New("database does not exist")
	ErrNoSchema   = errors.New("schema does not exist")
	// ErrFull says that there is no room left for the database to grow.
	ErrFull = signin.ErrFull
	// ErrNewerSchema says that a younger version of this program has migrated the database. The error that wraps it is a
	// *NewerSchemaError.
	ErrNewerSchema = errors.New("database is of a newer version")
)

// NewerSchemaError is an ErrNewerSchema with both versions, which count migrations.
type NewerSchemaError struct {
	// Database is what the database has, Known what this program knows.
	Database, Known int64
}

// Error names both versions.
func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("%v: it has schema %d, this program knows up to %d", ErrNewerSchema, e.Database, e.Known)
}

// Unwrap returns ErrNewerSchema.
func (e *NewerSchemaError) Unwrap() error { return ErrNewerSchema }

// OpenError says why a database cannot be used, and what to do. Nothing was deleted or repaired.
type OpenError struct {
	// Path is the file, or the name of the database with its server and user.
	Path string
	// Code is stable: one of those in docs/errors.md, database_unavailable for whatever has none of its own.
	Code string
	// Advice is a sentence for the operator; it may be empty.
	Advice string
	// Err is the cause.
	Err error
}

// Error is file or name, code, cause and advice.
func (e *OpenError) Error() string {
	line := fmt.Sprintf("open database %s [%s]: %v", e.Path, e.Code, e.Err)
	if e.Advice != "" {
		line += "; " + e.Advice
	}
	return line
}

// Unwrap returns the cause.
func (e *OpenError) Unwrap() error { return e.Err }

// openFailures are the causes that an operator can do something about, and what that is for a file and for a server.
var openFailures = []struct {
	is                 error
	code, file, server string
}{
	{
		ErrNewerSchema, "database_newer", "start the version that migrated it, or one that is younger",
		"start the version that migrated it, or one that is younger",
	},
	{
		ErrBusy, "database_locked", "another process holds it: end that process, or give this one a database of its own",
		"others hold it, or have taken all connections: look at pg_stat_activity and max_connections",
	},
	{
		ErrCorrupt, "database_corrupt", "nothing was changed: move the file and its -wal and -shm files away, restore a backup" +
			" or start with a new file, which signs everybody out", "nothing was changed: restore a backup",
	},
	{
		ErrReadOnly, "database_read_only", "let this user write the file and the directory that it is in",
		"connect to the primary, and let this user create what is missing: the database, the schema, tables in it",
	},
	{ErrFull, "database_full", "make room on the file system", "make room on the server's file system"},
	{
		ErrTLS, "database_tls", "", "set ssl in backend.database.connection as the server has it: an object with its ca, or true if" +
			" the system trusts that, or false if the server has no TLS",
	},
	{ErrLogin, "database_login", "", "check user and password in backend.database.connection, and the server's pg_hba.conf, which may want ssl as well"},
	{ErrNoDatabase, "database_missing", "", "create it, or set backend.database.ensureExists to true"},
	{ErrNoSchema, "database_schema_missing", "", "create it, or set backend.database.ensureSchemaExists to true"},
	{
		ErrUnreachable, "database_unreachable", "",
		"check host and port in backend.database.connection, and that the server is up",
	},
}

// openError classifies a failure to open a database.
func openError(db database, err error) error {
	err = classify(err)
	out := &OpenError{Path: db.address(), Code: "database_unavailable", Err: err}
	for _, f := range openFailures {
		if !errors.Is(err, f.is) {
			continue
		}
		out.Code, out.Advice = f.code, f.file
		if _, ok := db.(*postgresDB); ok {
			out.Advice = f.server
		}
		break
	}
	return out
}

// wrap says what failed and, as far as a caller can do something about it, how. A nil error stays nil.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, classify(err))
}

// classify adds the sentinel that belongs to the driver's or the file system's error, if there is one. It may be nil.
func classify(err error) error {
	if err == nil || errors.Is(err, context.Canceled) { // nobody waits for the answer, and nothing is wrong
		return err
	}
	if sentinel := postgresSentinel(err); sentinel != nil {
		return fmt.Errorf("%w: %w", sentinel, err)
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	if sentinel := sentinelOf(e.Code()); sentinel != nil {
		return fmt.Errorf("%w: %w", sentinel, err)
	}
	return err
}

// sentinelOf maps an SQLite result code to a sentinel, or to nil. The low byte is the primary code, the rest refines it.
func sentinelOf(code int) error {
	switch code & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return ErrBusy
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return ErrCorrupt
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
		return ErrReadOnly
	case sqlite3.SQLITE_FULL:
		return ErrFull
	}
	return nil
}
