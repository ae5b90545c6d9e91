package playground_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"html/template"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"stagedoor/server/internal/playground"
)

// year2100 lies beyond every clock that these tests meet.
const year2100 = 4102444800

// object is a JSON object.
type object = map[string]any

// stub is a backend that speaks just the contract, with the playground in front of it. Tests change its fields before they
// open a page, or through change while one is open.
type stub struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	kid      string
	alg      jose.SignatureAlgorithm
	key      crypto.Signer
	keys     []jose.JSONWebKey // what the key set says, at first the public half of key
	header   object            // header members beside alg and kid
	profile  object
	provider object // providerInfo
	ends     float64
	forge    func(token string) string // what becomes of a token after it was signed
	signedIn map[string]bool           // by session cookie
	signin   http.HandlerFunc          // where start leads to; finish by default
	refresh  http.HandlerFunc          // answers instead of refresh if set
	logout   any                       // body of the logout
	calls    []string                  // what was asked of the API, without the key set and the list of providers
	pending  *url.URL                  // the start whose login is under way
}

func newStub(t *testing.T) *stub {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &stub{
		t: t, header: object{"typ": "vnd.backstage.user"}, ends: 3600, forge: func(token string) string { return token },
		profile:  object{"displayName": "Ada Lovelace", "email": "ada@example.com", "picture": "/ada.svg"},
		provider: object{"accessToken": "opaque", "scope": "openid profile email", "expiresInSeconds": 600},
		signedIn: map[string]bool{},
	}
	s.signin = s.finish
	s.useKey("first", jose.ES256, key)
	mux := http.NewServeMux()
	s.routes(mux)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	mux.Handle("/", playground.Handler(s.base()))
	return s
}

func (s *stub) base() string { return s.URL + "/api/auth" }

func (s *stub) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/auth/v1/providers", s.serveProviders)
	mux.HandleFunc("GET /api/auth/.well-known/jwks.json", s.serveKeys)
	mux.HandleFunc("GET /api/auth/{provider}/start", s.serveStart)
	mux.HandleFunc("GET /api/auth/{provider}/handler/frame", s.finish)
	mux.HandleFunc("GET /api/auth/{provider}/refresh", s.serveRefresh)
	mux.HandleFunc("POST /api/auth/{provider}/logout", s.serveLogout)
	mux.HandleFunc("GET /ada.svg", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/svg+xml")
		_, _ = w.Write([]byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><rect width="8" height="8" fill="#c98"/>` +
			`<circle cx="4" cy="3" r="1.6" fill="#fed"/><path d="M1 8c0-4 6-4 6 0z" fill="#fed"/></svg>`))
	})
}

// change changes the stub while a page is open.
func (s *stub) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// useKey makes key sign from now on, and its public half the whole key set.
func (s *stub) useKey(kid string, alg jose.SignatureAlgorithm, key crypto.Signer) {
	s.kid, s.alg, s.key = kid, alg, key
	s.keys = []jose.JSONWebKey{{Key: key.Public(), KeyID: kid, Algorithm: string(alg), Use: "sig"}}
}

// asked returns the calls of that operation so far.
func (s *stub) asked(operation string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
	for _, call := range s.calls {
		if strings.Contains(call, "/"+operation+"?") {
			found = append(found, call)
		}
	}
	return found
}

func (s *stub) note(r *http.Request) {
	s.calls = append(s.calls, strings.TrimPrefix(r.URL.Path, "/api/auth")+"?"+r.URL.RawQuery)
}

func (s *stub) serveProviders(w http.ResponseWriter, _ *http.Request) {
	both := []string{"popup", "redirect"}
	reply(w, http.StatusOK, object{"providers": []object{
		{"id": "dev", "type": "oidc", "title": "Development IdP", "environments": []string{"development"}, "flows": both},
		{"id": "corp", "type": "okta", "title": "Corporate login", "environments": []string{"production", "staging"}, "flows": both},
		{"id": "guest", "type": "guest", "title": "Guest", "environments": []string{}, "flows": []string{"proxied"}},
	}})
}

func (s *stub) serveKeys(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Cache-Control", "max-age=3600")
	reply(w, http.StatusOK, jose.JSONWebKeySet{Keys: s.keys})
}

// serveStart demands what contract/core.md U2 says that a front end sends.
func (s *stub) serveStart(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.note(r)
	s.pending = r.URL
	signin := s.signin
	s.mu.Unlock()
	q := r.URL.Query()
	switch {
	case !q.Has("scope") || !q.Has("env") || q.Get("origin") != s.URL:
		fail(w, http.StatusBadRequest, "InputError", "start without scope, env or origin")
	case q.Get("flow") == "redirect" && !strings.HasPrefix(q.Get("redirectUrl"), s.URL+"/"):
		fail(w, http.StatusBadRequest, "InputError", "redirect flow without redirectUrl")
	default:
		signin(w, r)
	}
}

// finish ends a sign-in well.
func (s *stub) finish(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := rand.Text()
	s.signedIn[id] = true
	provider := r.PathValue("provider")
	http.SetCookie(w, &http.Cookie{
		Name: "backstage-auth", Value: id, Path: "/api/auth/" + provider, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	if q := s.pending.Query(); q.Get("flow") == "redirect" {
		http.Redirect(w, r, q.Get("redirectUrl"), http.StatusFound)
		return
	}
	frame(w, s.URL, object{"type": "authorization_response", "response": s.session()})
}

// frame is the popup's last page (contract/core.md P4).
func frame(w http.ResponseWriter, origin string, message object) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = framePage.Execute(w, object{"Origin": origin, "Message": message})
}

var framePage = template.Must(template.New("").Parse(`<!doctype html><link rel="icon" href="data:,"><script>
	opener.postMessage({type: 'config_info', targetOrigin: {{.Origin}}}, '*');
	opener.postMessage({{.Message}}, {{.Origin}});
	setTimeout(() => window.close(), 100);
</script>`))

func (s *stub) session() object {
	const user = "user:default/ada"
	refs := []string{user, "group:default/engines"}
	claims := object{"iss": s.base(), "sub": user, "aud": "backstage", "iat": 1, "exp": year2100}
	return object{
		"profile": s.profile, "providerInfo": s.provider,
		"backstageIdentity": object{
			"token": s.forge(s.sign(claims)), "expiresInSeconds": s.ends,
			"identity": object{"type": "user", "userEntityRef": user, "ownershipEntityRefs": refs},
		},
	}
}

func (s *stub) sign(claims object) string {
	options := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"kid": s.kid}}
	for name, value := range s.header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: s.key}, options)
	s.must(err)
	payload, err := json.Marshal(claims)
	s.must(err)
	signed, err := signer.Sign(payload)
	s.must(err)
	token, err := signed.CompactSerialize()
	s.must(err)
	return token
}

// must ends the request that runs into err, and fails the test.
func (s *stub) must(err error) {
	if err != nil {
		s.t.Error(err)
		panic(http.ErrAbortHandler)
	}
}

func (s *stub) serveRefresh(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.note(r)
	refresh := s.refresh
	s.mu.Unlock()
	switch {
	case r.Header.Get("X-Requested-With") != "XMLHttpRequest":
		fail(w, http.StatusUnauthorized, "AuthenticationError", "Invalid X-Requested-With header")
	case refresh != nil:
		refresh(w, r)
	default:
		s.answerRefresh(w, r)
	}
}

func (s *stub) answerRefresh(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cookie, err := r.Cookie("backstage-auth")
	switch {
	case r.PathValue("provider") == "guest" || err == nil && s.signedIn[cookie.Value]:
		reply(w, http.StatusOK, s.session())
	case r.URL.Query().Has("optional"):
		reply(w, http.StatusOK, object{})
	default:
		fail(w, http.StatusUnauthorized, "AuthenticationError", "Refresh failed; the session has ended")
	}
}

func (s *stub) serveLogout(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(r)
	if r.Header.Get("X-Requested-With") != "XMLHttpRequest" {
		fail(w, http.StatusUnauthorized, "AuthenticationError", "Invalid X-Requested-With header")
		return
	}
	if cookie, err := r.Cookie("backstage-auth"); err == nil {
		delete(s.signedIn, cookie.Value)
	}
	if s.logout != nil {
		reply(w, http.StatusOK, s.logout)
	}
}

func fail(w http.ResponseWriter, status int, name, message string) {
	detail := object{"name": name, "message": message, "code": "stub_code", "attemptId": "attempt-7"}
	reply(w, status, object{"error": detail, "response": object{"statusCode": status}})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
