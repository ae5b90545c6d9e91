package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"stagedoor/providers"
	"stagedoor/server/internal/config"
	"stagedoor/server/internal/devidp"
	"stagedoor/server/internal/signin"
)

// dialTime bounds how long a connection may take to come about, each of TCP and TLS.
const dialTime = 5 * time.Second

// builtProviders is what auth.providers came to.
type builtProviders struct {
	entries []signin.Entry
	// misconfigured are left out, in development only.
	misconfigured []string
	// clients are the OAuth clients as the providers present them, for the dev IdP.
	clients []devidp.Client
}

// buildProviders makes every configured provider. In production everything that is wrong is returned at once; in development a
// wrong provider is left out with a warning (contract/core.md R12, design section 3).
func buildProviders(cfg *config.Config, log *slog.Logger) (builtProviders, error) {
	var built builtProviders
	var wrong []error
	for _, p := range cfg.Auth.Providers {
		entries, err := buildProvider(cfg, p, log, &built)
		switch {
		case err == nil:
			built.entries = append(built.entries, entries...)
		case cfg.Development:
			log.Warn("skipping a misconfigured auth provider", "provider", p.ID, "error", err)
			built.misconfigured = append(built.misconfigured, p.ID)
		default:
			wrong = append(wrong, fmt.Errorf("failed to initialize %s auth provider, %w", p.ID, err))
		}
	}
	return built, errors.Join(wrong...)
}

// buildProvider makes the entries of one id: one for a kind without environments, else one for each.
func buildProvider(cfg *config.Config, p config.Provider, log *slog.Logger, built *builtProviders) ([]signin.Entry, error) {
	configured := p.Envs()
	if k, err := providers.KindOf(p.ID, p.Type, p.Flat().Has); err == nil && (k.Flat || k.FlatKey != "" && p.Flat().Has(k.FlatKey)) {
		configured = []config.Entry{p.Flat()}
	}
	if len(configured) == 0 {
		return nil, fmt.Errorf("%s auth.providers.%s: want an environment, such as development, with the provider's settings below it",
			p.Flat().Position, p.ID)
	}
	var entries []signin.Entry
	var wrong []error
	for _, c := range configured {
		e, err := buildEntry(cfg, c, log, built)
		entries, wrong = append(entries, e), append(wrong, err)
	}
	return entries, errors.Join(wrong...)
}

func buildEntry(cfg *config.Config, c config.Entry, log *slog.Logger, built *builtProviders) (signin.Entry, error) {
	k, err := providers.KindOf(c.ID, c.Type, c.Has)
	if err != nil {
		return signin.Entry{}, fmt.Errorf("%s auth.providers.%s: %w", c.Position, c.ID, err)
	}
	var common struct {
		providers.Common
		ClientID     string `config:"clientId"`
		ClientSecret string `config:"clientSecret"`
	}
	if err := c.Read(&common); err != nil {
		return signin.Entry{}, err
	}
	e := signin.Entry{
		ID: c.ID, Env: c.Env, Kind: k, AdditionalScopes: common.ExtraScopes(), SessionDuration: common.SessionDuration,
		CallbackURL: common.CallbackURL,
	}
	if e.CallbackURL == "" {
		e.CallbackURL = cfg.AuthURL() + "/" + c.ID + "/handler/frame"
	}
	_, callbackErr := signin.ParseCallback(e.CallbackURL)
	if callbackErr != nil {
		callbackErr = fmt.Errorf("%s auth.providers.%s callbackUrl: %w", c.Position, c.ID, callbackErr)
	}
	e.Provider, err = k.New(providers.Setup{
		ID: c.ID, Env: c.Env, CallbackURL: e.CallbackURL, Decode: c.Decode, HTTP: newHTTPClient(), Now: time.Now,
		Log: log.With("provider", c.ID, "env", c.Env), Development: cfg.Development,
	})
	resolvers, resolverErr := buildResolvers(k, c)
	e.Resolvers = resolvers
	if k.Flat && k.Resolvers != nil && len(resolvers) == 0 && resolverErr == nil {
		resolverErr = fmt.Errorf("%s auth.providers.%s: No sign-in resolver configured for proxy auth provider '%s', want one of %s under signIn.resolvers",
			c.Position, c.ID, c.ID, strings.Join(k.ResolverNames(), ", "))
	}
	var admissionErr error
	if decode := c.Admission(); decode != nil {
		e.Admission, admissionErr = providers.NewAdmission(k.ID, decode)
	}
	built.clients = append(built.clients, devidp.Client{
		ID: common.ClientID, Secret: common.ClientSecret, RedirectURIs: []string{e.CallbackURL},
	})
	return e, errors.Join(located(c, "", err), callbackErr, resolverErr, located(c, " signIn.admission", admissionErr))
}

// located puts the entry's place before what a provider finds wrong beyond the decoding, which knows the place itself.
func located(c config.Entry, section string, err error) error {
	if _, positioned := errors.AsType[*config.Errors](err); err == nil || positioned {
		return err
	}
	key := "auth.providers." + c.ID
	if c.Env != "" {
		key += "." + c.Env
	}
	var all []error
	for line := range strings.SplitSeq(err.Error(), "\n") { // several are joined
		all = append(all, fmt.Errorf("%s %s%s: %s", c.Position, key, section, line))
	}
	return errors.Join(all...)
}

// buildResolvers makes the sign-in resolvers that the entry names, and says of all that are unknown (contract/core.md S2).
func buildResolvers(k providers.Kind, c config.Entry) ([]signin.NamedResolver, error) {
	named, err := c.Resolvers()
	if err != nil {
		return nil, err
	}
	var all []signin.NamedResolver
	var wrong []error
	for _, r := range named {
		newResolver, ok := k.Resolver(r.Name, c.ID, c.Env)
		if !ok {
			wrong = append(wrong, fmt.Errorf("%s %s: Sign-in resolver '%s' is not available for a provider of type %s, want one of %s",
				r.Position, r.Key, r.Name, k.ID, strings.Join(k.ResolverNames(), ", ")))
			continue
		}
		resolver, err := newResolver(r.Decode)
		if _, positioned := errors.AsType[*config.Errors](err); err != nil && !positioned {
			err = fmt.Errorf("%s %s: %w", r.Position, r.Key, err)
		}
		all, wrong = append(all, signin.NamedResolver{Name: r.Name, Resolve: resolver}), append(wrong, err)
	}
	return all, errors.Join(wrong...)
}

// newHTTPClient is one provider's own way to the network: a pool of its own, so that a provider that hangs fills nobody else's.
// How long an answer may take is the caller's to say, with a context. No redirect is followed: no token endpoint has a use for one.
func newHTTPClient() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: dialTime, KeepAlive: 30 * time.Second}).DialContext,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           32,
			MaxIdleConnsPerHost:    32,
			MaxConnsPerHost:        256,
			IdleConnTimeout:        90 * time.Second,
			TLSHandshakeTimeout:    dialTime,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// newDevIDP makes the development provider, with every client that the configured providers present.
func newDevIDP(cfg *config.Config, built builtProviders, log *slog.Logger) (*devidp.Provider, error) {
	// Whoever signs out of the portal wants to try another person next, so the page with the people always shows.
	o := devidp.Options{
		Issuer: cfg.Backend.BaseURL + "/dev-idp", Algorithm: cfg.Auth.DevIDP.Algorithm, AlwaysAsk: true, Log: log,
	}
	for _, c := range built.clients {
		if c.ID == "" {
			continue
		}
		i := slices.IndexFunc(o.Clients, func(o devidp.Client) bool { return o.ID == c.ID })
		if i < 0 {
			o.Clients = append(o.Clients, c)
			continue
		}
		o.Clients[i].RedirectURIs = append(o.Clients[i].RedirectURIs, c.RedirectURIs...)
	}
	var err error
	if o.People, err = people(cfg.Auth.DevIDP.People); err != nil {
		return nil, fmt.Errorf("auth.devIdp.people: %w", err)
	}
	idp, err := devidp.New(o)
	if err != nil {
		return nil, fmt.Errorf("start the development provider: %w", err)
	}
	log.Warn("the development provider is on: anyone who reaches this machine's loopback may sign in as anyone", "issuer", o.Issuer)
	return idp, nil
}
