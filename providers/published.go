package providers

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

const (
	// firstPause follows a failed reading; it doubles with every further one, up to longestPause.
	firstPause, longestPause = time.Second, time.Minute
)

// published is what an upstream publishes about itself: read when it is first needed and kept, so that an upstream that is down at
// start stops nothing, and one that fails later takes only what is new with it. It is safe for concurrent use.
type published[T any] struct {
	fetch func(context.Context) (*T, error)
	// life is how long it is believed: then it is read again, in the background.
	life  time.Duration
	now   func() time.Time
	log   *slog.Logger
	limit *rate.Limiter

	flight singleflight.Group
	mu     sync.Mutex
	// good is the last that was accepted, failure the last error after it.
	good    *T
	read    time.Time
	failure error
	pause   time.Duration
	retryAt time.Time
}

func newPublished[T any](fetch func(context.Context) (*T, error), life time.Duration, now func() time.Time, log *slog.Logger) *published[T] {
	return &published[T]{fetch: fetch, life: life, now: now, log: log, limit: rate.NewLimiter(rate.Every(keysPause), keysBurst)}
}

// current reads it if needed: concurrent callers share one attempt, and after a failed one nobody tries again for a while. The
// attempt outlives the caller who began it. The error is an *Error.
func (p *published[T]) current(ctx context.Context) (*T, error) {
	good, failure, due := p.state()
	if !due {
		return good, failure
	}
	done := p.flight.DoChan("", contained(func() (any, error) {
		// Whoever waited for the flight before this one finds its result.
		if good, failure, due := p.state(); !due {
			return good, failure
		}
		return p.attempt(context.WithoutCancel(ctx))
	}))
	if good != nil {
		return good, nil
	}
	return await[*T](ctx, done)
}

// newer reads it now, unless somebody has since seen was read, or too many have asked for that lately: then it is what is known.
func (p *published[T]) newer(ctx context.Context, seen *T) (*T, error) {
	if good, _, _ := p.state(); good != seen || !p.limit.AllowN(p.now(), 1) {
		return good, nil
	}
	done := p.flight.DoChan("", contained(func() (any, error) {
		if good, _, _ := p.state(); good != seen {
			return good, nil
		}
		return p.attempt(context.WithoutCancel(ctx))
	}))
	return await[*T](ctx, done)
}

// state is what is known, and whether it is time to ask.
func (p *published[T]) state() (good *T, failure error, due bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	switch {
	case now.Before(p.retryAt):
		due = false
	case p.good != nil:
		due = now.Sub(p.read) >= p.life
	default:
		due = true
	}
	if p.good != nil {
		return p.good, nil, due
	}
	return nil, p.failure, due
}

func (p *published[T]) attempt(ctx context.Context) (*T, error) {
	good, err := p.fetch(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.failure, p.pause = err, min(max(2*p.pause, firstPause), longestPause)
		p.retryAt = p.now().Add(p.pause)
		p.log.WarnContext(ctx, "the identity provider's metadata was not read", "error", err, "retry_in", p.pause)
		return nil, err
	}
	p.good, p.read, p.failure, p.pause, p.retryAt = good, p.now(), nil, 0, time.Time{}
	return good, nil
}
