package api

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/fault"
	"stagedoor/server/internal/signin"
)

var (
	framePage    = regexp.MustCompile(`^<html><body><script>([^<]*)</script></body></html>\n$`)
	frameLiteral = regexp.MustCompile(`decodeURIComponent\('([^']*)'\)`)
)

// openFrame reads a popup page as Backstage's own tests do: the two decoded literals, message first. It checks that the page
// is one script whose hash is the only one that the policy allows.
func openFrame(t *testing.T, res apitest.Response) (message, origin string) {
	t.Helper()
	page := framePage.FindStringSubmatch(string(res.Body))
	if page == nil {
		t.Fatalf("page is not one script:\n%s", res.Body)
	}
	sum := sha256.Sum256([]byte(page[1]))
	want := "default-src 'none'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
	if diff := cmp.Diff([]string{want}, res.Header.Values("Content-Security-Policy")); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	literals := frameLiteral.FindAllStringSubmatch(page[1], -1)
	if len(literals) != 2 {
		t.Fatalf("page has %d literals, want 2:\n%s", len(literals), page[1])
	}
	return decoded(t, literals[0][1]), decoded(t, literals[1][1])
}

// decoded undoes encodeURIComponent, where a plus is a plus.
func decoded(t *testing.T, s string) string {
	t.Helper()
	plain, err := url.PathUnescape(s)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func finishWith(b *bench, out signin.FinishOutput) {
	b.signIn.finish = func(signin.FinishInput) (signin.FinishOutput, error) { return out, nil }
}

func TestFramePostsTheSession(t *testing.T) {
	b := setUp(t)
	finishWith(b, signin.FinishOutput{
		Origin: "http://localhost:3000", Cookies: twoCookies,
		Session: &signin.SessionInfo{
			Profile:      signin.ProfileInfo{DisplayName: "Jane"},
			ProviderInfo: &signin.ProviderInfo{AccessToken: "at", Scope: ""},
		},
	})
	res := b.Get("/api/auth/idp/handler/frame?code=c&state=s")
	message, origin := openFrame(t, res)
	want := `{"type":"authorization_response","response":{"profile":{"displayName":"Jane"},"providerInfo":{"accessToken":"at","scope":""}}}`
	if message != want || origin != "http://localhost:3000" {
		t.Errorf("message = %s\nto %s", message, origin)
	}
	if res.Status != http.StatusOK || len(res.Cookies) != 2 {
		t.Errorf("status = %d, cookies = %v", res.Status, res.Cookies)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "X-Frame-Options": "sameorigin",
		"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
	} {
		if got := res.Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestFrameScript(t *testing.T) {
	page := renderFrame(`{}`, "http://localhost:3000")
	// The order matters: where the result goes is announced first, and the window closes last.
	script := regexp.MustCompile(`(?s)postMessage\(\{ type: 'config_info', targetOrigin: target \}, '\*'\).*postMessage\(result, target\).*window\.close\(\).*100`)
	if !script.MatchString(page) {
		t.Errorf("script does not do its three steps:\n%s", page)
	}
	if strings.Count(page, "'*'") != 1 {
		t.Errorf("something else goes to every origin:\n%s", page)
	}
}

func TestFramePostsErrors(t *testing.T) {
	coded := fault.New(fault.NotAllowed, "nonce_missing", "Auth response is missing cookie nonce", errors.New("secret cause"))
	coded.AttemptID = "attempt1"
	tests := []struct {
		name string
		err  error
		want map[string]string
	}{
		{"a fault", coded, map[string]string{
			"name": "NotAllowedError", "message": "Auth response is missing cookie nonce", "code": "nonce_missing", "attemptId": "attempt1",
		}},
		{"a fault in a fault", fault.New(fault.Failed, "outer", "Sign-in failed", fault.New(fault.Input, "inner", "no such thing", nil)), map[string]string{
			"name": "Error", "message": "Sign-in failed; caused by InputError: no such thing", "code": "outer",
		}},
		{"anything else", errors.New("secret"), map[string]string{
			"name": "Error", "message": "An internal error occurred", "code": "internal_error",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := setUp(t)
			finishWith(b, signin.FinishOutput{Origin: "http://localhost:3000", Err: tt.err})
			res := b.Get("/api/auth/idp/handler/frame")
			text, _ := openFrame(t, res)
			var message struct {
				Type     string
				Response any
				Error    map[string]string
			}
			if err := json.Unmarshal([]byte(text), &message); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, message.Error); diff != "" || message.Type != "authorization_response" || message.Response != nil {
				t.Errorf("message %s (-want +got):\n%s", text, diff)
			}
			if res.Status != http.StatusOK || strings.Contains(string(res.Body), "secret") {
				t.Errorf("status = %d, page:\n%s", res.Status, res.Body)
			}
		})
	}
}

func TestFrameIsInert(t *testing.T) {
	for _, text := range []string{
		`</script><script>alert(1)</script>`, `'); alert(1); ('`, "\u2028alert(1)\u2029", `\'`, `<!--<script>`, "line\nbreak\r", "\x00", "{{target}}{{result}}", "\xff\xfe", "𝔘𝔫𝔦",
	} {
		b := setUp(t)
		finishWith(b, signin.FinishOutput{Origin: "http://localhost:3000", Err: fault.New(fault.Failed, "x", text, nil)})
		message, origin := openFrame(t, b.Get("/api/auth/idp/handler/frame"))
		var got struct{ Error struct{ Message string } }
		if err := json.Unmarshal([]byte(message), &got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if want := strings.ToValidUTF8(strings.ReplaceAll(text, "\xff\xfe", "��"), "�"); got.Error.Message != want || origin != "http://localhost:3000" {
			t.Errorf("message = %q to %q, want %q", got.Error.Message, origin, want)
		}
	}
}

func TestEncodeURIComponent(t *testing.T) {
	// The second column is what a browser's function of that name answers, with the apostrophe escaped on top.
	for in, want := range map[string]string{
		"":                      "",
		"AZaz09-_.!~*()":        "AZaz09-_.!~*()",
		"'":                     "%27",
		" +&=?#/:;,@$[]%\"<>`^": "%20%2B%26%3D%3F%23%2F%3A%3B%2C%40%24%5B%5D%25%22%3C%3E%60%5E",
		"é€𝄞":                   "%C3%A9%E2%82%AC%F0%9D%84%9E",
		"\u2028":                "%E2%80%A8",
		"\x00\n\x7f":            "%00%0A%7F",
		"\xff":                  "%EF%BF%BD",
	} {
		if got := encodeURIComponent(in); got != want {
			t.Errorf("encodeURIComponent(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzEncodeURIComponent(f *testing.F) {
	for _, seed := range []string{"", "a b", "'</script>", "\u2028", "\xff", "%41", "+"} {
		f.Add(seed)
	}
	safe := regexp.MustCompile(`^([A-Za-z0-9\-_.!~*()]|%[0-9A-F]{2})*$`)
	f.Fuzz(func(t *testing.T, s string) {
		got := encodeURIComponent(s)
		if !safe.MatchString(got) {
			t.Errorf("%q is not inert", got)
		}
		if back, err := url.PathUnescape(got); err != nil || back != strings.ToValidUTF8(s, "\uFFFD") {
			t.Errorf("decodes to %q (%v), want %q", back, err, s)
		}
	})
}
