package signin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"stagedoor/server/internal/fault"
)

// Reasons why a request has no usable session.
var (
	errNoCookie  = fault.New(fault.Input, "session_missing", "Missing session cookie", nil)
	errUnknown   = fault.New(fault.Input, "session_unknown", "The session has ended or was never started here", nil)
	errExpired   = fault.New(fault.Input, "session_expired", "The session has expired", nil)
	errElsewhere = fault.New(fault.Input, "session_other_env", "The session belongs to another environment of this provider", nil)
	errSeveral   = fault.New(fault.Input, "session_ambiguous", "The browser sent several sessions of this provider", nil)
	errReplaced  = fault.New(fault.Input, "session_replaced", "The browser signed in anew meanwhile", nil)
	errUnsealed  = fault.New(fault.Input, "session_unreadable", "The session was stored under a secret that is no longer known", nil)
)

// endsSession reports whether an error says that the browser's cookie is of no more use.
func endsSession(err error) bool {
	for _, gone := range []error{errUnknown, errExpired, errSeveral, errUnsealed} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}

// findSession returns the one session that the cookies stand for at this entry, and the cookie's value. The error is one of
// those above, or that of the store.
//
// Two sessions of one provider cannot come from one healthy cookie jar: a sibling domain may have planted one of them. Neither is
// used, and both end: only one of the two cookies can be cleared from here, and the other must not be all that is left.
func (f *Flow) findSession(ctx context.Context, e *Entry, cookies []*http.Cookie) (Session, string, error) {
	ids := sessionIDs(cookies)
	if len(ids) == 0 {
		return Session{}, "", errNoCookie
	}
	var found []Session
	none := errUnknown
	for _, id := range ids {
		s, err := f.cfg.Sessions.Session(ctx, id)
		switch {
		case errors.Is(err, ErrNoSession):
		case err != nil:
			return Session{}, "", storeFault(err)
		case s.Provider == e.ID && s.Env == e.Env:
			found = append(found, s)
		case s.Provider == e.ID:
			none = errElsewhere
		}
	}
	switch len(found) {
	case 0:
		return Session{}, "", none
	case 1:
		return found[0], cookieValue(cookies, found[0].ID), f.alive(ctx, found[0])
	default:
		for _, s := range found {
			f.drop(ctx, s.ID)
		}
		return Session{}, "", errSeveral
	}
}

func cookieValue(cookies []*http.Cookie, id string) string {
	for _, c := range cookies {
		if c.Name == SessionCookie && rowID(c.Value) == id {
			return c.Value
		}
	}
	return ""
}

// alive enforces the idle and the absolute lifetime, whatever the cookie's own age (security F12).
func (f *Flow) alive(ctx context.Context, s Session) error {
	now := f.cfg.Now()
	if now.Before(s.ExpiresAt) && now.Before(s.UsedAt.Add(f.cfg.Idle)) {
		return nil
	}
	f.drop(ctx, s.ID)
	return errExpired
}

// drop deletes a session that has ended. If the store cannot, the row is dead all the same and is swept later.
func (f *Flow) drop(ctx context.Context, id string) {
	if err := f.cfg.Sessions.DeleteSession(ctx, id); err != nil {
		f.cfg.Log.WarnContext(ctx, "ended session not deleted", "error", err)
	}
}

// touchInterval is how exact UsedAt is: a write an hour and user at the most, and never more than a tenth of the idle time.
func (f *Flow) touchInterval() time.Duration { return min(time.Hour, f.cfg.Idle/10) }

// touch notes the use of a session and who its user is, if that is worth a write; it reports whether it did, in which case the
// cookie is renewed as well. A session that was replaced meanwhile keeps its short rest, and its cookie is left alone: the
// browser holds the new one.
func (f *Flow) touch(ctx context.Context, s Session, id *Identity) (bool, error) {
	now, user := f.cfg.Now(), s.UserRef
	if id != nil {
		user = id.UserRef
	}
	if now.Sub(s.UsedAt) < f.touchInterval() && user == s.UserRef {
		return false, nil
	}
	err := f.cfg.Sessions.TouchSession(ctx, s.ID, user, now)
	if err != nil && !errors.Is(err, ErrNoSession) {
		return false, storeFault(err)
	}
	return err == nil && s.ExpiresAt.Sub(now) > supersededLife, nil
}

// ended marks an error that has ended the session for good.
type ended struct{ error }

func (e ended) Unwrap() error { return e.error }

// over ends a session for the reason err. One that the browser has replaced meanwhile runs out by itself, and the error then leaves
// the browser's cookie alone: it is the new session's.
func (f *Flow) over(ctx context.Context, s Session, err error) error {
	if f.replaced(ctx, s) {
		return err
	}
	f.drop(ctx, s.ID)
	return ended{err}
}

// replaced reports whether the browser signed in anew since s was read.
func (f *Flow) replaced(ctx context.Context, s Session) bool {
	now, err := f.cfg.Sessions.Session(ctx, s.ID)
	return err == nil && now.ExpiresAt.Before(s.ExpiresAt)
}
