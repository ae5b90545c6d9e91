package signin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"stagedoor/providers"
	"stagedoor/server/internal/catalog"
	"stagedoor/server/internal/fault"
	"stagedoor/server/internal/seal"
	"stagedoor/tokens"
)

// Config is what the room needs. All fields are required unless their comment says otherwise.
type Config struct {
	// BaseURL is the public address of the auth API, AppURL that of the portal, both without a trailing slash.
	BaseURL, AppURL string
	// ExtraOrigins are globs of further origins (contract/core.md F58, F59); may be empty.
	ExtraOrigins []string
	// Environment is meant where a request names none; "" means development.
	Environment string
	Entries     []Entry
	// Misconfigured are ids that were left out in development because their config is wrong; may be empty.
	Misconfigured []string

	// Idle is how long an unused session lasts, RefreshReuse how long a provider's answer is used again.
	Idle, RefreshReuse time.Duration
	// Secrets derive every key of this room: the first seals, all open.
	Secrets []string

	Sessions     SessionStore
	Transactions TransactionStore
	UserInfo     UserInfoStore
	Attempts     AttemptStore
	Catalog      Catalog
	Tokens       Tokens
	// Flying counts what goes on after its request; flows that follow one another may share it. Nil is one of the flow's own.
	Flying *sync.WaitGroup
	Now    func() time.Time
	Log    *slog.Logger
}

// Catalog finds users. Errors wrap one of package catalog's.
type Catalog interface {
	FindUser(ctx context.Context, l providers.Lookup) (catalog.User, error)
	// EntitiesExist returns those of the entity refs that the catalog lacks.
	EntitiesExist(ctx context.Context, refs []string) (missing []string, err error)
}

// Tokens issues Backstage tokens.
type Tokens interface {
	Issue(ctx context.Context, id tokens.Identity) (tokens.Token, error)
}

// Entry is one configured provider: one auth.providers.<id>.<env>, or <id> alone where its kind has no environments.
type Entry struct {
	// ID is the route segment, Env the environment, "" for a kind without.
	ID, Env string
	Kind    providers.Kind
	// Provider answers for this entry.
	Provider providers.Provider
	// Admission is asked before them, and before the catalog.
	Admission providers.Admission
	// Resolvers are asked in order; empty means a sign-in without identity.
	Resolvers []NamedResolver
	// AdditionalScopes come last in every scope (contract/core.md F15).
	AdditionalScopes []string
	// SessionDuration is the absolute lifetime of a session; 0 means 1000 days.
	SessionDuration time.Duration
	// CallbackURL is the registered redirect URI; it decides the path and the flags of the cookies (F25, F27).
	CallbackURL string

	callback *url.URL
}

// NamedResolver is a resolver under the name that the config gives it.
type NamedResolver struct {
	Name    string
	Resolve providers.Resolver
}

// defaultSessionDuration is what Node gives its cookies (contract/core.md F32).
const defaultSessionDuration = 1000 * 24 * time.Hour

// Flow is the room. It is safe for concurrent use.
type Flow struct {
	cfg       Config
	app       *url.URL
	origins   origins
	providers map[string]*provider // by lower-case id
	order     []string
	sealTx    *seal.Ring
	sealRow   *seal.Ring
	deriveRow *seal.Ring
	flights   singleflight.Group
	flying    *sync.WaitGroup
	failed    attempts
	// saving bounds how many failed attempts are stored.
	saving *rate.Limiter
}

// provider is one id with its environments.
type provider struct {
	id   string
	envs map[string]*Entry
}

// New checks the config and makes the room.
func New(cfg Config) (*Flow, error) {
	f := &Flow{cfg: cfg, providers: map[string]*provider{}, flying: cfg.Flying, saving: rate.NewLimiter(savesPerSecond, savesBurst)}
	if f.flying == nil {
		f.flying = &sync.WaitGroup{}
	}
	var err error
	if f.app, err = url.Parse(cfg.AppURL); err != nil || f.app.Host == "" {
		return nil, fmt.Errorf("app URL %q is not absolute", cfg.AppURL)
	}
	if f.origins, err = newOrigins(f.app, cfg.ExtraOrigins); err != nil {
		return nil, err
	}
	for _, ring := range []struct {
		purpose string
		into    **seal.Ring
	}{{"transaction", &f.sealTx}, {"session tokens", &f.sealRow}, {"adopted session", &f.deriveRow}} {
		if *ring.into, err = seal.New(ring.purpose, cfg.Secrets...); err != nil {
			return nil, fmt.Errorf("derive %s key: %w", ring.purpose, err)
		}
	}
	for _, e := range cfg.Entries {
		if err := f.add(e); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *Flow) add(e Entry) error {
	var err error
	if e.callback, err = ParseCallback(e.CallbackURL); err != nil {
		return fmt.Errorf("provider %q: %w", e.ID, err)
	}
	if e.SessionDuration == 0 {
		e.SessionDuration = defaultSessionDuration
	}
	key := strings.ToLower(e.ID)
	p := f.providers[key]
	if p == nil {
		p = &provider{e.ID, map[string]*Entry{}}
		f.providers[key] = p
		f.order = append(f.order, key)
	}
	if p.id != e.ID || p.envs[e.Env] != nil {
		return fmt.Errorf("provider %q is configured twice", e.ID)
	}
	for _, other := range p.envs {
		if other.Kind.StateField != e.Kind.StateField {
			// The callback has to know how to read an answer before it knows of which environment it is.
			return fmt.Errorf("provider %q: the environments %q and %q are of kinds whose answers come in different ways (%s and %s): use two ids",
				e.ID, other.Env, e.Env, other.Kind.ID, e.Kind.ID)
		}
	}
	p.envs[e.Env] = &e
	return nil
}

// Drain waits until no refresh is under way, or until ctx ends, in all flows that share Flying. No request may come any more. Callers may
// be gone and their flight still in the air, with the only copy of a rotated token.
func (f *Flow) Drain(ctx context.Context) error {
	landed := make(chan struct{})
	go func() {
		f.flying.Wait()
		close(landed)
	}()
	select {
	case <-landed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for refreshes: %w", ctx.Err())
	}
}

var callbackPath = regexp.MustCompile(`^/[A-Za-z0-9/._~-]*$`)

// ParseCallback reads a callback URL: absolute, http or https, a path of plain characters without a slash at its end, since cookies
// and browsers must read it alike. It may have a query.
func ParseCallback(text string) (*url.URL, error) {
	u, ok := parseAbsolute(text)
	if !ok || u.Fragment != "" || !callbackPath.MatchString(u.EscapedPath()) || strings.HasSuffix(u.Path, "/") {
		return nil, errors.New("want a callback URL with http or https, a host and a plain path, and without user and fragment")
	}
	return u, nil
}

// Known returns nil for a configured provider, else the fault that every route below its id answers with
// (contract/core.md R10 to R12).
func (f *Flow) Known(id string) error {
	if f.providers[strings.ToLower(id)] != nil {
		return nil
	}
	if slices.Contains(f.cfg.Misconfigured, id) {
		return fault.New(fault.NotFound, "provider_misconfigured", "Auth provider registered for '"+id+"' is misconfigured. "+
			"This could mean the configs under auth.providers."+id+" are missing or the environment variables used are not "+
			"defined. Check the auth backend plugin logs when the backend starts to see more details.", nil)
	}
	if slices.ContainsFunc(providers.Kinds(), func(k providers.Kind) bool { return k.ID == id }) {
		return fault.New(fault.NotFound, "provider_not_configured", "No auth provider registered for '"+id+"'", nil)
	}
	return unknownProvider(id)
}

func unknownProvider(id string) error {
	return fault.New(fault.NotFound, "provider_unknown", "Unknown auth provider '"+clip(id)+"'", nil)
}

// entry picks the configuration that a request is about: the environment it names, else auth.environment, else
// development (design D3).
func (f *Flow) entry(id, env string) (*Entry, error) {
	if err := f.Known(id); err != nil {
		return nil, err
	}
	p := f.providers[strings.ToLower(id)]
	if flat := p.envs[""]; flat != nil {
		return flat, nil
	}
	env = cmp.Or(env, f.cfg.Environment, "development")
	if e := p.envs[env]; e != nil {
		return e, nil
	}
	return nil, unknownEnv(env)
}

func unknownEnv(env string) error {
	return fault.New(fault.NotFound, "env_unknown",
		"No configuration available for the '"+clip(env)+"' environment of this provider.", nil)
}

// clip bounds what a stranger's text may add to a message.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// Describe lists the providers in the order of the configuration.
func (f *Flow) Describe() []Description {
	all := make([]Description, 0, len(f.order))
	for _, key := range f.order {
		p := f.providers[key]
		d := Description{ID: p.id, Environments: []string{}, Flows: []string{"popup", "redirect"}}
		for env, e := range p.envs {
			d.Type, d.Title = e.Kind.ID, title(e)
			if env != "" {
				d.Environments = append(d.Environments, env)
			}
			if _, ok := e.Provider.(providers.Starter); !ok {
				d.Flows = []string{"proxied"}
			}
		}
		slices.Sort(d.Environments)
		all = append(all, d)
	}
	return all
}

// title tells two providers of one type apart by their ids.
func title(e *Entry) string {
	if e.ID == e.Kind.ID {
		return cmp.Or(e.Kind.Title, e.ID)
	}
	return e.ID
}

var errNotImplemented = fault.New(fault.NotImplemented, "not_implemented", "Not implemented", nil)

// starter returns the provider's Starter; a proxy provider has none, and its start and callback are not implemented.
func starter(e *Entry) (providers.Starter, error) {
	s, ok := e.Provider.(providers.Starter)
	if !ok {
		return nil, errNotImplemented
	}
	return s, nil
}

// checkText refuses what no row can hold: to PostgreSQL it is a failure, and would look as if the store were gone.
func checkText(s string) error {
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return fault.New(fault.Input, "parameter_invalid", "A parameter is no text: it must be UTF-8 without the character 0", nil)
	}
	return nil
}

// storeFault classifies a failure of the store. None of them says anything about the session.
func storeFault(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return fault.New(fault.ServiceUnavailable, "request_cancelled", "The request was cancelled", err)
	case errors.Is(err, ErrReadOnly):
		return fault.New(fault.ServiceUnavailable, "store_read_only", "The session store cannot be written", err)
	case errors.Is(err, ErrFull):
		return fault.New(fault.ServiceUnavailable, "store_full", "The session store is full", err)
	}
	return fault.New(fault.ServiceUnavailable, "store_unavailable", "The session store is not available", err)
}

// isStoreFault reports whether err is a storeFault.
func isStoreFault(err *fault.Error) bool {
	return err.Code == "request_cancelled" || strings.HasPrefix(err.Code, "store_")
}
