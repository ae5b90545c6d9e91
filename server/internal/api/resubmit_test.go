package api

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
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

// TestFormSentAgain: the page holds the two fields as text and one script, named by its hash, and goes to its own address.
func TestFormSentAgain(t *testing.T) {
	for _, tt := range []struct{ name, response, state string }{
		{"plain", "PHNhbWw+", "state"},
		{"hostile", `"><script>alert(1)</script><form action="//evil.example">'`, `</form>` + "\u2028&amp;"},
		{"empty", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := setUp(t)
			finishWith(b, signin.FinishOutput{Resubmit: true, Origin: "http://localhost:3000"})
			form := url.Values{"SAMLResponse": {tt.response}, "RelayState": {tt.state}, "other": {"x"}}
			res := b.Post("/api/auth/idp/handler/frame", apitest.Body("application/x-www-form-urlencoded", form.Encode()))
			page := string(res.Body)
			got := map[string]string{}
			for _, field := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(page, -1) {
				got[field[1]] = html.UnescapeString(field[2])
			}
			want := map[string]string{"SAMLResponse": tt.response, "RelayState": tt.state, "again": "1"}
			if diff := cmp.Diff(want, got); diff != "" || res.Status != http.StatusOK || strings.Count(page, "<form method=\"post\">") != 1 {
				t.Errorf("answer %d (-want +got):\n%s\n%s", res.Status, diff, page)
			}
			scripts := regexp.MustCompile(`(?s)<script>(.*?)</script>`).FindAllStringSubmatch(page, -1)
			if len(scripts) != 1 {
				t.Fatalf("%d scripts: %s", len(scripts), page)
			}
			sum := sha256.Sum256([]byte(scripts[0][1]))
			policy := "default-src 'none'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; frame-ancestors 'self'; base-uri 'none'"
			for name, want := range map[string]string{
				"Content-Security-Policy": policy, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
				"X-Frame-Options": "sameorigin", "Content-Type": "text/html; charset=utf-8",
			} {
				if got := res.Header.Values(name); len(got) != 1 || got[0] != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
		})
	}
}

// TestCallbackByTheWrongMethod names the right one, which the route as such does not.
func TestCallbackByTheWrongMethod(t *testing.T) {
	b := setUp(t)
	b.signIn.finish = func(signin.FinishInput) (signin.FinishOutput, error) {
		return signin.FinishOutput{}, fault.New(fault.MethodNotAllowed, "method_not_allowed", "by POST", nil)
	}
	if got := b.Get("/api/auth/idp/handler/frame"); got.Status != http.StatusMethodNotAllowed || got.Header.Get("Allow") != "POST" {
		t.Errorf("answer %d, Allow %q", got.Status, got.Header.Get("Allow"))
	}
}

func TestMetadata(t *testing.T) {
	got := setUp(t).Get("/api/auth/idp/metadata?env=development")
	if got.Status != http.StatusOK || string(got.Body) != "<idp/>" || got.Header.Get("Content-Type") != "application/samlmetadata+xml" {
		t.Errorf("answer %d %q %s", got.Status, got.Header.Get("Content-Type"), got.Body)
	}
}

// TestBackFromLogout goes to the app, whatever the query says.
func TestBackFromLogout(t *testing.T) {
	for _, target := range []string{"", "?SAMLResponse=x&RelayState=https%3A%2F%2Fevil.example"} {
		got := setUp(t).Get("/api/auth/idp/handler/logout" + target)
		if got.Status != http.StatusFound || got.Header.Get("Location") != "https://app.example" {
			t.Errorf("%q: answer %d to %s", target, got.Status, got.Header.Get("Location"))
		}
	}
}
