package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"stagedoor/server/internal/api"
	"stagedoor/server/internal/config"
	"stagedoor/server/internal/fault"
	"stagedoor/server/internal/op"
	"stagedoor/server/internal/playground"
	"stagedoor/server/internal/seal"
	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store"
	"stagedoor/tokens"
)

// house is the server, built: the handler, what runs in the background, and what must be closed.
type house struct {
	http.Handler
	state lifecycle
	store *store.Store
	flow  *signin.Flow
	work  []func(context.Context)
}

func (h *house) close() error {
	if err := h.store.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// build makes every room from the configuration. Nothing is left open if it fails.
func build(ctx context.Context, cfg *config.Config, log *slog.Logger) (*house, error) {
	h := &house{}
	built, err := buildProviders(cfg, log)
	if err != nil {
		return nil, err
	}
	if h.store, err = openStore(ctx, cfg, log); err != nil {
		return nil, err
	}
	if err = h.furnish(ctx, cfg, built, log); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *house) furnish(ctx context.Context, cfg *config.Config, built builtProviders, log *slog.Logger) error {
	secrets, err := sessionSecrets(cfg, log)
	if err != nil {
		return err
	}
	issuer, algorithms, err := h.newIssuer(ctx, cfg, secrets, log)
	if err != nil {
		return err
	}
	plugin, err := h.newPluginIssuer(ctx, cfg, secrets, log)
	if err != nil {
		return err
	}
	directory, err := openCatalog(cfg, plugin, log)
	if err != nil {
		return err
	}
	callers, cookies, err := newCallers(cfg, issuer, log)
	if err != nil {
		return err
	}
	h.flow, err = signin.New(signin.Config{
		BaseURL: cfg.AuthURL(), AppURL: cfg.App.BaseURL, ExtraOrigins: cfg.Auth.ExtraOrigins,
		Environment: cfg.Auth.Environment, Entries: built.entries, Misconfigured: built.misconfigured,
		Idle: cfg.Auth.Session.Idle, RefreshReuse: cfg.Auth.Session.RefreshReuse, Secrets: secrets,
		Sessions: h.store, Transactions: h.store, UserInfo: h.store, Catalog: directory, Tokens: issuer,
		Now: time.Now, Log: log,
	})
	if err != nil {
		return err
	}
	outside, err := outsideOf(cfg, built, log)
	if err != nil {
		return err
	}
	h.Handler, err = api.New(api.Config{
		SignIn: h.flow, Keys: issuer, PluginKeys: plugin, Cookies: cookies, Callers: callers,
		Ready: h.ready, Outside: outside, CORS: cors(cfg.Backend.CORS),
		OP:                    op.New(op.Config{BaseURL: cfg.AuthURL(), Algorithms: algorithms, Users: h.store, Tokens: callers}),
		ContentSecurityPolicy: policy(cfg.Backend.CSP), ReferrerPolicy: strings.Join(cfg.Backend.ReferrerPolicy, ","),
		Now: time.Now, Log: log,
	})
	h.work = append(h.work, h.store.Run,
		func(ctx context.Context) { _ = issuer.Run(ctx) }, func(ctx context.Context) { _ = plugin.Run(ctx) }) // they end with ctx alone
	return err
}

func (h *house) ready(ctx context.Context) error {
	if err := h.state.ready(); err != nil {
		return err
	}
	if err := h.store.Ping(ctx); err != nil {
		return fault.New(fault.ServiceUnavailable, "store_unavailable", "The session store is not available", err)
	}
	return nil
}

// newIssuer makes the token issuer over the configured key store, and names the algorithms of its keys.
func (h *house) newIssuer(ctx context.Context, cfg *config.Config, secrets []string, log *slog.Logger) (*tokens.Issuer, []string, error) {
	ring, err := seal.New("signing keys", secrets...)
	if err != nil {
		return nil, nil, fmt.Errorf("auth.session.secret: %w", err)
	}
	in := tokens.IssuerConfig{
		BaseURL: cfg.AuthURL(), Algorithm: cfg.Auth.Algorithm, Lifetime: cfg.Auth.TokenExpiration,
		Rotation: cfg.Auth.SigningKeys.Rotation, PublishAhead: cfg.Auth.SigningKeys.PublishAhead,
		OmitOwnership: cfg.Auth.OmitOwnership, Store: h.store, Sealer: ring, Now: time.Now, Log: log,
	}
	algorithms := []string{cfg.Auth.Algorithm}
	switch cfg.Auth.KeyStore.Provider {
	case config.KeyStoreMemory:
		in.Store = tokens.NewMemoryStore()
	case config.KeyStoreStatic:
		in.Store, in.Sealer = nil, nil
		if in.Static, err = staticKeys(cfg.Auth.KeyStore.Static); err != nil {
			return nil, nil, err
		}
		algorithms = nil
		for _, k := range in.Static {
			if !slices.Contains(algorithms, k.Algorithm) {
				algorithms = append(algorithms, k.Algorithm)
			}
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

func staticKeys(configured []config.StaticKey) ([]tokens.StaticKey, error) {
	var errs []error
	read := func(path string) []byte {
		text, err := os.ReadFile(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("auth.keyStore.static.keys: %w", err))
		}
		return text
	}
	keys := []tokens.StaticKey{}
	for _, k := range configured {
		keys = append(keys, tokens.StaticKey{
			ID: k.KeyID, Algorithm: k.Algorithm, PublicPEM: read(k.PublicKeyFile), PrivatePEM: read(k.PrivateKeyFile),
		})
	}
	return keys, errors.Join(errs...)
}

// outsideOf answers what lies beside the API: in development the playground, and the dev IdP if it is on.
func outsideOf(cfg *config.Config, built builtProviders, log *slog.Logger) (http.Handler, error) {
	if !cfg.Development && !cfg.Auth.DevIDP.Enabled {
		return nil, nil
	}
	mux := http.NewServeMux()
	if cfg.Development {
		mux.Handle("/", playground.Handler(cfg.AuthURL()))
	}
	if cfg.Auth.DevIDP.Enabled {
		idp, err := newDevIDP(cfg, built, log)
		if err != nil {
			return nil, err
		}
		mux.Handle(idp.Path()+"/", idp)
	}
	return mux, nil
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
