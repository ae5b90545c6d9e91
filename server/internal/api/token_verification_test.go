package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/fault"
	"stagedoor/server/internal/op"
)

var jwksPaths = []string{"/api/auth/.well-known/jwks.json", "/api/auth/.well-known/backstage/auth/v1/jwks.json"}

func TestKeySet(t *testing.T) {
	b := setUp(t)
	for _, path := range jwksPaths {
		got := b.Get(path)
		if got.Status != http.StatusOK || string(got.Body) != string(keySet.Body) {
			t.Errorf("%s = %d %s", path, got.Status, got.Body)
		}
		for name, want := range map[string]string{
			"Cache-Control": "public, max-age=300", "Etag": `"abc"`, "Content-Type": "application/json; charset=utf-8",
		} {
			if v := got.Header.Values(name); len(v) != 1 || v[0] != want {
				t.Errorf("%s: %s = %q, want %q", path, name, v, want)
			}
		}
	}
}

func TestKeySetNotModified(t *testing.T) {
	tests := []struct {
		name        string
		ifNoneMatch []string
		want        int
	}{
		{"the same", []string{`"abc"`}, 304},
		{"weak", []string{`W/"abc"`}, 304},
		{"in a list", []string{`"x", W/"abc" , "y"`}, 304},
		{"on a second line", []string{`"x"`, `"abc"`}, 304},
		{"any", []string{"*"}, 304},
		{"another", []string{`"abcd"`}, 200},
		{"without quotes", []string{`abc`}, 200},
		{"empty", []string{""}, 200},
		{"a tag with a comma", []string{`"abc,def"`}, 200},
		{"lower-case w", []string{`w/"abc"`}, 200},
	}
	b := setUp(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := b.Get(jwksPaths[0], func(r *http.Request) { r.Header["If-None-Match"] = tt.ifNoneMatch })
			if got.Status != tt.want || (len(got.Body) == 0) != (tt.want == 304) {
				t.Errorf("status = %d with %q, want %d", got.Status, got.Body, tt.want)
			}
			if got.Header.Get("ETag") != `"abc"` || got.Header.Get("Cache-Control") == "" {
				t.Errorf("headers = %v", got.Header)
			}
			if tt.want == 304 && (got.Header.Get("Content-Type") != "" || got.Header.Get("Content-Length") != "") {
				t.Errorf("a 304 describes a body: %v", got.Header)
			}
		})
	}
}

func TestKeySetUnavailable(t *testing.T) {
	down := fault.New(fault.ServiceUnavailable, "keys_unavailable", "Signing keys are not available", errors.New("dial db"))
	b := setUp(t, func(c *Config) { c.Keys = fakeKeys{down} })
	got := b.Get(jwksPaths[0])
	if got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("answer = %d %v", got.Status, got.Header)
	}
	if strings.Contains(string(got.Body), "dial") || !strings.Contains(b.log.String(), "dial db") {
		t.Errorf("the cause belongs in the log only: %s\n%s", got.Body, b.log)
	}
}

// TestHead asks a real server: what HEAD leaves out is net/http's work, and it must know that the request is one.
func TestHead(t *testing.T) {
	b := setUp(t)
	server := httptest.NewServer(b.server)
	defer server.Close()
	client := apitest.NewClient(t, server.URL, server.Client())
	for _, path := range []string{jwksPaths[0], jwksPaths[1], "/api/auth/.well-known/openid-configuration", "/api/auth/v1/providers", "/.backstage/health/v1/liveness"} {
		get, head := client.Get(path), client.Send(http.MethodHead, path)
		for _, h := range []http.Header{get.Header, head.Header} {
			h.Del("X-Request-Id")
			h.Del("Date")
		}
		if diff := cmp.Diff(get.Header, head.Header); diff != "" || head.Status != 200 || len(head.Body) != 0 {
			t.Errorf("HEAD %s = %d with %d bytes (-get +head):\n%s", path, head.Status, len(head.Body), diff)
		}
	}
}

func TestDiscovery(t *testing.T) {
	got := setUp(t).Get("/api/auth/.well-known/openid-configuration")
	want := map[string]any{
		"issuer":                                "http://localhost:7007/api/auth",
		"jwks_uri":                              "http://localhost:7007/api/auth/.well-known/jwks.json",
		"userinfo_endpoint":                     "http://localhost:7007/api/auth/v1/userinfo",
		"response_types_supported":              []any{},
		"subject_types_supported":               []any{"public"},
		"id_token_signing_alg_values_supported": []any{"ES256"},
		"claims_supported":                      []any{"sub", "ent"},
	}
	var body map[string]any
	if err := json.Unmarshal(got.Body, &body); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
}

func TestForgedHostChangesNothing(t *testing.T) {
	b := setUp(t)
	plain := b.Get("/api/auth/.well-known/openid-configuration")
	forged := b.Get("/api/auth/.well-known/openid-configuration",
		func(r *http.Request) { r.Host = "evil.example" }, apitest.Header("X-Forwarded-Host", "evil.example"),
		apitest.Header("X-Forwarded-Proto", "https"), apitest.Header("X-Forwarded-Prefix", "/evil"), apitest.Header("Forwarded", "host=evil.example"))
	if diff := cmp.Diff(string(plain.Body), string(forged.Body)); diff != "" {
		t.Errorf("document (-plain +forged):\n%s", diff)
	}
}

func TestUserInfo(t *testing.T) {
	tests := []struct {
		name   string
		claims map[string]any
		want   string
	}{
		{
			"what was stored",
			map[string]any{"sub": "user:default/j", "ent": []any{"user:default/j", "group:default/a"}, "extra": map[string]any{"a": "b"}},
			`{"claims":{"ent":["user:default/j","group:default/a"],"extra":{"a":"b"},"sub":"user:default/j"}}`,
		},
		{"nothing owned", map[string]any{"sub": "user:default/j"}, `{"claims":{"ent":[],"sub":"user:default/j"}}`},
		{"ent of another shape", map[string]any{"sub": "user:default/j", "ent": []any{"a", 1}}, `{"claims":{"ent":["a"],"sub":"user:default/j"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := setUp(t)
			b.op.userInfo = func(string) (map[string]any, error) { return tt.claims, nil }
			got := b.Get("/api/auth/v1/userinfo", apitest.Header("Authorization", "Bearer x"))
			if got.Status != http.StatusOK || string(got.Body) != tt.want {
				t.Errorf("answer = %d %s, want %s", got.Status, got.Body, tt.want)
			}
			if got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control = %q", got.Header.Get("Cache-Control"))
			}
		})
	}
}

func TestUserInfoOfAnUnknownUser(t *testing.T) {
	b := setUp(t)
	b.op.userInfo = func(string) (map[string]any, error) { return nil, op.ErrNoUserInfo }
	got := b.Get("/api/auth/v1/userinfo", apitest.Header("Authorization", "Bearer x"))
	if got.Status != 404 || string(got.Body) != "User info not found" || got.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("answer = %d %q of type %q", got.Status, got.Body, got.Header.Get("Content-Type"))
	}
}

func TestUserInfoRefused(t *testing.T) {
	b := setUp(t)
	b.op.userInfo = func(string) (map[string]any, error) {
		return nil, fault.New(fault.Authentication, "token_missing", "No token provided", nil)
	}
	got := b.Get("/api/auth/v1/userinfo")
	want := `{"error":{"code":"token_missing","message":"No token provided","name":"AuthenticationError"},` +
		`"request":{"method":"GET","url":"/v1/userinfo"},"response":{"statusCode":401}}`
	if got.Status != 401 || string(got.Body) != want || got.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("answer = %d %s %v", got.Status, got.Body, got.Header)
	}
}

func TestBearer(t *testing.T) {
	for in, want := range map[string]string{
		"Bearer abc.def":    "abc.def",
		"bearer abc":        "abc",
		"BEARER    abc":     "abc",
		"Bearer a b":        "",
		"Bearer abc ":       "",
		"Bearer a\tb":       "",
		"Bearer":            "",
		"Bearer ":           "",
		"Bearerabc":         "",
		"Basic YTpi":        "",
		"":                  "",
		" Bearer abc":       "",
		"Bearer\tabc":       "",
		"Basic Bearer abc":  "",
		"Bearer abc\r\nX:y": "",
	} {
		if got := bearer(in); got != want {
			t.Errorf("bearer(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzBearer(f *testing.F) {
	for _, seed := range []string{"Bearer abc", "bearer  x", "Basic a", "Bearer a b", "Bearer \xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		token := bearer(header)
		if token == "" {
			return
		}
		if strings.ContainsAny(token, " \t\r\n") || !strings.HasSuffix(header, token) {
			t.Errorf("bearer(%q) = %q", header, token)
		}
		if scheme := strings.TrimRight(strings.TrimSuffix(header, token), " "); !strings.EqualFold(scheme, "bearer") {
			t.Errorf("bearer(%q) accepts scheme %q", header, scheme)
		}
	})
}
