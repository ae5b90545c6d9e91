package api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/signin"
)

var wantHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'self';base-uri 'self';font-src 'self' https: data:;frame-ancestors 'self';img-src 'self' data:;" +
		"object-src 'none';script-src 'self' 'unsafe-eval';script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests",
	"Referrer-Policy":                   "no-referrer",
	"Strict-Transport-Security":         "max-age=15552000; includeSubDomains",
	"X-Content-Type-Options":            "nosniff",
	"X-Frame-Options":                   "SAMEORIGIN",
	"X-DNS-Prefetch-Control":            "off",
	"X-Download-Options":                "noopen",
	"X-Permitted-Cross-Domain-Policies": "none",
	"X-XSS-Protection":                  "0",
}

func TestHeadersOnEveryAnswer(t *testing.T) {
	b := setUp(t)
	b.signIn.start = func(signin.StartInput) (signin.StartOutput, error) { return signin.StartOutput{URL: "https://x/"}, nil }
	for _, path := range []string{
		"/api/auth/idp/start", "/api/auth/v1/providers", "/api/auth/nope/start", "/api/auth", "/elsewhere", "/.backstage/health/v1/liveness",
	} {
		got := b.Get(path)
		for name, want := range wantHeaders {
			if v := got.Header.Values(name); len(v) != 1 || v[0] != want {
				t.Errorf("%s: %s = %q, want %q", path, name, v, want)
			}
		}
		for _, name := range []string{"Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy", "Cross-Origin-Resource-Policy", "Origin-Agent-Cluster", "Server", "X-Powered-By"} {
			if v := got.Header.Get(name); v != "" {
				t.Errorf("%s: %s = %q, want none", path, name, v)
			}
		}
	}
}

func TestHeadersFromConfig(t *testing.T) {
	b := setUp(t, func(c *Config) { c.ContentSecurityPolicy, c.ReferrerPolicy = "default-src 'none'", "same-origin" })
	got := b.Get("/api/auth/v1/providers")
	if got.Header.Get("Content-Security-Policy") != "default-src 'none'" || got.Header.Get("Referrer-Policy") != "same-origin" {
		t.Errorf("headers = %v", got.Header)
	}
}

func TestOutside(t *testing.T) {
	b := setUp(t, func(c *Config) {
		c.Limits.Body = 10
		c.Outside = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				w.WriteHeader(http.StatusTeapot)
				return
			}
			w.Header().Set("Content-Security-Policy", "own")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, r.URL.Path)
		})
	})
	got := b.Get("/Some/Path/")
	if string(got.Body) != "/Some/Path/" || got.Header.Get("Content-Security-Policy") != "own" || got.Header.Get("X-Request-Id") == "" {
		t.Errorf("answer = %s %v", got.Body, got.Header)
	}
	tooMuch := b.Post("/form", apitest.Body("", strings.Repeat("a", 11)), func(r *http.Request) { r.ContentLength = -1 })
	if tooMuch.Status != http.StatusTeapot {
		t.Errorf("body beyond the limit: %d", tooMuch.Status)
	}
	if inside := b.Get("/api/auth/nope"); inside.Status != 404 || errorBody(t, inside).Error.Name != "NotFoundError" {
		t.Errorf("below the mount: %d %s", inside.Status, inside.Body)
	}
}

func TestRequestID(t *testing.T) {
	made := regexp.MustCompile(`^[A-Z2-7]{26}$`)
	b := setUp(t)
	for in, keeps := range map[string]bool{
		"abc-123._~X":           true,
		strings.Repeat("a", 64): true,
		strings.Repeat("a", 65): false,
		"a b":                   false,
		"a\u00e4":               false,
		"a=b":                   false,
		"":                      false,
	} {
		got := b.Get("/api/auth/v1/providers", func(r *http.Request) { r.Header["X-Request-Id"] = []string{in} }).Header.Get("X-Request-Id")
		if keeps && got != in || !keeps && !made.MatchString(got) {
			t.Errorf("in %q, out %q; taken over: %v", in, got, keeps)
		}
	}
}

func TestCORS(t *testing.T) {
	origins := []string{"http://localhost:3000", "https://*.example.com", "https://port.example:*"}
	tests := []struct {
		origin string
		want   bool
	}{
		{"http://localhost:3000", true},
		{"HTTP://LOCALHOST:3000", true},
		{"http://localhost:3001", false},
		{"http://localhost:30000", false},
		{"https://a.example.com", true},
		{"https://a.b.example.com", true},
		{"https://example.com", false},
		{"https://a.example.com:8443", false},
		{"https://a.example.com.evil.example", false},
		{"https://evil.example/.example.com", false},
		{"http://a.example.com", false},
		{"https://port.example:1", true},
		{"null", false},
		{"", false},
	}
	b := setUp(t, func(c *Config) {
		c.CORS = CORS{Origins: origins, Credentials: true, ExposedHeaders: []string{"X-Request-Id"}}
	})
	for _, tt := range tests {
		t.Run(tt.origin, func(t *testing.T) {
			got := b.Get("/api/auth/nope/refresh", apitest.Header("Origin", tt.origin)) // errors carry the headers, too
			want := map[string]string{"Access-Control-Allow-Origin": "", "Access-Control-Allow-Credentials": "", "Access-Control-Expose-Headers": ""}
			if tt.want {
				want = map[string]string{"Access-Control-Allow-Origin": tt.origin, "Access-Control-Allow-Credentials": "true", "Access-Control-Expose-Headers": "X-Request-Id"}
			}
			for name, value := range want {
				if v := got.Header.Get(name); v != value {
					t.Errorf("%s = %q, want %q", name, v, value)
				}
			}
			if v := got.Header.Values("Vary"); len(v) != 1 || v[0] != "Origin" || got.Status != 404 {
				t.Errorf("Vary = %q, status = %d", v, got.Status)
			}
		})
	}
}

func TestPreflight(t *testing.T) {
	asked := []func(*http.Request){
		apitest.Header("Origin", "http://localhost:3000"), apitest.Header("Access-Control-Request-Method", "GET"),
		apitest.Header("Access-Control-Request-Headers", "x-requested-with"),
	}
	b := setUp(t, func(c *Config) { c.CORS = CORS{Origins: []string{"http://localhost:3000"}, Credentials: true} })
	got := b.Send(http.MethodOptions, "/api/auth/idp/refresh?optional", asked...)
	if got.Status != http.StatusNoContent || len(got.Body) != 0 {
		t.Errorf("answer = %d %q", got.Status, got.Body)
	}
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "http://localhost:3000", "Access-Control-Allow-Credentials": "true",
		"Access-Control-Allow-Methods": "GET,HEAD,PUT,PATCH,POST,DELETE", "Access-Control-Allow-Headers": "x-requested-with",
	} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("%s = %q, want %q", name, v, want)
		}
	}
	if diff := cmp.Diff([]string{"Origin", "Access-Control-Request-Headers"}, got.Header.Values("Vary")); diff != "" {
		t.Errorf("Vary (-want +got):\n%s", diff)
	}
	asked[0] = apitest.Header("Origin", "https://evil.example")
	if got := b.Send(http.MethodOptions, "/api/auth/idp/refresh", asked...); got.Status != 200 || got.Header.Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("a foreign preflight = %d %v, want the ordinary OPTIONS", got.Status, got.Header)
	}
}

func TestPreflightFromConfig(t *testing.T) {
	b := setUp(t, func(c *Config) {
		c.CORS = CORS{Origins: []string{"null"}, Methods: []string{"GET", "POST"}, AllowedHeaders: []string{"a", "b"}, MaxAge: 90e9}
	})
	got := b.Send(http.MethodOptions, "/api/auth/idp/refresh", apitest.Header("Origin", "null"))
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "null", "Access-Control-Allow-Credentials": "", "Access-Control-Allow-Methods": "GET,POST",
		"Access-Control-Allow-Headers": "a,b", "Access-Control-Max-Age": "90",
	} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("%s = %q, want %q", name, v, want)
		}
	}
}

func TestCORSIsOffUnlessConfigured(t *testing.T) {
	got := setUp(t).Get("/api/auth/v1/providers", apitest.Header("Origin", "http://localhost:3000"))
	if got.Header.Get("Access-Control-Allow-Origin") != "" || got.Header.Get("Vary") != "" {
		t.Errorf("headers = %v", got.Header)
	}
}

func FuzzCORSOrigin(f *testing.F) {
	f.Add("https://*.example.com", "https://a.example.com")
	f.Add("*", "null")
	f.Add("http://localhost:*", "http://localhost:3000/")
	f.Add("https://a.*.c*", "https://a.x/y.cd")
	f.Fuzz(func(t *testing.T, glob, origin string) {
		c, err := newCrossOrigin(CORS{Origins: []string{glob}})
		if err != nil {
			return // not UTF-8
		}
		w := httptest.NewRecorder()
		c.answer(w, &http.Request{Method: "GET", Header: http.Header{"Origin": {origin}}})
		got := w.Header().Get("Access-Control-Allow-Origin")
		if got != "" && got != origin {
			t.Errorf("%q is answered with %q", origin, got)
		}
		if got != "" && !strings.Contains(glob, "*") && !strings.EqualFold(strings.TrimRight(glob, "/"), origin) {
			t.Errorf("%q allows %q", glob, origin)
		}
		if got != "" && strings.Count(origin, "/") > strings.Count(glob, "/") {
			t.Errorf("a star of %q crosses a slash in %q", glob, origin)
		}
		if strings.EqualFold(got, "null") && !strings.EqualFold(glob, "null") {
			t.Errorf("%q allows null", glob)
		}
	})
}
