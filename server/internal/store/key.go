package store

import (
	"context"
	"database/sql"
	"time"

	"stagedoor/server/internal/store/sqlitedb"
	"stagedoor/tokens"
)

// AddKey stores a new key of user tokens. tokens.ErrConflict if its ID or Generation is taken; nothing is changed then.
func (s *Store) AddKey(ctx context.Context, k tokens.Key) error { return s.userKeys().AddKey(ctx, k) }

// Keys returns all keys of user tokens, expired ones included, oldest generation first.
func (s *Store) Keys(ctx context.Context) ([]tokens.Key, error) { return s.userKeys().Keys(ctx) }

// RetireKey sets RetireAt of a key of user tokens if it is still zero. An unknown id is no error.
func (s *Store) RetireKey(ctx context.Context, id string, at time.Time) error {
	return s.userKeys().RetireKey(ctx, id, at)
}

// RemoveKeys deletes keys of user tokens, all of them or, if there is an error, none. Unknown ids are ignored.
func (s *Store) RemoveKeys(ctx context.Context, ids ...string) error {
	return s.userKeys().RemoveKeys(ctx, ids...)
}

// PluginKeys returns the store of the keys of plugin tokens. It ends with s, and shares nothing with the keys of user
// tokens but the database.
func (s *Store) PluginKeys() tokens.KeyStore { return keyTable{s, pluginKeyQueries} }

func (s *Store) userKeys() keyTable { return keyTable{s, userKeyQueries} }

// keyTable is one table of keys.
type keyTable struct {
	store   *Store
	queries keyQueries
}

// keyQueries are the statements on a table of keys. SQL takes no table's name as a parameter, so sqlc makes each of them,
// and each row's type, once per table.
type keyQueries struct {
	insert func(queries, context.Context, sqlitedb.InsertKeyParams) (int64, error)
	all    func(queries, context.Context) ([]tokens.Key, error)
	retire func(queries, context.Context, sqlitedb.RetireKeyParams) error
	remove func(queries, context.Context, string) error
}

var userKeyQueries = keyQueries{
	insert: queries.InsertKey,
	all: func(q queries, ctx context.Context) ([]tokens.Key, error) {
		rows, err := q.SelectKeys(ctx)
		return keysOf(rows), err
	},
	retire: queries.RetireKey,
	remove: queries.DeleteKey,
}

var pluginKeyQueries = keyQueries{
	insert: func(q queries, ctx context.Context, p sqlitedb.InsertKeyParams) (int64, error) {
		return q.InsertPluginKey(ctx, sqlitedb.InsertPluginKeyParams(p))
	},
	all: func(q queries, ctx context.Context) ([]tokens.Key, error) {
		rows, err := q.SelectPluginKeys(ctx)
		return keysOf(rows), err
	},
	retire: func(q queries, ctx context.Context, p sqlitedb.RetireKeyParams) error {
		return q.RetirePluginKey(ctx, sqlitedb.RetirePluginKeyParams(p))
	},
	remove: queries.DeletePluginKey,
}

// AddKey implements tokens.KeyStore.
func (t keyTable) AddKey(ctx context.Context, k tokens.Key) error {
	row := sqlitedb.InsertKeyParams{
		ID: k.ID, Generation: k.Generation, Algorithm: k.Algorithm,
		PublicJwk: blob(k.Public), PrivateKey: blob(k.Private),
		CreatedAt: millis(k.CreatedAt), SignsFrom: millis(k.SignsFrom), RetireAt: nullMillis(k.RetireAt),
	}
	return t.store.call(ctx, "add key", func(ctx context.Context) error {
		n, err := t.queries.insert(t.store.write, ctx, row)
		return changed(n, err, tokens.ErrConflict)
	})
}

// Keys implements tokens.KeyStore.
func (t keyTable) Keys(ctx context.Context) (keys []tokens.Key, err error) {
	err = t.store.call(ctx, "read keys", func(ctx context.Context) (err error) {
		keys, err = t.queries.all(t.store.read, ctx)
		return err
	})
	return keys, err
}

// RetireKey implements tokens.KeyStore.
func (t keyTable) RetireKey(ctx context.Context, id string, at time.Time) error {
	return t.store.call(ctx, "retire key", func(ctx context.Context) error {
		return t.queries.retire(t.store.write, ctx, sqlitedb.RetireKeyParams{ID: id, RetireAt: nullMillis(at)})
	})
}

// RemoveKeys implements tokens.KeyStore.
func (t keyTable) RemoveKeys(ctx context.Context, ids ...string) error {
	return t.store.call(ctx, "remove keys", func(ctx context.Context) error {
		return t.store.db.atomically(ctx, func(q queries) error {
			for _, id := range ids {
				if err := t.queries.remove(q, ctx, id); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// keysOf converts the rows of either table, which have the same columns.
func keysOf[Row sqlitedb.SigningKey | sqlitedb.PluginKey](rows []Row) []tokens.Key {
	keys := make([]tokens.Key, len(rows))
	for i, r := range rows {
		keys[i] = keyOf(sqlitedb.SigningKey(r))
	}
	return keys
}

func keyOf(r sqlitedb.SigningKey) tokens.Key {
	k := tokens.Key{
		ID: r.ID, Generation: r.Generation, Algorithm: r.Algorithm, Public: r.PublicJwk, Private: r.PrivateKey,
		CreatedAt: instant(r.CreatedAt), SignsFrom: instant(r.SignsFrom),
	}
	if r.RetireAt.Valid {
		k.RetireAt = instant(r.RetireAt.Int64)
	}
	return k
}

// nullMillis is a time as it is stored where the zero time means that there is none.
func nullMillis(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: millis(t), Valid: !t.IsZero()}
}
