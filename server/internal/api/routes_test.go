package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stagedoor/gen"
	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/signin"
)

func errorBody(t *testing.T, res apitest.Response) gen.ErrorResponse {
	t.Helper()
	var body gen.ErrorResponse
	if err := json.Unmarshal(res.Body, &body); err != nil {
		t.Fatalf("%d %q: %v", res.Status, res.Body, err)
	}
	return body
}

func TestUnknownPaths(t *testing.T) {
	long := strings.Repeat("a", 8<<10)
	tests := []struct{ path, message, url string }{
		{"/api/auth/nope/start?env=development", "Unknown auth provider 'nope'", "/nope/start?env=development"},
		{"/api/auth/nope/handler/frame", "Unknown auth provider 'nope'", "/nope/handler/frame"},
		{"/api/auth/nope/refresh", "Unknown auth provider 'nope'", "/nope/refresh"},
		{"/api/auth/nope", "Unknown auth provider 'nope'", "/nope"},
		{"/api/auth/nope/", "Unknown auth provider 'nope'", "/nope/"},
		{"/api/auth/Nope/START", "Unknown auth provider 'Nope'", "/Nope/START"},
		{"/api/auth/github/start", "No auth provider registered for 'github'", "/github/start"},
		{"/api/auth/github/anything", "No auth provider registered for 'github'", "/github/anything"},
		{"/api/auth/idp/nothing", "Unknown auth provider 'idp'", "/idp/nothing"},
		{"/api/auth/idp", "Unknown auth provider 'idp'", "/idp"},
		{"/api/auth/idp/start/more", "Unknown auth provider 'idp'", "/idp/start/more"},
		{"/api/auth/idp/start//", "Unknown auth provider 'idp'", "/idp/start//"},
		{"/api/auth/idp/%73tart", "Unknown auth provider 'idp'", "/idp/%73tart"},
		{"/api/auth/idp%2Fstart", "Unknown auth provider 'idp/start'", "/idp%2Fstart"},
		{"/api/auth/.well-known/nothing", "Unknown auth provider '.well-known'", "/.well-known/nothing"},
		{"/api/auth/v1/token", "Unknown auth provider 'v1'", "/v1/token"},
		{"/api/auth/v1/refresh", "Unknown auth provider 'v1'", "/v1/refresh"},
		{"/api/auth//start", "Unknown auth provider ''", "//start"},
		{"/api/auth/../start", "Unknown auth provider '..'", "/../start"},
		{"/api/auth/%2E%2E/start", "Unknown auth provider '..'", "/%2E%2E/start"},
		{"/api/auth/..%2fx/start", "Unknown auth provider '../x'", "/..%2fx/start"},
		{"/api/auth/..%5Cx/start", "Unknown auth provider '..\\x'", "/..%5Cx/start"},
		{"/api/auth/%00/start", "Unknown auth provider '\x00'", "/%00/start"},
		{"/api/auth/%0d%0aX:y/start", "Unknown auth provider '\r\nX:y'", "/%0d%0aX:y/start"},
		{"/api/auth/%E2%98%83/start", "Unknown auth provider '☃'", "/%E2%98%83/start"},
		{"/api/auth/__proto__/start", "Unknown auth provider '__proto__'", "/__proto__/start"},
		{"/api/auth/" + long + "/start", "Unknown auth provider '" + long + "'", "/" + long[:2047] + "…"},
	}
	b := setUp(t)
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%.40s", tt.path), func(t *testing.T) {
			res := b.Get(tt.path)
			got := errorBody(t, res)
			if res.Status != 404 || got.Response.StatusCode != 404 || got.Error.Name != "NotFoundError" {
				t.Errorf("answer = %d %s", res.Status, res.Body)
			}
			if got.Error.Message != tt.message || got.Request.URL != tt.url || got.Request.Method != "GET" {
				t.Errorf("body = %s\nwant %q at %q", res.Body, tt.message, tt.url)
			}
		})
	}
}

func TestNowhere(t *testing.T) {
	b := setUp(t)
	for _, path := range []string{"/api/auth", "/api/auth/", "/API/AUTH", "/", "/api", "/api/authx/start", "/api/catalog/entities", "/.backstage/health/v1/other"} {
		if got := b.Get(path); got.Status != 404 || len(got.Body) != 0 || got.Header.Get("Content-Type") != "" {
			t.Errorf("%s = %d %q of type %q, want an empty 404", path, got.Status, got.Body, got.Header.Get("Content-Type"))
		}
	}
}

func TestPathsAreReadAsExpressDoes(t *testing.T) {
	b := setUp(t)
	var provider string
	b.signIn.start = func(in signin.StartInput) (signin.StartOutput, error) {
		provider = in.Provider
		return signin.StartOutput{URL: "https://idp.example/"}, nil
	}
	for path, want := range map[string]string{
		"/api/auth/idp/start": "idp", "/api/auth/IDP/START": "IDP", "/API/Auth/idp/start/": "idp", "/api/auth/%69dp/start": "idp",
	} {
		if got := b.Get(path); got.Status != http.StatusFound || provider != want {
			t.Errorf("%s = %d for provider %q, want 302 for %q", path, got.Status, provider, want)
		}
	}
	for _, path := range []string{"/api/auth/.WELL-known/JWKS.json", "/api/auth/V1/providers/", "/.Backstage/health/v1/LIVENESS/"} {
		if got := b.Get(path); got.Status != http.StatusOK {
			t.Errorf("%s = %d", path, got.Status)
		}
	}
}

func TestMethods(t *testing.T) {
	tests := []struct {
		method, path string
		status       int
		allow, name  string
	}{
		{"POST", "/api/auth/idp/start", 405, "GET,HEAD", "MethodNotAllowedError"},
		{"GET", "/api/auth/idp/logout", 405, "POST", "MethodNotAllowedError"},
		{"HEAD", "/api/auth/idp/logout", 405, "POST", ""},
		{"PUT", "/api/auth/idp/refresh", 405, "GET,HEAD,POST", "MethodNotAllowedError"},
		{"PATCH", "/api/auth/guest/refresh", 405, "GET,HEAD,POST", "MethodNotAllowedError"},
		{"DELETE", "/api/auth/idp/handler/frame", 405, "GET,HEAD,POST", "MethodNotAllowedError"},
		{"BREW", "/api/auth/.well-known/jwks.json", 405, "GET,HEAD", "MethodNotAllowedError"},
		{"POST", "/api/auth/v1/userinfo", 405, "GET,HEAD", "MethodNotAllowedError"},
		{"POST", "/.backstage/health/v1/readiness", 405, "GET,HEAD", "MethodNotAllowedError"},
		{"PUT", "/api/auth/nope/refresh", 404, "", "NotFoundError"},
		{"OPTIONS", "/api/auth/nope/refresh", 404, "", "NotFoundError"},
	}
	b := setUp(t)
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			got := b.Send(tt.method, tt.path)
			if got.Status != tt.status || got.Header.Get("Allow") != tt.allow {
				t.Errorf("answer = %d, Allow %q; want %d, %q", got.Status, got.Header.Get("Allow"), tt.status, tt.allow)
			}
			if tt.name != "" && errorBody(t, got).Error.Name != tt.name {
				t.Errorf("body = %s, want %s", got.Body, tt.name)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	b := setUp(t)
	for path, want := range map[string]string{
		"/api/auth/idp/refresh?env=x": "GET,HEAD,POST", "/api/auth/idp/logout": "POST", "/api/auth/v1/providers": "GET,HEAD",
	} {
		got := b.Send(http.MethodOptions, path)
		if got.Status != 200 || string(got.Body) != want || got.Header.Get("Allow") != want || got.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("OPTIONS %s = %d %q, headers %v; want %s", path, got.Status, got.Body, got.Header, want)
		}
	}
}

func TestHeadActsAsGet(t *testing.T) {
	b := setUp(t)
	b.signIn.start = func(signin.StartInput) (signin.StartOutput, error) {
		return signin.StartOutput{URL: "https://idp.example/", Cookies: twoCookies}, nil
	}
	got := b.Send(http.MethodHead, "/api/auth/idp/start?env=development")
	if got.Status != http.StatusFound || len(got.Cookies) != 2 || got.Operation != "startProviderAuth" {
		t.Errorf("answer = %d with %v", got.Status, got.Cookies)
	}
}

func TestRequestIsNotChanged(t *testing.T) {
	b := setUp(t)
	b.signIn.refresh = func(signin.RefreshInput) (signin.RefreshOutput, error) { return signin.RefreshOutput{}, nil }
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://localhost:7007/api/auth/IDP/Refresh/?optional&env=a&env=b", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header["X-Requested-With"] = []string{"a", "b"}
	before := r.Clone(t.Context())
	b.server.ServeHTTP(&exchange{ResponseWriter: discard{}}, r)
	if diff := cmp.Diff(before.URL.String(), r.URL.String()); diff != "" {
		t.Errorf("URL (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(before.Header, r.Header); diff != "" {
		t.Errorf("header (-before +after):\n%s", diff)
	}
}

// discard is a ResponseWriter for answers that nobody looks at.
type discard struct{ header http.Header }

func (d discard) Header() http.Header {
	if d.header == nil {
		return http.Header{}
	}
	return d.header
}
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

func FuzzLocate(f *testing.F) {
	for _, seed := range []string{"/api/auth/idp/start", "/API/auth/%2e%2e/start", "/api/auth//", "/api/auth", "/x", "/api/auth/a%2Fstart", "/api/auth/%", "/.backstage/health/v1/liveness/"} {
		f.Add(seed)
	}
	server, err := New(fakeConfig(&lockedBuffer{}, 0))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		to := server.locate(escaped)
		_, below := cutMount(escaped)
		switch {
		case to.outside && below:
			t.Errorf("%q is below the mount, and answered outside", escaped)
		case below && to.path != "" && !strings.HasPrefix(to.path, mount+"/"+to.segment+"/"):
			t.Errorf("%q leads to %q, away from its segment %q", escaped, to.path, to.segment)
		case below && strings.Count(to.path, "/") > strings.Count(escaped, "/"):
			t.Errorf("%q gains a segment: %q", escaped, to.path)
		case !below && to.path != "" && !server.root[to.path]:
			t.Errorf("%q leads to %q", escaped, to.path)
		}
	})
}

func FuzzReadQuery(f *testing.F) {
	for _, seed := range []string{"optional&scope=a%20b&env=x", "a=1&a=2", "scope[]=a&scope[]=b", "%zz=%", "a;b=c", "optional=&optional", "&&=", "=x&=y", "a[]&a"} {
		f.Add(seed)
	}
	server, err := New(fakeConfig(&lockedBuffer{}, 0))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		sent, plain := server.readQuery(raw)
		seen, err := url.ParseQuery(plain)
		if err != nil {
			t.Errorf("%q becomes %q, which is not well-formed: %v", raw, plain, err)
		}
		nested := false
		for key, values := range seen {
			nested = nested || strings.HasSuffix(key, "[]")
			if len(values) != 1 {
				t.Errorf("%q becomes %q, where %q stands %d times", raw, plain, key, len(values))
			}
		}
		if len(seen) > len(sent) {
			t.Errorf("%q becomes %q, which has more keys", raw, plain)
		}
		if v, there := seen["optional"]; there && v[0] == "" {
			t.Errorf("%q becomes %q, where the flag has no value", raw, plain)
		}
		if _, again := server.readQuery(plain); again != plain && !nested {
			t.Errorf("%q becomes %q and then %q", raw, plain, again)
		}
	})
}
