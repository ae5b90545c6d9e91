package tokens_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"stagedoor/tokens"
)

var errDown = errors.New("store is down")

// flakyStore is a store that can fail, count and hold its callers. The zero values let everything pass.
type flakyStore struct {
	tokens.KeyStore
	mu sync.Mutex
	// down fails every call, readOnly every change.
	down, readOnly bool
	// hold blocks Keys until the caller's context ends.
	hold bool
	// beforeAdd runs before every AddKey.
	beforeAdd func()
	// reads counts calls of Keys, added holds what was ever stored.
	reads int
	added []tokens.Key
}

func newFlakyStore() *flakyStore { return &flakyStore{KeyStore: tokens.NewMemoryStore()} }

func (s *flakyStore) set(change func(*flakyStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// state returns why a call fails.
func (s *flakyStore) state(change bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down || (change && s.readOnly) {
		return errDown
	}
	return nil
}

func (s *flakyStore) Keys(ctx context.Context) ([]tokens.Key, error) {
	s.mu.Lock()
	s.reads++
	hold := s.hold
	s.mu.Unlock()
	if hold {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := s.state(false); err != nil {
		return nil, err
	}
	return s.KeyStore.Keys(ctx)
}

func (s *flakyStore) AddKey(ctx context.Context, k tokens.Key) error {
	if s.beforeAdd != nil {
		s.beforeAdd()
	}
	if err := s.state(true); err != nil {
		return err
	}
	err := s.KeyStore.AddKey(ctx, k)
	if err == nil {
		s.set(func(s *flakyStore) { s.added = append(s.added, k) })
	}
	return err
}

func (s *flakyStore) RetireKey(ctx context.Context, id string, at time.Time) error {
	if err := s.state(true); err != nil {
		return err
	}
	return s.KeyStore.RetireKey(ctx, id, at)
}

func (s *flakyStore) RemoveKeys(ctx context.Context, ids ...string) error {
	if err := s.state(true); err != nil {
		return err
	}
	return s.KeyStore.RemoveKeys(ctx, ids...)
}

func (s *flakyStore) readCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}
