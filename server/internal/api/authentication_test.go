package api

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/fault"
	"stagedoor/server/internal/signin"
)

var twoCookies = []*http.Cookie{
	{Name: "one", Value: "1", Path: "/api/auth/idp/handler", HttpOnly: true},
	{Name: "two", Value: "2", Path: "/api/auth/idp"},
}

func TestStartSendsTheBrowserToTheProvider(t *testing.T) {
	b := setUp(t)
	b.signIn.start = func(signin.StartInput) (signin.StartOutput, error) {
		return signin.StartOutput{URL: "https://idp.example/auth?state=s&scope=openid", Cookies: twoCookies}, nil
	}
	got := b.Get("/api/auth/idp/start?env=development&flow=popup")
	if got.Status != http.StatusFound || len(got.Body) != 0 || got.Header.Get("Content-Length") != "0" {
		t.Errorf("answer = %d with %q, Content-Length %q; want an empty 302", got.Status, got.Body, got.Header.Get("Content-Length"))
	}
	if l := got.Header.Get("Location"); l != "https://idp.example/auth?state=s&scope=openid" {
		t.Errorf("Location = %q", l)
	}
	if diff := cmp.Diff([]string{"one", "two"}, cookieNames(got.Cookies)); diff != "" {
		t.Errorf("cookies (-want +got):\n%s", diff)
	}
	if cc := got.Header.Get("Cache-Control"); cc != "no-store" {
		t.Errorf("Cache-Control = %q", cc)
	}
}

func TestStartInput(t *testing.T) {
	empty, app := "", "http://localhost:3000"
	tests := []struct {
		name, query string
		want        signin.StartInput
	}{
		{"nothing", "", signin.StartInput{Provider: "idp"}},
		{"the front end's popup", "?scope=&origin=http%3A%2F%2Flocalhost%3A3000&flow=popup&env=development", signin.StartInput{
			Provider: "idp", Env: "development", Flow: "popup", Origin: &app,
		}},
		{"an empty origin is not an absent one", "?origin=", signin.StartInput{Provider: "idp", Origin: &empty}},
		{"redirect", "?flow=redirect&redirectUrl=http%3A%2F%2Flocalhost%3A3000%2Fx%3Fy%3D1", signin.StartInput{
			Provider: "idp", Flow: "redirect", RedirectURL: "http://localhost:3000/x?y=1",
		}},
		{"repeated keys are joined", "?env=a&env=b&scope=x", signin.StartInput{Provider: "idp", Env: "a,b", Scope: "x"}},
		{"lists in brackets are joined", "?scope[]=a&scope[]=b", signin.StartInput{Provider: "idp", Scope: "a,b"}},
		{"lists and repeated keys keep their order", "?scope[]=c&scope=b&scope[]=a", signin.StartInput{Provider: "idp", Scope: "c,b,a"}},
		{"a broken escape stays", "?env=%E0%A4%A", signin.StartInput{Provider: "idp", Env: "%E0%A4%A"}},
		{"a semicolon is ordinary", "?scope=a;b", signin.StartInput{Provider: "idp", Scope: "a;b"}},
		{"unknown parameters pass", "?utm=1&env=development", signin.StartInput{Provider: "idp", Env: "development"}},
		{"a scope with a NUL", "?scope=a%00b", signin.StartInput{Provider: "idp", Scope: "a\x00b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := setUp(t)
			var got signin.StartInput
			b.signIn.start = func(in signin.StartInput) (signin.StartOutput, error) {
				got = in
				return signin.StartOutput{URL: "https://idp.example/"}, nil
			}
			b.Get("/api/auth/idp/start" + tt.query)
			got.Query, got.Cookies = nil, nil
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("input (-want +got):\n%s", diff)
			}
		})
	}
}

// TestStartKeepsTheQueryAsItWasSent: a provider may read parameters that the API document does not know.
func TestStartKeepsTheQueryAsItWasSent(t *testing.T) {
	b := setUp(t)
	var got signin.StartInput
	b.signIn.start = func(in signin.StartInput) (signin.StartOutput, error) {
		got = in
		return signin.StartOutput{URL: "https://idp.example/"}, nil
	}
	b.Get("/api/auth/idp/start?env=development&audience=a%20b&audience=c&scope=")
	want := url.Values{"env": {"development"}, "audience": {"a b", "c"}, "scope": {""}}
	if diff := cmp.Diff(want, got.Query); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
}

func TestCallbackKeepsTheQueryAsItWasSent(t *testing.T) {
	b := setUp(t)
	var got signin.FinishInput
	b.signIn.finish = func(in signin.FinishInput) (signin.FinishOutput, error) {
		got = in
		return signin.FinishOutput{Origin: "http://localhost:3000", Err: fault.New(fault.NotAllowed, "x", "y", nil)}, nil
	}
	b.Get("/api/auth/idp/handler/frame?code=a&code=b&state[]=s&env=x&env=y", apitest.Header("Cookie", "one=1; two=2"))
	want := url.Values{"code": {"a", "b"}, "state[]": {"s"}, "env": {"x", "y"}}
	if diff := cmp.Diff(want, got.Query); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	if got.Env != "x,y" || got.Form != nil {
		t.Errorf("env = %q, form = %v", got.Env, got.Form)
	}
	if diff := cmp.Diff([]string{"one", "two"}, cookieNames(got.Cookies)); diff != "" {
		t.Errorf("cookies (-want +got):\n%s", diff)
	}
}

func TestCallbackForm(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	tests := []struct {
		name, contentType, body string
		status                  int
		want                    url.Values
	}{
		{"form", form, "SAMLResponse=a%2Bb&RelayState=r", 200, url.Values{"SAMLResponse": {"a+b"}, "RelayState": {"r"}}},
		{"form with charset", form + "; charset=utf-8", "a=1&a=2", 200, url.Values{"a": {"1", "2"}}},
		{"field that is there twice", form, "SAMLResponse=1&SAMLResponse=2", 200, url.Values{"SAMLResponse": {"1", "2"}}},
		{"empty form", form, "", 200, url.Values{}},
		{"nothing", "", "", 200, nil},
		{"broken escape", form, "SAMLResponse=%zz", 400, nil},
		{"JSON is no form", "application/json", `{"a":1}`, 415, nil},
		{"multipart is no form", "multipart/form-data; boundary=x", "--x--", 415, nil},
		{"no type", "", "a=1", 415, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := setUp(t)
			var got signin.FinishInput
			b.signIn.finish = func(in signin.FinishInput) (signin.FinishOutput, error) {
				got = in
				return signin.FinishOutput{Origin: "http://localhost:3000", Session: &signin.SessionInfo{}}, nil
			}
			res := b.Post("/api/auth/idp/handler/frame?env=development", apitest.Body(tt.contentType, tt.body))
			if res.Status != tt.status {
				t.Fatalf("status = %d: %s", res.Status, res.Body)
			}
			if diff := cmp.Diff(tt.want, got.Form); diff != "" {
				t.Errorf("form (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCallbackRedirect(t *testing.T) {
	b := setUp(t)
	b.signIn.finish = func(signin.FinishInput) (signin.FinishOutput, error) {
		return signin.FinishOutput{RedirectURL: "http://localhost:3000/a?error=no#top", Origin: "http://localhost:3000", Cookies: twoCookies}, nil
	}
	got := b.Get("/api/auth/idp/handler/frame?code=c&state=s")
	if got.Status != http.StatusFound || got.Header.Get("Location") != "http://localhost:3000/a?error=no#top" {
		t.Errorf("answer = %d to %q", got.Status, got.Header.Get("Location"))
	}
	if ct := got.Header.Get("Content-Type"); ct != "text/plain; charset=utf-8" || len(got.Body) == 0 {
		t.Errorf("body = %q of type %q, want a short text", got.Body, ct)
	}
	if len(got.Cookies) != 2 || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("cookies = %v, Cache-Control = %q", got.Cookies, got.Header.Get("Cache-Control"))
	}
}

func TestCookiesAreSetBesideAnError(t *testing.T) {
	b := setUp(t)
	refused := fault.New(fault.Authentication, "session_expired", "Refresh failed", nil)
	b.signIn.finish = func(signin.FinishInput) (signin.FinishOutput, error) {
		return signin.FinishOutput{Cookies: twoCookies}, refused
	}
	b.signIn.refresh = func(signin.RefreshInput) (signin.RefreshOutput, error) {
		return signin.RefreshOutput{Cookies: twoCookies}, refused
	}
	b.signIn.logout = func(signin.LogoutInput) (signin.LogoutOutput, error) {
		return signin.LogoutOutput{Cookies: twoCookies}, refused
	}
	for _, got := range []apitest.Response{
		b.Get("/api/auth/idp/handler/frame"), b.Get("/api/auth/idp/refresh"), b.Post("/api/auth/idp/logout"),
	} {
		if got.Status != http.StatusUnauthorized || len(got.Cookies) != 2 {
			t.Errorf("%s: status %d, cookies %v; want 401 and both", got.Operation, got.Status, got.Cookies)
		}
		if got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control = %q", got.Operation, got.Header.Get("Cache-Control"))
		}
	}
}

func TestRefreshAnswers(t *testing.T) {
	tests := []struct {
		name    string
		session *signin.SessionInfo
		want    string
	}{
		{"nobody, and that is fine", nil, `{}`},
		{"bare profile", &signin.SessionInfo{}, `{"profile":{}}`},
		{
			"all of it",
			&signin.SessionInfo{
				Profile:      signin.ProfileInfo{Email: "jane@example.com", DisplayName: "Jane <&>", Picture: "https://x/y"},
				ProviderInfo: &signin.ProviderInfo{AccessToken: "at", IDToken: "it", Scope: "openid a", ExpiresIn: time.Hour},
				Identity:     &signin.Identity{Token: "t", ExpiresIn: 3599600 * time.Millisecond, UserRef: "user:default/jane", Ownership: []string{"group:default/a"}},
			},
			`{"backstageIdentity":{"expiresInSeconds":3600,"identity":{"ownershipEntityRefs":["group:default/a"],"type":"user","userEntityRef":"user:default/jane"},"token":"t"},` +
				`"profile":{"displayName":"Jane <&>","email":"jane@example.com","picture":"https://x/y"},` +
				`"providerInfo":{"accessToken":"at","expiresInSeconds":3600,"idToken":"it","scope":"openid a"}}`,
		},
		{
			"no lifetime, no scope, no ownership",
			&signin.SessionInfo{ProviderInfo: &signin.ProviderInfo{AccessToken: "at"}, Identity: &signin.Identity{Token: "t", UserRef: "user:default/j"}},
			`{"backstageIdentity":{"expiresInSeconds":0,"identity":{"ownershipEntityRefs":[],"type":"user","userEntityRef":"user:default/j"},"token":"t"},` +
				`"profile":{},"providerInfo":{"accessToken":"at","scope":""}}`,
		},
		{
			"a proxy provider's own members",
			&signin.SessionInfo{ProviderInfo: &signin.ProviderInfo{AccessToken: "ignored", Extra: map[string]any{"accessToken": "x", "iap": map[string]any{"sub": "s"}}}},
			`{"profile":{},"providerInfo":{"accessToken":"x","iap":{"sub":"s"}}}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := setUp(t)
			b.signIn.refresh = func(signin.RefreshInput) (signin.RefreshOutput, error) {
				return signin.RefreshOutput{Session: tt.session}, nil
			}
			got := b.Get("/api/auth/idp/refresh?optional&env=development")
			if got.Status != http.StatusOK || string(got.Body) != tt.want {
				t.Errorf("answer = %d\n%s\nwant\n%s", got.Status, got.Body, tt.want)
			}
			if cc, ct := got.Header.Get("Cache-Control"), got.Header.Get("Content-Type"); cc != "no-store" || ct != "application/json; charset=utf-8" {
				t.Errorf("Cache-Control %q, Content-Type %q", cc, ct)
			}
		})
	}
}

func TestRefreshInput(t *testing.T) {
	tests := []struct {
		name, query string
		want        signin.RefreshInput
	}{
		{"the front end's", "?optional&scope=openid%20a&env=development", signin.RefreshInput{Provider: "idp", Env: "development", Scope: "openid a", Optional: true}},
		{"proxied sign-in", "", signin.RefreshInput{Provider: "idp"}},
		{"optional without value", "?optional=", signin.RefreshInput{Provider: "idp", Optional: true}},
		{"optional twice", "?optional&optional", signin.RefreshInput{Provider: "idp", Optional: true}},
		{"optional is true", "?optional=true", signin.RefreshInput{Provider: "idp", Optional: true}},
		{"optional is false", "?optional=false", signin.RefreshInput{Provider: "idp"}},
		{"no scopes", "?scope=", signin.RefreshInput{Provider: "idp"}},
	}
	for _, tt := range tests {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(method+" "+tt.name, func(t *testing.T) {
				b := setUp(t)
				var got signin.RefreshInput
				b.signIn.refresh = func(in signin.RefreshInput) (signin.RefreshOutput, error) {
					got = in
					return signin.RefreshOutput{}, nil
				}
				res := b.Send(method, "/api/auth/idp/refresh"+tt.query, apitest.Header("X-Requested-With", "XMLHttpRequest"),
					func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1234" })
				if res.Status != http.StatusOK {
					t.Fatalf("status = %d: %s", res.Status, res.Body)
				}
				if got.Header.Get("X-Requested-With") != "XMLHttpRequest" {
					t.Errorf("header = %v", got.Header)
				}
				if peer := netip.MustParseAddr("192.0.2.1"); got.Peer != peer {
					t.Errorf("peer = %s, want %s", got.Peer, peer)
				}
				got.Header, got.Query, got.Cookies, got.Peer = nil, nil, nil, netip.Addr{}
				if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
					t.Errorf("input (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestRefreshTakesAnyBody(t *testing.T) {
	for _, contentType := range []string{"application/json", "application/x-www-form-urlencoded", "text/weird", ""} {
		b := setUp(t)
		b.signIn.refresh = func(signin.RefreshInput) (signin.RefreshOutput, error) { return signin.RefreshOutput{}, nil }
		if got := b.Post("/api/auth/guest/refresh", apitest.Body(contentType, "{}")); got.Status != http.StatusOK {
			t.Errorf("%q: status = %d", contentType, got.Status)
		}
	}
}

func TestLogout(t *testing.T) {
	tests := []struct {
		name, logoutURL, want string
	}{
		{"ended here", "", ""},
		{"the browser should go on", "https://idp.example/end?a=1&b=2", `{"logoutUrl":"https://idp.example/end?a=1&b=2"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := setUp(t)
			var in signin.LogoutInput
			b.signIn.logout = func(i signin.LogoutInput) (signin.LogoutOutput, error) {
				in = i
				return signin.LogoutOutput{LogoutURL: tt.logoutURL, Cookies: twoCookies}, nil
			}
			got := b.Post("/api/auth/idp/logout?env=production", apitest.Header("Origin", "http://localhost:3000"))
			if got.Status != http.StatusOK || string(got.Body) != tt.want || len(got.Cookies) != 2 {
				t.Errorf("answer = %d %q with %d cookies", got.Status, got.Body, len(got.Cookies))
			}
			if in.Provider != "idp" || in.Env != "production" || in.Header.Get("Origin") != "http://localhost:3000" {
				t.Errorf("input = %+v", in)
			}
		})
	}
}

func TestRequestedWithTwiceIsNotXMLHttpRequest(t *testing.T) {
	b := setUp(t)
	var got signin.RefreshInput
	b.signIn.refresh = func(in signin.RefreshInput) (signin.RefreshOutput, error) {
		got = in
		return signin.RefreshOutput{}, nil
	}
	const name = "X-Requested-With"
	b.Get("/api/auth/idp/refresh", apitest.Header(name, "XMLHttpRequest"), apitest.Header(name, "XMLHttpRequest"))
	if with := strings.Join(got.Header.Values(name), "|"); with != "XMLHttpRequest, XMLHttpRequest" {
		t.Errorf("header = %q, want both in one", with)
	}
}
