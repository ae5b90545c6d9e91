package caller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"stagedoor/server/internal/fault"
	"stagedoor/tokens"
)

// UserVerifier recognises our own user tokens.
type UserVerifier interface {
	// Verify returns whom raw speaks for. The error wraps tokens.ErrUnrecognised if raw is no user token and tokens.ErrInvalid
	// if it is one that does not hold; any other says that the keys cannot be read.
	Verify(ctx context.Context, raw string) (tokens.Principal, error)
}

// Config is what a Recogniser needs.
type Config struct {
	// Plugin is our own id: the audience of plugin tokens, and the name by which access restrictions admit to us.
	Plugin string
	Users  UserVerifier
	// PluginURL is the address of a plugin's API for calls from here, without a slash at the end; empty if it is not known.
	PluginURL func(plugin string) string
	// External are tried in this order.
	External []External
	// HTTP reads the keys of others. It is used without following redirects.
	HTTP *http.Client
	// Now is the clock.
	Now func() time.Time
	// Log hears why keys cannot be read.
	Log *slog.Logger
}

// Recogniser says who is behind a token. It is safe for concurrent use.
type Recogniser struct {
	cfg      Config
	plugins  *plugins
	external []external
}

// New checks cfg. It calls nobody: keys are read when the first token asks for them.
func New(cfg Config) (*Recogniser, error) {
	if cfg.Plugin == "" || cfg.Users == nil || cfg.PluginURL == nil || cfg.HTTP == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("recognise callers: a setting is missing")
	}
	f := newFetcher(cfg.HTTP, cfg.Now, cfg.Log)
	r := &Recogniser{cfg: cfg, plugins: newPlugins(cfg.PluginURL, f)}
	for i, e := range cfg.External {
		prepared, err := prepare(e, cfg.Plugin, f)
		if err != nil {
			return nil, fmt.Errorf("external caller %d: %w", i+1, err)
		}
		r.external = append(r.external, prepared)
	}
	return r, nil
}

// Recognise returns who is behind a bearer token; an empty one means that the request had none. A limited user token is
// recognised as such: whoever does not accept it asks Principal.RequireUser.
//
// The error is a *fault.Error: 401 for a token that is no good, 403 for an external caller who is restricted to other plugins,
// and 503 if keys cannot be read, which says nothing about the token.
func (r *Recogniser) Recognise(ctx context.Context, bearer string) (Principal, error) {
	who, err := r.recognise(ctx, bearer)
	return who.Principal, err
}

// Verify returns the user behind a bearer token, limited or not, for the user info endpoint. The errors are those of Recognise,
// and for a service the one of contract/core.md R18.
func (r *Recogniser) Verify(ctx context.Context, bearer string) (tokens.Principal, error) {
	p, err := r.Recognise(ctx, bearer)
	switch {
	case err != nil:
		return tokens.Principal{}, err
	case p.Kind == Service:
		return tokens.Principal{}, fault.New(fault.Input, "user_required",
			"Userinfo endpoint must be called with a token that represents a user principal", nil)
	}
	return tokens.Principal{Subject: p.Subject, Limited: p.Kind == LimitedUser, ExpiresAt: p.ExpiresAt}, nil
}

// recognised is a principal and, of a user, the token that proves it: full or limited.
type recognised struct {
	Principal
	userToken string
}

// recognise asks in the order of contract/core.md T17. Whoever finds the token to be of its kind has the last word.
func (r *Recogniser) recognise(ctx context.Context, bearer string) (recognised, error) {
	if bearer == "" {
		return recognised{}, fault.New(fault.Authentication, "token_missing", "Missing credentials", nil)
	}
	for _, kind := range []func(context.Context, string) (recognised, bool, error){r.plugin, r.user, r.caller} {
		if who, ok, err := kind(ctx, bearer); ok {
			return who, err
		}
	}
	return recognised{}, fault.New(fault.Authentication, "token_illegal", "Illegal token", nil)
}

// user recognises our own user tokens; ok is false if raw is none.
func (r *Recogniser) user(ctx context.Context, raw string) (_ recognised, ok bool, _ error) {
	who, err := r.cfg.Users.Verify(ctx, raw)
	switch {
	case errors.Is(err, tokens.ErrUnrecognised):
		return recognised{}, false, nil
	case errors.Is(err, tokens.ErrInvalid):
		return recognised{}, true, fault.New(fault.Authentication, "token_invalid", "Failed user token verification", err)
	case err != nil:
		return recognised{}, true, fault.New(fault.ServiceUnavailable, "keys_unavailable", "Signing keys are not available", err)
	}
	p := Principal{Kind: User, Subject: who.Subject, ExpiresAt: who.ExpiresAt}
	if who.Limited {
		p.Kind = LimitedUser
	}
	return recognised{p, raw}, true, nil
}

// plugin recognises tokens of other plugins (contract/core.md T27); ok is false if raw is none.
func (r *Recogniser) plugin(ctx context.Context, raw string) (_ recognised, ok bool, _ error) {
	id, _, err := tokens.UnverifiedPlugin(raw)
	switch {
	case errors.Is(err, tokens.ErrUnrecognised):
		return recognised{}, false, nil
	case err != nil:
		return recognised{}, true, pluginFault(id, err)
	}
	source, err := r.plugins.source(id)
	if err != nil {
		return recognised{}, true, pluginFault(id, err)
	}
	var who tokens.PluginPrincipal
	err = source.verify(ctx, func(keys *tokens.KeySet) (err error) {
		who, err = tokens.VerifyPluginToken(raw, keys, r.cfg.Plugin, r.cfg.Now())
		return err
	})
	if err != nil {
		return recognised{}, true, pluginFault(id, err)
	}
	if who.OnBehalfOf != "" {
		p, err := r.onBehalfOf(ctx, who)
		return p, true, err
	}
	return recognised{Principal: Principal{Kind: Service, Subject: "plugin:" + who.Plugin, ExpiresAt: who.ExpiresAt}}, true, nil
}

// onBehalfOf recognises the user that a plugin acts for. The user's token may be a limited one, and the principal is not: that
// is how plugins pass users on.
func (r *Recogniser) onBehalfOf(ctx context.Context, plugin tokens.PluginPrincipal) (recognised, error) {
	who, ok, err := r.user(ctx, plugin.OnBehalfOf)
	switch {
	case err != nil:
		return recognised{}, err
	case !ok:
		return recognised{}, fault.New(fault.Authentication, "plugin_token_invalid", "Invalid user token in plugin token obo claim", nil)
	}
	who.Kind, who.Actor = User, "plugin:"+plugin.Plugin
	if plugin.ExpiresAt.Before(who.ExpiresAt) {
		who.ExpiresAt = plugin.ExpiresAt
	}
	return who, nil
}

// pluginFault classifies why a plugin token was not accepted. The id in a message has passed the pattern of contract/core.md
// T27: it names a plugin, and nothing else.
//
// Differs from Backstage: keys that cannot be read are 503 and not 401, because the token may be good.
func pluginFault(id string, err error) error {
	switch {
	case errors.Is(err, errNoEndpoint):
		return fault.New(fault.Authentication, "plugin_keys_missing", "Received a plugin token where the source '"+id+
			"' plugin unexpectedly does not have a JWKS endpoint.", err)
	case errors.Is(err, tokens.ErrInvalid):
		return fault.New(fault.Authentication, "plugin_token_invalid", "Failed plugin token verification", err)
	default:
		return fault.New(fault.ServiceUnavailable, "plugin_keys_unavailable", "The keys of the calling plugin are not available", err)
	}
}
