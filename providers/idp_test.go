package providers_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

const issuer = "https://idp.example"

// idp is an OpenID Provider that misbehaves on demand. It is the client's transport, so nothing reaches a network.
type idp struct {
	t   *testing.T
	mu  sync.Mutex
	now time.Time

	meta map[string]any
	// published are the keys in the set, signer the one that signs.
	published []providertest.Key
	signer    providertest.Key
	// idToken replaces the claims of the next id_tokens; nil leaves the id_token out.
	idToken func(claims map[string]any) map[string]any
	// forge replaces the id_token once it is signed.
	forge func(signed string) string
	// token are further members of the token answer, info the userinfo answer.
	token, info map[string]any
	// handlers replace an endpoint, broken ends the connection, hanging never answers; all by path.
	handlers map[string]http.HandlerFunc
	broken   map[string]error
	hanging  map[string]bool

	nonce string
	calls map[string]int
	// form and header are those of the last call of the token or revocation endpoint.
	form   url.Values
	header http.Header
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	key, err := providertest.RSAKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	return &idp{
		t: t, now: time.Unix(1_800_000_000, 0), signer: key, published: []providertest.Key{key},
		meta: map[string]any{
			"issuer": issuer, "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token",
			"userinfo_endpoint": issuer + "/userinfo", "jwks_uri": issuer + "/keys", "revocation_endpoint": issuer + "/revoke",
			"end_session_endpoint": issuer + "/end",
		},
		idToken:  func(claims map[string]any) map[string]any { return claims },
		forge:    func(signed string) string { return signed },
		token:    map[string]any{"access_token": "at", "token_type": "Bearer", "expires_in": 3600},
		info:     map[string]any{"sub": "u1", "name": "Jane", "email": "jane@corp.example", "email_verified": true},
		handlers: map[string]http.HandlerFunc{}, broken: map[string]error{}, hanging: map[string]bool{}, calls: map[string]int{},
	}
}

// RoundTrip answers like a server of the provider would.
func (i *idp) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "idp.example" {
		i.t.Errorf("call to %s", r.URL)
		return nil, fmt.Errorf("no such host")
	}
	i.mu.Lock()
	i.calls[r.URL.Path]++
	hangs := i.hanging[r.URL.Path]
	i.mu.Unlock()
	if hangs {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.broken[r.URL.Path]; err != nil {
		return nil, err
	}
	if r.Method == http.MethodPost {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		i.form, _ = url.ParseQuery(string(b))
		i.header = r.Header
	}
	rec := httptest.NewRecorder()
	i.handler(r.URL.Path)(rec, r)
	res := rec.Result()
	res.Request = r
	return res, nil
}

func (i *idp) handler(path string) http.HandlerFunc {
	if h := i.handlers[path]; h != nil {
		return h
	}
	switch path {
	case "/.well-known/openid-configuration":
		return answer(200, i.meta)
	case "/keys":
		set, err := providertest.KeySet(i.published...)
		if err != nil {
			i.t.Error(err)
		}
		return body(200, "application/json", set)
	case "/token":
		return answer(200, i.tokens())
	case "/userinfo":
		return answer(200, i.info)
	case "/revoke":
		return body(200, "text/plain", "")
	}
	return body(404, "text/html", "<h1>nothing here</h1>")
}

func (i *idp) tokens() map[string]any {
	m := maps.Clone(i.token)
	if i.idToken == nil {
		return m
	}
	claims := i.idToken(map[string]any{
		"iss": issuer, "aud": "client", "sub": "u1", "iat": i.now.Unix(), "exp": i.now.Add(time.Hour).Unix(), "nonce": i.nonce,
	})
	signed, err := i.signer.Sign(claims)
	if err != nil {
		i.t.Error(err)
	}
	m["id_token"] = i.forge(signed)
	return m
}

func (i *idp) advance(d time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.now = i.now.Add(d)
}

func (i *idp) clock() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now
}

func (i *idp) called(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.calls[path]
}

func answer(status int, v any) http.HandlerFunc {
	b, err := json.Marshal(v)
	if err != nil {
		return body(500, "text/plain", err.Error())
	}
	return body(status, "application/json", string(b))
}

func body(status int, contentType, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

// upstreamProvider is what the oidc kind can do.
type upstreamProvider interface {
	providers.Provider
	providers.Starter
	providers.Refresher
	providers.Logouter
}

const confidential = "metadataUrl: " + issuer + "\nclientId: client\nclientSecret: 0123456789abcdef0123456789abcdef\n"

// open makes an oidc provider of a config in YAML.
func (i *idp) open(config string) (upstreamProvider, error) {
	return openAs(i, "oidc", config, i)
}

func openAs(i *idp, id, config string, transport http.RoundTripper) (upstreamProvider, error) {
	kind, err := providers.KindOf(id, "oidc", nil)
	if err != nil {
		return nil, err
	}
	p, err := kind.New(providers.Setup{
		ID: id, Env: "test", CallbackURL: "https://portal.example/cb", Decode: providertest.Decode(config),
		HTTP: &http.Client{Transport: transport}, Now: i.clock, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	return p.(upstreamProvider), nil
}

func (i *idp) mustOpen(config string) upstreamProvider {
	i.t.Helper()
	p, err := i.open(config)
	if err != nil {
		i.t.Fatal(err)
	}
	return p
}

// signIn does what a browser and signin do: start, come back with a code.
func (i *idp) signIn(p upstreamProvider) (providers.Result, error) {
	start, err := p.Start(i.t.Context(), providers.StartInput{State: "s", Scope: "openid"})
	if err != nil {
		return providers.Result{}, err
	}
	u, err := url.Parse(start.URL)
	if err != nil {
		return providers.Result{}, err
	}
	i.mu.Lock()
	i.nonce = u.Query().Get("nonce")
	i.mu.Unlock()
	return p.Handle(i.t.Context(), providers.Request{Query: url.Values{"code": {"c0de"}, "state": {"s"}}, Memo: start.Memo})
}

// wantCode compares the code, and holds every error to silence: what it says may be logged and shown.
func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	if got := providertest.Code(err); got != want {
		t.Errorf("code %q, want %q (%v)", got, want, err)
	}
	if err == nil {
		return
	}
	for _, secret := range []string{"c0de", "0123456789abcdef", "rt-secret", "eyJ", "jane@corp.example"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error repeats %q: %v", secret, err)
		}
	}
}

func fieldsOf(v url.Values) []string { return slices.Sorted(maps.Keys(v)) }
