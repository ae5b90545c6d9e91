package signin_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stagedoor/providers"
	"stagedoor/server/internal/catalog"
	"stagedoor/server/internal/fault"
	"stagedoor/server/internal/signin"
)

func TestRefresh(t *testing.T) {
	w := newWorld(t)
	j := w.signIn()
	w.clock.add(time.Minute)
	s, err := w.again(j)
	if err != nil {
		t.Fatal(err)
	}
	if s.ProviderInfo.AccessToken != "access-2" || s.ProviderInfo.Scope != "openid" || s.Identity.UserRef != "user:default/jane" {
		t.Errorf("got %+v %+v", s.ProviderInfo, s.Identity)
	}
	if in := w.up.lastRefresh; in.RefreshToken != "refresh-1" || in.Subject != "sub-1" || !in.ScopeGranted {
		t.Errorf("the provider was asked with %+v", in)
	}
	// A younger answer is used again, with what is left of its life.
	w.clock.add(20 * time.Second)
	if s, err = w.again(j); err != nil || s.ProviderInfo.AccessToken != "access-2" || s.ProviderInfo.ExpiresIn != time.Hour-20*time.Second {
		t.Errorf("got %+v, %v", s.ProviderInfo, err)
	}
	// A scope it does not have is not.
	s, err = w.again(j, func(in *signin.RefreshInput) { in.Scope = "extra" })
	if err != nil || s.ProviderInfo.Scope != "extra openid" || w.up.lastRefresh.ScopeGranted {
		t.Errorf("got %+v, %v, asked with %+v", s.ProviderInfo, err, w.up.lastRefresh)
	}
	if _, n := w.up.calls(); n != 2 {
		t.Errorf("%d calls of the provider, want 2", n)
	}
}

// TestSilentRefresh: a provider whose id_token alone tells who the user is may leave it out of a refresh (RFC 6749 section 6). The user
// stays who they were.
func TestSilentRefresh(t *testing.T) {
	w := newWorld(t)
	j := w.signIn()
	w.up.set(func(u *upstream) { u.silent = true })
	for range 2 {
		w.clock.add(time.Minute)
		s, err := w.again(j)
		if err != nil || s.Identity.UserRef != "user:default/jane" || s.Profile.DisplayName != "Jane" {
			t.Fatalf("got %+v, %v", s, err)
		}
	}
	if in := w.up.lastRefresh; in.Subject != "sub-1" {
		t.Errorf("the provider was asked about %q", in.Subject)
	}
}

// TestResolversSeeTheSame: what a resolver sees at a refresh is what it saw at the sign-in.
func TestResolversSeeTheSame(t *testing.T) {
	var seen []providers.Result
	w := newWorld(t, func(c *signin.Config) {
		c.Entries[0].Resolvers = []signin.NamedResolver{{Name: "spy", Resolve: func(r providers.Result) (providers.Lookup, error) {
			r.Session = providers.Session{Subject: r.Session.Subject}
			seen = append(seen, r)
			return byEmail(r)
		}}}
	})
	j := w.signIn()
	for range 2 {
		if _, err := w.again(j); err != nil {
			t.Fatal(err)
		}
		w.clock.add(time.Minute)
	}
	for _, r := range seen[1:] {
		if diff := cmp.Diff(seen[0], r); diff != "" || r.Session.Subject == "" {
			t.Error(diff)
		}
	}
}

func TestRefreshShortTokensAreNotReused(t *testing.T) {
	w := newWorld(t)
	w.up.lifetime = 2 * time.Minute
	j := w.signIn()
	if s, err := w.again(j); err != nil || s.ProviderInfo.AccessToken != "access-2" {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestRefreshCaller(t *testing.T) {
	w := newWorld(t)
	j := w.signIn()
	for _, tt := range []struct {
		name   string
		header http.Header
		code   string
		status int
	}{
		{"no header", http.Header{}, "requested_with_missing", 401},
		{"other value", http.Header{"X-Requested-With": {"xmlhttprequest"}}, "requested_with_missing", 401},
		{"foreign origin", http.Header{"X-Requested-With": {"XMLHttpRequest"}, "Origin": {"https://evil.example"}}, "origin_not_allowed", 403},
		{"null origin", http.Header{"X-Requested-With": {"XMLHttpRequest"}, "Origin": {"null"}}, "origin_not_allowed", 403},
		{"cross-site", http.Header{"X-Requested-With": {"XMLHttpRequest"}, "Sec-Fetch-Site": {"cross-site"}}, "cross_site", 403},
		{"allowed cross-site", http.Header{"X-Requested-With": {"XMLHttpRequest"}, "Sec-Fetch-Site": {"cross-site"}, "Origin": {app}}, "", 0},
		{"same origin", http.Header{"X-Requested-With": {"XMLHttpRequest"}, "Sec-Fetch-Site": {"same-origin"}}, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := w.again(j, func(in *signin.RefreshInput) { in.Header = tt.header; in.Optional = true })
			if tt.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantCode(t, err, tt.code)
			if f, _ := errors.AsType[*fault.Error](err); f.Kind.Status != tt.status {
				t.Errorf("status %d", f.Kind.Status)
			}
			out, err := w.Logout(t.Context(), signin.LogoutInput{Provider: "idp", Header: tt.header, Cookies: j.cookies()})
			wantCode(t, err, tt.code)
			if len(out.Cookies) != 0 {
				t.Errorf("a refused logout sets %v", out.Cookies)
			}
		})
	}
	if j[signin.SessionCookie] == nil {
		t.Error("the session's cookie was cleared")
	}
}

func TestRefreshWithoutSession(t *testing.T) {
	w := newWorld(t)
	other := w.signIn()
	value := other[signin.SessionCookie].Value
	jwt := "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"
	for _, tt := range []struct {
		name, cookie, code string
		cleared            bool
	}{
		{"none", "", "session_missing", false},
		{"the framework's", jwt, "session_missing", false},
		{"truncated", value[:42], "session_missing", false},
		{"flipped", value[:42] + string(value[42]^1), "session_unknown", true},
		{"never issued", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "session_unknown", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := jar{}
			if tt.cookie != "" {
				j[signin.SessionCookie] = &http.Cookie{Name: signin.SessionCookie, Value: tt.cookie}
			}
			_, err := w.again(j)
			wantCode(t, err, tt.code)
			f, _ := errors.AsType[*fault.Error](err)
			cause, ok := errors.AsType[*fault.Error](f.Cause)
			if f.Kind != fault.Authentication || !ok || f.Message != "Refresh failed" || cause.Kind != fault.Input {
				t.Errorf("got %v", err)
			}
			if tt.cleared != (tt.cookie != "" && j[signin.SessionCookie] == nil) {
				t.Errorf("cookies %v", j)
			}
			s, err := w.again(j, func(in *signin.RefreshInput) { in.Optional = true })
			if s != nil || err != nil {
				t.Errorf("optional: %+v, %v", s, err)
			}
		})
	}
	// Another provider's cookie, and another environment's.
	out, err := w.Refresh(t.Context(), signin.RefreshInput{Provider: "other", Header: xhr, Cookies: other.cookies()})
	wantCode(t, err, "session_unknown")
	if len(out.Cookies) != 1 || out.Cookies[0].MaxAge >= 0 || out.Cookies[0].Path != "/api/auth/other" {
		t.Errorf("cookies %v", out.Cookies)
	}
	if _, err := w.again(other); err != nil {
		t.Errorf("the real session suffered: %v", err)
	}
}

// TestRefreshOneCall is design D6: however many refreshes come at once, to however many replicas, the provider is asked once.
func TestRefreshOneCall(t *testing.T) {
	for _, replicas := range []int{1, 3} {
		w := newWorld(t)
		j := w.signIn()
		w.clock.add(time.Minute)
		flows := []*signin.Flow{w.Flow}
		for len(flows) < replicas {
			flows = append(flows, w.replica())
		}
		gate := make(chan struct{})
		w.up.set(func(u *upstream) { u.gate = gate })
		tokens := make([]string, 50)
		errs := make([]error, len(tokens))
		var started, wg sync.WaitGroup
		for i := range tokens {
			started.Add(1)
			wg.Go(func() {
				started.Done()
				out, err := flows[i%replicas].Refresh(context.WithoutCancel(t.Context()), signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: j.cookies()})
				if errs[i] = err; err == nil {
					tokens[i] = out.Session.ProviderInfo.AccessToken
				}
			})
		}
		started.Wait()
		close(gate)
		wg.Wait()
		for i := range tokens {
			if errs[i] != nil || tokens[i] != "access-2" {
				t.Fatalf("%d replicas, call %d: %q, %v", replicas, i, tokens[i], errs[i])
			}
		}
		if _, n := w.up.calls(); n != 1 {
			t.Errorf("%d replicas: the provider was asked %d times", replicas, n)
		}
		if _, err := w.again(j); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	}
}

// TestRefreshOutlivesItsCaller: whoever began the flight may hang up, the others and the session do not suffer.
func TestRefreshOutlivesItsCaller(t *testing.T) {
	w := newWorld(t)
	j := w.signIn()
	w.clock.add(time.Minute)
	gate := make(chan struct{})
	w.up.set(func(u *upstream) { u.gate = gate })
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := w.Refresh(ctx, signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: j.cookies()})
		gone <- err
	}()
	for n := 0; n == 0; {
		_, n = w.up.calls()
	}
	cancel()
	wantCode(t, <-gone, "request_cancelled")
	done := make(chan error)
	go func() {
		_, err := w.Refresh(context.WithoutCancel(ctx), signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: j.cookies()})
		done <- err
	}()
	close(gate)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, n := w.up.calls(); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
}

func TestRefreshFailures(t *testing.T) {
	fail := func(kind error, code string) func(*world) {
		return func(w *world) {
			w.up.set(func(u *upstream) { u.fail = &providers.Error{Kind: kind, Code: code, Message: "words of ours"} })
		}
	}
	for _, tt := range []struct {
		name, code string
		change     func(*world)
		// repair makes the next refresh possible; nil if the session has ended.
		repair func(*world)
		status int
	}{
		{"invalid_grant", "idp_token_rejected", fail(providers.ErrExpired, "idp_token_rejected"), nil, 401},
		{"timeout", "idp_timeout", fail(providers.ErrUnavailable, "idp_timeout"), func(w *world) { w.up.set(func(u *upstream) { u.fail = nil }) }, 401},
		{"refused answer", "id_token_signature", fail(nil, "id_token_signature"), func(w *world) { w.up.set(func(u *upstream) { u.fail = nil }) }, 401},
		{"user removed", "no_catalog_user", func(w *world) { w.users.set(w.t, "", nil) }, nil, 401},
		{"address no longer verified", "email_missing", func(w *world) { w.up.set(func(u *upstream) { u.email = "" }) }, nil, 401},
		{"catalog down", "catalog_unavailable", func(w *world) { w.users.set(w.t, people, catalog.ErrUnavailable) }, func(w *world) { w.users.set(w.t, people, nil) }, 401},
		{"two users", "catalog_ambiguous", func(w *world) { w.up.set(func(u *upstream) { u.email = "twin@example.com" }) }, func(w *world) { w.up.set(func(u *upstream) { u.email = "jane@example.com" }) }, 401},
		{"store down", "store_unavailable", func(w *world) { w.store.breakWith(errors.New("gone")) }, func(w *world) { w.store.breakWith(nil) }, 503},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			j := w.signIn()
			kept := j.cookies()
			w.clock.add(time.Minute)
			tt.change(w)
			_, err := w.again(j)
			wantCode(t, err, tt.code)
			if f, _ := errors.AsType[*fault.Error](err); f.Kind.Status != tt.status || f.AttemptID == "" {
				t.Errorf("got %+v", f)
			}
			if (j[signin.SessionCookie] == nil) != (tt.repair == nil) {
				t.Errorf("cookies %v", j)
			}
			if tt.repair != nil {
				tt.repair(w)
				w.clock.add(time.Minute)
				if _, err := w.again(j); err != nil {
					t.Errorf("after the fault: %v", err)
				}
				return
			}
			old := jar{}
			for _, c := range kept {
				old[c.Name] = c
			}
			_, err = w.again(old)
			wantCode(t, err, "session_unknown")
		})
	}
}

// TestRefreshFailsLate: the provider rotated the token, then something else went wrong. The new token is the only good one.
func TestRefreshFailsLate(t *testing.T) {
	w := newWorld(t)
	j := w.signIn()
	w.clock.add(time.Minute)
	w.up.late = true
	w.up.fail = &providers.Error{Kind: providers.ErrUnavailable, Code: "idp_error", Message: "userinfo is down"}
	for range 3 {
		_, err := w.again(j)
		wantCode(t, err, "idp_error")
	}
	w.up.fail = nil
	s, err := w.again(j)
	if err != nil || s.ProviderInfo.AccessToken != "access-5" {
		t.Errorf("afterwards: %+v, %v", s, err)
	}
}

func TestRefreshWithoutRefreshToken(t *testing.T) {
	w := newWorld(t)
	w.up.noRefresh = true
	j := w.signIn()
	w.clock.add(59 * time.Minute)
	s, err := w.again(j)
	if err != nil || s.ProviderInfo.AccessToken != "access-1" || s.ProviderInfo.ExpiresIn != time.Minute {
		t.Fatalf("got %+v, %v", s, err)
	}
	if _, err := w.again(j, func(in *signin.RefreshInput) { in.Scope = "extra" }); fault.Code(err) != "scope_not_granted" {
		t.Errorf("got %v", err)
	}
	w.clock.add(time.Minute)
	_, err = w.again(j)
	wantCode(t, err, "session_expired")
	if len(j) != 0 {
		t.Errorf("cookies %v", j)
	}
}

func TestLifetimes(t *testing.T) {
	hours := func(n int) time.Duration { return time.Duration(n) * time.Hour }
	for _, tt := range []struct {
		name           string
		idle, absolute time.Duration
		uses           []time.Duration
		wantMaxAge     int
		want           string
	}{
		{"used within idle", hours(10), hours(100), []time.Duration{hours(9), hours(9), hours(9)}, 36000, ""},
		{"idle passed", hours(10), hours(100), []time.Duration{hours(9), hours(10)}, 36000, "session_expired"},
		{"absolute passed", hours(10), hours(20), []time.Duration{hours(9), hours(9), hours(2)}, 36000, "session_expired"},
		{"absolute is the shorter", hours(10), hours(4), []time.Duration{hours(3)}, 4 * 3600, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, func(c *signin.Config) { c.Idle = tt.idle; c.Entries[0].SessionDuration = tt.absolute })
			j := w.signIn()
			if got := j[signin.SessionCookie].MaxAge; got != tt.wantMaxAge {
				t.Errorf("Max-Age %d, want %d", got, tt.wantMaxAge)
			}
			var err error
			for _, d := range tt.uses {
				if err != nil {
					t.Fatal(err)
				}
				w.clock.add(d)
				_, err = w.again(j)
			}
			if tt.want == "" && err != nil || tt.want != "" && fault.Code(err) != tt.want {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if tt.want == "" {
				left := min(tt.idle, tt.absolute-total(tt.uses))
				if got := j[signin.SessionCookie].MaxAge; got != int(left/time.Second) {
					t.Errorf("renewed Max-Age %d, want %v", got, left)
				}
			}
		})
	}
}

func total(ds []time.Duration) (sum time.Duration) {
	for _, d := range ds {
		sum += d
	}
	return sum
}

// TestPlantedCookie is cookie tossing: two sessions of one provider in one request are no proof of either.
func TestPlantedCookie(t *testing.T) {
	w := newWorld(t)
	victim, attacker := w.signIn(), w.signIn()
	both := []*http.Cookie{attacker[signin.SessionCookie], victim[signin.SessionCookie], {Name: signin.SessionCookie, Value: "eyJ.a.b"}}
	out, err := w.Refresh(t.Context(), signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: both})
	wantCode(t, err, "session_ambiguous")
	if len(out.Cookies) == 0 {
		t.Error("the cookie is not cleared")
	}
	// What is left after the clearing may be the planted one: it must not take the victim over.
	for _, left := range both {
		_, err := w.Refresh(t.Context(), signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: []*http.Cookie{left}})
		if code := fault.Code(err); code != "session_unknown" && code != "session_missing" {
			t.Errorf("a session survives: %v", err)
		}
	}
	victim = w.signIn()
	// Junk of any amount beside the real one does no harm.
	many := []*http.Cookie{victim[signin.SessionCookie]}
	for range 100 {
		many = append(many, &http.Cookie{Name: signin.SessionCookie, Value: "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"})
	}
	if _, err := w.Refresh(t.Context(), signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: many}); err != nil {
		t.Error(err)
	}
}

func TestSecretRotation(t *testing.T) {
	const next = "the next secret of these tests"
	w := newWorld(t)
	j := w.signIn()
	w.clock.add(time.Minute)
	w.cfg.Secrets = []string{next, secret}
	overlap := w.replica()
	out, err := overlap.Refresh(t.Context(), signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: j.cookies()})
	if err != nil || out.Session.Identity == nil {
		t.Fatalf("during the overlap: %v", err)
	}
	w.cfg.Secrets = []string{next}
	after := w.replica()
	if _, err := after.Refresh(t.Context(), signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: j.cookies()}); err != nil {
		t.Errorf("a session renewed during the overlap: %v", err)
	}
	w.Flow = newWorld(t).Flow
	w.cfg.Secrets = []string{"a third secret, known to nobody"}
	out, err = w.replica().Refresh(t.Context(), signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: j.cookies()})
	wantCode(t, err, "session_unreadable")
	if len(out.Cookies) == 0 {
		t.Error("the cookie is not cleared")
	}
}

func TestProxied(t *testing.T) {
	w := newWorld(t)
	out, err := w.Refresh(t.Context(), signin.RefreshInput{Provider: "guest", Env: "whatever"})
	if err != nil || out.Session.Identity.UserRef != "user:development/guest" || out.Session.ProviderInfo != nil || len(out.Cookies) != 0 {
		t.Errorf("got %+v, %v", out, err)
	}
	_, err = w.Logout(t.Context(), signin.LogoutInput{Provider: "guest", Header: xhr})
	wantCode(t, err, "provider_unknown")
}

func TestDescribe(t *testing.T) {
	w := newWorld(t)
	got := w.Describe()
	if len(got) != 3 || got[0].ID != "idp" || got[2].ID != "guest" || got[2].Flows[0] != "proxied" ||
		len(got[0].Environments) != 2 || got[0].Environments[0] != "development" || len(got[2].Environments) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestLogout(t *testing.T) {
	w := newWorld(t)
	j := w.signIn()
	kept := j.cookies()
	w.up.logoutURL = "https://idp.example/end"
	w.up.fail = errors.New("revocation fails")
	out, err := w.Logout(t.Context(), signin.LogoutInput{Provider: "idp", Header: xhr, Cookies: j.cookies()})
	if err != nil || out.LogoutURL != "https://idp.example/end" || len(out.Cookies) != 1 || out.Cookies[0].MaxAge >= 0 {
		t.Errorf("got %+v, %v", out, err)
	}
	if w.up.lastLogout.RefreshToken != "refresh-1" || w.up.lastLogout.ReturnTo != app {
		t.Errorf("the provider was told %+v", w.up.lastLogout)
	}
	_, err = w.replica().Refresh(t.Context(), signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: kept})
	wantCode(t, err, "session_unknown")
	for range 2 { // again, and with nothing
		out, err = w.Logout(t.Context(), signin.LogoutInput{Provider: "idp", Header: xhr, Cookies: kept})
		if err != nil || out.LogoutURL != "" {
			t.Errorf("got %+v, %v", out, err)
		}
		kept = nil
	}
	if len(out.Cookies) != 0 || w.up.loggedOut != 1 {
		t.Errorf("cookies %v, %d calls", out.Cookies, w.up.loggedOut)
	}
}

func TestLogoutURL(t *testing.T) {
	for to, want := range map[string]string{
		"https://idp.example/end":    "https://idp.example/end",
		"http://localhost:9/end?x=1": "http://localhost:9/end?x=1",
		"http://idp.example/end":     "",
		"javascript:alert(1)":        "",
		"/end":                       "",
		"http://localhost.evil/end":  "",
	} {
		w := newWorld(t)
		w.up.logoutURL = to
		out, err := w.Logout(t.Context(), signin.LogoutInput{Provider: "idp", Header: xhr, Cookies: w.signIn().cookies()})
		if err != nil || out.LogoutURL != want {
			t.Errorf("%s: %q, %v", to, out.LogoutURL, err)
		}
	}
}

func TestLogoutStoreDown(t *testing.T) {
	w := newWorld(t)
	j := w.signIn()
	w.store.breakWith(errors.New("gone"))
	out, err := w.Logout(t.Context(), signin.LogoutInput{Provider: "idp", Header: xhr, Cookies: j.cookies()})
	wantCode(t, err, "store_unavailable")
	if len(out.Cookies) != 1 || out.Cookies[0].MaxAge >= 0 {
		t.Errorf("the cookie is not cleared: %v", out.Cookies)
	}
}

// TestLogoutDuringRefresh: a session that ends while the provider is being asked stays ended.
func TestLogoutDuringRefresh(t *testing.T) {
	w := newWorld(t)
	j := w.signIn()
	w.clock.add(time.Minute)
	gate := make(chan struct{})
	w.up.set(func(u *upstream) { u.gate = gate })
	done := make(chan error)
	go func() {
		_, err := w.Refresh(context.WithoutCancel(t.Context()), signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: j.cookies()})
		done <- err
	}()
	for n := 0; n == 0; {
		_, n = w.up.calls()
	}
	if _, err := w.Logout(t.Context(), signin.LogoutInput{Provider: "idp", Header: xhr, Cookies: j.cookies()}); err != nil {
		t.Fatal(err)
	}
	close(gate)
	wantCode(t, <-done, "session_unknown")
}
