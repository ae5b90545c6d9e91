package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Postgres says which PostgreSQL database to use, and how.
type Postgres struct {
	// Settings are connection parameters by libpq's names: host, port, user, password, database, sslmode, statement_timeout, ….
	// What is not among them comes from the PG… environment variables, as for every other client.
	Settings map[string]string
	// TLS replaces what Settings say about it; nil leaves that.
	TLS *TLS
	// Schema is where the tables are; empty is the first of the search path, which by default is public.
	Schema string
	// Role is what each session becomes (SET ROLE); empty is the user.
	Role string
	// CreateDatabase and CreateSchema make what does not exist.
	CreateDatabase, CreateSchema bool
	// MaxConns is how many connections there are at most, zero is DefaultMaxConns; MinConns is how many are kept.
	MaxConns, MinConns int
	// IdleTime is how long a connection beyond MinConns may be unused; zero is half an hour.
	IdleTime time.Duration
}

// TLS says how the server proves who it is, and this client to it. Without TLS there is then no connection.
type TLS struct {
	// CA holds the certificates, in PEM, of which one must have signed the server's; empty is the system's.
	CA string
	// Certificate and Key are this client's, in PEM; both may be empty.
	Certificate, Key string
	// ServerName is the name in the server's certificate; empty is the host.
	ServerName string
	// Insecure accepts any certificate.
	Insecure bool
}

// parse reads the settings. The error does not repeat them.
func (d *postgresDB) parse() (*pgxpool.Config, error) {
	settings := map[string]string{}
	maps.Copy(settings, d.Settings)
	if d.TLS != nil {
		settings["sslmode"] = "require"
	}
	c, err := pgxpool.ParseConfig(keywords(settings))
	if err != nil {
		return nil, unquoted(err)
	}
	if d.TLS == nil {
		return c, nil
	}
	return c, d.TLS.apply(&c.ConnConfig.Config)
}

// unquoted is the cause behind an error of the parser, which quotes what it was given.
func unquoted(err error) error {
	if cause := errors.Unwrap(err); cause != nil {
		return fmt.Errorf("read connection parameters: %w", cause)
	}
	return errors.New("read connection parameters: one of them has a value that it cannot have")
}

var quoted = strings.NewReplacer(`\`, `\\`, `'`, `\'`)

// keywords writes settings as a connection string.
func keywords(settings map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s='%s' ", k, quoted.Replace(settings[k]))
	}
	return b.String()
}

// apply puts t in the place of every TLS configuration that c has. Connections through a socket file have none.
func (t *TLS) apply(c *pgconn.Config) error {
	base, err := t.config()
	if err != nil {
		return err
	}
	set := func(host string, current **tls.Config) {
		if *current == nil {
			return
		}
		own := base.Clone()
		if own.ServerName == "" {
			own.ServerName = host
		}
		*current = own
	}
	set(c.Host, &c.TLSConfig)
	for _, f := range c.Fallbacks {
		set(f.Host, &f.TLSConfig)
	}
	return nil
}

func (t *TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.Insecure} //nolint:gosec // as asked for
	if t.CA != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(t.CA)) {
			return nil, errors.New("read connection parameters: the CA is no certificate in PEM")
		}
	}
	if t.Certificate != "" || t.Key != "" {
		pair, err := tls.X509KeyPair([]byte(t.Certificate), []byte(t.Key))
		if err != nil {
			return nil, errors.New("read connection parameters: the client's certificate and key do not belong together")
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// session returns what sets up each new connection. It is a statement and no parameter of the connection, because poolers refuse
// parameters that they do not know.
func (d *postgresDB) session(settings map[string]string) pgconn.AfterConnectFunc {
	if d.Schema != "" {
		settings["search_path"] = pgx.Identifier{d.Schema}.Sanitize()
	}
	if d.Role != "" {
		settings["role"] = d.Role
	}
	var calls []string
	var values [][]byte
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		calls = append(calls, fmt.Sprintf("set_config('%s', $%d, false)", name, len(values)+1))
		values = append(values, []byte(settings[name]))
	}
	statement := "select " + strings.Join(calls, ", ")
	return func(ctx context.Context, conn *pgconn.PgConn) error {
		if len(calls) == 0 {
			return nil
		}
		_, err := conn.ExecParams(ctx, statement, values, nil, nil, nil).Close()
		return err
	}
}

// timeouts are the settings by which the server gives up a statement, or a transaction that nobody goes on with, a little before
// the call that it belongs to does: then the connection is still good, and what was locked is free. What was configured stays.
func timeouts(call time.Duration, configured map[string]string) map[string]string {
	limit := strconv.FormatInt((call - call/5).Milliseconds(), 10)
	all := map[string]string{"statement_timeout": limit, "idle_in_transaction_session_timeout": limit}
	maps.DeleteFunc(all, func(name, _ string) bool { _, ok := configured[name]; return ok })
	return all
}
