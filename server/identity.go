package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"stagedoor/server/internal/caller"
	"stagedoor/server/internal/catalog"
	"stagedoor/server/internal/config"
	"stagedoor/server/internal/devidp"
	"stagedoor/server/internal/seal"
	"stagedoor/server/internal/signin"
	"stagedoor/tokens"
)

// pluginID is who we are among the plugins of Backstage, catalogID whom we call.
const (
	pluginID  = "auth"
	catalogID = "catalog"
)

// newPluginIssuer makes the issuer of our own plugin tokens, on keys of their own.
func (h *house) newPluginIssuer(ctx context.Context, r *generation, log *slog.Logger) (*tokens.PluginIssuer, error) {
	cfg := r.cfg
	ring, err := seal.New("plugin keys", r.secrets...)
	if err != nil {
		return nil, fmt.Errorf("auth.session.secret: %w", err)
	}
	keys := h.store.PluginKeys()
	if cfg.Auth.KeyStore.Provider == config.KeyStoreMemory {
		keys = r.kept.pluginKeys
	}
	issuer, err := tokens.NewPluginIssuer(tokens.PluginConfig{
		Plugin: pluginID, Rotation: cfg.Auth.SigningKeys.Rotation, PublishAhead: cfg.Auth.SigningKeys.PublishAhead,
		Store: keys, Sealer: ring, Now: time.Now, Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("set up plugin keys: %w", err)
	}
	if _, err := issuer.JWKS(ctx); err != nil {
		return nil, fmt.Errorf("load plugin keys: %w", err)
	}
	return issuer, nil
}

// openCatalog opens the file that auth.catalog.file names, or what belongs to the dev IdP's people, or else calls the catalog plugin:
// with a static token where there is one, with our own plugin tokens otherwise.
func openCatalog(cfg *config.Config, plugin *tokens.PluginIssuer, log *slog.Logger) (signin.Catalog, error) {
	switch {
	case cfg.Auth.CatalogFile != "":
		log.Info("users come from a catalog file", "file", cfg.Auth.CatalogFile)
		return catalog.OpenFile(cfg.Auth.CatalogFile, time.Now, log)
	case cfg.Auth.DevIDP.Enabled:
		log.Info("users come from the catalog of the development provider's people")
		return catalog.NewStatic(devidp.Catalog())
	}
	base, credential := cfg.PluginURL(catalogID, true), "plugin tokens of our own"
	token := func(ctx context.Context) (string, error) {
		t, err := plugin.Token(ctx, catalogID, "")
		return t.Raw, err
	}
	if static := cfg.Auth.CatalogToken; static != "" {
		credential = "the static token auth.catalog.token"
		token = func(context.Context) (string, error) { return static, nil }
	}
	log.Info("users come from the catalog plugin", "url", base, "credential", credential)
	return catalog.NewREST(catalog.RESTConfig{
		BaseURL: func() string { return base }, Token: token, HTTP: newHTTPClient(), CacheFor: cfg.Auth.CatalogCache,
		Now: time.Now, Log: log,
	}), nil
}

// newCallers makes what recognises bearers, and the limited-user cookie on top of it.
func newCallers(cfg *config.Config, users *tokens.Issuer, log *slog.Logger) (*caller.Recogniser, *caller.Cookies, error) {
	in := caller.Config{
		Plugin: pluginID, Users: users, HTTP: newHTTPClient(), Now: time.Now, Log: log,
		PluginURL: func(plugin string) string { return cfg.PluginURL(plugin, true) },
	}
	for _, a := range cfg.Backend.ExternalAccess {
		e := caller.External{
			Token: a.Token, Secret: a.Secret, URL: a.URL, Subject: a.Subject, SubjectPrefix: a.SubjectPrefix,
			Rules: tokens.RemoteRules{Issuers: a.Issuers, Audiences: a.Audiences, Algorithms: a.Algorithms},
		}
		for _, r := range a.Restrictions {
			e.Restrictions = append(e.Restrictions, caller.Restriction(r))
		}
		in.External = append(in.External, e)
	}
	callers, err := caller.New(in)
	if err != nil {
		return nil, nil, fmt.Errorf("backend.auth.externalAccess: %w", err)
	}
	cookies, err := caller.NewCookies(callers, cfg.AuthURL())
	if err != nil {
		return nil, nil, fmt.Errorf("set up the user cookie: %w", err)
	}
	return callers, cookies, nil
}
