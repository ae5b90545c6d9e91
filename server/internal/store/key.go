package store

import (
	"context"
	"database/sql"
	"time"

	"stagedoor/server/internal/store/sqlitedb"
	"stagedoor/tokens"
)

// AddKey stores a new key. tokens.ErrConflict if its ID or Generation is taken; nothing is changed then.
func (s *Store) AddKey(ctx context.Context, k tokens.Key) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	n, err := s.write.InsertKey(ctx, sqlitedb.InsertKeyParams{
		ID: k.ID, Generation: k.Generation, Algorithm: k.Algorithm,
		PublicJwk: blob(k.Public), PrivateKey: blob(k.Private),
		CreatedAt: millis(k.CreatedAt), SignsFrom: millis(k.SignsFrom), RetireAt: nullMillis(k.RetireAt),
	})
	if err != nil {
		return wrap("add key", err)
	}
	if n == 0 {
		return tokens.ErrConflict
	}
	return nil
}

// Keys returns all keys, expired ones included, oldest generation first.
func (s *Store) Keys(ctx context.Context) ([]tokens.Key, error) {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	rows, err := s.read.SelectKeys(ctx)
	if err != nil {
		return nil, wrap("read keys", err)
	}
	keys := make([]tokens.Key, len(rows))
	for i, r := range rows {
		keys[i] = keyOf(r)
	}
	return keys, nil
}

// RetireKey sets RetireAt of a key if it is still zero. An unknown id is no error.
func (s *Store) RetireKey(ctx context.Context, id string, at time.Time) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	return wrap("retire key", s.write.RetireKey(ctx, sqlitedb.RetireKeyParams{ID: id, RetireAt: nullMillis(at)}))
}

// RemoveKeys deletes keys, all of them or, if there is an error, none. Unknown ids are ignored.
func (s *Store) RemoveKeys(ctx context.Context, ids ...string) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	return wrap("remove keys", s.atomically(ctx, func(q *sqlitedb.Queries) error {
		for _, id := range ids {
			if err := q.DeleteKey(ctx, id); err != nil {
				return err
			}
		}
		return nil
	}))
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
