package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// connectionKeys is a connection object, and what a connection string is turned into: the options of node-postgres' client, and of
// libpq's what this server's driver knows.
type connectionKeys struct {
	Type            string        `config:"type,oneof=default"`
	Host            string        `config:"host"`
	Port            uint16        `config:"port"`
	User            string        `config:"user"`
	Password        string        `config:"password"`
	Database        string        `config:"database"`
	SSL             *node         `config:"ssl"`
	SSLMode         string        `config:"sslmode,oneof=disable|prefer|require|verify-ca|verify-full|no-verify"`
	LibpqCompatible bool          `config:"uselibpqcompat"`
	SSLRootCert     string        `config:"sslrootcert"`
	SSLCert         string        `config:"sslcert"`
	SSLKey          string        `config:"sslkey"`
	ApplicationName string        `config:"application_name"`
	Options         string        `config:"options"`
	StatementTime   int           `config:"statement_timeout"`
	LockTime        int           `config:"lock_timeout"`
	IdleTime        int           `config:"idle_in_transaction_session_timeout"`
	ConnectTimeout  time.Duration `config:"connectionTimeoutMillis,millis"`
	ConnectSeconds  int           `config:"connect_timeout"`
	SessionAttrs    string        `config:"target_session_attrs,oneof=any|read-write|primary|prefer-standby"`
	ExecMode        string        `config:"default_query_exec_mode,oneof=cache_statement|cache_describe|describe_exec|exec|simple_protocol"`
	// Connections are always kept alive.
	KeepAlive      *node `config:"keepAlive"`
	KeepAliveDelay *node `config:"keepAliveInitialDelayMillis"`
}

// postgresConnection reads the connection, nil if there is none that could be used. As in Backstage, the plugin's own keys replace the
// common ones, whichever of the two is a string; and the common database is not for plugins, unless each has a schema in it.
func (r *reader) postgresConnection(common, own *node, divided bool) (map[string]string, *PostgresTLS) {
	key := commonDatabase + ".connection"
	base, over := common.get("connection"), own.get("connection")
	if base.absent() && over.absent() {
		d := decoder{source: r.source.String(), problems: &r.problems}
		d.missing(base, key)
		return nil, nil
	}
	before := len(r.problems.list)
	shared := r.connectionObject(base, key)
	if !divided {
		shared = without(&node{fields: shared}, "database")
	}
	if !over.absent() {
		key = ownDatabase + ".connection"
	}
	n := &node{form: object, fields: replaced(shared, r.connectionObject(over, key))}
	var keys connectionKeys
	d := decoder{strict: true, source: r.source.String(), problems: &r.problems}
	_ = d.decode(n, key, &keys) // what is wrong is in r.problems
	if len(r.problems.list) > before {
		return nil, nil
	}
	settings := keys.settings()
	if _, elsewhere := r.env("PGHOST"); settings["host"] == "" && !elsewhere {
		settings["host"] = "localhost"
	}
	return settings, r.postgresTLS(keys, settings, key)
}

// replaced are the fields of base with those of over in their place.
func replaced(base, over []field) []field {
	for _, f := range over {
		base = append(without(&node{fields: base}, f.name), f)
	}
	return base
}

// connectionObject returns the keys of a connection object, or of a connection string.
func (r *reader) connectionObject(n *node, key string) []field {
	switch {
	case n.absent():
	case n.form == text:
		return r.connectionString(n, key)
	case n.form != object:
		r.problems.add(n.at, key, "want a connection string or an object")
	default:
		if s := n.get("connectionString"); !s.absent() {
			return replaced(without(n, "connectionString"), r.connectionString(s, key+".connectionString"))
		}
		return n.fields
	}
	return nil
}

var errURL = errors.New("want postgres://user:password@host:port/database, user and password percent-encoded")

// connectionString takes a URL apart. Whatever is in its query is a key like any other.
func (r *reader) connectionString(n *node, key string) []field {
	u, err := url.Parse(n.text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Opaque != "" {
		d := decoder{problems: &r.problems}
		d.check(n, key, errURL)
		return nil
	}
	password, _ := u.User.Password()
	fields := r.fieldsOf(n, map[string]string{
		"user": u.User.Username(), "password": password, "host": u.Hostname(), "port": u.Port(), "database": strings.TrimPrefix(u.Path, "/"),
	})
	query := map[string]string{}
	for name, values := range u.Query() {
		query[name] = values[len(values)-1]
	}
	return replaced(fields, r.fieldsOf(n, query))
}

// fieldsOf are texts that stand where n does; an empty one is none.
func (r *reader) fieldsOf(n *node, texts map[string]string) []field {
	var fields []field
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if value := texts[name]; value != "" {
			fields = append(fields, field{name: name, at: n.at, value: &node{form: text, at: n.at, text: value, vars: n.vars}})
		}
	}
	return fields
}

// settings are the keys by libpq's names, but for what is about TLS.
func (k connectionKeys) settings() map[string]string {
	all := map[string]string{}
	for name, value := range map[string]string{
		"host": k.Host, "user": k.User, "password": k.Password, "database": k.Database, "application_name": k.ApplicationName, "options": k.Options,
		"target_session_attrs": k.SessionAttrs, "default_query_exec_mode": k.ExecMode,
		"sslrootcert": k.SSLRootCert, "sslcert": k.SSLCert, "sslkey": k.SSLKey,
	} {
		if value != "" {
			all[name] = value
		}
	}
	setNumber(all, "port", int(k.Port))
	setNumber(all, "statement_timeout", k.StatementTime)
	setNumber(all, "lock_timeout", k.LockTime)
	setNumber(all, "idle_in_transaction_session_timeout", k.IdleTime)
	setNumber(all, "connect_timeout", max(k.ConnectSeconds, int((k.ConnectTimeout+time.Second-1)/time.Second)))
	return all
}

// postgresTLS reads what is said about TLS, in ssl, sslmode or PGSSLMODE, and adds sslmode to the settings if that is enough.
//
// Differs from Backstage: where nothing is said, TLS is used if the server has it. Otherwise the words mean what they mean to node-postgres, which never
// leaves a certificate unchecked unless it is told so; libpq's "require" does.
func (r *reader) postgresTLS(keys connectionKeys, settings map[string]string, key string) *PostgresTLS {
	mode := keys.SSLMode
	if keys.SSL != nil {
		switch on, err := boolOf(keys.SSL); {
		case keys.SSL.form == object:
			return r.tlsObject(keys.SSL, key+".ssl")
		case keys.SSL.text == "no-verify":
			mode = "no-verify"
		case err != nil:
			r.problems.add(keys.SSL.at, key+".ssl", "want true, false, or an object with ca, cert, key, rejectUnauthorized and servername")
		case on:
			mode = "verify-full"
		default:
			mode = "disable"
		}
	}
	if mode == "" {
		mode, _ = r.env("PGSSLMODE")
	}
	switch {
	case mode == "":
		settings["sslmode"] = "prefer"
	case keys.LibpqCompatible || mode == "disable":
		settings["sslmode"] = mode
	case mode == "no-verify":
		settings["sslmode"] = "require"
		delete(settings, "sslrootcert") // with it, require is verify-ca
	default:
		settings["sslmode"] = "verify-full"
	}
	return nil
}

// tlsObject reads the certificates, so that one which is none is told with its place.
func (r *reader) tlsObject(n *node, key string) *PostgresTLS {
	t := &PostgresTLS{}
	d := decoder{strict: true, source: r.source.String(), problems: &r.problems}
	_ = d.decode(n, key, t) // what is wrong is in r.problems
	for _, ca := range t.CA {
		if !x509.NewCertPool().AppendCertsFromPEM([]byte(ca)) {
			r.problems.add(n.get("ca").at, key+".ca", "want certificates in PEM, not the name of a file: that is {$file: name}")
		}
	}
	if t.Cert != "" || t.Key != "" {
		if _, err := tls.X509KeyPair([]byte(t.Cert), []byte(t.Key)); err != nil {
			r.problems.add(n.at, key, "want cert and key, both in PEM, that belong together")
		}
	}
	return t
}
