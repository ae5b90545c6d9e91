package devidp

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"time"
)

// The cookies of the provider. A login page belongs to the browser that asked for it; a session says who signed in there.
const (
	browserCookie = "devidp-browser"
	sessionCookie = "devidp-session"
)

type askerKey struct{}

// asker is who sent an authorization request, and what op is not told of it.
type asker struct{ browser, state string }

func withAsker(ctx context.Context, from asker) context.Context {
	return context.WithValue(ctx, askerKey{}, from)
}

func askerOf(ctx context.Context) asker {
	from, _ := ctx.Value(askerKey{}).(asker)
	return from
}

// newBrowser gives the browser a cookie of its own for one request, so that sign-ins in two tabs do not touch each other. It
// returns the digest by which the request knows the browser again.
func (p *Provider) newBrowser(w http.ResponseWriter) string {
	value := rand.Text()
	browser := digest(value)
	p.setCookie(w, browserCookieOf(browser), value, int(requestLifetime.Seconds()))
	return browser
}

func (p *Provider) forgetBrowser(w http.ResponseWriter, browser string) {
	p.setCookie(w, browserCookieOf(browser), "", -1)
}

// isBrowser reports whether r comes from the browser with that digest.
func isBrowser(r *http.Request, browser string) bool {
	c, err := r.Cookie(browserCookieOf(browser))
	return err == nil && subtle.ConstantTimeCompare([]byte(digest(c.Value)), []byte(browser)) == 1
}

func browserCookieOf(browser string) string { return browserCookie + "-" + browser[:8] }

func (p *Provider) session(r *http.Request) (session, bool) {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return session{}, false
	}
	return p.store.session(c.Value)
}

// startSession gives the browser a new session, never one that it brought (session fixation), and forgets the old one.
func (p *Provider) startSession(w http.ResponseWriter, r *http.Request, subject string) session {
	p.forgetSession(r)
	id := rand.Text()
	started := p.store.startSession(id, subject)
	p.setCookie(w, sessionCookie, id, int(sessionLifetime.Seconds()))
	return started
}

func (p *Provider) endBrowserSession(w http.ResponseWriter, r *http.Request) {
	p.forgetSession(r)
	p.setCookie(w, sessionCookie, "", -1)
}

func (p *Provider) forgetSession(r *http.Request) {
	if c, err := r.Cookie(sessionCookie); err == nil {
		p.store.forgetSession(c.Value)
	}
}

// setCookie sets a host-only cookie that applications on the same host do not get sent to their own paths.
func (p *Provider) setCookie(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: p.path + "/", MaxAge: maxAge,
		HttpOnly: true, Secure: p.secure, SameSite: http.SameSiteLaxMode,
	})
}

func (s *storage) session(id string) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions.get(digest(id), s.now())
}

func (s *storage) startSession(id, subject string) session {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Whole seconds: auth_time has no more, and max_age is compared with what the token says.
	started := session{subject: subject, authTime: s.now().Truncate(time.Second)}
	s.sessions.put(digest(id), started, s.now().Add(sessionLifetime))
	return started
}

func (s *storage) forgetSession(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions.remove(digest(id))
}

// TerminateSession ends every session of the person userID at the provider. Refresh tokens live on: they were granted for
// offline access.
func (s *storage) TerminateSession(_ context.Context, userID, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions.removeWhere(func(found session) bool { return found.subject == userID })
	return nil
}
