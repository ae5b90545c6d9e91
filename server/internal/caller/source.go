package caller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"stagedoor/server/internal/fault"
	"stagedoor/tokens"
)

const (
	// keysFresh is how long keys are used without a look at newer ones (contract/core.md T15).
	keysFresh = 10 * time.Minute
	// keysBelieved is how long they are used while newer ones cannot be read: a withdrawn key is refused after that, whatever
	// state its publisher is in.
	keysBelieved = time.Hour
	// Keys are looked for up to fetchBurst times at once, and once in fetchPause over time (contract/core.md T15). Without a
	// bound, forged tokens would turn us on the publisher; without a burst, a publisher with two replicas that have just
	// started would be refused for the pause.
	fetchPause, fetchBurst = 30 * time.Second, 4
)

// source is one key set that somebody else publishes, as far as it is known.
type source struct {
	// name is for the log.
	name, address string
	fetch         *fetcher
	limit         *rate.Limiter
	flight        singleflight.Group

	mu   sync.Mutex
	last snapshot
	used time.Time
}

// snapshot is what the last look brought.
type snapshot struct {
	// keys is nil if there never were any, read when they came, count how often they did.
	keys  *tokens.KeySet
	read  time.Time
	count int
	// failure is why the look after that brought none, nil if there was no such look.
	failure error
}

func newSource(name, address string, f *fetcher) *source {
	return &source{
		name: name, address: address, fetch: f, limit: rate.NewLimiter(rate.Every(fetchPause), fetchBurst), used: f.now(),
	}
}

// verify calls check with the keys: those that are held, and newer ones if none of those fits. Its error is check's, or says
// why there are no keys: errNoEndpoint or errUnavailable.
func (s *source) verify(ctx context.Context, check func(*tokens.KeySet) error) error {
	known := s.known()
	if known.keys != nil && s.age(known) < keysFresh {
		if err := check(known.keys); !errors.Is(err, tokens.ErrUnknownKey) {
			return err
		}
	}
	newer, failure := s.renew(ctx, known)
	switch {
	case failure == nil:
		return check(newer)
	case known.keys == nil || s.age(known) >= keysBelieved:
		return failure
	}
	err := check(known.keys)
	if errors.Is(err, tokens.ErrUnknownKey) && !errors.Is(failure, errPaused) {
		return failure // the key may be among those that we could not read
	}
	return err
}

// known is what is held, and notes that it was asked for.
func (s *source) known() snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used = s.fetch.now()
	return s.last
}

func (s *source) age(k snapshot) time.Duration { return s.fetch.now().Sub(k.read) }

// idle returns when the source was last asked, and whether it holds keys.
func (s *source) idle() (since time.Time, holds bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used, s.last.keys != nil
}

// renew reads the keys, once for all who ask at the same time, and not at all if somebody did since seen. The call outlives
// whoever began it.
func (s *source) renew(ctx context.Context, seen snapshot) (*tokens.KeySet, error) {
	done := s.flight.DoChan("", fault.Contained(func() (any, error) {
		now := s.known()
		switch {
		case now.count > seen.count:
			return now.keys, nil
		case s.limit.AllowN(s.fetch.now(), 1):
			return s.read(context.WithoutCancel(ctx))
		case now.failure != nil:
			return nil, now.failure
		}
		return nil, errPaused
	}))
	select {
	case r := <-done:
		keys, _ := r.Val.(*tokens.KeySet)
		return keys, r.Err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errUnavailable, ctx.Err())
	}
}

func (s *source) read(ctx context.Context) (*tokens.KeySet, error) {
	keys, err := s.fetch.get(ctx, s.address)
	if err != nil {
		s.fetch.log.WarnContext(ctx, "keys of a caller cannot be read", "caller", s.name, "err", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last.failure = err
	if err == nil {
		s.last = snapshot{keys: keys, read: s.fetch.now(), count: s.last.count + 1}
	}
	return keys, err
}
