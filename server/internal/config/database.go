package config

import "path/filepath"

// Client is a kind of database.
type Client string

// The kinds of database that can be used.
const (
	SQLite   Client = "sqlite"
	Postgres Client = "pg"
)

// Database is where everything durable lives (backend.database, with backend.database.plugin.auth on top of it).
type Database struct {
	Client   Client
	SQLite   SQLiteConnection
	Postgres PostgresConnection
}

// SQLiteConnection is a file or memory.
type SQLiteConnection struct {
	// Memory is true for a database that ends with the process.
	Memory bool
	// File is the path of the database file, relative to the working directory; empty if Memory.
	File string
}

// PostgresConnection is the connection as it was written: one of the two.
type PostgresConnection struct {
	// URL is a connection string.
	URL string
	// Parameters are the keys of a connection object: host, port, user, password, database, ssl, ….
	Parameters map[string]any
}

// clients are the names that Backstage and others use for the two.
var clients = map[string]Client{
	"better-sqlite3": SQLite, "sqlite": SQLite, "sqlite3": SQLite,
	"pg": Postgres, "postgres": Postgres, "postgresql": Postgres,
}

const (
	inMemory = ":memory:"
	// defaultDirectory is used without configuration, databaseName in any directory: the plugin's name, as in Backstage.
	defaultDirectory = ".stagedoor"
	databaseName     = "auth.sqlite"
)

func (r *reader) database() Database {
	client, connection, key := r.databaseNodes()
	fallback := Database{Client: SQLite, SQLite: SQLiteConnection{File: filepath.Join(defaultDirectory, databaseName)}}
	if client.absent() {
		return fallback
	}
	kind, ok := clients[client.text]
	switch {
	case client.form != text || !ok:
		r.problems.add(client.at, "backend.database.client", "want better-sqlite3 or pg")
		return fallback
	case kind == Postgres:
		return Database{Client: kind, Postgres: r.postgres(connection, key)}
	case connection.absent():
		return fallback
	}
	return Database{Client: kind, SQLite: r.sqlite(connection, key)}
}

// databaseNodes returns the client and the connection with the plugin's own settings on top. A plugin with another
// client takes nothing from the common connection.
func (r *reader) databaseNodes() (client, connection *node, key string) {
	common, plugin := r.root.find("backend.database"), r.root.find("backend.database.plugin.auth")
	client, connection, key = common.get("client"), common.get("connection"), "backend.database.connection"
	own, ownConnection := plugin.get("client"), plugin.get("connection")
	if !own.absent() {
		if client.absent() || own.text != client.text {
			connection = nil
		}
		client = own
	}
	if !ownConnection.absent() {
		connection, key = merge(connection, ownConnection), "backend.database.plugin.auth.connection"
	}
	return client, connection, key
}

// sqlite reads ":memory:", "file", {filename}, or {directory}.
func (r *reader) sqlite(n *node, key string) SQLiteConnection {
	var keys struct {
		Filename  string `config:"filename"`
		Directory string `config:"directory"`
	}
	before := len(r.problems.list)
	if n.form == text {
		keys.Filename = n.text
	} else {
		d := decoder{source: r.source.String(), problems: &r.problems}
		_ = d.decode(n, key, &keys) // what is wrong is in r.problems
	}
	switch {
	case len(r.problems.list) > before:
		return SQLiteConnection{}
	case keys.Filename == inMemory || keys.Directory == inMemory:
		return SQLiteConnection{Memory: true}
	case keys.Filename != "":
		return SQLiteConnection{File: keys.Filename}
	case keys.Directory != "":
		return SQLiteConnection{File: filepath.Join(keys.Directory, databaseName)}
	}
	r.problems.add(n.at, key, "want :memory:, the name of a file, or an object with filename or directory")
	return SQLiteConnection{}
}

func (r *reader) postgres(n *node, key string) PostgresConnection {
	switch {
	case n.absent():
		d := decoder{source: r.source.String(), problems: &r.problems}
		d.missing(n, key)
	case n.form == text && n.text != "":
		return PostgresConnection{URL: n.text}
	case n.form == object:
		parameters, _ := anyOf(n).(map[string]any)
		return PostgresConnection{Parameters: parameters}
	default:
		r.problems.add(n.at, key, "want a connection string or an object")
	}
	return PostgresConnection{}
}
