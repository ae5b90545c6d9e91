package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/fault"
	"stagedoor/server/internal/signin"
)

// refuse makes refresh fail.
func refuse(b *bench, err error) {
	b.signIn.refresh = func(signin.RefreshInput) (signin.RefreshOutput, error) { return signin.RefreshOutput{}, err }
}

func TestErrorBody(t *testing.T) {
	expired := fault.New(fault.Authentication, "session_missing", "Refresh failed", fault.New(fault.Input, "cookie", "Missing session cookie", errors.New("hidden")))
	expired.AttemptID = "a1"
	tests := []struct {
		name, want string
		err        error
	}{
		{
			"with a cause for the caller",
			`{"error":{"attemptId":"a1","cause":{"message":"Missing session cookie","name":"InputError"},"code":"session_missing",` +
				`"message":"Refresh failed; caused by InputError: Missing session cookie","name":"AuthenticationError"},` +
				`"request":{"method":"GET","url":"/idp/refresh?env=development"},"response":{"statusCode":401}}`, expired,
		},
		{
			"with a cause for the log",
			`{"error":{"code":"env_unknown","message":"No <such> env","name":"NotFoundError"},` +
				`"request":{"method":"GET","url":"/idp/refresh?env=development"},"response":{"statusCode":404}}`,
			fault.New(fault.NotFound, "env_unknown", "No <such> env", errors.New("hidden")),
		},
		{
			"unclassified",
			`{"error":{"code":"internal_error","message":"An internal error occurred","name":"Error"},` +
				`"request":{"method":"GET","url":"/idp/refresh?env=development"},"response":{"statusCode":500}}`, errors.New("hidden"),
		},
		{
			"wrapped",
			`{"error":{"code":"x","message":"y","name":"ConflictError"},` +
				`"request":{"method":"GET","url":"/idp/refresh?env=development"},"response":{"statusCode":409}}`,
			errors.Join(errors.New("hidden"), fault.New(fault.Conflict, "x", "y", nil)),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := setUp(t)
			refuse(b, tt.err)
			got := b.Get("/api/auth/idp/refresh?env=development")
			if string(got.Body) != tt.want {
				t.Errorf("body = %s\nwant   %s", got.Body, tt.want)
			}
			if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Content-Type") != "application/json; charset=utf-8" {
				t.Errorf("headers = %v", got.Header)
			}
		})
	}
}

func TestErrorStatus(t *testing.T) {
	for _, kind := range []fault.Kind{
		fault.Input, fault.Authentication, fault.NotAllowed, fault.NotFound, fault.Conflict, fault.NotImplemented,
		fault.ServiceUnavailable, fault.Failed,
	} {
		b := setUp(t)
		refuse(b, fault.New(kind, "c", "m", nil))
		got := b.Get("/api/auth/idp/refresh")
		if got.Status != kind.Status || errorBody(t, got).Error.Name != kind.Name {
			t.Errorf("%s: %d %s", kind.Name, got.Status, got.Body)
		}
		if retry := got.Header.Get("Retry-After"); (retry != "") != (kind == fault.ServiceUnavailable) {
			t.Errorf("%s: Retry-After = %q", kind.Name, retry)
		}
	}
}

func TestBinderErrorIsAnInputError(t *testing.T) {
	f := classify(echo.NewHTTPError(http.StatusBadRequest, `parsing "secret"`))
	if f.Kind != fault.Input || strings.Contains(f.Error(), "secret") {
		t.Errorf("fault = %v", f)
	}
}

func TestPanicIsContained(t *testing.T) {
	b := setUp(t)
	b.signIn.start = func(signin.StartInput) (signin.StartOutput, error) { panic("boom") }
	got := b.Get("/api/auth/idp/start?state=hidden")
	if got.Status != 500 || errorBody(t, got).Error.Code == nil || *errorBody(t, got).Error.Code != "internal_error" || strings.Contains(string(got.Body), "boom") {
		t.Errorf("answer = %d %s", got.Status, got.Body)
	}
	if log := b.log.String(); !strings.Contains(log, "panic: boom") || !strings.Contains(log, "errors_test.go") || strings.Contains(log, "hidden") {
		t.Errorf("log = %s", log)
	}
	if again := b.Get("/api/auth/v1/providers"); again.Status != 200 {
		t.Errorf("after the panic: %d", again.Status)
	}
}

func TestPanicBehindTheFirstByteCutsTheConnection(t *testing.T) {
	for name, value := range map[string]any{"late panic": "boom", "abort": http.ErrAbortHandler} {
		t.Run(name, func(t *testing.T) {
			b := setUp(t, func(c *Config) {
				c.Outside = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					_, _ = io.WriteString(w, "half")
					_ = http.NewResponseController(w).Flush()
					panic(value)
				})
			})
			server := httptest.NewServer(b.server)
			defer server.Close()
			res, err := server.Client().Get(server.URL + "/")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if body, err := io.ReadAll(res.Body); err == nil {
				t.Errorf("read %q to its end, want a broken connection", body)
			}
			if logged := strings.Contains(b.log.String(), "panic: boom"); logged != (value == "boom") {
				t.Errorf("log = %s", b.log)
			}
		})
	}
}

func TestForgottenResponseIsAnError(t *testing.T) {
	c := echo.New().NewContext(httptest.NewRequest("GET", "/", nil).WithContext(
		context.WithValue(t.Context(), exchangeKey{}, &exchange{ResponseWriter: httptest.NewRecorder()})), httptest.NewRecorder())
	_, err := writeCookies(func(echo.Context, any) (any, error) { return nil, nil }, "getJwks")(c, nil)
	if !errors.Is(err, errNoResponse) {
		t.Errorf("error = %v", err)
	}
}

func TestLimits(t *testing.T) {
	form := apitest.Body("application/x-www-form-urlencoded", strings.Repeat("a", 2000))
	chunked := func(r *http.Request) { form(r); r.ContentLength = -1 }
	tests := []struct {
		name, method, target string
		edit                 func(*http.Request)
		want                 int
		kind                 string
	}{
		{"long query", "GET", "/api/auth/idp/start?scope=" + strings.Repeat("a", 1000), func(*http.Request) {}, 414, "URITooLongError"},
		{"long path", "GET", "/api/auth/" + strings.Repeat("a", 1000) + "/start", func(*http.Request) {}, 414, "URITooLongError"},
		{"announced body", "POST", "/api/auth/idp/handler/frame", form, 413, "PayloadTooLargeError"},
		{"body in chunks", "POST", "/api/auth/idp/handler/frame", chunked, 413, "PayloadTooLargeError"},
		{"body that nobody reads", "POST", "/api/auth/idp/refresh", form, 413, "PayloadTooLargeError"},
		{"just short enough", "POST", "/api/auth/idp/refresh?scope=" + strings.Repeat("a", 900), apitest.Body("", strings.Repeat("a", 1000)), 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := setUp(t, func(c *Config) { c.Limits = Limits{URL: 1000, Body: 1000} })
			b.signIn.refresh = func(signin.RefreshInput) (signin.RefreshOutput, error) { return signin.RefreshOutput{}, nil }
			got := b.Send(tt.method, tt.target, tt.edit)
			if got.Status != tt.want {
				t.Fatalf("answer = %d %s", got.Status, got.Body)
			}
			if tt.kind != "" && errorBody(t, got).Error.Name != tt.kind {
				t.Errorf("body = %s", got.Body)
			}
		})
	}
}

func TestDefaultLimits(t *testing.T) {
	if got := (Limits{}).orDefault(); got != (Limits{URL: 16 << 10, Body: 1 << 20}) {
		t.Errorf("limits = %+v", got)
	}
}

func TestInvalidParameterIsNotRepeated(t *testing.T) {
	b := setUp(t)
	got := b.Get("/api/auth/idp/refresh?optional=hidden&code=hidden")
	body := errorBody(t, got)
	if got.Status != 400 || body.Error.Name != "InputError" || body.Error.Message != "Invalid query parameter 'optional': an invalid boolean" {
		t.Errorf("answer = %d %s", got.Status, got.Body)
	}
	if body.Request.URL != "/idp/refresh?optional=hidden&code=…" {
		t.Errorf("url = %q", body.Request.URL)
	}
	if strings.Contains(b.log.String(), "hidden") {
		t.Errorf("log = %s", b.log)
	}
}

// TestLog holds every line of a busy hour against the law: one record per event, nothing that a caller sent.
func TestLog(t *testing.T) {
	b := setUp(t)
	evil := "hidden\r\n{\"level\":\"ERROR\"}"
	b.signIn.start = func(signin.StartInput) (signin.StartOutput, error) {
		return signin.StartOutput{}, fault.New(fault.ServiceUnavailable, "idp_down", "The identity provider is not available", errors.New("dial idp"))
	}
	headers := []func(*http.Request){
		apitest.Header("User-Agent", "hidden"), apitest.Header("Cookie", "backstage-auth=hidden"), apitest.Header("Authorization", "Bearer hidden"),
		func(r *http.Request) { r.Header["X-Request-Id"] = []string{"hidden id"} },
	}
	b.Get("/api/auth/idp/start?redirectUrl="+url.QueryEscape(evil)+"&origin="+url.QueryEscape(evil), headers...)
	b.Get("/api/auth/"+url.PathEscape(evil)+"/start", headers...)
	b.Send("BREW", "/api/auth/idp/start?hidden")
	want := []map[string]string{
		{"level": "ERROR", "msg": "request failed", "operation": "StartProviderAuth", "code": "idp_down"},
		{"level": "DEBUG", "msg": "request", "operation": "StartProviderAuth"},
		{"level": "DEBUG", "msg": "request failed", "code": "provider_unknown"},
		{"level": "DEBUG", "msg": "request"},
		{"level": "DEBUG", "msg": "request failed", "code": "method_not_allowed"},
		{"level": "DEBUG", "msg": "request"},
	}
	lines := strings.Split(strings.TrimSpace(b.log.String()), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), b.log)
	}
	for i, line := range lines {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("line %d is no record: %v\n%s", i, err, line)
		}
		for key, value := range want[i] {
			if record[key] != value {
				t.Errorf("line %d: %s = %v, want %q", i, key, record[key], value)
			}
		}
		if record["request"] == "" || record["request"] == nil || strings.Contains(line, "hidden") {
			t.Errorf("line %d: %s", i, line)
		}
	}
}

func TestCallerWhoLeftIsNoFailureOfOurs(t *testing.T) {
	b := setUp(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.signIn.refresh = func(signin.RefreshInput) (signin.RefreshOutput, error) {
		cancel()
		return signin.RefreshOutput{}, context.Canceled
	}
	w := httptest.NewRecorder()
	b.server.ServeHTTP(w, httptest.NewRequest("GET", "/api/auth/idp/refresh", nil).WithContext(ctx))
	if strings.Contains(b.log.String(), `"ERROR"`) || w.Code != 500 {
		t.Errorf("status = %d, log = %s", w.Code, b.log)
	}
}

func TestNothingIsLoggedBelowItsLevel(t *testing.T) {
	var log lockedBuffer
	server, err := New(fakeConfig(&log, slog.LevelInfo))
	if err != nil {
		t.Fatal(err)
	}
	server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/api/auth/nope/start", nil))
	if log.String() != "" {
		t.Errorf("log = %s", &log)
	}
}

func TestShownURL(t *testing.T) {
	for in, want := range map[string]string{
		"/api/auth/idp/start?env=development":                    "/idp/start?env=development",
		"/API/auth/idp/handler/frame?code=s&state=s&env=x":       "/idp/handler/frame?code=…&state=…&env=x",
		"/api/auth/idp/start?env":                                "/idp/start?env",
		"/api/auth/idp/start?eyJhbGciOi":                         "/idp/start?…",
		"/api/auth/idp/handler/frame?error_description=Jane&a=b": "/idp/handler/frame?error_description=…&a=…",
		"/api/auth/idp/start?env=a&&=&env=b":                     "/idp/start?env=a&&=…&env=b",
		"/api/auth/idp/start?%65nv=a":                            "/idp/start?%65nv=…",
		"/elsewhere?x=y":                                         "/elsewhere?x=…",
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := shownURL(u); got != want {
			t.Errorf("shownURL(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzShownURL(f *testing.F) {
	for _, seed := range []string{"env=x", "a&b=c", "&&", "x=y=z", "%", "env"} {
		f.Add(seed, "s3cretvalue")
	}
	f.Fuzz(func(t *testing.T, query, secret string) {
		if len(secret) < 8 || strings.ContainsAny(secret, "&=…") || strings.Contains(query, secret) {
			return
		}
		raw := query + "&code=" + secret + "&" + secret
		got := redactQuery(raw)
		if bytes.Contains([]byte(got), []byte(secret)) {
			t.Errorf("%q shows the secret: %q", raw, got)
		}
		if strings.Count(got, "&") != strings.Count(raw, "&") && !strings.HasPrefix(raw, "&") {
			t.Errorf("%q loses its shape: %q", raw, got)
		}
	})
}
