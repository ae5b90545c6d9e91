package caller_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"stagedoor/server/internal/caller"
	"stagedoor/server/internal/seal"
	"stagedoor/tokens"
)

const (
	base    = "https://portal.example"
	jane    = "user:default/jane"
	static  = "0123456789-static"
	limits  = "0123456789-limited"
	elsewho = "0123456789-elsewhere"
	jwksURL = "https://ci.example/keys?secret=in-the-query"
)

// epoch is when every test starts.
var epoch = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// clock is a time that only the test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// web is everything that can be called: addresses without their query, and what is there. Elsewhere nobody listens.
type web struct {
	mu    sync.Mutex
	at    map[string]func(*http.Request) (*http.Response, error)
	calls map[string]int
}

var errRefused = errors.New("connection refused")

func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	address := r.URL.Scheme + "://" + r.URL.Host + r.URL.Path
	w.mu.Lock()
	w.calls[address]++
	answer := w.at[address]
	w.mu.Unlock()
	switch {
	case answer != nil:
		return answer(r)
	case strings.HasPrefix(address, base):
		return respond(http.StatusNotFound, "")(r)
	}
	return nil, errRefused
}

func (w *web) put(address string, answer func(*http.Request) (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at[address] = answer
}

// count is how often an address was called; "" is any.
func (w *web) count(address string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if address != "" {
		return w.calls[address]
	}
	all := 0
	for _, n := range w.calls {
		all += n
	}
	return all
}

func respond(status int, body string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}

func refuse(*http.Request) (*http.Response, error) { return nil, errRefused }

// world is a Recogniser for the plugin auth, the users that it knows, and its surroundings.
type world struct {
	*caller.Recogniser
	t      testing.TB
	clock  *clock
	web    *web
	log    *bytes.Buffer
	users  *tokens.Issuer
	remote remote
	secret []byte
}

// newWorld has the plugin "catalog" at /api/catalog, and an external caller of every type.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{
		t: t, clock: &clock{t: epoch}, log: &bytes.Buffer{}, remote: newRemote(t, "ci-1"), secret: []byte("0123456789abcdef0123456789abcdef"),
		web: &web{at: map[string]func(*http.Request) (*http.Response, error){}, calls: map[string]int{}},
	}
	var err error
	w.users, err = tokens.NewIssuer(tokens.IssuerConfig{
		BaseURL: base + "/api/auth", Store: tokens.NewMemoryStore(), Sealer: sealer(t), Now: w.clock.Now, OmitOwnership: true,
	})
	must(t, err)
	w.web.put("https://ci.example/keys", respond(http.StatusOK, w.remote.jwks()))
	w.Recogniser, err = caller.New(caller.Config{
		Plugin: "auth", Users: w.users, External: w.external(), HTTP: &http.Client{Transport: w.web}, Now: w.clock.Now,
		PluginURL: pluginURL, Log: slog.New(slog.NewTextHandler(w.log, nil)),
	})
	must(t, err)
	return w
}

// pluginURL knows no address of the plugin srv.
func pluginURL(plugin string) string {
	if plugin == "srv" {
		return ""
	}
	return base + "/api/" + plugin
}

func (w *world) external() []caller.External {
	return []caller.External{
		{Token: static, Subject: "external:ci"},
		{Token: limits, Subject: "external:ops", Restrictions: []caller.Restriction{
			{Plugin: "catalog"}, {Plugin: "auth", Permissions: []string{caller.AdminPermission}},
		}},
		{Token: elsewho, Subject: "external:else", Restrictions: []caller.Restriction{{Plugin: "catalog"}, {Plugin: "search"}}},
		{Secret: w.secret, Subject: "external:backstage-plugin"},
		{URL: jwksURL, SubjectPrefix: "ci", Rules: tokens.RemoteRules{
			Issuers: []string{"https://ci.example"}, Audiences: []string{"stagedoor"}, Algorithms: []string{"ES256"},
		}},
	}
}

// plugin is another plugin with keys of its own, which it publishes.
func (w *world) plugin(id string) *tokens.PluginIssuer {
	w.t.Helper()
	p, err := tokens.NewPluginIssuer(tokens.PluginConfig{Plugin: id, Store: tokens.NewMemoryStore(), Sealer: sealer(w.t), Now: w.clock.Now})
	must(w.t, err)
	w.web.put(keysAt(id), respond(http.StatusOK, published(w.t, p)))
	return p
}

// keysAt is where a plugin's keys are.
func keysAt(plugin string) string { return base + "/api/" + plugin + "/.backstage/auth/v1/jwks.json" }

func published(t testing.TB, p *tokens.PluginIssuer) string {
	t.Helper()
	set, err := p.JWKS(t.Context())
	must(t, err)
	return string(set.Body)
}

func (w *world) pluginToken(p *tokens.PluginIssuer, target, onBehalfOf string) string {
	w.t.Helper()
	tok, err := p.Token(w.t.Context(), target, onBehalfOf)
	must(w.t, err)
	return tok.Raw
}

func (w *world) userToken(subject string) string {
	w.t.Helper()
	tok, err := w.users.Issue(w.t.Context(), tokens.Identity{Subject: subject})
	must(w.t, err)
	return tok.Raw
}

func (w *world) limited(full string) string {
	w.t.Helper()
	raw, err := tokens.LimitedToken(full)
	must(w.t, err)
	return raw
}

// remote is an external caller with a key of its own.
type remote struct {
	t   testing.TB
	kid string
	key *ecdsa.PrivateKey
}

func newRemote(t testing.TB, kid string) remote {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return remote{t, kid, key}
}

func (r remote) jwks() string {
	r.t.Helper()
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: r.key.Public(), KeyID: r.kid, Algorithm: "ES256", Use: "sig"}}})
	must(r.t, err)
	return string(set)
}

// token signs the claims that an accepted token has, with changes on top; a nil value takes a claim away.
func (r remote) token(changes map[string]any) string {
	r.t.Helper()
	claims := map[string]any{
		"iss": "https://ci.example", "aud": "stagedoor", "sub": "job-1", "iat": epoch.Unix(), "exp": epoch.Add(time.Hour).Unix(),
	}
	return sign(r.t, jose.ES256, jose.JSONWebKey{Key: r.key, KeyID: r.kid}, "JWT", claims, changes)
}

// legacy signs a legacy token.
func legacy(t testing.TB, secret []byte, changes map[string]any) string {
	t.Helper()
	return sign(t, jose.HS256, secret, "", map[string]any{"sub": "backstage-server", "exp": epoch.Add(time.Hour).Unix()}, changes)
}

func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, typ string, claims, changes map[string]any) string {
	t.Helper()
	for name, value := range changes {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	options := &jose.SignerOptions{}
	if typ != "" {
		options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	must(t, err)
	payload, err := json.Marshal(claims)
	must(t, err)
	jws, err := signer.Sign(payload)
	must(t, err)
	raw, err := jws.CompactSerialize()
	must(t, err)
	return raw
}

func sealer(t testing.TB) tokens.Sealer {
	t.Helper()
	s, err := seal.New("signing keys", "the secret of these tests")
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// verifierFunc is a UserVerifier.
type verifierFunc func() (tokens.Principal, error)

func (f verifierFunc) Verify(context.Context, string) (tokens.Principal, error) { return f() }
