package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"stagedoor/server/internal/store/pgdb"
)

// DefaultMaxConns is the size of the pool for PostgreSQL, Backstage's own.
const DefaultMaxConns = 10

const (
	// connectTimeout is how long one attempt to connect may take.
	connectTimeout = 5 * time.Second
	// A connection lives for connLife and up to connLifeSpread more, so that a fail-over or a new certificate is noticed, and not
	// by all of them at once.
	connLife, connLifeSpread = 30 * time.Minute, 5 * time.Minute
	// pingTimeout is how long a connection that has been idle may take to show that it is still one.
	pingTimeout = 2 * time.Second
	// migrateTimeout is how long the migrations may take, other processes' included. A large table takes its time.
	migrateTimeout = 10 * time.Minute
)

// postgresDB is a pool of connections.
type postgresDB struct {
	Postgres
	opts Options
	pool *pgxpool.Pool
	name string
	// plain hands out connections of the pool, and keeps none.
	plain *sql.DB
}

func (d *postgresDB) address() string { return d.name }

// open makes what is missing, migrates on connections of its own, and then fills the pool.
func (d *postgresDB) open(ctx context.Context) error {
	config, err := d.config()
	if err != nil {
		return err
	}
	d.name = nameOf(config.ConnConfig)
	if err := d.provide(ctx, config.ConnConfig); err != nil {
		return err
	}
	if err := d.migrate(ctx, config.ConnConfig); err != nil {
		return err
	}
	if d.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), config); err != nil {
		return fmt.Errorf("open pool: %w", err)
	}
	d.plain = stdlib.OpenDBFromPool(d.pool)
	return nil
}

func (d *postgresDB) node() nodeDialect {
	return nodeDialect{write: d.plain, read: d.plain, nodeStatements: postgresNode}
}

// nameOf names a database without its password.
func nameOf(c *pgx.ConnConfig) string {
	return fmt.Sprintf("%s on %s as %s", c.Database, net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))), c.User)
}

// config is that of the pool. Reads and writes share it: in PostgreSQL neither waits for the other.
func (d *postgresDB) config() (*pgxpool.Config, error) {
	c, err := d.parse()
	if err != nil {
		return nil, err
	}
	c.MaxConns, c.MinConns = int32(d.MaxConns), int32(d.MinConns)
	if c.MaxConns == 0 {
		c.MaxConns = DefaultMaxConns
	}
	if d.IdleTime > 0 {
		c.MaxConnIdleTime = d.IdleTime
	}
	c.MaxConnLifetime, c.MaxConnLifetimeJitter, c.PingTimeout = connLife, connLifeSpread, pingTimeout
	if c.ConnConfig.ConnectTimeout == 0 {
		c.ConnConfig.ConnectTimeout = connectTimeout
	}
	if _, named := c.ConnConfig.RuntimeParams["application_name"]; !named {
		c.ConnConfig.RuntimeParams["application_name"] = "stagedoor"
	}
	c.ConnConfig.OnPgError = keepConnection
	c.ConnConfig.AfterConnect = d.session(timeouts(d.opts.Timeout, c.ConnConfig.RuntimeParams))
	return c, nil
}

// keepConnection is false for a connection that is of no more use: it is broken, or the server on its other end has become the
// replica of another one, which a new connection may find.
func keepConnection(_ *pgconn.PgConn, e *pgconn.PgError) bool {
	// The other field is in the server's language.
	return e.SeverityUnlocalized != "FATAL" && e.Code != readOnlyTransaction
}

func (d *postgresDB) queries() (write, read queries) {
	q := pgQueries{pgdb.New(d.pool)}
	return q, q
}

func (d *postgresDB) atomically(ctx context.Context, fn func(queries) error) error {
	return pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error { return fn(pgQueries{pgdb.New(tx)}) })
}

func (d *postgresDB) close() (err error) {
	if d.pool != nil {
		err = d.plain.Close()
		d.pool.Close()
	}
	return err
}

// findTable counts the tables of a name where new ones would be made.
const findTable = "select count(*) from pg_catalog.pg_tables where schemaname = current_schema() and tablename = $1"

// migrate runs the migrations on connections that may be slow and whose statements are not prepared.
func (d *postgresDB) migrate(ctx context.Context, config *pgx.ConnConfig) (err error) {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	config = config.Copy()
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.AfterConnect = d.session(timeouts(0, nil))
	db := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, db.Close()) }()
	return migrate(ctx, migrated{
		db: db, dialect: goose.DialectPostgres, lock: func(ctx context.Context) func() { return lockMigrations(ctx, config) },
		find: findTable,
	}, d.opts.Migrations, d.opts.Log)
}

// migrationLock is a number that no other program is likely to lock.
const migrationLock = 0x73746167_65646f6f // "stagedoo"

// lockMigrations waits until no other process migrates. The lock belongs to a transaction: it ends with its connection, and a
// pooler between here and the server does not give the connection to somebody else meanwhile. Where there is no such lock, as in
// some databases that speak PostgreSQL's protocol, or it cannot be had, the migrations run without.
func lockMigrations(ctx context.Context, config *pgx.ConnConfig) (unlock func()) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return func() {}
	}
	if _, err = conn.Exec(ctx, "begin"); err == nil {
		_, _ = conn.Exec(ctx, "select pg_advisory_xact_lock($1)", int64(migrationLock))
	}
	return func() { _ = conn.Close(ctx) } // rolls back, as there is nothing to commit
}

// provide makes the first connection and whatever is to be made on it.
func (d *postgresDB) provide(ctx context.Context, config *pgx.ConnConfig) error {
	ctx, cancel := context.WithTimeout(ctx, d.opts.Timeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if stateOf(err) == noSuchDatabase && d.CreateDatabase {
		if err = createDatabase(ctx, config); err == nil {
			conn, err = pgx.ConnectConfig(ctx, config)
		}
	}
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }() // all that counts has been answered
	if err := writable(ctx, conn); err != nil {
		return err
	}
	if d.Schema == "" {
		return nil
	}
	return d.createSchema(ctx, conn)
}

// writable fails on a replica, where the migrations' library would try for seconds.
func writable(ctx context.Context, conn *pgx.Conn) error {
	var readOnly string
	if err := conn.QueryRow(ctx, "select current_setting('transaction_read_only')").Scan(&readOnly); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if readOnly == "on" {
		return fmt.Errorf("connect: %w", ErrReadOnly)
	}
	return nil
}

// createDatabase makes the database, from the one that every server has for this. Several processes may do so at once.
func createDatabase(ctx context.Context, config *pgx.ConnConfig) error {
	admin := config.Copy()
	admin.Database = "postgres"
	conn, err := pgx.ConnectConfig(ctx, admin)
	if err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }() // all that counts has been answered
	for {
		_, err = conn.Exec(ctx, "create database "+pgx.Identifier{config.Database}.Sanitize())
		switch stateOf(err) {
		case duplicateDatabase, uniqueViolation:
			return nil
		case objectInUse: // another process copies the template, to make the same database or another
			if pause(ctx, rand.IntN(4)+1) {
				continue
			}
		}
		if err != nil {
			return fmt.Errorf("create database: %w", err)
		}
		return nil
	}
}

// createSchema makes the schema if it is missing. It looks first, as to make one takes a right that not every user has.
func (d *postgresDB) createSchema(ctx context.Context, conn *pgx.Conn) error {
	var exists bool
	const find = "select exists (select 1 from pg_catalog.pg_namespace where nspname = $1)"
	err := conn.QueryRow(ctx, find, d.Schema).Scan(&exists)
	switch {
	case err != nil:
		return fmt.Errorf("find schema: %w", err)
	case exists:
		return nil
	case !d.CreateSchema:
		return fmt.Errorf("find schema %s: %w", d.Schema, ErrNoSchema)
	}
	create := "create schema if not exists " + pgx.Identifier{d.Schema}.Sanitize()
	if _, err = conn.Exec(ctx, create); err != nil && stateOf(err) != uniqueViolation { // another process was faster
		return fmt.Errorf("create schema: %w", err)
	}
	return nil
}
