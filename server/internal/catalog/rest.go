package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/singleflight"

	"stagedoor/providers"
	"stagedoor/server/internal/fault"
)

// DefaultCacheFor is for how long a user who was found is not looked up again, unless the operator says otherwise.
const DefaultCacheFor = 10 * time.Second

// DefaultTimeout is how long one look-up may take, its repetition included.
const DefaultTimeout = 5 * time.Second

// RESTConfig is what REST needs. All fields are required unless their comment says otherwise.
type RESTConfig struct {
	// BaseURL returns the address of the catalog's API without a trailing slash: "http://localhost:7007/api/catalog". It is
	// called for every request, and returns "" while the address is unknown.
	BaseURL func() string
	// Token returns the bearer token of a request: a plugin token for the plugin catalog, or a static one
	// (contract/core.md S10, T26, T30). It is called for every request.
	Token func(ctx context.Context) (string, error)
	// HTTP is the way to the catalog. Redirects are never followed, whatever its CheckRedirect says.
	HTTP *http.Client
	// CacheFor is for how long a user who was found is not looked up again; zero turns the cache off.
	CacheFor time.Duration
	// Timeout is how long one look-up may take; zero means DefaultTimeout.
	Timeout time.Duration
	Now     func() time.Time
	Log     *slog.Logger
}

// REST is the catalog behind its REST API. Simultaneous look-ups of one user are one request, and what was found is kept for
// a short time; what was not found is never kept. It is safe for concurrent use.
type REST struct {
	cfg     RESTConfig
	http    http.Client
	flights singleflight.Group
	found   *cache
}

// NewREST makes a client of the catalog. It sends nothing yet.
func NewREST(cfg RESTConfig) *REST {
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	r := &REST{cfg: cfg, http: *cfg.HTTP, found: newCache(cfg.CacheFor)}
	// A catalog has no reason to redirect; what does is a login page in front of it, which is not to see our token.
	r.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return r
}

// FindUser returns the one user that l describes (contract/core.md S7, S8). The error wraps one of this package's; what the
// catalog answers otherwise than with an entity is a *ResponseError.
//
// Every entity in the answer is compared with what was asked, since the API's filter has no way to quote a value (S9). A
// value that the filter cannot carry is ErrNotFound without a request: no entity can be found by it, so that the next
// resolver is asked as if the catalog had answered with nobody (S3).
func (r *REST) FindUser(ctx context.Context, l providers.Lookup) (User, error) {
	q, err := newQuery(l)
	if err != nil {
		if errors.Is(err, errUnsendable) { // the catalog may well have whom it cannot be asked for
			r.cfg.Log.WarnContext(ctx, "catalog not asked: no request can carry this value, as with a comma in it", "error", err)
		}
		return User{}, err
	}
	address := r.cfg.BaseURL() + q.uri
	if u, ok := r.found.get(q.name(address), r.cfg.Now()); ok {
		return u.clone(), nil
	}
	return r.join(ctx, address, q)
}

// join asks for the user, or waits for whoever already does. A caller who leaves takes nobody along: the request has a
// deadline of its own.
func (r *REST) join(ctx context.Context, address string, q query) (User, error) {
	answer := r.flights.DoChan(q.name(address), fault.Contained(func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Timeout)
		defer cancel()
		return r.ask(ctx, address, q)
	}))
	select {
	case <-ctx.Done():
		return User{}, fmt.Errorf("%w: wait for the answer: %w", ErrUnavailable, ctx.Err())
	case a := <-answer:
		u, _ := a.Val.(User)
		return u.clone(), a.Err
	}
}

// ask sends the query. What it finds is as old as the moment of asking, not that of the answer.
func (r *REST) ask(ctx context.Context, address string, q query) (User, error) {
	now := r.cfg.Now()
	if u, ok := r.found.get(q.name(address), now); ok { // the flight before this one has just landed
		return u, nil
	}
	var hits hits
	err := r.call(ctx, request{method: http.MethodGet, address: address, read: q.reader(&hits)})
	if hits.others > 0 {
		r.cfg.Log.WarnContext(ctx, "catalog answered with entities that were not asked for", "entities", hits.others)
	}
	if err != nil {
		return User{}, err
	}
	user, err := hits.one()
	if err == nil {
		r.found.put(q.name(address), user, now)
	}
	return user, err
}

func (u User) clone() User {
	u.Ownership = slices.Clone(u.Ownership)
	return u
}
