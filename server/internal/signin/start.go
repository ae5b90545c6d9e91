package signin

import (
	"context"
	"net/http"

	"stagedoor/providers"
	"stagedoor/server/internal/fault"
)

// Start sends a browser to the provider (contract/core.md section 2.2, design D4).
//
// The error is a *fault.Error: NotFound for an unknown provider or environment, NotImplemented for a proxy provider, Input and
// NotAllowed for a bad origin or redirectUrl, ServiceUnavailable if the provider cannot be reached.
func (f *Flow) Start(ctx context.Context, in StartInput) (StartOutput, error) {
	e, err := f.entry(in.Provider, in.Env)
	if err != nil {
		return StartOutput{}, err
	}
	s, err := starter(e)
	if err != nil {
		return StartOutput{}, err
	}
	a := f.newAttempt("start", "", e)
	out, err := f.start(ctx, a, e, s, in)
	if err != nil {
		return StartOutput{}, a.end(ctx, err)
	}
	return out, nil
}

func (f *Flow) start(ctx context.Context, a *attempt, e *Entry, s providers.Starter, in StartInput) (StartOutput, error) {
	tx := transaction{Attempt: a.id, Env: e.Env, Expires: f.cfg.Now().Add(transactionLife)}
	var err error
	if in.Origin != nil {
		if tx.Origin, err = f.origins.check(*in.Origin); err != nil {
			return StartOutput{}, err
		}
	}
	if tx.RedirectURL, err = f.redirectTarget(in); err != nil {
		return StartOutput{}, err
	}
	if tx.Scope, err = f.startScope(ctx, e, in); err != nil {
		return StartOutput{}, err
	}
	state := randomToken()
	to, err := s.Start(ctx, providers.StartInput{State: state, Scope: tx.Scope, Query: in.Query})
	if err != nil {
		return StartOutput{}, err
	}
	tx.Memo = to.Memo
	c, err := f.transactionCookie(e, state, tx)
	if err != nil {
		return StartOutput{}, err
	}
	return StartOutput{URL: to.URL, Cookies: []*http.Cookie{c}}, nil
}

// redirectTarget is where flow=redirect will end; "" stands for the popup.
//
// Differs from Backstage: there a missing redirectUrl only shows after the sign-in, and where it leads is never checked
// (contract/core.md F13, F41).
func (f *Flow) redirectTarget(in StartInput) (string, error) {
	if in.RedirectURL != "" {
		if err := f.origins.checkRedirect(in.RedirectURL); err != nil {
			return "", err
		}
	}
	if in.Flow != "redirect" {
		return "", nil
	}
	if in.RedirectURL == "" {
		return "", fault.New(fault.Input, "redirect_url_missing", "No redirectUrl provided in request query parameters", nil)
	}
	return in.RedirectURL, nil
}

// startScope merges what is asked with what the browser's session already has (contract/core.md F15). A store that cannot
// answer stops nobody: the provider then shows its consent again, and that is all.
func (f *Flow) startScope(ctx context.Context, e *Entry, in StartInput) (string, error) {
	granted := ""
	if e.Kind.Scopes.Persist {
		if s, _, err := f.findSession(ctx, e, in.Cookies); err == nil {
			granted = s.Scope
		}
	}
	return e.scope(in.Scope, granted), nil
}

// scope is the final scope string of a request.
func (e *Entry) scope(requested, granted string) string {
	return e.Kind.Scopes.Merge(requested, granted, e.AdditionalScopes)
}
