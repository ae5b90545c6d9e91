package playground_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stagedoor/server/internal/playground"
)

func TestHandler(t *testing.T) {
	tests := []struct {
		name, method, path string
		wantStatus         int
		wantType           string
	}{
		{name: "page", method: "GET", path: "/", wantStatus: 200, wantType: "text/html; charset=utf-8"},
		{name: "script", method: "GET", path: "/playground.js", wantStatus: 200, wantType: "text/javascript; charset=utf-8"},
		{name: "styles", method: "GET", path: "/playground.css", wantStatus: 200, wantType: "text/css; charset=utf-8"},
		{name: "head", method: "HEAD", path: "/", wantStatus: 200, wantType: "text/html; charset=utf-8"},
		{name: "query", method: "GET", path: "/?error=no", wantStatus: 200, wantType: "text/html; charset=utf-8"},
		{name: "elsewhere", method: "GET", path: "/index.html", wantStatus: 404},
		{name: "source", method: "GET", path: "/page/client.js", wantStatus: 404},
		{name: "dots", method: "GET", path: "/../playground.go", wantStatus: 404},
		{name: "post", method: "POST", path: "/", wantStatus: 405},
		{name: "delete script", method: "DELETE", path: "/playground.js", wantStatus: 405},
		{name: "post elsewhere", method: "POST", path: "/elsewhere", wantStatus: 404},
	}
	handler := playground.Handler("http://localhost:7007/api/auth")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
			if w.Code != tt.wantStatus || w.Header().Get("Content-Type") != tt.wantType {
				t.Errorf("%d %q, want %d %q", w.Code, w.Header().Get("Content-Type"), tt.wantStatus, tt.wantType)
			}
			if got, want := w.Header().Get("Allow"), "GET, HEAD"; (got == want) != (tt.wantStatus == 405) {
				t.Errorf("Allow = %q", got)
			}
			if tt.wantStatus != 200 && w.Body.Len() > 0 {
				t.Errorf("body = %q, want none", w.Body)
			}
		})
	}
}

func TestHandlerHeaders(t *testing.T) {
	for _, path := range []string{"/", "/playground.js", "/playground.css"} {
		w := httptest.NewRecorder()
		playground.Handler("/api/auth").ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		h := w.Result().Header
		h.Del("Content-Length")
		h.Del("Content-Type")
		want := http.Header{
			"Cache-Control":          {"no-store"},
			"Referrer-Policy":        {"no-referrer"},
			"X-Content-Type-Options": {"nosniff"},
			"Content-Security-Policy": {"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
				"img-src 'self' https: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
		}
		if diff := cmp.Diff(want, h); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

func TestHandlerBase(t *testing.T) {
	tests := []struct{ name, base, want string }{
		{name: "absolute", base: "http://localhost:7007/api/auth", want: `data-base="http://localhost:7007/api/auth"`},
		{name: "path", base: "/api/auth", want: `href="/api/auth/.well-known/jwks.json"`},
		{name: "slash at the end", base: "/api/auth/", want: `href="/api/auth/v1/providers"`},
		{name: "markup", base: `/"><script>`, want: `data-base="/&#34;&gt;&lt;script&gt;"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			playground.Handler(tt.base).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if body := w.Body.String(); !strings.Contains(body, tt.want) || strings.Contains(body, "{{") {
				t.Errorf("page lacks %s, or keeps a placeholder", tt.want)
			}
		})
	}
}
