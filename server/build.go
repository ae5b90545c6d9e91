package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"stagedoor/server/internal/api"
	"stagedoor/server/internal/config"
	"stagedoor/server/internal/op"
	"stagedoor/server/internal/playground"
	"stagedoor/server/internal/seal"
	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store"
	"stagedoor/tokens"
)

// house is the server, built: the store, and the rooms as they are now.
type house struct {
	state lifecycle
	store *store.Store
	log   *slog.Logger
	seams seams
	// now are the rooms of the moment.
	now atomic.Pointer[generation]
	// working is what runs in the background, flying what goes on after its request, in the rooms of whichever moment.
	working, flying sync.WaitGroup
}

func (h *house) close() error {
	if err := h.store.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// build opens the store and makes every room from the configuration. Nothing is left open if it fails.
func build(ctx context.Context, cfg *config.Config, files *fileSet, log *slog.Logger) (*house, error) {
	h := &house{log: log, seams: seams{}.orReal()}
	built, err := buildProviders(cfg, log)
	if err != nil {
		return nil, err
	}
	return h, h.open(ctx, cfg, files, built)
}

// open opens the store, makes the first rooms and moves in. Nothing is left open if it fails.
func (h *house) open(ctx context.Context, cfg *config.Config, files *fileSet, built builtProviders) (err error) {
	if h.store, err = openStore(ctx, cfg, h.seams, h.log); err != nil {
		return err
	}
	r, err := h.furnishWith(ctx, cfg, files, nil, built)
	if err == nil {
		err = h.store.Ping(ctx) // readiness does not ask again
	}
	if err != nil {
		return errors.Join(err, h.close())
	}
	h.now.Store(r)
	return nil
}

// furnish makes the rooms that follow on before.
func (h *house) furnish(ctx context.Context, cfg *config.Config, files *fileSet, before *generation) (*generation, error) {
	built, err := buildProviders(cfg, h.log)
	if err != nil {
		return nil, err
	}
	return h.furnishWith(ctx, cfg, files, before, built)
}

func (h *house) furnishWith(ctx context.Context, cfg *config.Config, files *fileSet, before *generation, built builtProviders) (*generation, error) {
	log := h.log
	r := &generation{cfg: cfg, files: files, kept: keep(before)}
	var err error
	if r.secrets, err = sessionSecrets(cfg, before, r.kept, log); err != nil {
		return nil, err
	}
	if before == nil {
		if err = compareSettings(ctx, r, h.store, log); err != nil {
			return nil, err
		}
	}
	if r.certificate, err = tlsCertificate(cfg, h.now.Load()); err != nil {
		return nil, err
	}
	issuer, algorithms, err := h.newIssuer(ctx, r, log)
	if err != nil {
		return nil, err
	}
	plugin, err := h.newPluginIssuer(ctx, r, log)
	if err != nil {
		return nil, err
	}
	directory, err := openCatalog(cfg, plugin, log)
	if err != nil {
		return nil, err
	}
	callers, cookies, err := newCallers(cfg, issuer, log)
	if err != nil {
		return nil, err
	}
	r.flow, err = signin.New(signin.Config{
		BaseURL: cfg.AuthURL(), AppURL: cfg.App.BaseURL, ExtraOrigins: cfg.Auth.ExtraOrigins,
		Environment: cfg.Auth.Environment, Entries: built.entries, Misconfigured: built.misconfigured,
		Idle: cfg.Auth.Session.Idle, RefreshReuse: cfg.Auth.Session.RefreshReuse, Secrets: r.secrets,
		Sessions: h.store, Transactions: h.store, UserInfo: h.store, Attempts: h.store, Catalog: directory, Tokens: issuer,
		Flying: &h.flying, Now: h.seams.now, Log: log,
	})
	if err != nil {
		return nil, err
	}
	if err := r.kept.lookOutside(cfg, built, log); err != nil {
		return nil, err
	}
	r.Handler, err = api.New(api.Config{
		SignIn: r.flow, Keys: issuer, PluginKeys: plugin, Cookies: cookies, Callers: callers,
		Ready: h.ready, Outside: r.kept.outside, CORS: cors(cfg.Backend.CORS),
		OP:                    op.New(op.Config{BaseURL: cfg.AuthURL(), Algorithms: algorithms, Users: h.users(cfg), Tokens: callers}),
		ContentSecurityPolicy: policy(cfg.Backend.CSP), ReferrerPolicy: strings.Join(cfg.Backend.ReferrerPolicy, ","),
		Now: h.seams.now, Log: log,
	})
	r.work = []func(context.Context){ // they end with ctx alone
		func(ctx context.Context) { _ = issuer.Run(ctx) }, func(ctx context.Context) { _ = plugin.Run(ctx) },
	}
	return r, err
}

// ready says whether requests may come. It does not ask the store, which has answered once before this server was ready: all replicas
// share it, and if they all stepped aside because it is gone, nobody could fetch the key set any more, which takes no store.
func (h *house) ready(context.Context) error { return h.state.ready() }

// users is where user info is read.
func (h *house) users(cfg *config.Config) op.UserInfoStore {
	if cfg.Auth.KeyStore.NodeTable {
		return h.store.NodeUserInfo()
	}
	return h.store
}

// newIssuer makes the token issuer over the configured key store, and names the algorithms of its keys.
func (h *house) newIssuer(ctx context.Context, r *generation, log *slog.Logger) (*tokens.Issuer, []string, error) {
	cfg := r.cfg
	ring, err := seal.New("signing keys", r.secrets...)
	if err != nil {
		return nil, nil, fmt.Errorf("auth.session.secret: %w", err)
	}
	in := tokens.IssuerConfig{
		BaseURL: cfg.AuthURL(), Algorithm: cfg.Auth.Algorithm, Lifetime: cfg.Auth.TokenExpiration,
		Rotation: cfg.Auth.SigningKeys.Rotation, PublishAhead: cfg.Auth.SigningKeys.PublishAhead,
		OmitOwnership: cfg.Auth.OmitOwnership, Store: h.store, Sealer: ring, Now: h.seams.keys, After: h.seams.after, Log: log,
	}
	algorithms := []string{cfg.Auth.Algorithm}
	switch cfg.Auth.KeyStore.Provider {
	case config.KeyStoreMemory:
		in.Store = r.kept.userKeys
	case config.KeyStoreStatic:
		in.Store, in.Sealer = nil, nil
		if in.Static, err = r.staticKeys(); err != nil {
			return nil, nil, err
		}
		algorithms = nil
		for _, k := range in.Static {
			if !slices.Contains(algorithms, k.Algorithm) {
				algorithms = append(algorithms, k.Algorithm)
			}
		}
	}
	if cfg.Auth.KeyStore.NodeTable {
		if in.Neighbour, err = h.store.NodeKeys(ctx); err != nil {
			return nil, nil, fmt.Errorf("auth.keyStore.nodeTable: %w", err)
		}
	}
	issuer, err := tokens.NewIssuer(in)
	if err != nil {
		return nil, nil, fmt.Errorf("set up signing keys: %w", err)
	}
	// The first key is made now and not at the first token: a verifier then never sees an empty set.
	if _, err := issuer.JWKS(ctx); err != nil {
		return nil, nil, fmt.Errorf("load signing keys: %w", err)
	}
	return issuer, algorithms, nil
}

// staticKeys reads the configured keys, which those of before follow for as long as they are needed.
func (r *generation) staticKeys() ([]tokens.StaticKey, error) {
	var errs []error
	read := func(path string) []byte {
		text, err := r.files.read(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("auth.keyStore.static.keys: %w", err))
		}
		return text
	}
	keys := []tokens.StaticKey{}
	for _, k := range r.cfg.Auth.KeyStore.Static {
		keys = append(keys, tokens.StaticKey{
			ID: k.KeyID, Algorithm: k.Algorithm, PublicPEM: read(k.PublicKeyFile), PrivatePEM: read(k.PrivateKeyFile),
		})
	}
	if len(errs) > 0 || len(keys) == 0 {
		return keys, errors.Join(errs...)
	}
	before := r.kept.static
	for _, b := range r.kept.published() {
		for _, k := range keys {
			if k.ID == b.ID && !bytes.Equal(k.PublicPEM, b.PublicPEM) {
				return nil, fmt.Errorf("auth.keyStore.static.keys: %q is another key than before: give it a keyId of its own, as verifiers keep keys by it", k.ID)
			}
		}
	}
	r.kept.static = keys
	return r.kept.retire(keys, before, time.Now()), nil
}

// lookOutside makes what lies beside the API, unless it is there: in development the playground, and the dev IdP if it is on.
func (k *kept) lookOutside(cfg *config.Config, built builtProviders, log *slog.Logger) error {
	now := beside{cfg.Development, cfg.Auth.DevIDP, cfg.Backend.BaseURL, built.clients}
	if k.outside != nil && k.beside.same(now) {
		return nil
	}
	k.outside, k.beside = nil, now
	if !cfg.Development && !cfg.Auth.DevIDP.Enabled {
		return nil
	}
	mux := http.NewServeMux()
	if cfg.Development {
		mux.Handle("/", playground.Handler(cfg.AuthURL()))
	}
	if cfg.Auth.DevIDP.Enabled {
		idp, err := newDevIDP(cfg, built, log)
		if err != nil {
			return err
		}
		mux.Handle(idp.Path()+"/", idp)
	}
	k.outside = mux
	return nil
}

func cors(c *config.CORS) api.CORS {
	if c == nil {
		return api.CORS{}
	}
	out := api.CORS{
		Origins: c.Origins, Methods: c.Methods, AllowedHeaders: c.AllowedHeaders, ExposedHeaders: c.ExposedHeaders,
		Credentials: c.Credentials,
	}
	if c.MaxAge != nil {
		out.MaxAge = time.Duration(*c.MaxAge) * time.Second
	}
	return out
}
