package apitest

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// witness is a testing.TB that keeps what the client complains of.
type witness struct {
	testing.TB
	complaints []string
}

func (w *witness) Helper() {}
func (w *witness) Errorf(format string, args ...any) {
	w.complaints = append(w.complaints, fmt.Sprintf(format, args...))
}

// answers is a handler with one answer.
func answers(status int, contentType, body string, header ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}

const errorBody = `{"error":{"name":"InputError","message":"m"},"response":{"statusCode":400}}`

func TestClientHoldsAnswersAgainstTheDocument(t *testing.T) {
	tests := []struct {
		name, method, target string
		handler              http.Handler
		complaint            string
	}{
		{"in order", "GET", "/api/auth/v1/providers", answers(200, "application/json; charset=utf-8", `{"providers":[]}`), ""},
		{"an error in order", "GET", "/api/auth/v1/providers", answers(400, "application/json", errorBody), ""},
		{"missing member", "GET", "/api/auth/v1/providers", answers(200, "application/json", `{}`), "providers"},
		{"wrong type", "GET", "/api/auth/v1/providers", answers(200, "text/plain", `x`), "Content-Type"},
		{"no body", "GET", "/api/auth/v1/providers", answers(200, "", ""), "Content-Type"},
		{"error of another shape", "GET", "/api/auth/v1/providers", answers(400, "application/json", `{"error":"x"}`), "error"},
		{"missing header", "GET", "/api/auth/idp/start", answers(302, "", ""), "Location"},
		{"empty where that is allowed", "POST", "/api/auth/idp/logout", answers(200, "", ""), ""},
		{"a page", "GET", "/api/auth/idp/handler/frame?code=a", answers(200, "text/html; charset=utf-8", "<html>"), ""},
		{"not modified", "GET", "/api/auth/.well-known/jwks.json", answers(304, "", ""), ""},
		{"head", "HEAD", "/api/auth/v1/providers", answers(200, "application/json", ""), ""},
		{"request that must be refused is not", "GET", "/api/auth/idp/refresh?optional=maybe", answers(200, "application/json", `{}`), "refuses"},
		{"request that must be refused is", "GET", "/api/auth/idp/refresh?optional=maybe", answers(400, "application/json", errorBody), ""},
		{"the front end's refresh", "GET", "/api/auth/idp/refresh?optional&scope=&env=development", answers(200, "application/json", `{}`), ""},
		{"other case and a slash too many", "GET", "/API/auth/V1/Providers/", answers(200, "application/json", `{}`), "providers"},
		{"health is at the root", "GET", "/.backstage/health/v1/liveness", answers(200, "application/json", `{}`), "status"},
		{"unknown path taken", "GET", "/api/auth/v2/providers", answers(200, "application/json", `{}`), "does not have"},
		{"unknown path refused", "GET", "/api/auth/v2/providers", answers(404, "application/json", errorBody), ""},
		{"unknown path refused badly", "GET", "/api/auth/v2/providers", answers(404, "application/json", `{}`), "error body"},
		{"unknown path refused with a broken body", "GET", "/api/auth/v2/providers", answers(404, "application/json", `{`), "read body"},
		{"unknown method taken", "PUT", "/api/auth/v1/providers", answers(200, "application/json", `{}`), "does not have"},
		{"net/http's own answer", "GET", "/api/auth/v1/providers", answers(431, "text/plain; charset=utf-8", "431"), ""},
		{"options", "OPTIONS", "/api/auth/v1/providers", answers(200, "text/html", `GET`), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &witness{TB: t}
			NewHandlerClient(w, tt.handler, nil).Send(tt.method, tt.target)
			switch {
			case tt.complaint == "" && len(w.complaints) > 0:
				t.Errorf("complaints: %q", w.complaints)
			case tt.complaint != "" && (len(w.complaints) != 1 || !strings.Contains(w.complaints[0], tt.complaint)):
				t.Errorf("complaints: %q, want one about %q", w.complaints, tt.complaint)
			}
		})
	}
}

func TestOnlyExchangesInOrderCount(t *testing.T) {
	const id = "getOpenidConfiguration"
	bad := NewHandlerClient(&witness{TB: t}, answers(200, "application/json", `{}`), nil)
	bad.Get("/api/auth/.well-known/openid-configuration")
	if !slices.Contains(Uncovered(), id) {
		t.Errorf("uncovered = %q after a bad exchange", Uncovered())
	}
	good := NewHandlerClient(t, answers(500, "application/json", errorBody), nil)
	if got := good.Get("/api/auth/.well-known/openid-configuration"); got.Operation != id {
		t.Errorf("operation = %q", got.Operation)
	}
	if slices.Contains(Uncovered(), id) || !slices.Contains(Uncovered(), "handleProviderFramePost") {
		t.Errorf("uncovered = %q after a good one", Uncovered())
	}
}

func TestClientOverANetwork(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b", Path: "/"})
		w.Header().Set("Location", "/elsewhere?seen="+r.Header.Get("Cookie")+r.Header.Get("X-A"))
		w.WriteHeader(http.StatusFound)
	}))
	defer server.Close()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	hc := *server.Client()
	hc.Jar = jar
	c := NewClient(t, server.URL+"/", &hc)
	c.Get("/api/auth/idp/start")
	got := c.Get("/api/auth/idp/start", Header("X-A", "c"))
	if got.Status != http.StatusFound || got.Header.Get("Location") != "/elsewhere?seen=a=bc" || len(got.Cookies) != 1 {
		t.Errorf("answer = %+v, want the redirect itself, asked for with the cookie", got)
	}
}

func TestBodyReachesTheServerAndTheDocument(t *testing.T) {
	var got string
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.FormValue("a")
		w.WriteHeader(http.StatusOK)
	})
	NewHandlerClient(t, h, nil).Post("/api/auth/idp/logout", Body("application/x-www-form-urlencoded", "a=1"))
	if got != "1" {
		t.Errorf("form value = %q", got)
	}
}
