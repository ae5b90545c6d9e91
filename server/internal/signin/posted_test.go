package signin_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"stagedoor/providers"
	"stagedoor/server/internal/fault"
	"stagedoor/server/internal/signin"
)

// asserter is a provider that answers with a form, which counts once, and has no tokens to show.
type asserter struct {
	mu sync.Mutex
	// accepts is whether it may begin by itself.
	accepts bool
	// lasts is how long its session does, zero if it does not say.
	lasts time.Duration
	// before happens while it reads a form.
	before func()

	handled int
	memo    string
}

var _ interface {
	providers.Starter
	providers.Unsolicited
} = (*asserter)(nil)

func (a *asserter) Start(_ context.Context, in providers.StartInput) (providers.Redirect, error) {
	return providers.Redirect{URL: "https://idp.example/sso?state=" + in.State, Memo: []byte("request of " + in.State)}, nil
}

func (a *asserter) AcceptsUnsolicited() bool { return a.accepts }

func (a *asserter) Handle(_ context.Context, r providers.Request) (providers.Result, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handled++
	a.memo = string(r.Memo)
	if a.before != nil {
		a.before()
	}
	if a.memo == "" && !a.accepts {
		return providers.Result{}, &providers.Error{Kind: providers.ErrDenied, Code: "saml_unsolicited", Message: "not asked for"}
	}
	return providers.Result{
		Session: providers.Session{Subject: "jane", ExpiresIn: a.lasts},
		Profile: providers.Profile{Email: "jane@example.com"},
		Info:    map[string]any{},
		Once:    &providers.Once{ID: r.Form.Get("SAMLResponse"), Until: time.Unix(1_800_000_000, 0).Add(time.Minute)},
	}, nil
}

// postingWorld has the provider idp, in two environments, answer with a form.
func postingWorld(t *testing.T, changes ...func(*signin.Config)) (w *world, development, production *asserter) {
	t.Helper()
	development, production = &asserter{lasts: 2 * time.Hour}, &asserter{}
	w = newWorld(t, append([]func(*signin.Config){func(c *signin.Config) {
		for i, p := range []*asserter{development, production} {
			c.Entries[i].Kind = providers.Kind{ID: "saml", Title: "SAML", StateField: "RelayState"}
			c.Entries[i].Provider = p
		}
	}}, changes...)...)
	return w, development, production
}

// post is a form that came to the callback of f, with these cookies.
func post(t *testing.T, f *signin.Flow, cookies []*http.Cookie, fields ...string) (signin.FinishOutput, error) {
	t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return f.Finish(t.Context(), signin.FinishInput{Provider: "idp", Form: form, Posted: true, Cookies: cookies})
}

func TestFormIsSentAgain(t *testing.T) {
	w, p, _ := postingWorld(t)
	other := jar{}
	w.begin(other, signin.StartInput{})
	for _, tt := range []struct {
		name    string
		cookies func(own jar) jar
		fields  func(state string) []string
		again   bool
		code    string
	}{
		{"no cookies", func(jar) jar { return nil }, func(s string) []string { return []string{"RelayState", s} }, true, ""},
		{"another sign-in's cookie", func(jar) jar { return other }, func(s string) []string { return []string{"RelayState", s} }, true, ""},
		{"cookies", func(own jar) jar { return own }, func(s string) []string { return []string{"RelayState", s} }, false, ""},
		{"sent again without cookies", func(jar) jar { return nil }, func(s string) []string { return []string{"RelayState", s, "again", "1"} }, false, "nonce_missing"},
		{"sent again with cookies", func(own jar) jar { return own }, func(s string) []string { return []string{"RelayState", s, "again", "1"} }, false, ""},
		{"a state that nobody gave", func(own jar) jar { return own }, func(string) []string { return []string{"RelayState", strings.Repeat("a", 43)} }, true, ""},
		{"no state", func(own jar) jar { return own }, func(string) []string { return nil }, false, "saml_unsolicited"},
		{"something else for a state", func(own jar) jar { return own }, func(string) []string { return []string{"RelayState", "https://evil.example"} }, false, "saml_unsolicited"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			own := jar{}
			state := w.begin(own, signin.StartInput{})
			before := p.handled
			out, err := post(t, w.Flow, tt.cookies(own).cookies(), append(tt.fields(state), "SAMLResponse", tt.name)...)
			if err != nil || out.Resubmit != tt.again {
				t.Fatalf("got %+v, %v", out, err)
			}
			if tt.again && (p.handled != before || out.Cookies != nil || out.Session != nil || out.Err != nil) {
				t.Errorf("something happened before the form came from here: %+v", out)
			}
			if code := fault.Code(out.Err); code != tt.code && tt.code != "" || tt.code == "" && out.Err != nil {
				t.Errorf("got %v, want %q", out.Err, tt.code)
			}
			if done := tt.code == "" && !tt.again; done != (out.Session != nil) || done && p.memo != "request of "+state {
				t.Errorf("session %+v, memo %q", out.Session, p.memo)
			}
		})
	}
}

func TestCallbackOfAnotherForm(t *testing.T) {
	w, _, _ := postingWorld(t)
	for name, tt := range map[string]struct {
		in   signin.FinishInput
		want fault.Kind
	}{
		"by GET":           {signin.FinishInput{Provider: "idp", Query: url.Values{"RelayState": {"x"}}}, fault.MethodNotAllowed},
		"without a form":   {signin.FinishInput{Provider: "idp", Posted: true}, fault.UnsupportedMediaType},
		"other kinds' GET": {signin.FinishInput{Provider: "other"}, fault.Kind{}},
	} {
		_, err := w.Finish(t.Context(), tt.in)
		if f, ok := errors.AsType[*fault.Error](err); tt.want == (fault.Kind{}) && err != nil || tt.want != (fault.Kind{}) && (!ok || f.Kind != tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestProofCountsOnce: in every process, and whatever sign-in it comes with.
func TestProofCountsOnce(t *testing.T) {
	w, _, _ := postingWorld(t)
	replica := w.replica()
	for i, tt := range []struct {
		flow  *signin.Flow
		proof string
		code  string
	}{
		{w.Flow, "one", ""}, {w.Flow, "one", "saml_replayed"}, {replica, "one", "saml_replayed"}, {replica, "two", ""}, {w.Flow, "two", "saml_replayed"},
	} {
		j := jar{}
		state := w.begin(j, signin.StartInput{})
		out, err := post(t, tt.flow, j.cookies(), "RelayState", state, "SAMLResponse", tt.proof)
		if err != nil || (out.Session != nil) != (tt.code == "") {
			t.Fatalf("%d: %+v, %v", i, out, err)
		}
		if tt.code != "" {
			wantCode(t, out.Err, tt.code)
		}
	}
}

// TestProofNotNoted: what cannot be noted does not count.
func TestProofNotNoted(t *testing.T) {
	w, p, _ := postingWorld(t)
	p.before = func() { w.store.breakWith(errors.New("disk full")) }
	j := jar{}
	state := w.begin(j, signin.StartInput{})
	out, err := post(t, w.Flow, j.cookies(), "RelayState", state, "SAMLResponse", "x")
	if err != nil || out.Session != nil {
		t.Fatalf("got %+v, %v", out, err)
	}
	wantCode(t, out.Err, "store_unavailable")
	if f, ok := errors.AsType[*fault.Error](out.Err); !ok || f.Kind != fault.ServiceUnavailable {
		t.Errorf("kind of %v", out.Err)
	}
	j.take(out.Cookies)
	if _, ok := j[signin.SessionCookie]; ok {
		t.Error("there is a session")
	}
}

// TestSessionWithoutTokens answers refreshes until the provider's session ends, and shows no tokens.
func TestSessionWithoutTokens(t *testing.T) {
	w, _, _ := postingWorld(t)
	j := jar{}
	state := w.begin(j, signin.StartInput{})
	out, err := post(t, w.Flow, j.cookies(), "RelayState", state, "SAMLResponse", "x")
	if err != nil || out.Session == nil {
		t.Fatalf("got %+v, %v", out, err)
	}
	j.take(out.Cookies)
	wantNoTokens(t, out.Session)
	for _, step := range []time.Duration{time.Minute, time.Hour, 59*time.Minute - time.Second} {
		w.clock.add(step)
		s, err := w.again(j)
		if err != nil || s.Identity == nil {
			t.Fatalf("after %s: %+v, %v", step, s, err)
		}
		wantNoTokens(t, s)
	}
	w.clock.add(time.Second)
	_, err = w.again(j)
	wantCode(t, err, "session_expired")
	if _, ok := j[signin.SessionCookie]; ok {
		t.Error("the cookie stays")
	}
}

func wantNoTokens(t *testing.T, s *signin.SessionInfo) {
	t.Helper()
	p := s.ProviderInfo
	if p == nil || p.Extra == nil || len(p.Extra) > 0 || p.AccessToken+p.IDToken+p.Scope != "" {
		t.Errorf("provider info %+v, want an empty one", p)
	}
}

// TestUnsolicited: whether the provider may begin is said by the environment that is meant without a word, and by no other.
func TestUnsolicited(t *testing.T) {
	for _, tt := range []struct {
		name, usual             string
		development, production bool
		code                    string
		env                     string
	}{
		{"nowhere", "", false, false, "saml_unsolicited", ""},
		{"where it is meant", "", true, false, "", "development"},
		{"elsewhere only", "", false, true, "saml_unsolicited", ""},
		{"in the environment of the config", "production", false, true, "", "production"},
		{"not in the environment of the config", "production", true, false, "saml_unsolicited", ""},
		{"the environment of the config is not there", "staging", true, true, "state_invalid", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, development, production := postingWorld(t, func(c *signin.Config) { c.Environment = tt.usual })
			development.accepts, production.accepts = tt.development, tt.production
			for i := range 20 { // the environments of a provider have no order
				relay := []string{"/a/page", "https://portal.example/catalog/default/page"}[i%2] // as long as a state
				out, err := post(t, w.Flow, nil, "RelayState", relay, "SAMLResponse", time.Now().String())
				if err != nil || out.Resubmit {
					t.Fatalf("got %+v, %v", out, err)
				}
				if tt.code != "" {
					wantCode(t, out.Err, tt.code)
					continue
				}
				if out.Err != nil || out.RedirectURL != app || out.Session == nil {
					t.Fatalf("got %+v", out)
				}
			}
			if p := map[string]*asserter{"development": development, "production": production}[tt.env]; p != nil && p.handled != 20 {
				t.Errorf("%s was asked %d times", tt.env, p.handled)
			}
		})
	}
}

// TestMixedKinds: an id whose environments answer in different ways is an error at start, not a matter of luck.
func TestMixedKinds(t *testing.T) {
	w := newWorld(t)
	w.cfg.Entries[1].Kind.StateField = "RelayState"
	if _, err := signin.New(w.cfg); err == nil || !strings.Contains(err.Error(), "use two ids") {
		t.Errorf("error %v", err)
	}
}
