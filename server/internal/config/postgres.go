package config

import (
	"strconv"
	"strings"
	"time"
)

// PostgresConnection says which PostgreSQL database to use, and how.
type PostgresConnection struct {
	// Settings are connection parameters by libpq's names: host, port, user, password, database, sslmode, …. It holds what is
	// configured; the rest is for the PG… environment variables to say.
	Settings map[string]string
	// TLS replaces sslmode; nil if that says what there is to say.
	TLS *PostgresTLS
	// Schema holds the tables; empty is the user's default. Role is what sessions become; empty is the user.
	Schema, Role string
	// EnsureExists and EnsureSchemaExists ask for what is missing to be made.
	EnsureExists, EnsureSchemaExists bool
	// MinConns and MaxConns bound the pool. IdleTime is how long a connection may be unused; 0 is not configured.
	MinConns, MaxConns int
	IdleTime           time.Duration
}

// PostgresTLS is connection.ssl as an object (the options of Node's tls.connect).
type PostgresTLS struct {
	// CA are certificates in PEM; without any, those of the system count.
	CA []string `config:"ca,list"`
	// Cert and Key are the client's, in PEM.
	Cert string `config:"cert"`
	Key  string `config:"key"`
	// RejectUnauthorized is false if any certificate of the server will do. Left out, it is true.
	RejectUnauthorized *bool `config:"rejectUnauthorized"`
	// ServerName is the name in the server's certificate; empty is the host.
	ServerName string `config:"servername"`
}

// postgresKeys is backend.database with backend.database.plugin.auth on top, as they are written.
type postgresKeys struct {
	Client             *node  `config:"client"`
	Connection         *node  `config:"connection"`
	Plugin             *node  `config:"plugin"`
	Prefix             string `config:"prefix"`
	EnsureExists       *bool  `config:"ensureExists"`
	EnsureSchemaExists *bool  `config:"ensureSchemaExists"`
	PluginDivisionMode string `config:"pluginDivisionMode,oneof=database|schema"`
	Role               string `config:"role"`
	KnexConfig         struct {
		// SearchPath is used where there is no schema per plugin.
		SearchPath []string `config:"searchPath,list"`
		Pool       struct {
			Min         *int          `config:"min"`
			Max         *int          `config:"max"`
			IdleTimeout time.Duration `config:"idleTimeoutMillis,millis"`
			pointlessPoolKeys
		} `config:"pool"`
		pointlessKnexKeys
	} `config:"knexConfig"`
	pointlessKeys
}

// What Backstage knows and has no meaning here: it is no mistake to have it.
type (
	pointlessKeys struct {
		SkipMigrations   *node `config:"skipMigrations"`
		UseNullAsDefault *node `config:"useNullAsDefault"`
	}
	pointlessKnexKeys struct {
		Debug             *node `config:"debug"`
		AsyncStackTraces  *node `config:"asyncStackTraces"`
		CompileSQLOnError *node `config:"compileSqlOnError"`
		UseNullAsDefault  *node `config:"useNullAsDefault"`
		AcquireTimeout    *node `config:"acquireConnectionTimeout"`
	}
	pointlessPoolKeys struct {
		AcquireTimeout       *node `config:"acquireTimeoutMillis"`
		CreateTimeout        *node `config:"createTimeoutMillis"`
		DestroyTimeout       *node `config:"destroyTimeoutMillis"`
		ReapInterval         *node `config:"reapIntervalMillis"`
		CreateRetryInterval  *node `config:"createRetryIntervalMillis"`
		PropagateCreateError *node `config:"propagateCreateError"`
	}
)

// What Backstage falls back to.
const (
	defaultPrefix  = "backstage_plugin_"
	pluginID       = "auth"
	defaultMinimum = 2
	defaultMaximum = 10
)

// postgres reads the common settings and those of the plugin on top.
//
// Differs from Backstage: a key that is none is an error.
func (r *reader) postgres(common, own *node) PostgresConnection {
	keys := postgresKeys{Prefix: defaultPrefix, PluginDivisionMode: "database"}
	d := decoder{strict: true, source: r.source.String(), problems: &r.problems}
	_ = d.decode(merge(common, own), commonDatabase, &keys) // what is wrong is in r.problems
	divided := keys.PluginDivisionMode == "schema"
	out := PostgresConnection{
		Role: keys.Role, EnsureExists: keys.EnsureExists == nil || *keys.EnsureExists,
		MinConns: defaultMinimum, MaxConns: defaultMaximum, IdleTime: keys.KnexConfig.Pool.IdleTimeout,
	}
	out.EnsureSchemaExists = out.EnsureExists || keys.EnsureSchemaExists != nil && *keys.EnsureSchemaExists
	r.poolSize(&out, keys)
	out.Settings, out.TLS = r.postgresConnection(common, own, divided)
	switch {
	case out.Settings == nil:
		return out
	case divided:
		out.Schema = pluginID
	default:
		if len(keys.KnexConfig.SearchPath) > 0 {
			out.Settings["search_path"] = quotedNames(keys.KnexConfig.SearchPath)
		}
		if out.Settings["database"] == "" {
			out.Settings["database"] = keys.Prefix + pluginID
		}
	}
	// Without a name the server takes the user's, and there is nothing to be made.
	out.EnsureExists = out.EnsureExists && out.Settings["database"] != ""
	return out
}

func (r *reader) poolSize(out *PostgresConnection, keys postgresKeys) {
	pool := keys.KnexConfig.Pool
	if pool.Max != nil {
		out.MaxConns = *pool.Max
		out.MinConns = min(out.MinConns, out.MaxConns)
	}
	if pool.Min != nil {
		out.MinConns = *pool.Min
	}
	// The largest is more than any server will give to one client.
	const maxPool = 10_000
	if out.MaxConns < 1 || out.MaxConns > maxPool || out.MinConns < 0 || out.MinConns > out.MaxConns {
		r.problems.add(r.poolPosition(), commonDatabase+".knexConfig.pool",
			"want a max between 1 and %d, and a min between 0 and max", maxPool)
	}
}

func (r *reader) poolPosition() Position {
	for _, place := range []string{ownDatabase, commonDatabase} {
		if n := r.root.find(place + ".knexConfig.pool"); n != nil {
			return n.at
		}
	}
	return Position{}
}

// checkSecret demands a secret where the database is not this machine's: the processes that share it must have the same, so none of
// them can make it up.
func (r *reader) checkSecret(c *Config) {
	const key = "auth.session.secret"
	n := r.root.find(key)
	if c.Database.Client != Postgres || !n.absent() {
		return
	}
	d := decoder{source: r.source.String() + ", as the database is PostgreSQL", problems: &r.problems}
	d.missing(n, key)
}

// quotedNames is a search path of these schemas.
func quotedNames(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	return strings.Join(quoted, ", ")
}

// setNumber adds a setting that is a number, unless it is 0.
func setNumber(settings map[string]string, name string, n int) {
	if n != 0 {
		settings[name] = strconv.Itoa(n)
	}
}
