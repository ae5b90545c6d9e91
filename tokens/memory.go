package tokens

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// MemoryStore is a KeyStore that ends with the process: for tests, and for one replica that may forget its keys at a
// restart, as auth.keyStore.provider "memory" says (contract/core.md K1, K2). It is safe for concurrent use.
type MemoryStore struct {
	mu   sync.Mutex
	keys []Key // by generation
}

var _ KeyStore = (*MemoryStore)(nil)

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore { return &MemoryStore{} }

// AddKey implements KeyStore.
func (m *MemoryStore) AddKey(ctx context.Context, k Key) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, old := range m.keys {
		if old.ID == k.ID || old.Generation == k.Generation {
			return ErrConflict
		}
	}
	m.keys = append(m.keys, cloneKey(k))
	slices.SortFunc(m.keys, func(a, b Key) int { return cmp.Compare(a.Generation, b.Generation) })
	return nil
}

// Keys implements KeyStore.
func (m *MemoryStore) Keys(ctx context.Context) ([]Key, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Key, len(m.keys))
	for i, k := range m.keys {
		out[i] = cloneKey(k)
	}
	return out, nil
}

// RetireKey implements KeyStore.
func (m *MemoryStore) RetireKey(ctx context.Context, id string, at time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.keys {
		if k := &m.keys[i]; k.ID == id && k.RetireAt.IsZero() {
			k.RetireAt = at
		}
	}
	return nil
}

// RemoveKeys implements KeyStore.
func (m *MemoryStore) RemoveKeys(ctx context.Context, ids ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys = slices.DeleteFunc(m.keys, func(k Key) bool { return slices.Contains(ids, k.ID) })
	return nil
}

func cloneKey(k Key) Key {
	k.Public, k.Private = bytes.Clone(k.Public), bytes.Clone(k.Private)
	return k
}
