package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/config"
	"stagedoor/server/internal/devidp"
)

// appOrigin is where the portal of the tests would be served.
const appOrigin = "http://localhost:3000"

// deployment is a whole server on loopback, with an OpenID Provider of its own that can be told to misbehave.
type deployment struct {
	t    *testing.T
	dir  string
	base string // the server's root, without a trailing slash
	idp  *devidp.Misbehaving
	logs *logBuffer

	stop context.CancelFunc
	done chan error
	// ask makes the server look at its files.
	ask chan struct{}
}

// settings are what a test changes of the usual configuration.
type settings struct {
	// auth is YAML below auth:, indented by two spaces; provider is YAML below auth.providers.idp.development.
	auth, provider string
	// backend is YAML below backend:, top stands beside it.
	backend, top string
	// resolvers replace the usual one, as a YAML flow sequence; catalog replaces the file, as a YAML flow mapping.
	resolvers, catalog string
	// database replaces the file, as a YAML flow mapping.
	database string
	// idp changes the provider's options.
	idp func(*devidp.Options)
	// files are written beside the configuration before the start.
	files map[string]string
	// databaseAway says that there is nothing at the database's address when the server starts.
	databaseAway bool
	// production leaves NODE_ENV unset.
	production bool
}

const usualConfig = `
app: {baseUrl: %APP%}
backend:
  baseUrl: %BASE%
  database: %DATABASE%
%BACKEND%
auth:
  environment: development
  catalog: %CATALOG%
%AUTH%
  providers:
    guest: {}
    idp:
      development:
        type: oidc
        metadataUrl: %IDP%/.well-known/openid-configuration
        clientId: stagedoor
        clientSecret: a client secret of the tests
        prompt: auto
        tokenSignedResponseAlg: ES256
        additionalScopes: offline_access
        signIn: {resolvers: %RESOLVERS%}
%PROVIDER%
%TOP%
`

// deploy starts a provider and a server and waits for nothing: the listener is open when it returns.
func deploy(t *testing.T, s settings) *deployment {
	t.Helper()
	d := &deployment{t: t, dir: t.TempDir(), logs: &logBuffer{}, ask: make(chan struct{})}
	d.write("people.yaml", string(devidp.Catalog()))
	for name, text := range s.files {
		d.write(name, text)
	}
	ln := d.listen("127.0.0.1:0")
	d.base = "http://" + ln.Addr().String()
	d.startProvider(s)
	d.write("app-config.yaml", d.config(s))
	d.start(ln, s)
	t.Cleanup(d.shutdown)
	return d
}

func (d *deployment) config(s settings) string {
	s.catalog = cmp.Or(s.catalog, `{file: "`+d.dir+`/people.yaml"}`)
	s.resolvers = cmp.Or(s.resolvers, "[{resolver: emailMatchingUserEntityProfileEmail}]")
	s.database = cmp.Or(s.database, `{client: better-sqlite3, connection: {directory: "`+d.dir+`"}}`)
	return strings.NewReplacer("%DATABASE%", s.database, "%CATALOG%", s.catalog, "%RESOLVERS%", s.resolvers, "%TOP%", s.top, "%APP%", appOrigin, "%BASE%", d.base, "%DIR%", d.dir, "%IDP%", d.idp.Issuer(),
		"%AUTH%", s.auth, "%BACKEND%", s.backend, "%PROVIDER%", s.provider).Replace(usualConfig)
}

func (d *deployment) write(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *deployment) listen(address string) net.Listener {
	d.t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(d.t.Context(), "tcp", address)
	if err != nil {
		d.t.Fatal(err)
	}
	return ln
}

func (d *deployment) startProvider(s settings) {
	d.t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	o := devidp.Options{
		Issuer: "http://" + srv.Listener.Addr().String(), Algorithm: "ES256",
		Clients: []devidp.Client{{
			ID: "stagedoor", Secret: "a client secret of the tests",
			RedirectURIs: []string{d.base + "/api/auth/idp/handler/frame"},
		}},
	}
	if s.idp != nil {
		s.idp(&o)
	}
	var err error
	if d.idp, err = devidp.NewMisbehaving(o); err != nil {
		d.t.Fatal(err)
	}
	srv.Config.Handler = d.idp
	srv.Start()
	d.t.Cleanup(srv.Close)
	d.t.Cleanup(d.idp.Release)
}

// start runs the server as main does, with the configuration as it is in the file.
func (d *deployment) start(ln net.Listener, s settings) {
	d.t.Helper()
	env := func(name string) (string, bool) {
		if name == "NODE_ENV" && !s.production {
			return "development", true
		}
		return "", false
	}
	src := source{ask: d.ask, load: func(files *fileSet) (*config.Config, error) {
		return config.Load(config.LoadInput{Paths: []string{filepath.Join(d.dir, "app-config.yaml")}, Env: env, ReadFile: files.read})
	}}
	files := &fileSet{}
	cfg, err := src.load(files)
	if err != nil {
		d.t.Fatal(err)
	}
	d.run(ln, reading{src, cfg, files})
	if cfg.Database.Client == config.Postgres && !s.databaseAway { // until it is there the server answers, and says so
		d.awaitLog(`"listening"`)
	}
}

// awaitLog waits until the server has logged text, or has ended.
func (d *deployment) awaitLog(text string) {
	d.t.Helper()
	eventually(d.t, "the line "+text, func() bool { return strings.Contains(d.logs.String(), text) || len(d.done) > 0 })
}

// eventually polls until the condition holds. The bound is one that only a broken test reaches.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting for %s", what)
		}
		<-tick.C
	}
}

// run is the server of main on a listener that is open already.
func (d *deployment) run(ln net.Listener, in reading) {
	log := slog.New(slog.NewJSONHandler(d.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, cancel := context.WithCancel(context.WithoutCancel(d.t.Context()))
	d.stop, d.done = cancel, make(chan error, 1)
	go func() { d.done <- serveOn(ctx, ln, in, log) }()
}

// shutdown stops the server as SIGTERM does and demands that it ends in order.
func (d *deployment) shutdown() {
	if d.stop == nil {
		return
	}
	d.stop()
	if err := <-d.done; err != nil {
		d.t.Errorf("the server ended with: %v", err)
	}
	d.stop = nil
}

// restart stops the server and starts it again on the same address and files.
func (d *deployment) restart(s settings) {
	d.t.Helper()
	d.shutdown()
	d.start(d.listen(strings.TrimPrefix(d.base, "http://")), s)
}

// logBuffer keeps the log for the tests that read it.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// browser is a person's browser: a cookie jar, and the front end's habits.
type browser struct {
	d    *deployment
	http *http.Client
	*apitest.Client
}

func (d *deployment) browser() *browser {
	d.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	// A bound that only a broken test reaches; nothing is asserted about it.
	hc := &http.Client{Jar: jar, Timeout: time.Minute}
	return &browser{d: d, http: hc, Client: apitest.NewClient(d.t, d.base, hc)}
}

// startPath is what the front end opens in the popup (contract/core.md U2).
func startPath(extra ...string) string {
	q := url.Values{"env": {"development"}, "origin": {appOrigin}, "flow": {"popup"}, "scope": {"openid profile email"}}
	for i := 0; i+1 < len(extra); i += 2 {
		q.Set(extra[i], extra[i+1])
	}
	return "/api/auth/idp/start?" + q.Encode()
}

// cookie returns the value that the browser would send to the provider's routes. The provider's own server has the same host,
// and a jar knows no ports.
func (b *browser) cookie(name string) string {
	b.d.t.Helper()
	u, err := url.Parse(b.d.base + "/api/auth/idp/refresh")
	if err != nil {
		b.d.t.Fatal(err)
	}
	for _, c := range b.http.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// toCallback goes through the start route and the provider as the person, and returns the callback without calling it.
func (b *browser) toCallback(person string, extra ...string) string {
	b.d.t.Helper()
	start := b.Get(startPath(extra...))
	if start.Status != http.StatusFound {
		b.d.t.Fatalf("start: %d %s", start.Status, start.Body)
	}
	to, err := devidp.Login(b.http, start.Header.Get("Location"), person)
	if err != nil {
		b.d.t.Fatal(err)
	}
	return to
}

// follow calls the callback.
func (b *browser) follow(callback string) apitest.Response {
	b.d.t.Helper()
	return b.Get(strings.TrimPrefix(callback, b.d.base))
}

// signIn signs the person in and returns the posted session.
func (b *browser) signIn(person string) session {
	b.d.t.Helper()
	m := posted(b.d.t, b.follow(b.toCallback(person)))
	if m.Error.Name != "" {
		b.d.t.Fatalf("sign-in failed: %+v", m.Error)
	}
	return m.Response
}

// refresh is the front end's silent refresh (contract/core.md U3).
func (b *browser) refresh(query string) (apitest.Response, session) {
	b.d.t.Helper()
	res := b.Get("/api/auth/idp/refresh?optional&env=development"+query, apitest.Header("X-Requested-With", "XMLHttpRequest"))
	var s session
	if res.Status == http.StatusOK {
		if err := json.Unmarshal(res.Body, &s); err != nil {
			b.d.t.Fatal(err)
		}
	}
	return res, s
}

func (b *browser) logout() apitest.Response {
	b.d.t.Helper()
	return b.Post("/api/auth/idp/logout?env=development", apitest.Header("X-Requested-With", "XMLHttpRequest"))
}

// session is contract/core.md section 4.1.
type session struct {
	Profile struct {
		Email       string `json:"email"`
		DisplayName string `json:"displayName"`
		Picture     string `json:"picture"`
	} `json:"profile"`
	ProviderInfo struct {
		AccessToken      string  `json:"accessToken"`
		IDToken          string  `json:"idToken"`
		Scope            string  `json:"scope"`
		ExpiresInSeconds float64 `json:"expiresInSeconds"`
	} `json:"providerInfo"`
	BackstageIdentity *struct {
		Token            string  `json:"token"`
		ExpiresInSeconds float64 `json:"expiresInSeconds"`
		Identity         struct {
			Type                string   `json:"type"`
			UserEntityRef       string   `json:"userEntityRef"`
			OwnershipEntityRefs []string `json:"ownershipEntityRefs"`
		} `json:"identity"`
	} `json:"backstageIdentity"`
}

// errorDetail is the error member of bodies and messages.
type errorDetail struct {
	Name      string `json:"name"`
	Message   string `json:"message"`
	Code      string `json:"code"`
	AttemptID string `json:"attemptId"`
	Cause     *struct {
		Name    string `json:"name"`
		Message string `json:"message"`
	} `json:"cause"`
}

// message is what the popup page posts (contract/core.md P5).
type message struct {
	Type     string      `json:"type"`
	Response session     `json:"response"`
	Error    errorDetail `json:"error"`
	origin   string
}

var literals = regexp.MustCompile(`decodeURIComponent\('([^']*)'\)`)

// posted reads the message out of the popup page (P3).
func posted(t *testing.T, res apitest.Response) message {
	t.Helper()
	if res.Status != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("no popup page: %d %s", res.Status, res.Body)
	}
	found := literals.FindAllStringSubmatch(string(res.Body), -1)
	if len(found) != 2 {
		t.Fatalf("popup page with %d literals", len(found))
	}
	decode := func(s string) string {
		v, err := url.PathUnescape(s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	var m message
	if err := json.Unmarshal([]byte(decode(found[0][1])), &m); err != nil {
		t.Fatal(err)
	}
	if m.Type != "authorization_response" {
		t.Errorf("message type %q", m.Type)
	}
	m.origin = decode(found[1][1])
	return m
}

// failure reads the error of a JSON answer.
func failure(t *testing.T, res apitest.Response) errorDetail {
	t.Helper()
	var body struct {
		Error    errorDetail `json:"error"`
		Response struct {
			StatusCode int `json:"statusCode"`
		} `json:"response"`
	}
	if err := json.Unmarshal(res.Body, &body); err != nil {
		t.Fatalf("%d %s: %v", res.Status, res.Body, err)
	}
	if body.Response.StatusCode != res.Status {
		t.Errorf("status %d in the body, %d in the answer", body.Response.StatusCode, res.Status)
	}
	return body.Error
}

// read is a whole body of a plain request.
func read(t *testing.T, res *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
