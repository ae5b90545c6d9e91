package signin_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"stagedoor/providers"
	"stagedoor/server/internal/catalog"
	"stagedoor/server/internal/fault"
	"stagedoor/server/internal/op"
	"stagedoor/server/internal/signin"
	"stagedoor/tokens"
)

func TestFinish(t *testing.T) {
	w := newWorld(t)
	j := jar{}
	origin := app
	out := w.back(j, url.Values{"code": {"c"}, "state": {w.begin(j, signin.StartInput{Origin: &origin, Scope: "extra"})}})
	if out.Err != nil {
		t.Fatal(out.Err)
	}
	s := out.Session
	if out.RedirectURL != "" || out.Origin != app || s.Profile.Email != "jane@example.com" || s.Profile.DisplayName != "Jane" {
		t.Errorf("got %+v %+v", out, s)
	}
	if p := s.ProviderInfo; p.AccessToken != "access-1" || p.Scope != "extra openid" || p.ExpiresIn != time.Hour {
		t.Errorf("provider info %+v", p)
	}
	if id := s.Identity; id.UserRef != "user:default/jane" || len(id.Ownership) != 2 || id.Token == "" || id.ExpiresIn != time.Hour {
		t.Errorf("identity %+v", id)
	}
	if len(j) != 1 || j[signin.SessionCookie] == nil {
		t.Fatalf("cookies %v", j)
	}
	c := j[signin.SessionCookie]
	if c.Path != "/api/auth/idp" || !c.HttpOnly || c.Secure || c.SameSite != http.SameSiteLaxMode || c.MaxAge != 30*24*3600 || c.Domain != "" {
		t.Errorf("session cookie %+v", c)
	}
	info, err := w.store.UserInfo(t.Context(), "user:default/jane")
	if want := `{"claims":{"sub":"user:default/jane","ent":["user:default/jane","group:default/team-a"]}}`; err != nil || string(info) != want {
		t.Errorf("user info %s, %v", info, err)
	}
}

func TestFinishRefuses(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name string
		code string
		// change spoils the callback's query or the browser's cookies.
		change func(q url.Values, j jar)
		keep   bool // the transaction's cookie stays
	}{
		{"no state", "state_invalid", func(q url.Values, _ jar) { q.Del("state") }, true},
		{"empty state", "state_invalid", func(q url.Values, _ jar) { q.Set("state", "") }, true},
		{"short state", "state_invalid", func(q url.Values, _ jar) { q.Set("state", q.Get("state")[1:]) }, true},
		{"huge state", "state_invalid", func(q url.Values, _ jar) { q.Set("state", strings.Repeat("x", 1<<20)) }, true},
		{"state is not text", "state_invalid", func(q url.Values, _ jar) { q.Set("state", "\xff\xfe") }, true},
		{"other state", "nonce_missing", func(q url.Values, _ jar) { q.Set("state", strings.Repeat("x", 43)) }, true},
		{"no cookie", "nonce_missing", func(_ url.Values, j jar) { clear(j) }, true},
		{"tampered cookie", "nonce_invalid", func(_ url.Values, j jar) { spoil(j, func(v string) string { return v[:20] + "AAAA" + v[24:] }) }, false},
		{"truncated cookie", "nonce_invalid", func(_ url.Values, j jar) { spoil(j, func(v string) string { return v[:len(v)-8] }) }, false},
		{"cookie is not base64", "nonce_invalid", func(_ url.Values, j jar) { spoil(j, func(string) string { return "%%%" }) }, false},
		{"empty cookie", "nonce_invalid", func(_ url.Values, j jar) { spoil(j, func(string) string { return "" }) }, false},
		{"two codes", "parameter_repeated", func(q url.Values, _ jar) { q.Add("code", "d") }, true},
		{"two states", "parameter_repeated", func(q url.Values, _ jar) { q.Add("state", q.Get("state")) }, true},
		{"array syntax", "parameter_repeated", func(q url.Values, _ jar) { q.Set("code[]", "d") }, true},
		{"object syntax", "parameter_repeated", func(q url.Values, _ jar) { q.Set("state[x]", "d") }, true},
		{"code and error", "parameter_conflict", func(q url.Values, _ jar) { q.Set("error", "access_denied") }, true},
		{"other env", "env_mismatch", func(q url.Values, _ jar) { q.Set("env", "production") }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := jar{}
			q := url.Values{"code": {"c"}, "state": {w.begin(j, signin.StartInput{})}}
			tt.change(q, j)
			before, _ := w.up.calls()
			out := w.back(j, q)
			wantCode(t, out.Err, tt.code)
			if after, _ := w.up.calls(); after != before {
				t.Error("the provider was asked")
			}
			if j[signin.SessionCookie] != nil || out.Session != nil || out.Origin != app {
				t.Errorf("a refused callback has an effect: %+v", out)
			}
			if (len(out.Cookies) == 0) != tt.keep {
				t.Errorf("cookies set: %v", out.Cookies)
			}
		})
	}
}

func spoil(j jar, change func(string) string) {
	for name, c := range j {
		j[name] = &http.Cookie{Name: name, Value: change(c.Value)}
	}
}

func TestFinishElsewhere(t *testing.T) {
	w := newWorld(t)
	j := jar{}
	q := url.Values{"code": {"c"}, "state": {w.begin(j, signin.StartInput{})}}
	// The cookie of one provider under the name that another would use, and under its own.
	for name, c := range j {
		j["other"+strings.TrimPrefix(name, "idp")] = c
	}
	out, err := w.Finish(t.Context(), signin.FinishInput{Provider: "other", Query: q, Cookies: j.cookies()})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, out.Err, "nonce_missing")
	for provider, code := range map[string]string{"guest": "not_implemented", "nosuch": "provider_unknown"} {
		_, err := w.Finish(t.Context(), signin.FinishInput{Provider: provider, Query: q, Cookies: j.cookies()})
		wantCode(t, err, code)
	}
	_, err = w.Finish(t.Context(), signin.FinishInput{Provider: "idp", Env: "nosuch", Query: q, Cookies: j.cookies()})
	wantCode(t, err, "env_unknown")
	if n, _ := w.up.calls(); n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}
}

func TestFinishOnce(t *testing.T) {
	w := newWorld(t)
	j := jar{}
	q := url.Values{"code": {"c"}, "state": {w.begin(j, signin.StartInput{})}}
	kept := j.cookies()
	if out := w.back(j, q); out.Err != nil {
		t.Fatal(out.Err)
	}
	out, err := w.replica().Finish(t.Context(), signin.FinishInput{Provider: "idp", Query: q, Cookies: kept})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, out.Err, "transaction_replayed")
	if n, _ := w.up.calls(); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
}

func TestFinishTooLate(t *testing.T) {
	w := newWorld(t)
	j := jar{}
	q := url.Values{"code": {"c"}, "state": {w.begin(j, signin.StartInput{Flow: "redirect", RedirectURL: app + "/in?x=1&error=old#top"})}}
	w.clock.add(11 * time.Minute)
	out := w.back(j, q)
	wantCode(t, out.Err, "transaction_expired")
	u, err := url.Parse(out.RedirectURL)
	if err != nil {
		t.Fatal(err)
	}
	if u.Host != "app.example:3000" || u.Fragment != "top" || u.Query().Get("x") != "1" ||
		u.Query().Get("error") != "The sign-in took too long, please start again" || u.Query().Get("error_code") != "transaction_expired" {
		t.Errorf("redirect to %s", out.RedirectURL)
	}
	if len(j) != 0 {
		t.Errorf("cookies left: %v", j)
	}
}

func TestFinishRedirect(t *testing.T) {
	w := newWorld(t)
	j := jar{}
	to := "http://a.apps.example:3000/after?x=%20y"
	out := w.back(j, url.Values{"code": {"c"}, "state": {w.begin(j, signin.StartInput{Flow: "redirect", RedirectURL: to})}})
	if out.Err != nil || out.RedirectURL != to || j[signin.SessionCookie] == nil {
		t.Errorf("got %+v", out)
	}
	// An origin that is no longer allowed when the user comes back.
	j = jar{}
	q := url.Values{"code": {"c"}, "state": {w.begin(j, signin.StartInput{Flow: "redirect", RedirectURL: to})}}
	w.cfg.ExtraOrigins = nil
	out, err := w.replica().Finish(t.Context(), signin.FinishInput{Provider: "idp", Query: q, Cookies: j.cookies()})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, out.Err, "redirect_url_not_allowed")
	if out.RedirectURL != "" {
		t.Errorf("still sent to %s", out.RedirectURL)
	}
}

func TestFinishParallelTabs(t *testing.T) {
	w := newWorld(t)
	j := jar{}
	one, two := w.begin(j, signin.StartInput{}), w.begin(j, signin.StartInput{})
	for _, state := range []string{two, one} {
		if out := w.back(j, url.Values{"code": {"c"}, "state": {state}}); out.Err != nil {
			t.Fatal(out.Err)
		}
	}
	if _, err := w.again(j); err != nil {
		t.Error(err)
	}
}

func TestFinishFailures(t *testing.T) {
	down := errors.New("connection refused")
	for _, tt := range []struct {
		name, code string
		change     func(*world)
		kept       bool
	}{
		{"denied", "access_denied", func(w *world) {
			w.up.fail = &providers.Error{Kind: providers.ErrDenied, Code: "access_denied", Message: "Authentication rejected"}
		}, false},
		{"provider down", "idp_unreachable", func(w *world) {
			w.up.fail = &providers.Error{Kind: providers.ErrUnavailable, Code: "idp_unreachable", Message: "down"}
		}, false},
		{"provider's bug", "internal_error", func(w *world) { w.up.fail = errors.New("nil map") }, false},
		{"user unknown", "no_catalog_user", func(w *world) { w.users.set(w.t, "", nil) }, false},
		{"two users", "catalog_ambiguous", func(w *world) { w.up.email = "twin@example.com" }, false},
		{"no address", "email_missing", func(w *world) { w.up.email = "" }, false},
		{"catalog down", "catalog_unavailable", func(w *world) { w.users.set(w.t, people, catalog.ErrUnavailable) }, false},
		{"store down", "store_unavailable", func(w *world) { w.store.breakWith(down) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			j := jar{}
			q := url.Values{"code": {"c"}, "state": {w.begin(j, signin.StartInput{})}}
			tt.change(w)
			out := w.back(j, q)
			wantCode(t, out.Err, tt.code)
			if out.Session != nil || j[signin.SessionCookie] != nil {
				t.Errorf("a failed sign-in has an effect: %+v", out)
			}
			if f, _ := errors.AsType[*fault.Error](out.Err); f.AttemptID == "" {
				t.Error("no attempt id")
			}
			if tt.kept != (len(j) == 1) {
				t.Errorf("transaction cookies left: %v", j)
			}
			if _, err := w.store.UserInfo(t.Context(), "user:default/jane"); !errors.Is(err, op.ErrNoUserInfo) {
				t.Errorf("user info was stored: %v", err)
			}
		})
	}
}

// TestFinishNamesNewSession is session fixation: whatever cookie the browser brought, the new session has another, and a session
// that was there runs out soon.
func TestFinishNamesNewSession(t *testing.T) {
	w := newWorld(t)
	j := w.signIn()
	old := j[signin.SessionCookie].Value
	again := w.back(j, url.Values{"code": {"c"}, "state": {w.begin(j, signin.StartInput{})}})
	if again.Err != nil || j[signin.SessionCookie].Value == old {
		t.Fatalf("%v, cookie renewed: %v", again.Err, j[signin.SessionCookie].Value != old)
	}
	late := jar{}
	late.take([]*http.Cookie{{Name: signin.SessionCookie, Value: old}})
	if _, err := w.again(late); err != nil {
		t.Errorf("a refresh under way with the replaced session fails: %v", err)
	}
	w.clock.add(61 * time.Second)
	_, err := w.again(late)
	wantCode(t, err, "session_expired")
	if _, err := w.again(j); err != nil {
		t.Error(err)
	}
}

func TestFinishWithoutResolver(t *testing.T) {
	w := newWorld(t, func(c *signin.Config) { c.Entries[0].Resolvers = nil })
	j := jar{}
	out := w.back(j, url.Values{"code": {"c"}, "state": {w.begin(j, signin.StartInput{})}})
	if out.Err != nil || out.Session.Identity != nil || out.Session.ProviderInfo.AccessToken == "" {
		t.Errorf("got %+v, %v", out.Session, out.Err)
	}
	if s, err := w.again(j); err != nil || s.Identity != nil {
		t.Errorf("refresh: %+v, %v", s, err)
	}
}

func TestResolversInOrder(t *testing.T) {
	pass := func(providers.Result) (providers.Lookup, error) {
		return providers.Lookup{}, &providers.Error{Kind: providers.ErrNoMatch, Code: "x", Message: "x"}
	}
	stop := func(providers.Result) (providers.Lookup, error) {
		return providers.Lookup{}, &providers.Error{Code: "domain_not_allowed", Message: "no"}
	}
	name := func(l providers.Lookup) providers.Resolver {
		return func(providers.Result) (providers.Lookup, error) { return l, nil }
	}
	missing := name(providers.Lookup{EntityRef: "nobody"})
	for _, tt := range []struct {
		name      string
		resolvers []providers.Resolver
		want      string
		code      string
	}{
		{"first hit wins", []providers.Resolver{byEmail, stop}, "user:default/jane", ""},
		{"no match passes on", []providers.Resolver{pass, byEmail}, "user:default/jane", ""},
		{"not found passes on", []providers.Resolver{missing, byEmail}, "user:default/jane", ""},
		{"refusal stops", []providers.Resolver{stop, byEmail}, "", "domain_not_allowed"},
		{"several hits stop", []providers.Resolver{name(providers.Lookup{Filter: map[string]string{"spec.profile.email": "twin@example.com"}}), byEmail}, "", "catalog_ambiguous"},
		{"all exhausted", []providers.Resolver{pass, missing}, "", "no_catalog_user"},
		{"second look", []providers.Resolver{name(providers.Lookup{EntityRef: "nobody", Then: &providers.Lookup{EntityRef: "jane"}})}, "user:default/jane", ""},
		{"fallback", []providers.Resolver{name(providers.Lookup{EntityRef: "nobody", Fallback: "user:default/nobody"})}, "user:default/nobody", ""},
		{"no fallback for several", []providers.Resolver{name(providers.Lookup{Filter: map[string]string{"spec.profile.email": "twin@example.com"}, Fallback: "user:default/x"})}, "", "catalog_ambiguous"},
		{"fallback must be a reference", []providers.Resolver{name(providers.Lookup{EntityRef: "nobody", Fallback: "nobody"})}, "", "subject_invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, func(c *signin.Config) {
				c.Entries[0].Resolvers = nil
				for i, r := range tt.resolvers {
					c.Entries[0].Resolvers = append(c.Entries[0].Resolvers, signin.NamedResolver{Name: strconv.Itoa(i), Resolve: r})
				}
			})
			j := jar{}
			out := w.back(j, url.Values{"code": {"c"}, "state": {w.begin(j, signin.StartInput{})}})
			if tt.code != "" {
				wantCode(t, out.Err, tt.code)
				return
			}
			if out.Err != nil || out.Session.Identity.UserRef != tt.want {
				t.Errorf("got %+v, %v", out.Session, out.Err)
			}
		})
	}
}

// TestLargeToken: a user who owns through many groups is warned about in the log, without a name.
func TestLargeToken(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, func(c *signin.Config) {
		c.Log = slog.New(slog.NewJSONHandler(&log, nil))
		c.Tokens = sized{c.Tokens}
	})
	w.signIn()
	if !strings.Contains(log.String(), `"bytes":9000`) || !strings.Contains(log.String(), `"ownership":2`) || strings.Contains(log.String(), "jane") {
		t.Errorf("log %s", &log)
	}
}

// sized issues tokens of 9000 bytes.
type sized struct{ signin.Tokens }

func (s sized) Issue(ctx context.Context, id tokens.Identity) (tokens.Token, error) {
	t, err := s.Tokens.Issue(ctx, id)
	t.Raw = strings.Repeat("x", 9000)
	return t, err
}

func TestSameSite(t *testing.T) {
	for _, tt := range []struct {
		name, callback, origin string
		want                   http.SameSite
	}{
		{"http", base + "/idp/handler/frame", "http://a.apps.example:3000", http.SameSiteLaxMode},
		{"https, same host", "https://app.example/api/auth/idp/handler/frame", app, http.SameSiteLaxMode},
		{"https, other host", "https://auth.example/api/auth/idp/handler/frame", app, http.SameSiteNoneMode},
		{"https, app from config", "https://auth.example/api/auth/idp/handler/frame", "", http.SameSiteNoneMode},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, func(c *signin.Config) { c.Entries[0].CallbackURL = tt.callback })
			in := signin.StartInput{}
			if tt.origin != "" {
				in.Origin = &tt.origin
			}
			j := jar{}
			if out := w.back(j, url.Values{"code": {"c"}, "state": {w.begin(j, in)}}); out.Err != nil {
				t.Fatal(out.Err)
			}
			c := j[signin.SessionCookie]
			if c.SameSite != tt.want || c.Secure != strings.HasPrefix(tt.callback, "https") {
				t.Errorf("got %+v", c)
			}
		})
	}
}
