package signin

import (
	"context"
	"errors"
	"net/http"

	"stagedoor/providers"
	"stagedoor/server/internal/fault"
)

// Refresh answers the current session with fresh tokens (contract/core.md section 2.7, design D5 to D7).
//
// The error is a *fault.Error: NotFound for the address, Authentication with a coded cause for anything about the session,
// NotAllowed for a foreign origin, ServiceUnavailable if the store cannot answer.
func (f *Flow) Refresh(ctx context.Context, in RefreshInput) (RefreshOutput, error) {
	e, err := f.entry(in.Provider, in.Env)
	if err != nil {
		return RefreshOutput{}, err
	}
	if _, ok := e.Provider.(providers.Starter); !ok {
		return f.refreshProxied(ctx, e, in)
	}
	if err := f.checkCaller(in.Header); err != nil {
		return RefreshOutput{}, err
	}
	if err := checkText(in.Scope); err != nil { // before a refresh token is spent for an answer that cannot be stored
		return RefreshOutput{}, err
	}
	a := f.newAttempt("refresh", "", e)
	r := refresh{Flow: f, Entry: e, attempt: a, in: in, origin: in.Header.Get("Origin")}
	info, err := r.run(ctx)
	if in.Optional && errors.Is(err, errNoCookie) {
		return RefreshOutput{}, nil
	}
	out := RefreshOutput{Session: info, Cookies: r.cookies}
	if err != nil {
		return out, a.end(ctx, refreshFault(err))
	}
	return out, a.end(ctx, nil)
}

// refreshProxied signs in anew from what the proxy in front of us says (contract/core.md U13). It demands no header: the
// proxied sign-in page does not send one everywhere.
func (f *Flow) refreshProxied(ctx context.Context, e *Entry, in RefreshInput) (RefreshOutput, error) {
	a := f.newAttempt("proxied sign-in", "", e)
	a.peer = in.Peer
	r, err := e.Provider.Handle(ctx, providers.Request{Query: in.Query, Header: in.Header, Peer: in.Peer})
	if err != nil {
		return RefreshOutput{}, a.end(ctx, err)
	}
	id, err := f.identify(ctx, e, r, &a.trace)
	if err != nil {
		return RefreshOutput{}, a.end(ctx, err)
	}
	p := ProfileInfo{Email: r.Profile.Email, DisplayName: r.Profile.DisplayName, Picture: r.Profile.Picture}
	info := &SessionInfo{Profile: p, Identity: id}
	if r.Info != nil {
		info.ProviderInfo = &ProviderInfo{Extra: r.Info}
	}
	return RefreshOutput{Session: info}, a.end(ctx, nil)
}

// checkCaller refuses what a page of another site could make the browser send (contract/core.md F43, security F01).
//
// Differs from Backstage: on refresh it looks at X-Requested-With alone (F46).
func (f *Flow) checkCaller(h http.Header) error {
	if h.Get("X-Requested-With") != "XMLHttpRequest" {
		return fault.New(fault.Authentication, "requested_with_missing", "Invalid X-Requested-With header", nil)
	}
	if err := f.origins.checkHeader(h.Get("Origin")); err != nil {
		return err
	}
	if h.Get("Sec-Fetch-Site") == "cross-site" && h.Get("Origin") == "" {
		return fault.New(fault.NotAllowed, "cross_site", "Cross-site requests need an allowed origin", nil)
	}
	return nil
}

// refreshFault makes the reason the cause of an AuthenticationError, as Backstage does (F44); rendered, the message goes on with
// "; caused by …". The store being gone says nothing about the session: that stays a 503.
func refreshFault(err error) error {
	reason := classify(err)
	if isStoreFault(reason) {
		return reason
	}
	return fault.New(fault.Authentication, reason.Code, "Refresh failed", reason)
}

// refresh is one call under way. cookies holds what the answer sets, with an error as well.
type refresh struct {
	*Flow
	*Entry
	attempt *attempt
	in      RefreshInput
	origin  string
	cookies []*http.Cookie
}

func (r *refresh) run(ctx context.Context) (*SessionInfo, error) {
	s, value, err := r.findSession(ctx, r.Entry, r.in.Cookies)
	adopted := false
	if errors.Is(err, errNoCookie) || endsSession(err) {
		if taken, takenValue, takeErr := r.adopt(ctx); !errors.Is(takeErr, errNoCookie) {
			s, value, err, adopted = taken, takenValue, takeErr, true
		}
	}
	if err != nil {
		return nil, r.failed(err)
	}
	m, s, err := r.material(ctx, s)
	if err != nil {
		return nil, r.failed(err)
	}
	id, err := r.identify(ctx, r.Entry, m.result(), &r.attempt.trace)
	if err != nil {
		if endsIdentity(err) {
			err = r.over(ctx, s, err)
		}
		return nil, r.failed(err)
	}
	if err := r.renewCookie(ctx, s, id, value, adopted); err != nil {
		return nil, err
	}
	return &SessionInfo{Profile: m.profile(), ProviderInfo: m.info(r.cfg.Now()), Identity: id}, nil
}

// renewCookie notes the use, and sets the cookie if its age is worth it or if the browser has yet to learn of an adopted session.
func (r *refresh) renewCookie(ctx context.Context, s Session, id *Identity, value string, adopted bool) error {
	renew, err := r.touch(ctx, s, id)
	if err != nil {
		return err
	}
	if adopted {
		r.cookies = append(r.cookies, r.clearNode(r.Entry, r.in.Cookies, r.origin)...)
		_, err := r.cfg.Sessions.Session(ctx, s.ID)
		switch {
		case errors.Is(err, ErrNoSession): // signed out, or signed in anew, since
			return errReplaced
		case err != nil:
			return storeFault(err)
		}
	}
	if renew || adopted {
		r.cookies = append(r.cookies, r.sessionCookie(r.Entry, value, s.ExpiresAt, r.origin))
	}
	return nil
}

// failed clears the cookies if the error is for good. A passing fault leaves the browser everything it had (security R02).
func (r *refresh) failed(err error) error {
	if _, over := errors.AsType[ended](err); over || endsSession(err) {
		r.cookies = append(r.cookies, r.clearSession(r.Entry, r.origin))
		r.cookies = append(r.cookies, r.clearNode(r.Entry, r.in.Cookies, r.origin)...)
	}
	return err
}

// endsIdentity reports whether the portal no longer knows or admits the user. A catalog that cannot answer, or that answers
// twice, does not say so.
func endsIdentity(err error) bool {
	if errors.Is(err, errNobody) {
		return true
	}
	p, ok := errors.AsType[*providers.Error](err)
	return ok && !errors.Is(p, providers.ErrUnavailable)
}
