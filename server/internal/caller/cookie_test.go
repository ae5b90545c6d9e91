package caller_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stagedoor/server/internal/caller"
	"stagedoor/server/internal/fault"
)

func (w *world) cookies(baseURL string) *caller.Cookies {
	w.t.Helper()
	c, err := caller.NewCookies(w.Recogniser, baseURL)
	must(w.t, err)
	return c
}

// TestCookieAttributes is contract/core.md R23 and R25.
func TestCookieAttributes(t *testing.T) {
	const (
		open   = "; HttpOnly; SameSite=Lax; Priority=High"
		closed = "; HttpOnly; Secure; SameSite=None; Priority=High"
	)
	w := newWorld(t)
	full := w.userToken(jane)
	for _, tt := range []struct{ name, baseURL, domain, flags string }{
		{"https", "https://portal.example:8443/api/auth", "; Domain=portal.example", closed},
		{"localhost", "http://localhost:7007/api/auth", "; Domain=localhost", closed},
		{"localhost, shouting", "http://LOCALHOST/api/auth", "; Domain=localhost", closed},
		{"http", "http://portal.example/api/auth", "; Domain=portal.example", open},
		{"address", "http://127.0.0.1:7007/api/auth", "; Domain=127.0.0.1", open},
		{"IPv6 address", "http://[::1]:7007/api/auth", "", open},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := w.cookies(tt.baseURL)
			got, err := c.Issue(t.Context(), full, nil)
			want := caller.UserCookie{
				SetCookie: "backstage-auth=" + w.limited(full) + "; Path=/" + tt.domain + "; Expires=Wed, 02 Jan 2030 04:04:05 GMT" + tt.flags,
				ExpiresAt: epoch.Add(time.Hour),
			}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
			cleared := "backstage-auth=; Path=/" + tt.domain + "; Expires=Thu, 01 Jan 1970 00:00:00 GMT" + tt.flags
			if got := c.Clear(); got != cleared {
				t.Errorf("clear: got %s, want %s", got, cleared)
			}
		})
	}
}

// TestCookieRefuses is contract/core.md R22.
func TestCookieRefuses(t *testing.T) {
	w := newWorld(t)
	full := w.userToken(jane)
	for _, tt := range []struct {
		name, bearer string
		status       int
		says         string
	}{
		{"none", "", 401, "Missing credentials"},
		{"unrecognisable", "junk", 401, "Illegal token"},
		{"limited token", w.limited(full), 401, "Illegal limited user token"},
		{"plugin", w.pluginToken(w.plugin("catalog"), "auth", ""), 403, "This endpoint does not allow 'service' credentials"},
		{"external caller", static, 403, "This endpoint does not allow 'service' credentials"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := w.cookies(base).Issue(t.Context(), tt.bearer, []string{w.limited(full)})
			f, ok := errors.AsType[*fault.Error](err)
			if !ok || f.Kind.Status != tt.status || f.Message != tt.says || got != (caller.UserCookie{}) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// TestCookieOnBehalf: a plugin that acts for a user may only have the limited token, which then is the cookie.
func TestCookieOnBehalf(t *testing.T) {
	w := newWorld(t)
	limited := w.limited(w.userToken(jane))
	got, err := w.cookies(base).Issue(t.Context(), w.pluginToken(w.plugin("catalog"), "auth", limited), nil)
	if err != nil || !strings.HasPrefix(got.SetCookie, "backstage-auth="+limited+";") {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestCookieIsKept is contract/core.md R24.
func TestCookieIsKept(t *testing.T) {
	w := newWorld(t)
	old := w.limited(w.userToken(jane))
	other := w.limited(w.userToken("user:default/john"))
	spoilt := old[:len(old)-4] + "AAAA"
	junk := strings.Split(strings.Repeat("junk ", 8), " ")
	w.clock.Advance(30 * time.Minute)
	full := w.userToken(jane)
	newer := w.limited(full)
	end, newEnd := epoch.Add(time.Hour), epoch.Add(90*time.Minute)
	for _, tt := range []struct {
		name     string
		at       time.Duration
		existing []string
		kept     bool
		want     time.Time
	}{
		{"none", 30 * time.Minute, nil, false, newEnd},
		{"good for long", 30 * time.Minute, []string{old}, true, end},
		{"good for five minutes", 55 * time.Minute, []string{old}, true, end},
		{"good for less", 55*time.Minute + time.Second, []string{old}, false, newEnd},
		{"expired", time.Hour, []string{old}, false, newEnd},
		{"badly signed", 30 * time.Minute, []string{spoilt}, false, newEnd},
		{"no token of a user", 30 * time.Minute, []string{static, "0123456789012345678901234567890123456789012"}, false, newEnd},
		{"of another user", 30 * time.Minute, []string{other}, false, newEnd},
		{"the longest of several", 55*time.Minute + time.Second, []string{"junk", other, newer, old}, true, newEnd},
		{"behind too many", 30 * time.Minute, append(junk[:8:8], newer), false, newEnd},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.clock.Advance(epoch.Add(tt.at).Sub(w.clock.Now()))
			got, err := w.cookies(base).Issue(t.Context(), full, tt.existing)
			if err != nil || (got.SetCookie == "") != tt.kept || !got.ExpiresAt.Equal(tt.want) {
				t.Errorf("got %+v, %v", got, err)
			}
			if !tt.kept && !strings.HasPrefix(got.SetCookie, "backstage-auth="+newer+";") {
				t.Errorf("got %s", got.SetCookie)
			}
		})
	}
}

func TestNewCookiesRefuses(t *testing.T) {
	w := newWorld(t)
	for _, address := range []string{"", "/api/auth", "http://", "%"} {
		if _, err := caller.NewCookies(w.Recogniser, address); err == nil {
			t.Errorf("%q: want an error", address)
		}
	}
}
