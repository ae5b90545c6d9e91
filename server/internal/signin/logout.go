package signin

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"stagedoor/providers"
	"stagedoor/server/internal/fault"
)

// revokeLife bounds how long a logout waits for the provider.
const revokeLife = 3 * time.Second

// Logout ends the session (contract/core.md section 2.8, design D8). The row goes first and the cookies in any case; telling the
// provider is best effort. No session is a success as well.
//
// The error is a *fault.Error: NotFound for the address or a provider without logout, Authentication without X-Requested-With,
// NotAllowed for a foreign origin, ServiceUnavailable if the session could not be ended.
func (f *Flow) Logout(ctx context.Context, in LogoutInput) (LogoutOutput, error) {
	e, err := f.entry(in.Provider, in.Env)
	if err != nil {
		return LogoutOutput{}, err
	}
	if _, err := starter(e); err != nil {
		return LogoutOutput{}, unknownProvider(e.ID) // a proxy provider has no such route
	}
	if err := f.checkCaller(in.Header); err != nil {
		return LogoutOutput{}, err
	}
	origin := in.Header.Get("Origin")
	out := LogoutOutput{Cookies: append(f.clearNode(e, in.Cookies, origin), f.clearSession(e, origin))}
	if len(sessionIDs(in.Cookies)) == 0 {
		out.Cookies = out.Cookies[:len(out.Cookies)-1]
	}
	if err := f.forgetNode(ctx, e, in.Cookies); err != nil {
		return out, storeFault(err)
	}
	var leaving []providers.LogoutInput
	if token := nodeCookie(in.Cookies, e.ID+"-refresh-token"); token != "" {
		leaving = append(leaving, providers.LogoutInput{RefreshToken: token})
	}
	for _, id := range sessionIDs(in.Cookies) {
		l, err := f.end(ctx, e, id)
		if err != nil {
			return out, err
		}
		leaving = append(leaving, l...)
	}
	for _, l := range leaving {
		l.ReturnTo = f.returnTo(origin)
		out.LogoutURL = f.tellProvider(ctx, e, l)
	}
	return out, nil
}

// end deletes one session and returns what the provider should be told of it: nothing, if it is not this provider's.
func (f *Flow) end(ctx context.Context, e *Entry, id string) ([]providers.LogoutInput, error) {
	s, err := f.cfg.Sessions.Session(ctx, id)
	if errors.Is(err, ErrNoSession) || (err == nil && s.Provider != e.ID) {
		return nil, nil
	}
	if err == nil {
		err = f.cfg.Sessions.DeleteSession(ctx, id)
	}
	if err != nil {
		return nil, storeFault(err)
	}
	f.cfg.Log.InfoContext(ctx, "signed out", "provider", e.ID, "env", s.Env)
	m, err := f.openMaterial(s)
	if err != nil || s.Env != e.Env {
		return nil, nil
	}
	return []providers.LogoutInput{{RefreshToken: m.RefreshToken, IDToken: m.IDToken, Claims: m.Claims}}, nil
}

// LoggedOut is where a browser goes on that comes back from the provider's own logout page: to the app. What the provider says of it
// does not matter, as the session has ended here before.
func (f *Flow) LoggedOut(provider string) (string, error) {
	if err := f.Known(provider); err != nil {
		return "", err
	}
	return f.cfg.AppURL, nil
}

// DescribeUs is what the provider's administrator wants to know of us, as a SAML metadata document. The error is a *fault.Error:
// NotFound for the address, or for a provider without such a document.
func (f *Flow) DescribeUs(provider, env string) ([]byte, error) {
	e, err := f.entry(provider, env)
	if err != nil {
		return nil, err
	}
	d, ok := e.Provider.(providers.Describer)
	if !ok {
		return nil, fault.New(fault.NotFound, "metadata_unknown", "This auth provider has no metadata", nil)
	}
	b, err := d.Describe()
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", e.ID, err)
	}
	return b, nil
}

func (f *Flow) returnTo(origin string) string {
	if origin != "" {
		return origin
	}
	return f.origins.app
}

// tellProvider revokes at the provider and returns the page there that the browser should visit, if the front end would follow it.
//
// Differs from Backstage: a revocation that fails keeps nobody signed in (contract/core.md F54).
func (f *Flow) tellProvider(ctx context.Context, e *Entry, in providers.LogoutInput) string {
	p, ok := e.Provider.(providers.Logouter)
	if !ok {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, revokeLife)
	defer cancel()
	after, err := p.Logout(ctx, in)
	if err != nil {
		f.cfg.Log.WarnContext(ctx, "provider not told of the logout", "provider", e.ID, "env", e.Env, "error", err)
	}
	u, err := url.Parse(after)
	if err != nil || u.Host == "" || (u.Scheme != "https" && !strings.EqualFold(u.Hostname(), "localhost")) {
		return ""
	}
	return u.String()
}
