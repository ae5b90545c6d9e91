package devidp

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

// Options configure a Provider. Issuer and Clients are required.
type Options struct {
	// Issuer is the issuer identifier, for instance "http://localhost:7007/dev-idp". Its host must be loopback; its path is
	// where the provider expects to be mounted.
	Issuer string
	// People can sign in; nil means DefaultPeople.
	People []Person
	// Clients are the applications; there is no dynamic registration.
	Clients []Client
	// Algorithm signs the id_tokens: RS256 (also for "") or ES256.
	Algorithm string
	// AccessTokenLifetime and RefreshTokenLifetime default to an hour and to 30 days. A refresh starts the latter anew.
	AccessTokenLifetime, RefreshTokenLifetime time.Duration
	// KeepRefreshTokens makes a refresh answer with the refresh token that it was given; otherwise each is used once.
	KeepRefreshTokens bool
	// KeepGrantOnReplay lets the newest refresh token live when a used one is presented again. Otherwise the replay ends
	// the grant with all its tokens (RFC 9700 §4.14.2).
	KeepGrantOnReplay bool
	// AlwaysAsk shows the people even to a browser that is signed in already, unless the request says prompt=none. Without
	// it such a browser is sent straight back, as a real provider does.
	AlwaysAsk bool
	// Now is the clock of everything that the provider remembers: requests, codes, sessions, grants, auth_time. It defaults
	// to time.Now. The stamps inside id_tokens (iat, exp) and expires_in are set by the library and follow the real clock.
	Now func() time.Time
	// Log gets one line per sign-in, without names; nil is silence. The library logs refused requests to slog.Default.
	Log *slog.Logger
}

// Provider is an OpenID Provider (OpenID Connect Core 1.0, Discovery 1.0, RP-Initiated Logout 1.0; RFC 6749, 7009, 7636,
// 9207). It is safe for concurrent use. What it knows is lost when the process ends.
type Provider struct {
	issuer  string
	path    string // The issuer's path without a slash at its end.
	secure  bool
	ask     bool
	people  []Person
	keys    *keyRing
	store   *storage
	op      *op.Provider
	log     *slog.Logger
	handler http.Handler
}

// New makes a Provider with a fresh signing key. The error is ErrNotLoopback for an issuer that other machines may reach;
// otherwise it says which option is wrong.
func New(o Options) (*Provider, error) {
	issuer, err := parseIssuer(o.Issuer)
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	p := &Provider{
		issuer: o.Issuer, path: strings.TrimSuffix(issuer.Path, "/"), secure: issuer.Scheme == "https",
		ask: o.AlwaysAsk, people: o.People, log: o.Log,
	}
	if p.store, err = o.storage(p.loginURL); err != nil {
		return nil, err
	}
	if p.keys, err = newKeyRing(o.Algorithm); err != nil {
		return nil, err
	}
	p.store.keys = p.keys
	if p.op, err = newOP(o.Issuer, p.store); err != nil {
		return nil, err
	}
	p.handler = loopbackOnly(p.routes())
	return p, nil
}

// ServeHTTP answers requests under Path. It takes whole paths: mount it without stripping anything.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// Issuer is the issuer identifier that the provider was made with.
func (p *Provider) Issuer() string { return p.issuer }

// Path is the path of the issuer, without a slash at its end: "/dev-idp", or "" for an issuer that is a bare origin. The
// provider is to be mounted at Path + "/".
func (p *Provider) Path() string { return p.path }

// RotateKey makes a new signing key. The old ones stay published until WithdrawOldKeys.
func (p *Provider) RotateKey() error { return p.keys.rotate() }

// WithdrawOldKeys removes all keys but the newest from the key set; what they signed verifies no more.
func (p *Provider) WithdrawOldKeys() { p.keys.withdrawOld() }

func (o Options) withDefaults() Options {
	if o.People == nil {
		o.People = DefaultPeople()
	}
	if o.Algorithm == "" {
		o.Algorithm = RS256
	}
	if o.AccessTokenLifetime == 0 {
		o.AccessTokenLifetime = time.Hour
	}
	if o.RefreshTokenLifetime == 0 {
		o.RefreshTokenLifetime = 30 * 24 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// storage makes the memory, without keys.
func (o Options) storage(loginURL func(string) string) (*storage, error) {
	clients, err := checkClients(o.Clients)
	if err != nil {
		return nil, err
	}
	if err := checkPeople(o.People); err != nil {
		return nil, err
	}
	s := newStorage()
	s.clients, s.loginURL, s.now = clients, loginURL, o.Now
	s.lifetime.access, s.lifetime.refresh = o.AccessTokenLifetime, o.RefreshTokenLifetime
	s.policy = refreshPolicy{keepToken: o.KeepRefreshTokens, keepGrantOnReplay: o.KeepGrantOnReplay}
	s.people = make(map[string]Person, len(o.People))
	for _, person := range o.People {
		s.people[person.Subject] = person
	}
	return s, nil
}

// newOP makes the protocol machine. Its own router is not used: it would answer for features that this provider does not
// have, and give the code to whoever knows the id of a finished request.
func newOP(issuer string, store op.Storage) (*op.Provider, error) {
	config := &op.Config{
		CodeMethodS256: true, AuthMethodPost: true, GrantTypeRefreshToken: true,
		SupportedScopes: scopes, SupportedClaims: claims,
	}
	if _, err := rand.Read(config.CryptoKey[:]); err != nil {
		return nil, fmt.Errorf("make token key: %w", err)
	}
	provider, err := op.NewProvider(config, store, op.StaticIssuer(issuer), op.WithAllowInsecure())
	if err != nil {
		return nil, fmt.Errorf("make provider: %w", err)
	}
	return provider, nil
}
