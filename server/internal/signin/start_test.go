package signin_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stagedoor/providers"
	"stagedoor/server/internal/fault"
	"stagedoor/server/internal/signin"
)

func TestStartRefuses(t *testing.T) {
	w := newWorld(t)
	ptr := func(s string) *string { return &s }
	for _, tt := range []struct {
		name   string
		in     signin.StartInput
		kind   fault.Kind
		code   string
		phrase string
	}{
		{"unknown provider", signin.StartInput{Provider: "nosuch"}, fault.NotFound, "provider_unknown", "Unknown auth provider 'nosuch'"},
		{"kind without configuration", signin.StartInput{Provider: "oidc"}, fault.NotFound, "provider_not_configured", "No auth provider registered for 'oidc'"},
		{"unknown env", signin.StartInput{Env: "nosuch"}, fault.NotFound, "env_unknown", "No configuration available for the 'nosuch' environment of this provider."},
		{"prototype env", signin.StartInput{Env: "__proto__"}, fault.NotFound, "env_unknown", "'__proto__'"},
		{"proxy provider", signin.StartInput{Provider: "guest"}, fault.NotImplemented, "not_implemented", "Not implemented"},
		{"foreign origin", signin.StartInput{Origin: ptr("https://evil.example")}, fault.NotAllowed, "origin_not_allowed", "Origin 'https://evil.example' is not allowed"},
		{"other port", signin.StartInput{Origin: ptr("http://app.example:3001")}, fault.NotAllowed, "origin_not_allowed", ""},
		{"empty origin", signin.StartInput{Origin: ptr("")}, fault.Input, "origin_invalid", "App origin is invalid, failed to parse"},
		{"null origin", signin.StartInput{Origin: ptr("null")}, fault.Input, "origin_invalid", ""},
		{"origin with user info", signin.StartInput{Origin: ptr("http://app.example:3000@evil.example")}, fault.Input, "origin_invalid", ""},
		{"origin with backslash", signin.StartInput{Origin: ptr(`http://evil.example\.app.example:3000`)}, fault.Input, "origin_invalid", ""},
		{"redirect elsewhere", signin.StartInput{Flow: "redirect", RedirectURL: "https://evil.example/x"}, fault.NotAllowed, "redirect_url_not_allowed", ""},
		{"redirect nowhere", signin.StartInput{Flow: "redirect"}, fault.Input, "redirect_url_missing", "No redirectUrl provided"},
		{"redirect to script", signin.StartInput{Flow: "redirect", RedirectURL: "javascript:alert(1)"}, fault.Input, "redirect_url_invalid", ""},
		{"redirect without scheme", signin.StartInput{Flow: "redirect", RedirectURL: "//app.example:3000/x"}, fault.Input, "redirect_url_invalid", ""},
		{"redirect with a line break", signin.StartInput{Flow: "redirect", RedirectURL: "http://app.example:3000/\r\nX: y"}, fault.Input, "redirect_url_invalid", ""},
		{"popup with a bad redirect", signin.StartInput{RedirectURL: "https://evil.example/x"}, fault.NotAllowed, "redirect_url_not_allowed", ""},
		{"too long", signin.StartInput{Scope: strings.Repeat("scope-", 1000)}, fault.Input, "start_too_large", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.in.Provider == "" {
				tt.in.Provider = "idp"
			}
			out, err := w.Start(t.Context(), tt.in)
			wantCode(t, err, tt.code)
			f, _ := errors.AsType[*fault.Error](err)
			if f.Kind != tt.kind || !strings.Contains(f.Message, tt.phrase) {
				t.Errorf("got %v", err)
			}
			if len(out.Cookies) > 0 || out.URL != "" {
				t.Errorf("a refused start has an effect: %+v", out)
			}
		})
	}
}

func TestStartProviderDown(t *testing.T) {
	w := newWorld(t)
	w.up.fail = &providers.Error{Kind: providers.ErrUnavailable, Code: "idp_unreachable", Message: "The provider cannot be reached"}
	_, err := w.Start(t.Context(), signin.StartInput{Provider: "idp"})
	wantCode(t, err, "idp_unreachable")
	if f, _ := errors.AsType[*fault.Error](err); f.Kind != fault.ServiceUnavailable || f.AttemptID == "" {
		t.Errorf("got %+v", f)
	}
}

func TestStartCookie(t *testing.T) {
	for _, tt := range []struct {
		name, callback string
		path           string
		secure         bool
	}{
		{"http", base + "/idp/handler/frame", "/api/auth/idp/handler", false},
		{"https", "https://auth.example/api/auth/idp/handler/frame", "/api/auth/idp/handler", true},
		{"below a path", "https://x.example/portal/api/auth/idp/handler/frame?env=development", "/portal/api/auth/idp/handler", true},
		{"own callback", "https://x.example/login/done", "/login/done/idp/handler", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, func(c *signin.Config) { c.Entries[0].CallbackURL = tt.callback })
			out, err := w.Start(t.Context(), signin.StartInput{Provider: "idp", Scope: "a,b|openid a"})
			if err != nil {
				t.Fatal(err)
			}
			u, _ := url.Parse(out.URL)
			if got := u.Query().Get("scope"); got != "a b openid" {
				t.Errorf("scope %q", got)
			}
			if len(u.Query().Get("state")) != 43 {
				t.Errorf("state %q is not 256 bits", u.Query().Get("state"))
			}
			if len(out.Cookies) != 1 {
				t.Fatalf("%d cookies", len(out.Cookies))
			}
			c := out.Cookies[0]
			type flags struct {
				Path, Domain     string
				Secure, HTTPOnly bool
				SameSite         http.SameSite
				MaxAge           int
			}
			want := flags{tt.path, "", tt.secure, true, http.SameSiteLaxMode, 600}
			if diff := cmp.Diff(want, flags{c.Path, c.Domain, c.Secure, c.HttpOnly, c.SameSite, c.MaxAge}); diff != "" {
				t.Error(diff)
			}
			if !strings.HasPrefix(c.Name, "idp-nonce-") || strings.Contains(c.Value, u.Query().Get("state")) {
				t.Errorf("cookie %s=%s", c.Name, c.Value)
			}
			if !c.Expires.Equal(w.clock.Now().Add(10 * time.Minute)) {
				t.Errorf("expires %v", c.Expires)
			}
		})
	}
}

func TestStartTakesEnvironment(t *testing.T) {
	w := newWorld(t, func(c *signin.Config) { c.Environment = "production" })
	j := jar{}
	out := w.back(j, url.Values{"code": {"c"}, "state": {w.begin(j, signin.StartInput{})}})
	if out.Err != nil {
		t.Fatal(out.Err)
	}
	if _, err := w.again(j, func(in *signin.RefreshInput) { in.Env = "production" }); err != nil {
		t.Errorf("the configured environment was not used: %v", err)
	}
	if _, err := w.again(j, func(in *signin.RefreshInput) { in.Env = "development" }); fault.Code(err) != "session_other_env" || len(j) != 1 {
		t.Errorf("a session of one environment serves another, or is lost: %v, %v", err, j)
	}
}

func TestStartOffersGrantedScopes(t *testing.T) {
	w := newWorld(t)
	j := jar{}
	w.back(j, url.Values{"code": {"c"}, "state": {w.begin(j, signin.StartInput{Scope: "extra"})}})
	out, err := w.Start(t.Context(), signin.StartInput{Provider: "idp", Scope: "more", Cookies: j.cookies()})
	if err != nil {
		t.Fatal(err)
	}
	if u, _ := url.Parse(out.URL); u.Query().Get("scope") != "more extra openid" {
		t.Errorf("scope %q", u.Query().Get("scope"))
	}
	w.store.breakWith(errors.New("gone"))
	if _, err := w.Start(t.Context(), signin.StartInput{Provider: "idp", Cookies: j.cookies()}); err != nil {
		t.Errorf("start needs the store: %v", err)
	}
}

func TestAllowedOrigins(t *testing.T) {
	w := newWorld(t, func(c *signin.Config) {
		c.ExtraOrigins = []string{"https://*.example.com", "http://localhost:*", "**"}
	})
	for origin, want := range map[string]string{
		"http://app.example:3000":            "",
		"HTTP://APP.example:3000/path?x":     "",
		"https://a.b.example.com":            "",
		"https://A.Example.com":              "",
		"https://a.example.com:443":          "",
		"https://example.com":                "origin_not_allowed",
		"https://x.example.com:8443":         "origin_not_allowed",
		"http://localhost:3000":              "",
		"http://localhost":                   "origin_not_allowed",
		"https://evil.com/.example.com":      "origin_not_allowed",
		"https://evil.com#.example.com":      "origin_not_allowed",
		"https://example.com.evil.com":       "origin_not_allowed",
		"http://app.example:3000.evil.com":   "origin_invalid",
		"ftp://app.example:3000":             "origin_invalid",
		"https://evil.com?x=.example.com":    "origin_not_allowed",
		"https://evil.com%2f.example.com":    "origin_invalid",
		"https://evil.com\t.example.com":     "origin_invalid",
		"http://app.example:3000\u00a0":      "origin_invalid",
		"http://xn--pp-fka.example:3000":     "origin_not_allowed",
		"blob:http://app.example:3000/abc":   "origin_invalid",
		"http:app.example:3000":              "origin_invalid",
		"http:///app.example:3000":           "origin_invalid",
		"https://user@a.example.com":         "origin_invalid",
		"https://a.example.com:443@evil.com": "origin_invalid",
		"https://evil.com\uff0f.example.com": "origin_invalid",
		"https://evil.com\u3002.example.com": "origin_invalid",
		"https://evil.com;'\"<>.example.com": "origin_invalid",
		"https://.example.com":               "origin_invalid",
		"https://a..example.com":             "origin_invalid",
		"http://[::1]:3000":                  "origin_not_allowed",
	} {
		_, err := w.Start(t.Context(), signin.StartInput{Provider: "idp", Origin: &origin})
		if (err == nil) != (want == "") || (err != nil && fault.Code(err) != want) {
			t.Errorf("%s: %v, want code %q", origin, err, want)
		}
	}
}

func TestUnknownPatternIsRefused(t *testing.T) {
	w := newWorld(t)
	w.cfg.ExtraOrigins = []string{"https://{a,b}.example.com"}
	if _, err := signin.New(w.cfg); err == nil {
		t.Error("a pattern that would match nothing is accepted")
	}
}
