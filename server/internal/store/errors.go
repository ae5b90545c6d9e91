package store

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// What a caller may branch on, beside the sentinels of signin, op and tokens.
var (
	// ErrBusy says that another process held the database for longer than Options.BusyTimeout. Trying again may help.
	ErrBusy = errors.New("database is locked")
	// ErrCorrupt says that the file is not a database, or no longer a whole one.
	ErrCorrupt = errors.New("database is damaged")
	// ErrReadOnly says that the process may not write the file, or may not make files beside it.
	ErrReadOnly = errors.New("database is not writable")
	// ErrFull says that there is no room left for the database to grow.
	ErrFull = errors.New("database is full")
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
	// Path is the file.
	Path string
	// Code is stable: database_locked, database_corrupt, database_read_only, database_full, database_newer, or
	// database_unavailable for anything else.
	Code string
	// Advice is a sentence for the operator; it may be empty.
	Advice string
	// Err is the cause.
	Err error
}

// Error is one line: file, code, cause and advice.
func (e *OpenError) Error() string {
	line := fmt.Sprintf("open database %s [%s]: %v", e.Path, e.Code, e.Err)
	if e.Advice != "" {
		line += "; " + e.Advice
	}
	return line
}

// Unwrap returns the cause.
func (e *OpenError) Unwrap() error { return e.Err }

// openFailures are the causes that an operator can do something about.
var openFailures = []struct {
	is           error
	code, advice string
}{
	{ErrNewerSchema, "database_newer", "start the version that migrated it, or one that is younger"},
	{ErrBusy, "database_locked", "another process holds it: end that process, or give this one a database of its own"},
	{ErrCorrupt, "database_corrupt", "nothing was changed: move the file and its -wal and -shm files away, restore a backup" +
		" or start with a new file, which signs everybody out"},
	{ErrReadOnly, "database_read_only", "let this user write the file and the directory that it is in"},
	{ErrFull, "database_full", "make room on the file system"},
}

// openError classifies a failure to open the database at path.
func openError(path string, err error) error {
	err = classify(err)
	for _, f := range openFailures {
		if errors.Is(err, f.is) {
			return &OpenError{Path: path, Code: f.code, Advice: f.advice, Err: err}
		}
	}
	return &OpenError{Path: path, Code: "database_unavailable", Err: err}
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
