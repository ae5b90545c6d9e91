package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/devidp"
	"stagedoor/server/internal/signin"
)

// TestLoginCSRF is security A01: a browser that did not start the sign-in cannot finish it, whatever code and state it has.
func TestLoginCSRF(t *testing.T) {
	d := deploy(t, settings{})
	attacker, victim := d.browser(), d.browser()
	callback := attacker.toCallback("jane.doe@example.com")
	before := d.idp.Calls().Endpoint[devidp.TokenEndpoint]
	m := posted(t, victim.follow(callback))
	wantError(t, m.Error, "nonce_missing", "NotAllowedError", "Auth response is missing cookie nonce")
	// With a transaction of the victim's own, the state still does not fit.
	victim.Get(startPath())
	m = posted(t, victim.follow(callback))
	wantError(t, m.Error, "nonce_missing", "NotAllowedError", "Auth response is missing cookie nonce")
	if n := d.idp.Calls().Endpoint[devidp.TokenEndpoint] - before; n != 0 || victim.cookie(signin.SessionCookie) != "" {
		t.Errorf("%d calls of the token endpoint, session %q", n, victim.cookie(signin.SessionCookie))
	}
}

// TestCallbackReplay is security A04: one token call, whoever comes with the same callback.
func TestCallbackReplay(t *testing.T) {
	d := deploy(t, settings{})
	b := d.browser()
	callback := b.toCallback("jane.doe@example.com")
	u, err := url.Parse(callback)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, c := range b.http.Jar.Cookies(u) {
		kept = append(kept, c.Name+"="+c.Value)
	}
	b.follow(callback)
	again := apitest.NewClient(t, d.base, nil).Get(strings.TrimPrefix(callback, d.base), apitest.Header("Cookie", strings.Join(kept, "; ")))
	wantError(t, posted(t, again).Error, "transaction_replayed", "NotAllowedError", "Invalid nonce")
	if n := d.idp.Calls().Grant["authorization_code"]; n != 1 {
		t.Errorf("%d token calls", n)
	}
}

// TestBrokenState is security A02: whatever state is, the answer is a page.
func TestBrokenState(t *testing.T) {
	d := deploy(t, settings{})
	b := d.browser()
	for name, query := range map[string]string{
		"absent":        "code=x",
		"empty":         "code=x&state=",
		"node's":        "code=x&state=6e6f6e63653d7826656e763d646576656c6f706d656e74",
		"odd hex":       "code=x&state=6e6",
		"not UTF-8":     "code=x&state=%ff%fe",
		"NUL":           "code=x&state=%00",
		"long":          "code=x&state=" + strings.Repeat("a", 8000),
		"bad escape":    "code=x&state=%zz",
		"semicolon":     "code=x;state=y",
		"nothing":       "",
		"array":         "code=x&state[]=y",
		"error alone":   "error=access_denied",
		"script":        "code=x&state=" + url.QueryEscape("</script><script>alert(1)</script>"),
		"environment":   "code=x&env=development&state=zz",
		"43 characters": "code=x&state=" + strings.Repeat("A", 43),
	} {
		res := b.Get("/api/auth/idp/handler/frame?" + query)
		if res.Status != http.StatusOK {
			t.Errorf("%s: %d %s", name, res.Status, res.Body)
			continue
		}
		if m := posted(t, res); m.Error.Name == "" || m.origin != appOrigin {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

// TestPageIsInert is security B07, B08, P3: markup, quotes and line separators in what the provider says stay text, on a page that
// may run one script.
func TestPageIsInert(t *testing.T) {
	d := deploy(t, settings{})
	b := d.browser()
	evil := "</script><script>alert('x')</script>\u2028\u2029\"'\\<!--"
	start := b.Get(startPath())
	u, err := url.Parse(start.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	q := url.Values{"state": {u.Query().Get("state")}, "error": {"invalid_request"}, "error_description": {evil}, "iss": {d.idp.Issuer()}}
	res := b.Get("/api/auth/idp/handler/frame?" + q.Encode())
	page := string(res.Body)
	if strings.Count(page, "<script") != 1 || strings.Contains(page, "alert('") || strings.ContainsAny(page, "\u2028\u2029") {
		t.Errorf("page:\n%s", page)
	}
	if m := posted(t, res); !strings.Contains(m.Error.Message, "alert('x')") {
		t.Errorf("message %q", m.Error.Message)
	}
	csp := res.Header.Get("Content-Security-Policy")
	for header, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
		"X-Frame-Options": "sameorigin", "Content-Type": "text/html; charset=utf-8",
	} {
		if got := res.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if strings.Count(csp, "'sha256-") != 1 || !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
}

// TestOpenRedirect is security B01.
func TestOpenRedirect(t *testing.T) {
	d := deploy(t, settings{})
	b := d.browser()
	for _, to := range []string{
		"", "https://evil.example/", "//evil.example/", `http://localhost:3000\@evil.example/`, "http://localhost:3000@evil.example/",
		"javascript:alert(1)", "http://localhost:3000.evil.example/", "http://evil.example#http://localhost:3000",
		"http://localhost:3000%2f@evil.example/", "data:text/html,x", "\thttp://localhost:3000/", "http://LOCALHOST:3001/",
	} {
		q := url.Values{"env": {"development"}, "flow": {"redirect"}}
		if to != "" {
			q.Set("redirectUrl", to)
		}
		res := b.Get("/api/auth/idp/start?" + q.Encode())
		if res.Status < 400 || res.Status >= 500 || len(res.Cookies) > 0 || res.Header.Get("Location") != "" {
			t.Errorf("%q: %d %s", to, res.Status, res.Header.Get("Location"))
		}
	}
}

// TestHostSpoofing is security B12: every absolute address comes from the configuration.
func TestHostSpoofing(t *testing.T) {
	d := deploy(t, settings{})
	b := d.browser()
	spoof := func(r *http.Request) {
		r.Host = "evil.example"
		r.Header.Set("X-Forwarded-Host", "evil.example")
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("X-Forwarded-Prefix", "/evil")
		r.Header.Set("Forwarded", "host=evil.example;proto=https")
	}
	for _, path := range []string{startPath(), "/api/auth/.well-known/openid-configuration", "/api/auth/v1/providers", "/api/auth/idp/handler/frame?state=x"} {
		res := b.Get(path, spoof)
		all := fmt.Sprint(res.Header) + string(res.Body)
		if strings.Contains(all, "evil") {
			t.Errorf("%s: %s", path, all)
		}
		for _, c := range res.Cookies {
			if c.Secure || c.Domain != "" {
				t.Errorf("%s: cookie %v", path, c)
			}
		}
	}
}

// TestOddProviderIDs is security B11.
func TestOddProviderIDs(t *testing.T) {
	d := deploy(t, settings{})
	b := d.browser()
	for _, id := range []string{"..%2f..%2fetc", "%00", strings.Repeat("a", 8<<10), "%E2%80%AE", "__proto__", "%2e%2e", "idp%20", "IDP%00", "v1", ".well-known", "%ff", "a%0d%0aX-Evil:%201"} {
		for _, route := range []string{"start", "handler/frame", "refresh"} {
			res := b.Get("/api/auth/" + id + "/" + route + "?env=development")
			if res.Status != http.StatusNotFound || !strings.Contains(string(res.Body), `"NotFoundError"`) || res.Header.Get("X-Evil") != "" {
				t.Errorf("%.40s/%s: %d %.200s", id, route, res.Status, res.Body)
			}
		}
	}
	for line := range strings.SplitSeq(d.logs.String(), "\n") {
		if len(line) > 4<<10 {
			t.Errorf("a log line of %d bytes", len(line))
		}
	}
}

// TestHeaderInjection is security B09: control characters from outside make no header and no second log line.
func TestHeaderInjection(t *testing.T) {
	d := deploy(t, settings{})
	b := d.browser()
	const crlf = "\r\nX-Evil: 1\r\n\r\nlevel=ERROR msg=forged"
	for _, path := range []string{
		startPath("redirectUrl", appOrigin+crlf), startPath("origin", appOrigin+crlf), startPath("scope", "a"+crlf),
		startPath("env", "x"+crlf), "/api/auth/idp/handler/frame?error=x&error_description=" + url.QueryEscape(crlf),
	} {
		res := b.Get(path, apitest.Header("X-Request-Id", "a forged=1 \"id\""), apitest.Header("User-Agent", "x forged"))
		if res.Header.Get("X-Evil") != "" || strings.Contains(res.Header.Get("X-Request-Id"), "forged") {
			t.Errorf("%s: %v", path, res.Header)
		}
	}
	for line := range strings.SplitSeq(strings.TrimSpace(d.logs.String()), "\n") {
		if !strings.HasPrefix(line, `{"time"`) || !strings.HasSuffix(line, "}") {
			t.Errorf("log line %q", line)
		}
	}
}

// TestSizeLimits is security R09.
func TestSizeLimits(t *testing.T) {
	d := deploy(t, settings{})
	b := d.browser()
	many := make([]string, 500)
	for i := range many {
		many[i] = fmt.Sprintf("c%d=%s", i, strings.Repeat("v", 20))
	}
	for _, tt := range []struct {
		name   string
		send   func() apitest.Response
		status int
	}{
		{"64 KB header", func() apitest.Response {
			return b.Get("/api/auth/guest/refresh", apitest.Header("X-Big", strings.Repeat("x", 64<<10)))
		}, http.StatusRequestHeaderFieldsTooLarge},
		{"20 KB URL", func() apitest.Response { return b.Get("/api/auth/guest/refresh?x=" + strings.Repeat("x", 20<<10)) }, http.StatusRequestURITooLong},
		{"10 MB body", func() apitest.Response {
			return b.Post("/api/auth/guest/refresh", apitest.Body("application/x-www-form-urlencoded", "x="+strings.Repeat("x", 10<<20)))
		}, http.StatusRequestEntityTooLarge},
		{"500 cookies", func() apitest.Response {
			return b.Get("/api/auth/guest/refresh", apitest.Header("Cookie", strings.Join(many, "; ")))
		}, http.StatusOK},
		{"a normal one", func() apitest.Response { return b.Get("/api/auth/guest/refresh") }, http.StatusOK},
	} {
		if res := tt.send(); res.Status != tt.status {
			t.Errorf("%s: %d, want %d", tt.name, res.Status, tt.status)
		}
	}
}

// TestProtocolAbuse is security R10: what two parsers could read in two ways is closed.
func TestProtocolAbuse(t *testing.T) {
	d := deploy(t, settings{})
	for name, request := range map[string]string{
		"two lengths":         "POST /api/auth/guest/refresh HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
		"length and chunks":   "POST /api/auth/guest/refresh HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
		"chunks spelled odd":  "POST /api/auth/guest/refresh HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"two hosts":           "GET /api/auth/guest/refresh HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"space before colon":  "GET /api/auth/guest/refresh HTTP/1.1\r\nHost: x\r\nX-Requested-With : XMLHttpRequest\r\n\r\n",
		"no host":             "GET /api/auth/guest/refresh HTTP/1.1\r\n\r\n",
		"not HTTP":            "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"method with a break": "GE\nT / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(d.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil && (res.StatusCode < 400 || !res.Close) {
			t.Errorf("%s: %s, closed: %v", name, res.Status, res.Close)
		}
		_ = conn.Close()
	}
	if res := d.browser().Get("/api/auth/guest/refresh"); res.Status != http.StatusOK {
		t.Errorf("afterwards: %d", res.Status)
	}
}

// TestBrokenBody: what is wrong with a client's body is the client's error, and no line for the operator to wake up for.
func TestBrokenBody(t *testing.T) {
	d := deploy(t, settings{backend: "  server: {requestTimeout: 500}"})
	for name, body := range map[string]string{
		"chunk size": "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
		"too short":  "Content-Length: 1000\r\n\r\nx",
	} {
		conn, err := d.dial()
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		request := "POST /api/auth/idp/handler/frame HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n" + body
		if _, err := conn.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil && res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", name, res.Status)
		}
		_ = conn.Close()
	}
	if strings.Contains(d.logs.String(), `"level":"ERROR"`) {
		t.Errorf("an error in the log: %s", d.logs)
	}
}

// TestTamperedSession is security F07 and F10.
func TestTamperedSession(t *testing.T) {
	d := deploy(t, settings{})
	b := d.browser()
	b.signIn("jane.doe@example.com")
	good := b.cookie(signin.SessionCookie)
	flipped := func(i int) string { return good[:i] + string(good[i]^1) + good[i+1:] }
	bare := apitest.NewClient(t, d.base, nil)
	for _, value := range []string{flipped(0), flipped(20), good[:30], good + good, strings.ToUpper(good), "", "x"} {
		res := bare.Get("/api/auth/idp/refresh?env=development", apitest.Header("X-Requested-With", "XMLHttpRequest"), apitest.Header("Cookie", signin.SessionCookie+"="+value))
		e := failure(t, res)
		if res.Status != http.StatusUnauthorized || (e.Code != "session_unknown" && e.Code != "session_missing") {
			t.Errorf("%q: %d %+v", value, res.Status, e)
		}
	}
	b.logout()
	res := bare.Get("/api/auth/idp/refresh?env=development", apitest.Header("X-Requested-With", "XMLHttpRequest"), apitest.Header("Cookie", signin.SessionCookie+"="+good))
	if e := failure(t, res); res.Status != http.StatusUnauthorized || e.Code != "session_unknown" {
		t.Errorf("after the logout: %d %+v", res.Status, e)
	}
}

// TestCallers is security F01 and R15, on the wire.
func TestCallers(t *testing.T) {
	d := deploy(t, settings{})
	b := d.browser()
	b.signIn("jane.doe@example.com")
	xhr := apitest.Header("X-Requested-With", "XMLHttpRequest")
	for _, tt := range []struct {
		name, method, path string
		edit               []func(*http.Request)
		status             int
	}{
		{"no header", http.MethodGet, "/api/auth/idp/refresh", nil, 401},
		{"foreign origin", http.MethodGet, "/api/auth/idp/refresh", []func(*http.Request){xhr, apitest.Header("Origin", "https://evil.example")}, 403},
		{"cross-site", http.MethodGet, "/api/auth/idp/refresh", []func(*http.Request){xhr, apitest.Header("Sec-Fetch-Site", "cross-site")}, 403},
		{"logout without header", http.MethodPost, "/api/auth/idp/logout", nil, 401},
		{"logout from elsewhere", http.MethodPost, "/api/auth/idp/logout", []func(*http.Request){xhr, apitest.Header("Origin", "null")}, 403},
		{"wrong method", http.MethodDelete, "/api/auth/idp/refresh", []func(*http.Request){xhr}, 405},
		{"logout by GET", http.MethodGet, "/api/auth/idp/logout", []func(*http.Request){xhr}, 405},
		{"optional is not a word", http.MethodGet, "/api/auth/idp/refresh?optional=perhaps", []func(*http.Request){xhr}, 400},
		{"userinfo without a token", http.MethodGet, "/api/auth/v1/userinfo", nil, 401},
		{"unknown path", http.MethodGet, "/api/auth/idp/nothing", nil, 404},
		{"the app's own", http.MethodGet, "/api/auth/idp/refresh", []func(*http.Request){xhr, apitest.Header("Origin", appOrigin)}, 200},
		{"JSON nobody asked for", http.MethodPost, "/api/auth/idp/refresh", []func(*http.Request){xhr, apitest.Body("application/json", "{}")}, 200},
	} {
		res := b.Send(tt.method, tt.path, tt.edit...)
		if res.Status != tt.status {
			t.Errorf("%s: %d %s", tt.name, res.Status, res.Body)
		}
		if tt.status == 405 && res.Header.Get("Allow") == "" {
			t.Errorf("%s: no Allow", tt.name)
		}
	}
	if strings.Contains(d.logs.String(), "perhaps") {
		t.Error("the rejected value is in the log")
	}
}
