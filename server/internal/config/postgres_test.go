package config

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const secret = "session: {secret: 0123456789abcdef}"

// pg is what a configuration comes to that says nothing but a host.
func pg(change func(*PostgresConnection), settings ...string) PostgresConnection {
	p := PostgresConnection{
		Settings:     map[string]string{"host": "h", "database": "backstage_plugin_auth", "sslmode": "prefer"},
		EnsureExists: true, EnsureSchemaExists: true, MinConns: 2, MaxConns: 10,
	}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		p.Settings[name] = value
	}
	maps.DeleteFunc(p.Settings, func(_, value string) bool { return value == "" })
	if change != nil {
		change(&p)
	}
	return p
}

func TestPostgres(t *testing.T) {
	schema := func(p *PostgresConnection) { p.Schema = "auth" }
	tests := []struct {
		yaml string
		want PostgresConnection
	}{
		{"connection: {host: h}", pg(nil)},
		{"connection: {}", pg(nil, "host=localhost")},
		{"connection: {host: h, port: '5433', user: u, password: 'p w', database: common}", pg(nil, "port=5433", "user=u", "password=p w")},
		{"connection: 'postgres://u:p%40w@h:5433/common'", pg(nil, "port=5433", "user=u", "password=p@w")},
		{"connection: 'postgresql:///?host=/run/postgresql&application_name=a'", pg(nil, "host=/run/postgresql", "application_name=a")},
		{"connection: {connectionString: 'postgres://u@h', user: other, password: w}", pg(nil, "user=u", "password=w")},
		{"connection: 'postgres://h/?default_query_exec_mode=simple_protocol'", pg(nil, "default_query_exec_mode=simple_protocol")},
		{
			"connection: {host: h, statement_timeout: 3000, lock_timeout: 1, idle_in_transaction_session_timeout: 2, connectionTimeoutMillis: 1500, keepAlive: true, options: -c x=y}",
			pg(nil, "statement_timeout=3000", "lock_timeout=1", "idle_in_transaction_session_timeout=2", "connect_timeout=2", "options=-c x=y"),
		},
		{"prefix: portal_, connection: {host: h}", pg(nil, "database=portal_auth")},
		{"connection: {host: h, database: common}, pluginDivisionMode: schema", pg(schema, "database=common")},
		{"connection: 'postgres://h/common', pluginDivisionMode: schema", pg(schema, "database=common")},
		{"connection: {host: h}, pluginDivisionMode: schema", pg(func(p *PostgresConnection) { p.Schema, p.EnsureExists = "auth", false }, "database=")},
		{"connection: {host: h}, ensureExists: false", pg(func(p *PostgresConnection) { p.EnsureExists, p.EnsureSchemaExists = false, false })},
		{"connection: {host: h}, ensureExists: false, ensureSchemaExists: true", pg(func(p *PostgresConnection) { p.EnsureExists = false })},
		{"connection: {host: h}, ensureExists: false, plugin: {auth: {ensureExists: true}, catalog: {any: thing}}", pg(nil)},
		{"connection: {host: h}, role: r, plugin: {auth: {role: q}}", pg(func(p *PostgresConnection) { p.Role = "q" })},
		{
			"connection: {host: h}, knexConfig: {debug: true, searchPath: [a, 'b\"'], pool: {min: 0, max: 5, idleTimeoutMillis: 2000, acquireTimeoutMillis: 1}}",
			pg(func(p *PostgresConnection) { p.MinConns, p.MaxConns, p.IdleTime = 0, 5, 2*time.Second }, `search_path="a", "b"""`),
		},
		{"connection: {host: h}, knexConfig: {pool: {max: 1}}", pg(func(p *PostgresConnection) { p.MinConns, p.MaxConns = 1, 1 })},
		{
			"connection: {host: h}, knexConfig: {pool: {max: 20}}, plugin: {auth: {knexConfig: {pool: {max: 3}}}}",
			pg(func(p *PostgresConnection) { p.MaxConns = 3 }),
		},
		{"connection: {host: g, user: u}, plugin: {auth: {connection: {host: h}}}", pg(nil, "user=u")},
		{"connection: 'postgres://u:w@g/common', plugin: {auth: {connection: {host: h, database: own}}}", pg(nil, "user=u", "password=w", "database=own")},
		{"connection: {host: g, user: u}, plugin: {auth: {connection: 'postgres://v@h/own'}}", pg(nil, "user=v", "database=own")},
		{"connection: {host: g, user: u}, plugin: {auth: {client: postgres, connection: {host: h}}}", pg(nil)},
	}
	for _, tt := range tests {
		t.Run(tt.yaml, func(t *testing.T) {
			want := Database{Client: Postgres, Postgres: tt.want}
			if diff := cmp.Diff(want, mustLoad(t, with(", database: {client: pg, "+tt.yaml+"}", secret)).Database); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPostgresTLS(t *testing.T) {
	cert, key := keyPair(t)
	no := false
	env := []string{"CERT=" + cert, "KEY=" + key}
	tests := []struct {
		connection, mode string
		want             *PostgresTLS
		env              string
	}{
		{"{}", "prefer", nil, ""},
		{"{}", "verify-full", nil, "PGSSLMODE=require"},
		{"{}", "disable", nil, "PGSSLMODE=disable"},
		{"{ssl: true}", "verify-full", nil, "PGSSLMODE=disable"},
		{"{ssl: 'true'}", "verify-full", nil, ""},
		{"{ssl: false}", "disable", nil, "PGSSLMODE=require"},
		{"{ssl: no-verify}", "require", nil, ""},
		{"{ssl: {rejectUnauthorized: false}}", "", &PostgresTLS{RejectUnauthorized: &no}, ""},
		{"{ssl: {ca: \"${CERT}\"}}", "", &PostgresTLS{CA: []string{strings.TrimSpace(cert)}}, ""},
		{
			"{ssl: {ca: [\"${CERT}\"], cert: \"${CERT}\", key: \"${KEY}\", servername: db}}", "",
			&PostgresTLS{CA: []string{strings.TrimSpace(cert)}, Cert: strings.TrimSpace(cert), Key: strings.TrimSpace(key), ServerName: "db"}, "",
		},
		{"'postgres://h'", "prefer", nil, ""},
		{"'postgres://h?sslmode=disable'", "disable", nil, ""},
		{"'postgres://h?sslmode=require'", "verify-full", nil, ""},
		{"'postgres://h?sslmode=no-verify'", "require", nil, ""},
		{"'postgres://h?sslmode=require&uselibpqcompat=true'", "require", nil, ""},
		{"'postgres://h?ssl=true'", "verify-full", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.connection+" "+tt.env, func(t *testing.T) {
			w := with(", database: {client: pg, connection: "+tt.connection+"}", secret, append(env, tt.env)...)
			got := mustLoad(t, w).Database.Postgres
			if got.Settings["sslmode"] != tt.mode {
				t.Errorf("sslmode is %q, want %q", got.Settings["sslmode"], tt.mode)
			}
			if diff := cmp.Diff(tt.want, got.TLS); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPostgresNeedsASecret(t *testing.T) {
	const want = "Missing required config value at 'auth.session.secret' in 'app-config.yaml, as the database is PostgreSQL'"
	for auth, missing := range map[string]string{"": want, "session: {secret: '${S}'}": "app-config.yaml:3:26 auth.session.secret: " + want + ": environment variable S is not set"} {
		if got := strings.Join(problemsOf(t, with(", database: {client: pg, connection: {}}", auth)), "\n"); got != missing {
			t.Errorf("%s:\ngot  %s\nwant %s", auth, got, missing)
		}
	}
}

func TestPostgresProblems(t *testing.T) {
	const connection = "backend.database.connection"
	tests := []struct{ yaml, want string }{
		{"a: 1", "Missing required config value at 'backend.database.connection' in 'app-config.yaml'"},
		{"connection: 5", connection + ": want a connection string or an object"},
		{"connection: 'mysql://h'", connection + ": want postgres://user:password@host:port/database, user and password percent-encoded"},
		{"connection: 'postgres://u:canary#1@h'", connection + ": want postgres://"},
		{"connection: 'postgres://h?sslmod=require'", connection + ".sslmod: unknown key, did you mean sslmode?"},
		{"connection: 'postgres://h?sslmode=canary'", connection + ".sslmode: want one of disable, "},
		{"connection: {hots: h}", connection + ".hots: unknown key, did you mean host?"},
		{"connection: {password: 5}", connection + ".password: want a string, found a number: put it in quotes"},
		{"connection: {port: canary}", connection + ".port: want a whole number"},
		{"connection: {port: 70000}", connection + ".port: want a number that is not out of range"},
		{"connection: {type: cloudsql, instance: a}", connection + ".type: want one of default"},
		{"connection: {ssl: canary}", connection + ".ssl: want true, false, or an object"},
		{"connection: {ssl: {ca: /etc/ca.pem}}", connection + ".ssl.ca: want certificates in PEM"},
		{"connection: {ssl: {cert: a, key: b}}", connection + ".ssl: want cert and key, both in PEM, that belong together"},
		{"connection: {ssl: {rejectUnauthorised: false}}", connection + ".ssl.rejectUnauthorised: unknown key, did you mean rejectUnauthorized?"},
		{"connection: {}, pluginDivisionMode: table", "backend.database.pluginDivisionMode: want one of database, schema"},
		{"connection: {}, ensureExist: false", "backend.database.ensureExist: unknown key, did you mean ensureExists?"},
		{"connection: {}, knexConfig: {pool: {max: 0}}", "backend.database.knexConfig.pool: want a max between 1 and 10000, and a min between 0 and max"},
		{"connection: {}, knexConfig: {pool: {min: 11}}", "backend.database.knexConfig.pool: want a max"},
		{"connection: {}, plugin: {auth: {connection: {prot: 1}}}", "backend.database.plugin.auth.connection.prot: unknown key"},
	}
	for _, tt := range tests {
		t.Run(tt.yaml, func(t *testing.T) {
			got := strings.Join(problemsOf(t, with(", database: {client: pg, "+tt.yaml+"}", secret)), "\n")
			if !strings.Contains(got, tt.want) || strings.Contains(got, "canary") {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if !strings.HasPrefix(got, "app-config.yaml:2:") && !strings.HasPrefix(tt.want, "Missing") {
				t.Errorf("no position: %s", got)
			}
		})
	}
}
