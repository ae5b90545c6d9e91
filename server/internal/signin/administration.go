package signin

import (
	"context"
	"errors"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"stagedoor/providers"
	"stagedoor/server/internal/fault"
)

// administration.go: sessions as an operator, or the provider by itself, lists and ends them.

const (
	// maxSessionPage bounds a list, and is how many are read at once.
	maxSessionPage = 100
	// revocations is how many sessions of a user are revoked at the provider at the same time, revocationLife how long all of them may
	// take.
	revocations, revocationLife = 8, 30 * time.Second
)

// SessionInput picks sessions.
type SessionInput struct {
	// UserRef and Provider narrow the list, empty ones do not.
	UserRef, Provider string
	// After is where the list before ended, empty at first. Limit is 1 to 100; 0 is 100.
	After string
	Limit int
}

// SessionList is one page.
type SessionList struct {
	// Sessions have no tokens.
	Sessions []Session
	// Next is where to go on, empty at the end.
	Next string
}

// Sessions lists live sessions in no order that means anything. The error is a *fault.Error.
func (f *Flow) Sessions(ctx context.Context, in SessionInput) (SessionList, error) {
	if err := checkText(in.UserRef + in.After); err != nil {
		return SessionList{}, err
	}
	limit := maxSessionPage
	if in.Limit > 0 {
		limit = min(in.Limit, maxSessionPage)
	}
	list := SessionList{Sessions: []Session{}}
	q := SessionQuery{UserRef: strings.ToLower(in.UserRef), After: in.After, Limit: maxSessionPage}
	for range maxSessionPage { // a provider with few sessions among many: the next page goes on where this one stops looking
		page, err := f.cfg.Sessions.FindSessions(ctx, q)
		if err != nil {
			return SessionList{}, storeFault(err)
		}
		for _, s := range page {
			q.After = s.ID
			if in.Provider != "" && s.Provider != in.Provider || f.dead(s) {
				continue
			}
			s.Tokens = nil
			if list.Sessions = append(list.Sessions, s); len(list.Sessions) == limit {
				list.Next = s.ID
				return list, nil
			}
		}
		if len(page) < q.Limit {
			return list, nil
		}
	}
	list.Next = q.After
	return list, nil
}

func (f *Flow) dead(s Session) bool {
	now := f.cfg.Now()
	return !now.Before(s.ExpiresAt) || !now.Before(s.UsedAt.Add(f.cfg.Idle))
}

// EndSession ends one session, here and at its provider. The error is a *fault.Error: NotFound, or ServiceUnavailable.
func (f *Flow) EndSession(ctx context.Context, id string) error {
	s, err := f.cfg.Sessions.Session(ctx, id)
	switch {
	case errors.Is(err, ErrNoSession):
		return fault.New(fault.NotFound, "session_not_found", "There is no such session", nil)
	case err != nil:
		return storeFault(err)
	}
	return f.endAll(ctx, []Session{s}, "an operator")
}

// EndSessionsOf ends every session of a user, over all providers, and returns how many there were. The error is a *fault.Error.
func (f *Flow) EndSessionsOf(ctx context.Context, userRef string) (int, error) {
	if userRef == "" {
		return 0, fault.New(fault.Input, "user_missing", "Whose sessions should end must be named", nil)
	}
	if err := checkText(userRef); err != nil {
		return 0, err
	}
	return f.endFound(ctx, SessionQuery{UserRef: strings.ToLower(userRef)}, "an operator")
}

// endFound ends what the query finds, page by page.
func (f *Flow) endFound(ctx context.Context, q SessionQuery, who string) (int, error) {
	q.Limit = maxSessionPage
	for ended := 0; ; {
		page, err := f.cfg.Sessions.FindSessions(ctx, q)
		if err != nil {
			return ended, storeFault(err)
		}
		if err := f.endAll(ctx, page, who); err != nil {
			return ended, err
		}
		ended += len(page)
		if len(page) < q.Limit {
			return ended, nil
		}
		q.After = page[len(page)-1].ID
	}
}

// endAll deletes the sessions, so that no replica answers for them any more, and then tells their providers, for which nobody waits.
func (f *Flow) endAll(ctx context.Context, sessions []Session, who string) error {
	for _, s := range sessions {
		if err := f.cfg.Sessions.DeleteSession(ctx, s.ID); err != nil {
			return storeFault(err)
		}
		f.cfg.Log.InfoContext(ctx, "session ended", "provider", s.Provider, "env", s.Env, "by", who)
	}
	if len(sessions) == 0 || who == byProvider {
		return nil
	}
	f.flying.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revocationLife)
		defer cancel()
		var group errgroup.Group
		group.SetLimit(revocations)
		for _, s := range sessions {
			group.Go(func() error { f.revoke(ctx, s); return nil })
		}
		_ = group.Wait() // what fails is logged
	})
	return nil
}

// revoke tells the session's provider, if it is still configured.
func (f *Flow) revoke(ctx context.Context, s Session) {
	p := f.providers[strings.ToLower(s.Provider)]
	if p == nil || p.envs[s.Env] == nil {
		return
	}
	if m, err := f.openMaterial(s); err == nil {
		f.tellProvider(ctx, p.envs[s.Env], providers.LogoutInput{RefreshToken: m.RefreshToken, IDToken: m.IDToken, Claims: m.Claims})
	}
}

// byProvider says that a session was ended by whoever issued it, who need not be told.
const byProvider = "the provider"

var errToldBefore = fault.New(fault.Input, "logout_token_replayed", "The logout token came before", nil)

// BackchannelLogout ends the sessions that a provider's logout token is about (OpenID Connect Back-Channel Logout 1.0 section 2.8). The
// error is a *fault.Error: Input for a token that is refused or came before, NotFound for a provider that has no such thing.
func (f *Flow) BackchannelLogout(ctx context.Context, provider, env, token string) error {
	e, err := f.entry(provider, env)
	if err != nil {
		return err
	}
	p, ok := e.Provider.(providers.BackchannelLogouter)
	if !ok {
		return unknownProvider(e.ID)
	}
	a := f.newAttempt("back-channel logout", "", e)
	return a.end(ctx, f.backchannelLogout(ctx, e, p, token))
}

func (f *Flow) backchannelLogout(ctx context.Context, e *Entry, p providers.BackchannelLogouter, token string) error {
	t, err := p.ReadLogoutToken(ctx, token)
	if err != nil {
		return err
	}
	if err := f.consume(ctx, t.Once.ID, t.Once.Until, errToldBefore); err != nil {
		return err
	}
	q := SessionQuery{SubjectKey: upstreamHash("sub", e, t.Subject)}
	if t.SessionID != "" {
		q = SessionQuery{UpstreamKey: upstreamHash("sid", e, t.SessionID)}
	}
	_, err = f.endFound(ctx, q, byProvider)
	return err
}
