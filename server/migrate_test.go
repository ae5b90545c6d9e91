package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/devidp"
	"stagedoor/server/internal/store/pgtest"
)

// nodeBackend stands for a replica of the Node backend: its key set is what the table holds, its key signs as soon as it is there, and
// it signs people in at the same provider.
type nodeBackend struct {
	*httptest.Server
	t  *testing.T
	at nodeDatabase
	db *sql.DB
	// kid names key, which signs.
	kid string
	key *ecdsa.PrivateKey
}

// nodeDatabase is where a Node backend has its tables: made by create, and their keys that count are listed by keys.
type nodeDatabase struct {
	driver, address, create, keys string
	// config is the same for Stagedoor, as a YAML flow mapping.
	config string
}

func nodeFile(dir string) nodeDatabase {
	return nodeDatabase{
		driver: "sqlite", address: "file:" + dir + "/auth.sqlite?_pragma=busy_timeout(5000)",
		create: "create table `signing_keys` (`kid` varchar(255) not null, `created_at` datetime not null default CURRENT_TIMESTAMP, " +
			"`key` varchar(255) not null, primary key (`kid`)); create table `user_info` (`user_entity_ref` varchar(255) primary key, `user_info` text not null)",
		keys:   "select group_concat(key) from signing_keys where created_at > datetime('now', '-3 hours')",
		config: `{client: better-sqlite3, connection: {directory: "` + dir + `"}}`,
	}
}

// nodeSchema is the schema that Backstage gives the auth plugin with pluginDivisionMode schema.
func nodeSchema(t *testing.T) nodeDatabase {
	t.Helper()
	c := pgtest.Shared(t)
	at := c.TCP(c.Database(t))
	return nodeDatabase{
		driver: "pgx", address: fmt.Sprintf("host=%s port=%s user=%s password=%s dbname=%s search_path=auth", at["host"], at["port"], at["user"], at["password"], at["database"]),
		create: `create schema auth; create table signing_keys (kid varchar(255) not null primary key, created_at timestamptz(0) not null default current_timestamp,
			key text not null); create table user_info (user_entity_ref varchar(255) primary key, user_info text not null)`,
		keys: "select string_agg(key, ',') from signing_keys where created_at > now() - interval '3 hours'",
		config: fmt.Sprintf("{client: pg, pluginDivisionMode: schema, connection: {host: localhost, port: %s, user: %s, password: %s, database: %s, ssl: {ca: %q}}}",
			at["port"], at["user"], at["password"], at["database"], c.CA),
	}
}

// startNode makes the tables in a new database, and a key.
func startNode(t *testing.T, at nodeDatabase) *nodeBackend {
	t.Helper()
	db, err := sql.Open(at.driver, at.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	n := &nodeBackend{t: t, at: at, db: db}
	n.exec(at.create)
	n.exec(`insert into user_info values ('user:default/known', '{"claims":{"sub":"user:default/known","ent":["group:default/known"]}}')`)
	n.rotate("node-1")
	n.Server = httptest.NewServer(n)
	t.Cleanup(n.Close)
	return n
}

func (n *nodeBackend) exec(statement string) {
	n.t.Helper()
	if _, err := n.db.ExecContext(n.t.Context(), statement); err != nil {
		n.t.Fatal(err)
	}
}

// rotate makes a new key.
func (n *nodeBackend) rotate(kid string) {
	n.t.Helper()
	var err error
	if n.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		n.t.Fatal(err)
	}
	text, err := json.Marshal(jose.JSONWebKey{Key: n.key.Public(), KeyID: kid, Algorithm: "ES256"})
	if err != nil {
		n.t.Fatal(err)
	}
	n.kid = kid
	n.exec(fmt.Sprintf("insert into signing_keys (kid, key) values ('%s', '%s')", kid, text))
}

// ServeHTTP answers the key set, and whatever else with a word.
func (n *nodeBackend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/.well-known/jwks.json") {
		_, _ = io.WriteString(w, "node")
		return
	}
	var keys string
	if err := n.db.QueryRowContext(r.Context(), n.at.keys).Scan(&keys); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(w, `{"keys":[`+keys+`]}`)
}

// token is a user token as the Node backend issues it.
func (n *nodeBackend) token(user string) string {
	n.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: n.key, KeyID: n.kid}},
		(&jose.SignerOptions{}).WithType("vnd.backstage.user"))
	if err != nil {
		n.t.Fatal(err)
	}
	now := time.Now().Unix()
	signed, err := signer.Sign(fmt.Appendf(nil, `{"iss":"%s","sub":"%s","aud":"backstage","iat":%d,"exp":%d}`, n.URL, user, now, now+3600))
	if err != nil {
		n.t.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		n.t.Fatal(err)
	}
	return raw
}

// signIn signs a person in at the provider, and leaves the cookies of the Node backend in the browser.
func (n *nodeBackend) signIn(d *deployment, b *browser, person string) {
	n.t.Helper()
	client := url.Values{"client_id": {"stagedoor"}, "redirect_uri": {d.base + "/api/auth/idp/handler/frame"}}
	ask := url.Values{"response_type": {"code"}, "scope": {"openid profile email offline_access"}, "state": {"node's"}, "prompt": {"consent"}}
	callback, err := devidp.Login(b.http, d.idp.Issuer()+"/authorize?"+client.Encode()+"&"+ask.Encode(), person)
	if err != nil {
		n.t.Fatal(err)
	}
	at, err := url.Parse(callback)
	if err != nil {
		n.t.Fatal(err)
	}
	client.Set("client_secret", "a client secret of the tests")
	client.Set("grant_type", "authorization_code")
	client.Set("code", at.Query().Get("code"))
	res, err := b.http.PostForm(d.idp.Issuer()+"/oauth/token", client) //nolint:noctx // loopback, and the client has a limit
	var answer struct {
		RefreshToken string `json:"refresh_token"`
	}
	if body := read(n.t, res, err); json.Unmarshal([]byte(body), &answer) != nil || answer.RefreshToken == "" {
		n.t.Fatalf("no refresh token: %s", body)
	}
	base, _ := url.Parse(d.base + "/api/auth/idp")
	b.http.Jar.SetCookies(base, []*http.Cookie{
		{Name: "idp-refresh-token", Value: url.QueryEscape(answer.RefreshToken), Path: "/api/auth/idp", HttpOnly: true},
		{Name: "idp-granted-scope", Value: url.QueryEscape("openid profile email offline_access"), Path: "/api/auth/idp", HttpOnly: true},
	})
}

// wantVerified is what every backend does with a user token: it reads the key set of the auth backend, and looks for the key.
func wantVerified(t *testing.T, auth, raw, what string) {
	t.Helper()
	res, err := http.Get(auth + "/api/auth/.well-known/jwks.json") //nolint:noctx // loopback
	var keys jose.JSONWebKeySet
	if body := read(t, res, err); json.Unmarshal([]byte(body), &keys) != nil {
		t.Fatalf("no key set: %s", body)
	}
	token, err := jose.ParseSigned(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := token.Verify(&keys); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// ingress is the reverse proxy in front of both: those with the cookie canary come to Stagedoor, and all after the switch.
type ingress struct {
	node, stagedoor http.Handler
	all             atomic.Bool
}

func (i *ingress) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := r.Cookie("canary"); i.all.Load() || err == nil {
		i.stagedoor.ServeHTTP(w, r)
		return
	}
	i.node.ServeHTTP(w, r)
}

// proxyTo passes requests on as they are.
func proxyTo(t *testing.T, address string) http.Handler {
	t.Helper()
	to, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
}

// deployBeside starts a server behind an ingress, in the database of a Node backend.
func deployBeside(t *testing.T, at func(dir string) nodeDatabase) (*deployment, *nodeBackend, *ingress, string) {
	t.Helper()
	d := &deployment{t: t, dir: t.TempDir(), logs: &logBuffer{}, ask: make(chan struct{})}
	d.write("people.yaml", string(devidp.Catalog()))
	n := startNode(t, at(d.dir))
	ln := d.listen("127.0.0.1:0")
	own := "http://" + ln.Addr().String()
	in := &ingress{node: proxyTo(t, n.URL), stagedoor: proxyTo(t, own)}
	front := httptest.NewServer(in)
	t.Cleanup(front.Close)
	d.base = front.URL
	s := settings{auth: "  keyStore: {nodeTable: true}\n  session: {secret: a-secret-of-the-tests}", database: n.at.config}
	d.startProvider(s)
	d.write("app-config.yaml", d.config(s))
	d.start(ln, s)
	t.Cleanup(d.shutdown)
	return d, n, in, own
}

// guestOf is a browser that the ingress sends to Stagedoor if it is a canary.
func guestOf(d *deployment, canary bool) *browser {
	d.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	hc := &http.Client{Jar: jar, Timeout: time.Minute}
	if base, _ := url.Parse(d.base); canary {
		jar.SetCookies(base, []*http.Cookie{{Name: "canary", Value: "yes", Path: "/"}})
	}
	return &browser{d: d, http: hc, Client: apitest.NewClient(d.t, d.base, hc)}
}

// TestMigration goes the way of docs/migrate.md: canary, switch, rollback. No token is refused on it, and nobody is signed out but who
// goes back.
func TestMigration(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { migration(t, nodeFile) })
	t.Run("PostgreSQL", func(t *testing.T) { migration(t, func(string) nodeDatabase { return nodeSchema(t) }) })
}

func migration(t *testing.T, at func(dir string) nodeDatabase) {
	d, n, in, stagedoor := deployBeside(t, at)
	before := n.token("user:default/jane.doe")

	// Canary: whoever has no cookie stays with Node; who has one brings the session along. Backends still ask Node for keys.
	other := guestOf(d, false)
	res, err := other.http.Get(d.base + "/api/auth/idp/refresh") //nolint:noctx // loopback
	if got := read(t, res, err); got != "node" {
		t.Errorf("somebody else's answer comes from %s", got)
	}
	canary := guestOf(d, true)
	n.signIn(d, canary, "jane.doe@example.com")
	answer, s := canary.refresh("")
	if answer.Status != http.StatusOK || s.BackstageIdentity == nil {
		t.Fatalf("a session of Node's: %d %s", answer.Status, answer.Body)
	}
	if canary.cookie("idp-refresh-token") != "" || canary.cookie("backstage-auth") == "" {
		t.Error("the cookies of Node's were not taken over")
	}
	for _, auth := range []string{n.URL, stagedoor} {
		wantVerified(t, auth, before, "Node's token at "+auth)
		wantVerified(t, auth, s.BackstageIdentity.Token, "our token at "+auth)
	}

	// Switch: everybody comes to Stagedoor, and so do backends; a last replica of Node's goes on issuing meanwhile.
	in.all.Store(true)
	n.rotate("node-2")
	late := n.token("user:default/nobody")
	wantVerified(t, stagedoor, late, "the token of a key that was made a moment ago")
	wantUserInfo(t, canary, late, http.StatusNotFound) // nothing is known about them, and their token is good
	wantUserInfo(t, canary, before, http.StatusOK)
	wantUserInfo(t, canary, n.token("user:default/known"), http.StatusOK)
	wantUserInfo(t, canary, before[:len(before)-8]+"AAAAAAAA", http.StatusUnauthorized)
	n.signIn(d, other, "john.roe@example.com")
	if answer, s := other.refresh(""); answer.Status != http.StatusOK || s.BackstageIdentity == nil {
		t.Errorf("a session of Node's after the switch: %d %s", answer.Status, answer.Body)
	}
	answer, s = canary.refresh("")
	if answer.Status != http.StatusOK {
		t.Fatalf("refresh after the switch: %d %s", answer.Status, answer.Body)
	}

	// Rollback: Stagedoor has gone, its tokens have not.
	d.shutdown()
	wantVerified(t, n.URL, s.BackstageIdentity.Token, "our token after the rollback")
}

func wantUserInfo(t *testing.T, b *browser, raw string, want int) {
	t.Helper()
	if res := b.Get("/api/auth/v1/userinfo", apitest.Header("Authorization", "Bearer "+raw)); res.Status != want {
		t.Errorf("user info: %d %s, want %d", res.Status, res.Body, want)
	}
}
