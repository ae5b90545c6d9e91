package devidp

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// answer posts the login form as the browser that shows the page at address, or as somebody else.
func (r *rig) answer(t *testing.T, address string, form url.Values, header ...string) *http.Response {
	t.Helper()
	body := strings.NewReader(form.Encode())
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.Issuer()+loginPath, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	if id := requestOf(t, address); !form.Has("request") {
		form.Set("request", id)
		request.Body = io.NopCloser(strings.NewReader(form.Encode()))
		request.ContentLength = int64(len(form.Encode()))
	}
	response, err := r.browser.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response
}

func requestOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("request")
}

func TestAuthorizationResponse(t *testing.T) {
	for _, test := range []struct {
		name    string
		person  string
		changes []string
		want    url.Values // Without code, state and iss.
	}{
		{"granted", jane, nil, url.Values{}},
		{"by subject", "john-roe", nil, url.Values{}},
		{"not verified", "sam.poe@example.com", nil, url.Values{}},
		{"not in the catalog", "unknown@example.com", nil, url.Values{}},
		{"person declines", "mary.moe@example.com", nil, url.Values{
			"error": {"access_denied"}, "error_description": {"The sign-in was declined."},
		}},
		{"denied", Denied, nil, url.Values{
			"error": {"access_denied"}, "error_description": {"The sign-in was declined."},
		}},
		{"silent without session", "", []string{"prompt", "none"}, url.Values{
			"error": {"login_required"}, "error_description": {"nobody is signed in"},
		}},
		{"public client without PKCE", "", []string{"code_challenge", "", "code_challenge_method", ""}, url.Values{
			"error": {"invalid_request"}, "error_description": {"a public client must send a code_challenge"},
		}},
		{"plain PKCE", "", []string{"code_challenge", verifier, "code_challenge_method", "plain"}, url.Values{
			"error": {"invalid_request"}, "error_description": {"code_challenge_method S256 is the only one"},
		}},
		{"fragment", "", []string{"response_mode", "form_post"}, url.Values{
			"error": {"invalid_request"}, "error_description": {"response_mode query is the only one"},
		}},
		{"implicit", "", []string{"response_type", "id_token", "response_mode", "query"}, url.Values{
			"error": {"unauthorized_client"}, "error_description": {"The requested response type is missing in the client " +
				"configuration. If you have any questions, you may contact the administrator of the application."},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t)
			got := r.signIn(t, test.person, test.changes...)
			if got.Get("state") != someState || got.Get("iss") != r.Issuer() {
				t.Errorf("state %q, iss %q", got.Get("state"), got.Get("iss"))
			}
			if got.Has("code") == test.want.Has("error") {
				t.Errorf("code given: %v", got.Has("code"))
			}
			for _, name := range []string{"code", "state", "iss"} {
				got.Del(name)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAuthorizationRefusedWithoutRedirect(t *testing.T) {
	r := newRig(t)
	for _, test := range []struct {
		name    string
		changes []string
	}{
		{"unknown client", []string{"client_id", "nobody"}},
		{"no client", []string{"client_id", ""}},
		{"no redirect URI", []string{"redirect_uri", ""}},
		{"another path", []string{"redirect_uri", callback + "/more"}},
		{"another query", []string{"redirect_uri", callback + "?more=1"}},
		{"another host", []string{"redirect_uri", "https://elsewhere.invalid/callback"}},
		{"another client's", []string{"redirect_uri", "https://app.example.com/callback"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			response, _ := r.page(t, r.authURL(test.changes...))
			if response.StatusCode != http.StatusBadRequest || response.Header.Get("Location") != "" {
				t.Errorf("answer is %d to %q, want 400 to nowhere", response.StatusCode, response.Header.Get("Location"))
			}
		})
	}
	response, _ := r.page(t, r.authURL("redirect_uri", "http://127.0.0.1:45678/callback"))
	if response.StatusCode != http.StatusSeeOther {
		t.Errorf("a loopback redirect URI with another port gives %d, want 303", response.StatusCode)
	}
}

func TestSingleSignOn(t *testing.T) {
	for _, test := range []struct {
		name      string
		alwaysAsk bool
		changes   []string
		asks      bool
	}{
		{"no prompt", false, nil, false},
		{"silent", false, []string{"prompt", "none"}, false},
		{"login", false, []string{"prompt", "login"}, true},
		{"consent", false, []string{"prompt", "consent"}, true},
		{"select account", false, []string{"prompt", "select_account"}, true},
		{"too old", false, []string{"max_age", "59"}, true},
		{"young enough", false, []string{"max_age", "61"}, false},
		{"always ask", true, nil, true},
		{"always ask, silent", true, []string{"prompt", "none"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock := &fakeClock{now: time.Unix(1_800_000_000, 0)}
			r := newRig(t, func(o *Options) { o.AlwaysAsk, o.Now = test.alwaysAsk, clock.Now })
			r.signIn(t, jane)
			clock.pass(time.Minute)
			_, err := Login(r.browser, r.authURL(test.changes...), "somebody who has no button")
			if asks := errors.Is(err, errNoPerson); asks != test.asks || err != nil && !asks {
				t.Errorf("asks: %v (%v), want %v", asks, err, test.asks)
			}
		})
	}
}

func TestLoginBelongsToOneBrowser(t *testing.T) {
	r := newRig(t)
	address, _ := r.loginPage(t)
	thief := &rig{Misbehaving: r.Misbehaving, browser: newBrowser(t)}
	if response, _ := thief.page(t, address); response.StatusCode != http.StatusBadRequest {
		t.Errorf("another browser gets the login page: %d", response.StatusCode)
	}
	response := thief.answer(t, address, url.Values{"person": {"jane-doe"}})
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("another browser may answer: %d", response.StatusCode)
	}
	if got := r.answer(t, address, url.Values{"person": {"jane-doe"}}); got.StatusCode != http.StatusSeeOther {
		t.Errorf("the browser itself gets %d, want 303", got.StatusCode)
	}
	if got := r.answer(t, address, url.Values{"person": {"jane-doe"}}); got.StatusCode != http.StatusBadRequest {
		t.Errorf("the second answer gets %d, want 400", got.StatusCode)
	}
}

func TestLoginAnswerRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		form   url.Values
		header []string
		want   int
	}{
		{"cross-site", url.Values{"person": {"jane-doe"}}, []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		{"foreign origin", url.Values{"person": {"jane-doe"}}, []string{"Origin", "https://evil.example"}, http.StatusForbidden},
		{"nobody chosen", url.Values{}, nil, http.StatusBadRequest},
		{"stranger", url.Values{"person": {"nobody"}}, nil, http.StatusBadRequest},
		{"unknown request", url.Values{"person": {"jane-doe"}, "request": {"guess"}}, nil, http.StatusBadRequest},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t)
			address, _ := r.loginPage(t)
			if got := r.answer(t, address, test.form, test.header...).StatusCode; got != test.want {
				t.Errorf("answer is %d, want %d", got, test.want)
			}
			if got := r.answer(t, address, url.Values{"person": {"jane-doe"}}).StatusCode; got != http.StatusSeeOther {
				t.Errorf("a good answer afterwards is %d, want 303", got)
			}
		})
	}
}

func TestTwoTabs(t *testing.T) {
	r := newRig(t)
	first, _ := r.loginPage(t)
	second, _ := r.loginPage(t)
	for _, address := range []string{first, second} {
		if got := r.answer(t, address, url.Values{"person": {"jane-doe"}}).StatusCode; got != http.StatusSeeOther {
			t.Errorf("answer is %d, want 303", got)
		}
	}
}

func TestSessionIsNewAtEachLogin(t *testing.T) {
	r := newRig(t)
	r.signIn(t, jane)
	first := r.sessionValue(t)
	r.signIn(t, "john-roe", "prompt", "login")
	if second := r.sessionValue(t); second == "" || second == first {
		t.Error("the second login kept the session of the first")
	}
	if _, ok := r.store.session(first); ok {
		t.Error("the first session is still alive")
	}
}

func (r *rig) sessionValue(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(r.Issuer() + "/")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.browser.Jar.Cookies(u) {
		if c.Name == sessionCookie {
			return c.Value
		}
	}
	return ""
}

func TestLoginOfTheBrowserHelper(t *testing.T) {
	r := newRig(t)
	if _, err := Login(r.browser, r.Issuer()+homePath, jane); err == nil {
		t.Error("a page without the person gives no error")
	}
	if _, err := Login(r.browser, r.authURL("client_id", "nobody"), jane); !errors.Is(err, errNoWay) {
		t.Errorf("a refused request gives %v, want errNoWay", err)
	}
	r.Misbehave(func(f *Faults) { f.Failures[AuthorizationEndpoint] = Failure{Kind: FailReset} })
	if _, err := Login(r.browser, r.authURL(), jane); err == nil {
		t.Error("a dead provider gives no error")
	}
}
