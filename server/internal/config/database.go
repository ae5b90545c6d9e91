package config

import (
	"path/filepath"
	"slices"
)

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
	own, common := r.root.find(ownDatabase), r.root.find(commonDatabase)
	client := common.get("client")
	if c := own.get("client"); !c.absent() {
		if client.absent() || c.text != client.text {
			common = &node{form: object, fields: without(common, "connection")}
		}
		client = c
	}
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
		return Database{Client: kind, Postgres: r.postgres(common, own)}
	}
	connection, key := merge(common.get("connection"), own.get("connection")), commonDatabase+".connection"
	if !own.get("connection").absent() {
		key = ownDatabase + ".connection"
	}
	if connection.absent() {
		return fallback
	}
	return Database{Client: kind, SQLite: r.sqlite(connection, key)}
}

// A plugin has settings of its own, on top of the common ones. With another client it takes nothing from the common connection.
const commonDatabase, ownDatabase = "backend.database", "backend.database.plugin.auth"

// without are the fields of n but one.
func without(n *node, name string) []field {
	if n == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(n.fields), func(f field) bool { return f.name == name })
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
