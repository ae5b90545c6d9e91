package devidp

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	publicID   = "public"
	secretID   = "confidential"
	secret     = "the client's secret"
	callback   = "http://localhost:9/callback"
	allScopes  = "openid profile email offline_access"
	jane       = "jane.doe@example.com"
	verifier   = "a-verifier-of-at-least-forty-three-characters-0123"
	someState  = "state-of-the-application"
	someNonce  = "nonce-of-the-application"
	testPrefix = "/dev-idp"
)

// TestMain silences the library, which logs every refusal to slog.Default.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// rig is a provider on a loopback port, and a browser.
type rig struct {
	*Misbehaving
	browser *http.Client
}

func newRig(t *testing.T, change ...func(*Options)) *rig {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	options := Options{
		Issuer: "http://" + server.Listener.Addr().String() + testPrefix, Algorithm: ES256,
		Clients: []Client{
			{ID: publicID, RedirectURIs: []string{callback}},
			{ID: secretID, Secret: secret, RedirectURIs: []string{callback, "https://app.example.com/callback"}},
		},
	}
	for _, apply := range change {
		apply(&options)
	}
	m, err := NewMisbehaving(options)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = m
	server.Start()
	t.Cleanup(server.Close)
	return &rig{Misbehaving: m, browser: newBrowser(t)}
}

func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// authURL is a good authorization request of the public client, with changes: an empty value removes a parameter.
func (r *rig) authURL(changes ...string) string {
	query := url.Values{
		"client_id": {publicID}, "response_type": {"code"}, "redirect_uri": {callback}, "scope": {allScopes},
		"state": {someState}, "nonce": {someNonce},
		"code_challenge": {oidc.NewSHACodeChallenge(verifier)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		query.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			query.Del(changes[i])
		}
	}
	return r.Issuer() + authorizationPath + "?" + query.Encode()
}

// signIn walks through the login page and returns what the application's callback gets.
func (r *rig) signIn(t *testing.T, person string, changes ...string) url.Values {
	t.Helper()
	to, err := Login(r.browser, r.authURL(changes...), person)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// post sends a form as the application's server does.
func (r *rig) post(t *testing.T, path string, form url.Values) (status int, body map[string]any) {
	t.Helper()
	response, err := http.PostForm(r.Issuer()+path, form)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, response)
}

func (r *rig) get(t *testing.T, path, accessToken string) (status int, body map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.Issuer()+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if accessToken != "" {
		request.Header.Set("Authorization", "Bearer "+accessToken)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, response)
}

func read(t *testing.T, response *http.Response) (status int, body map[string]any) {
	t.Helper()
	defer response.Body.Close()
	if data, err := io.ReadAll(response.Body); err != nil || json.Unmarshal(data, &body) != nil {
		return response.StatusCode, nil
	}
	return response.StatusCode, body
}

func codeForm(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {publicID}, "code": {code},
		"redirect_uri": {callback}, "code_verifier": {verifier},
	}
}

func refreshForm(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "client_id": {publicID}, "refresh_token": {token}}
}

// tokens signs person in and redeems the code.
func (r *rig) tokens(t *testing.T, person string, changes ...string) map[string]any {
	t.Helper()
	status, tokens := r.post(t, tokenPath, codeForm(r.signIn(t, person, changes...).Get("code")))
	if status != http.StatusOK {
		t.Fatalf("token endpoint answers %d, want 200", status)
	}
	return tokens
}

// verify checks an id_token's signature against the key set as it is published, and reports whether it holds.
func (r *rig) verify(t *testing.T, compact string) error {
	t.Helper()
	claims := new(oidc.IDTokenClaims)
	payload, err := oidc.ParseToken(compact, claims)
	if err != nil {
		return err
	}
	algorithms := []string{r.keys.alg}
	return oidc.CheckSignature(t.Context(), compact, payload, claims, algorithms, &op.OpenIDKeySet{Storage: r.store})
}

func mustParse(t *testing.T, tokens map[string]any) idToken {
	t.Helper()
	compact, _ := tokens["id_token"].(string)
	token, err := parseIDToken(compact)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (r *rig) page(t *testing.T, target string) (response *http.Response, body string) {
	t.Helper()
	response, err := r.browser.Get(target)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var text strings.Builder
	if _, err := io.Copy(&text, response.Body); err != nil {
		t.Fatal(err)
	}
	return response, text.String()
}

// loginPage starts a sign-in and stops at the page.
func (r *rig) loginPage(t *testing.T, changes ...string) (address, body string) {
	t.Helper()
	response, _ := r.page(t, r.authURL(changes...))
	to, err := response.Location()
	if err != nil {
		t.Fatal(err)
	}
	_, body = r.page(t, to.String())
	return to.String(), body
}

// fakeClock stands still until it is told to pass.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fromHere is a request that came from this machine.
func fromHere(method, target string, body io.Reader) *http.Request {
	r := httptest.NewRequest(method, target, body)
	r.RemoteAddr = "127.0.0.1:12345"
	return r
}

// TestLoopbackPeerOnly: the name that a request was sent to proves nothing about where it came from.
func TestLoopbackPeerOnly(t *testing.T) {
	r := newRig(t)
	for remote, want := range map[string]int{"127.0.0.1:1": http.StatusOK, "[::1]:1": http.StatusOK, "10.9.9.9:1": http.StatusMisdirectedRequest, "": http.StatusMisdirectedRequest} {
		request := httptest.NewRequest(http.MethodGet, "http://localhost"+testPrefix+discoveryPath, http.NoBody)
		request.RemoteAddr = remote
		answer := httptest.NewRecorder()
		r.Provider.ServeHTTP(answer, request)
		if answer.Code != want {
			t.Errorf("from %q: %d, want %d", remote, answer.Code, want)
		}
	}
}
