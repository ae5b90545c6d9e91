package store

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATE codes that are looked for.
const (
	readOnlyTransaction = "25006"
	noSuchDatabase      = "3D000"
	uniqueViolation     = "23505"
	duplicateDatabase   = "42P04"
	objectInUse         = "55006"
	notThisWay          = "28000"
)

// postgresStates maps an SQLSTATE, or its class of two characters, to a sentinel.
var postgresStates = map[string]error{
	readOnlyTransaction: ErrReadOnly,
	"42501":             ErrReadOnly, // insufficient privilege
	noSuchDatabase:      ErrNoDatabase,
	"3F000":             ErrNoSchema,
	notThisWay:          ErrLogin,
	"28P01":             ErrLogin, // wrong password
	"53100":             ErrFull,
	"53300":             ErrBusy, // too many connections
	"53400":             ErrBusy, // a limit that was configured
	"55P03":             ErrBusy, // lock timeout
	"57014":             ErrBusy, // statement timeout
	"25P03":             ErrBusy, // idle in transaction
	"40":                ErrBusy, // serialization failure, deadlock
	"08":                ErrUnreachable,
	"57P":               ErrUnreachable, // shut down, crashed, starting
	"58":                ErrUnreachable, // the server's own file system
	"XX001":             ErrCorrupt,
	"XX002":             ErrCorrupt,
}

// stateOf is the SQLSTATE of an error that a PostgreSQL server has reported, else "".
func stateOf(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// postgresSentinel maps an error of PostgreSQL, or of the way there, to a sentinel, or to nil.
func postgresSentinel(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		if e.Code == notThisWay && strings.Contains(e.Message, "no encryption") {
			return ErrTLS
		}
		for n := len(e.Code); n >= 2; n-- {
			if sentinel := postgresStates[e.Code[:n]]; sentinel != nil {
				return sentinel
			}
		}
		return nil
	}
	if refusedTLS(err) {
		return ErrTLS
	}
	if lost(err) {
		return ErrUnreachable
	}
	return nil
}

// refusedTLS is true if one side did not accept how the other wanted to be secured. That the server has no TLS is an error without a
// type.
func refusedTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	return strings.Contains(err.Error(), "server refused TLS connection")
}

// lost is true if there is no way to the server, or none any more.
func lost(err error) bool {
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, net.ErrClosed, pgconn.ErrConnClosed} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// transient is true if the server undid a transaction because of another one, and if a statement never left this process because its
// connection had gone. Where one connection broke, the others are not relied on: one call fails when a server restarts, not one for
// each connection of the pool.
func (d *postgresDB) transient(err error) bool {
	switch state := stateOf(err); {
	case state == "40001" || state == "40P01":
		return true
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case postgresSentinel(err) == ErrUnreachable:
		d.pool.Reset()
		return pgconn.SafeToRetry(err)
	}
	return pgconn.SafeToRetry(err)
}
