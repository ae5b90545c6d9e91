package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"stagedoor/server/internal/op"
	"stagedoor/tokens"
)

// nodeDialect reaches Backstage's own tables, which are there if its auth plugin has the same database. They are not ours:
// nothing here makes or changes a table, and sqlc, which prepares what it knows when the database is opened, does not know them.
type nodeDialect struct {
	write, read *sql.DB
	nodeStatements
}

// nodeStatements are what the dialects say differently: times, which Backstage keeps as the database's own (contract/core.md 6.1).
type nodeStatements struct {
	// keys selects kid, key and the second of created_at, oldest first.
	keys string
	// userInfo takes an entity ref and selects the document about the user.
	userInfo string
	// saveKey takes kid, key and the second of created_at, dropKey a kid.
	saveKey, dropKey string
}

// SQLite keeps times as text in UTC (contract/core.md K10).
var sqliteNode = nodeStatements{
	keys: `select kid, key, cast(coalesce(strftime('%s', created_at), 0) as integer) from signing_keys order by created_at, kid`,
	saveKey: `insert into signing_keys (kid, key, created_at) values (?1, ?2, datetime(?3, 'unixepoch'))
		on conflict (kid) do update set key = excluded.key, created_at = excluded.created_at`,
	dropKey:  `delete from signing_keys where kid = ?1`,
	userInfo: `select user_info from user_info where user_entity_ref = ?1`,
}

var postgresNode = nodeStatements{
	keys: `select kid, key, extract(epoch from created_at)::bigint from signing_keys order by created_at, kid`,
	saveKey: `insert into signing_keys (kid, key, created_at) values ($1, $2, to_timestamp($3::bigint))
		on conflict (kid) do update set key = excluded.key, created_at = excluded.created_at`,
	dropKey:  `delete from signing_keys where kid = $1`,
	userInfo: `select user_info from user_info where user_entity_ref = $1`,
}

// NodeTableError says that the table of public keys of Backstage's auth plugin cannot be used.
type NodeTableError struct {
	// Path is the file, or the name of the database with its server and user.
	Path string
	// Err is the cause.
	Err error
}

// Error is where the table was looked for, the cause, and what to do.
func (e *NodeTableError) Error() string {
	return fmt.Sprintf("the table signing_keys of Backstage's auth plugin cannot be used in %s: %v; let backend.database.plugin.auth name the"+
		" database and schema that the Node backend uses, and this user select, insert, update and delete there", e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *NodeTableError) Unwrap() error { return e.Err }

// nodeKeys is the table in which Backstage's auth plugin keeps public keys.
type nodeKeys struct {
	store *Store
	nodeDialect
}

// NodeKeys returns the public keys of Backstage's own auth plugin, which has the same database: the same file, or the same database and
// schema of PostgreSQL. It ends with s. The error is a *NodeTableError if the table is not there, is another one, or may not be
// changed. That is tried, and nothing of it stays.
func (s *Store) NodeKeys(ctx context.Context) (tokens.Neighbour, error) {
	n := nodeKeys{s, s.db.node()}
	if err := s.call(ctx, "try table", n.try); err != nil {
		return nil, &NodeTableError{s.db.address(), err}
	}
	return n, nil
}

// errUndone ends a transaction of which nothing is to stay.
var errUndone = errors.New("only tried")

// try does all that will be done, in a transaction that is rolled back.
func (n nodeKeys) try(ctx context.Context) error {
	if _, err := n.all(ctx); err != nil {
		return err
	}
	const kid = "stagedoor-tries-this-table"
	err := n.atomically(ctx, func(tx *sql.Tx) error {
		for range 2 { // inserts, then updates
			if _, err := tx.ExecContext(ctx, n.saveKey, kid, "{}", int64(0)); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, n.dropKey, kid); err != nil {
			return err
		}
		return errUndone
	})
	if errors.Is(err, errUndone) {
		return nil
	}
	return err
}

func (n nodeKeys) atomically(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := n.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // says only that the transaction is over, once it is
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// PublicKeys implements tokens.Neighbour.
func (n nodeKeys) PublicKeys(ctx context.Context) (keys []tokens.PublicKey, err error) {
	err = n.store.call(ctx, "read keys of the Node backend", func(ctx context.Context) (err error) {
		keys, err = n.all(ctx)
		return err
	})
	return keys, err
}

func (n nodeKeys) all(ctx context.Context) (keys []tokens.PublicKey, err error) {
	rows, err := n.read.QueryContext(ctx, n.keys)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var k tokens.PublicKey
		var second int64
		if err := rows.Scan(&k.ID, &k.JWK, &second); err != nil {
			return nil, err
		}
		k.CreatedAt = time.Unix(second, 0).UTC()
		keys = append(keys, k)
	}
	return keys, rows.Err()
}

// Publish implements tokens.Neighbour: all keys are stored, or none. Two processes that publish the same do no harm, as the second finds
// the rows of the first.
func (n nodeKeys) Publish(ctx context.Context, keys ...tokens.PublicKey) error {
	return n.change(ctx, "publish keys for the Node backend", func(tx *sql.Tx) error {
		for _, k := range keys {
			if _, err := tx.ExecContext(ctx, n.saveKey, k.ID, string(k.JWK), k.CreatedAt.Unix()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Withdraw implements tokens.Neighbour: all keys are deleted, or none.
func (n nodeKeys) Withdraw(ctx context.Context, ids ...string) error {
	return n.change(ctx, "withdraw keys from the Node backend", func(tx *sql.Tx) error {
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, n.dropKey, id); err != nil {
				return err
			}
		}
		return nil
	})
}

func (n nodeKeys) change(ctx context.Context, doing string, do func(*sql.Tx) error) error {
	return n.store.call(ctx, doing, func(ctx context.Context) error { return n.atomically(ctx, do) })
}

// nodeUsers is user info of ours before that of Backstage's auth plugin.
type nodeUsers struct {
	store *Store
	nodeDialect
}

// NodeUserInfo returns the documents about users with those that Backstage's auth plugin has stored: whoever has a token of the Node
// backend was signed in there and maybe never here. It ends with s.
func (s *Store) NodeUserInfo() op.UserInfoStore { return nodeUsers{s, s.db.node()} }

// UserInfo implements op.UserInfoStore. Old versions of the plugin have no such table; whatever is wrong with it, the database has just
// answered, and nothing is known about the user.
func (n nodeUsers) UserInfo(ctx context.Context, userRef string) ([]byte, error) {
	info, err := n.store.UserInfo(ctx, userRef)
	if !errors.Is(err, op.ErrNoUserInfo) {
		return info, err
	}
	err = n.store.call(ctx, "read user info of the Node backend", func(ctx context.Context) error {
		return n.read.QueryRowContext(ctx, n.userInfo, userRef).Scan(&info)
	})
	if err != nil {
		return nil, op.ErrNoUserInfo
	}
	return info, nil
}
