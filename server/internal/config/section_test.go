package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// with is the minimal configuration with more below backend and auth; both are flow objects without their braces.
func with(backend, auth string, env ...string) world {
	yaml := "app: {baseUrl: 'http://localhost:3000'}\n" +
		"backend: {baseUrl: 'http://localhost:7007'" + backend + "}\nauth: {" + auth + "}\n"
	return one(yaml, env...)
}

func TestBaseURL(t *testing.T) {
	const absolute = "want an absolute URL that begins with http:// or https://"
	const bare = "want a URL without user, query and fragment"
	tests := []struct{ url, want, problem string }{
		{"http://localhost:7007", "http://localhost:7007", ""},
		{"https://example.com/portal//", "https://example.com/portal", ""},
		{"http://[::1]:7007/", "http://[::1]:7007", ""},
		{"localhost:7007", "", absolute},
		{"ftp://example.com", "", absolute},
		{"//example.com", "", absolute},
		{"http://:80", "", absolute},
		{"http://a b", "", absolute},
		{"http://example.com?a", "", bare},
		{"http://example.com#a", "", bare},
		{"http://u:p@example.com", "", bare},
	}
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) {
			c, err := Load(one(fmt.Sprintf("app:\n  baseUrl: '%s'\nbackend:\n  baseUrl: http://localhost:7007/\n", tt.url)).input())
			if tt.problem == "" {
				if err != nil || c.App.BaseURL != tt.want || c.Backend.BaseURL != "http://localhost:7007" {
					t.Errorf("got %+v, %v, want %s", c, err, tt.want)
				}
				return
			}
			if want := "app-config.yaml:2:12 app.baseUrl: " + tt.problem; err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

func TestListen(t *testing.T) {
	const form = "app-config.yaml:2:53 backend.listen: want :port, host:port, or an object with host and port"
	const port = "app-config.yaml:2:53 backend.listen: want a port between 0 and 65535"
	tests := []struct{ yaml, want, problem string }{
		{"null", ":7007", ""},
		{"':8080'", ":8080", ""},
		{"8080", ":8080", ""},
		{"'8080'", ":8080", ""},
		{"127.0.0.1:0", "127.0.0.1:0", ""},
		{"'[::1]:80'", "[::1]:80", ""},
		{"{}", ":7007", ""},
		{"{port: 80}", ":80", ""},
		{"{host: localhost}", "localhost:7007", ""},
		{"{host: '::', port: '80'}", "[::]:80", ""},
		{"localhost", "", form},
		{"'a:b:c'", "", form},
		{"true", "", form},
		{"[80]", "", form},
		{"':70000'", "", port},
		{"{port: -1}", "", port},
	}
	for _, tt := range tests {
		t.Run(tt.yaml, func(t *testing.T) {
			c, err := Load(with(", listen: "+tt.yaml, "").input())
			if tt.problem == "" {
				if err != nil || c.Backend.Listen.String() != tt.want {
					t.Errorf("got %+v, %v, want %s", c, err, tt.want)
				}
				return
			}
			if err == nil || err.Error() != tt.problem {
				t.Errorf("got %v, want %s", err, tt.problem)
			}
		})
	}
}

func TestBackendSections(t *testing.T) {
	c := mustLoad(t, one(`app: {baseUrl: 'http://localhost:3000'}
backend:
  baseUrl: http://localhost:7007
  cors:
    origin: [https://*.example.com, 'http://localhost:3000']
    methods: GET,POST
    allowedHeaders: [x-a]
    exposedHeaders: x-b
    credentials: 'true'
    maxAge: 600
  csp: {connectSrc: ["'self'"], img-src: data:, upgrade-insecure-requests: false, script-src: null}
  referrer: {policy: [no-referrer, same-origin]}
  lifecycle: {serverShutdownDelay: 5s, startupRequestPauseTimeout: 1s}
  server: {headersTimeout: 5000, requestTimeout: {minutes: 1}, keepAliveTimeout: 5s, timeout: 0, maxHeadersCount: 100}
  trustProxy: {a: b}
`))
	maxAge, delay := 600, 5*time.Second
	want := Backend{
		BaseURL: "http://localhost:7007", Listen: Listen{Port: 7007},
		CORS: &CORS{
			Origins: []string{"https://*.example.com", "http://localhost:3000"}, Methods: []string{"GET,POST"},
			AllowedHeaders: []string{"x-a"}, ExposedHeaders: []string{"x-b"}, Credentials: true, MaxAge: &maxAge, OptionsSuccessStatus: 204,
		},
		CSP:            map[string][]string{"connect-src": {"'self'"}, "img-src": {"data:"}, "upgrade-insecure-requests": nil},
		ReferrerPolicy: []string{"no-referrer", "same-origin"},
		Lifecycle:      Lifecycle{ServerShutdownDelay: &delay},
		Server: Server{
			HeadersTimeout: 5 * time.Second, RequestTimeout: time.Minute, KeepAliveTimeout: 5 * time.Second, MaxHeadersCount: 100,
		},
	}
	if diff := cmp.Diff(want, c.Backend); diff != "" {
		t.Error(diff)
	}
}

func TestBackendSectionProblems(t *testing.T) {
	tests := []struct{ yaml, want string }{
		{", csp: {a: true}", "app-config.yaml:2:54 backend.csp.a: want a string, found a boolean: put it in quotes"},
		{", csp: [a]", "app-config.yaml:2:50 backend.csp: want an object, found a list"},
		{", cors: {maxAge: x}", "app-config.yaml:2:60 backend.cors.maxAge: want a whole number"},
		{", cors: true", "app-config.yaml:2:51 backend.cors: want an object, found a boolean"},
		{", server: {timeout: soon}", "app-config.yaml:2:63 backend.server.timeout: " + errDurationForm.Error()},
		{", https: maybe", "app-config.yaml:2:52 backend.https: want true, false, or an object with a certificate, found a string"},
		{", https: true", "app-config.yaml:2:52 backend.https: want certificate.cert and certificate.key: a self-signed certificate is for development"},
		{", https: {certificate: {cert: a, key: b}}", "app-config.yaml:2:66 backend.https.certificate: want a certificate and its " +
			"private key, both in PEM, that belong together"},
		{", https: {}", "Missing required config value at 'backend.https.certificate.cert' in 'app-config.yaml'\n" +
			"Missing required config value at 'backend.https.certificate.key' in 'app-config.yaml'"},
	}
	for _, tt := range tests {
		t.Run(tt.yaml, func(t *testing.T) {
			if diff := cmp.Diff(strings.Split(tt.want, "\n"), problemsOf(t, with(tt.yaml, ""))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHTTPS(t *testing.T) {
	cert, key := keyPair(t)
	w := with(", https: {certificate: {cert: {$file: c.pem}, key: {$file: k.pem}}}", "")
	w.files["c.pem"], w.files["k.pem"] = cert, key
	got := mustLoad(t, w).Backend.HTTPS
	want := &HTTPS{Certificate: strings.TrimSpace(cert), Key: strings.TrimSpace(key)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := mustLoad(t, with(", https: true", "", "NODE_ENV=development")).Backend.HTTPS; got == nil || !got.SelfSigned {
		t.Errorf("development: got %+v, want a self-signed certificate", got)
	}
	if got := mustLoad(t, with(", https: false", "")).Backend.HTTPS; got != nil {
		t.Errorf("off: got %+v", got)
	}
}

// keyPair makes a certificate and its key, in PEM.
func keyPair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return cert, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

func TestDatabase(t *testing.T) {
	file := func(path string) Database { return Database{Client: SQLite, SQLite: SQLiteConnection{File: path}} }
	memory := Database{Client: SQLite, SQLite: SQLiteConnection{Memory: true}}
	tests := []struct {
		yaml string
		want Database
	}{
		{"null", file(".stagedoor/auth.sqlite")},
		{"{}", file(".stagedoor/auth.sqlite")},
		{"{client: sqlite}", file(".stagedoor/auth.sqlite")},
		{"{client: better-sqlite3, connection: ':memory:'}", memory},
		{"{client: sqlite3, connection: {filename: ':memory:'}}", memory},
		{"{client: better-sqlite3, connection: x.db}", file("x.db")},
		{"{client: better-sqlite3, connection: {filename: x.db}, useNullAsDefault: true}", file("x.db")},
		{"{client: better-sqlite3, connection: {directory: ../db}}", file("../db/auth.sqlite")},
		{"{client: pg, connection: {host: h}, plugin: {auth: {client: better-sqlite3}}}", file(".stagedoor/auth.sqlite")},
		{"{client: pg, connection: {filename: h}, plugin: {auth: {client: sqlite, connection: {directory: d}}}}", file("d/auth.sqlite")},
	}
	for _, tt := range tests {
		t.Run(tt.yaml, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, mustLoad(t, with(", database: "+tt.yaml, "")).Database); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDatabaseProblems(t *testing.T) {
	const connection = "backend.database.connection: "
	tests := []struct{ yaml, want string }{
		{"{client: mysql2}", "app-config.yaml:2:64 backend.database.client: want better-sqlite3 or pg"},
		{"{client: 5}", "app-config.yaml:2:64 backend.database.client: want better-sqlite3 or pg"},
		{"{client: sqlite, connection: {}}", "app-config.yaml:2:84 " + connection + "want :memory:, the name of a file, or an object with filename or directory"},
		{"{client: sqlite, connection: 5}", "app-config.yaml:2:84 " + connection + "want an object, found a number"},
		{"{client: sqlite, connection: {filename: 5}}", "app-config.yaml:2:95 " + connection[:len(connection)-2] + ".filename: want a string, found a number: put it in quotes"},
	}
	for _, tt := range tests {
		t.Run(tt.yaml, func(t *testing.T) {
			if got := problemsOf(t, with(", database: "+tt.yaml, "")); !cmp.Equal(got, []string{tt.want}) {
				t.Errorf("got  %v\nwant %s", got, tt.want)
			}
		})
	}
}

func TestAuth(t *testing.T) {
	w := one(minimal + `auth:
  environment: production
  session: {secret: [0123456789abcdef, fedcba9876543210], idle: P7D, refreshReuse: 0s}
  backstageTokenExpiration: {minutes: 20}
  identityTokenAlgorithm: EdDSA
  omitIdentityTokenOwnershipClaim: false
  keyStore:
    provider: static
    static:
      keys:
        - {publicKeyFile: a.pub, privateKeyFile: a.key, keyId: a}
        - {publicKeyFile: b.pub, privateKeyFile: b.key, keyId: b, algorithm: RS256}
  signingKeys: {rotation: 12h, publishAhead: 5m}
  experimentalExtraAllowedOrigins: ['https://*.example.com']
  catalog: {file: people/catalog.yaml, cache: 1m, token: a-token}
  devIdp: {enabled: true, people: people.yaml, algorithm: ES256}
`)
	w.env["NODE_ENV"] = "development"
	w.paths, w.files["conf/app.yaml"] = []string{"conf/app.yaml"}, w.files["app-config.yaml"]
	want := Auth{
		Environment: "production",
		Session:     Session{Secrets: []string{"0123456789abcdef", "fedcba9876543210"}, Idle: 168 * time.Hour},
		Algorithm:   "EdDSA", TokenExpiration: 20 * time.Minute,
		KeyStore: KeyStore{Provider: KeyStoreStatic, Static: []StaticKey{
			{PublicKeyFile: "a.pub", PrivateKeyFile: "a.key", KeyID: "a", Algorithm: "ES256"},
			{PublicKeyFile: "b.pub", PrivateKeyFile: "b.key", KeyID: "b", Algorithm: "RS256"},
		}},
		SigningKeys:  SigningKeys{Rotation: 12 * time.Hour, PublishAhead: 5 * time.Minute},
		ExtraOrigins: []string{"https://*.example.com"},
		CatalogFile:  "conf/people/catalog.yaml",
		CatalogCache: time.Minute,
		CatalogToken: "a-token",
		DevIDP:       DevIDP{Enabled: true, People: "conf/people.yaml", Algorithm: "ES256"},
	}
	if diff := cmp.Diff(want, mustLoad(t, w).Auth); diff != "" {
		t.Error(diff)
	}
}

func TestTokenExpirationIsClamped(t *testing.T) {
	tests := []struct {
		text string
		want time.Duration
	}{
		{"1m", 10 * time.Minute},
		{"11m", 11 * time.Minute},
		{"2 days", 24 * time.Hour},
	}
	for _, tt := range tests {
		if got := mustLoad(t, with("", "backstageTokenExpiration: "+tt.text)).Auth.TokenExpiration; got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.text, got, tt.want)
		}
	}
}

func TestPathsInIncludedAndOverridingSources(t *testing.T) {
	w := with("", "catalog: {$include: sub/catalog.yaml}", "APP_CONFIG_auth_devIdp_people=people.yaml")
	w.files["sub/catalog.yaml"] = "file: org.yaml\n"
	auth := mustLoad(t, w).Auth
	if auth.CatalogFile != "sub/org.yaml" || auth.DevIDP.People != "people.yaml" {
		t.Errorf("got %q and %q, want sub/org.yaml and people.yaml", auth.CatalogFile, auth.DevIDP.People)
	}
}

func TestAuthProblems(t *testing.T) {
	const at = "app-config.yaml:3:"
	tests := []struct{ yaml, want string }{
		{"session: {secret: short}", at + "26 auth.session.secret: want at least 16 bytes"},
		{"session: {secret: ''}", at + "26 auth.session.secret: want a string that is not empty"},
		{"session: {secret: [0123456789abcdef, short]}", at + "45 auth.session.secret[1]: want at least 16 bytes"},
		{"session: {idle: 1s}", at + "24 auth.session.idle: want a duration of at least a minute"},
		{"signingKeys: {rotation: 5m}", at + "32 auth.signingKeys.rotation: want a duration of at least 10 minutes"},
		{"signingKeys: {rotation: soon}", at + "32 auth.signingKeys.rotation: " + errDurationForm.Error()},
		{"signingKeys: {publishAhead: 5s}", at + "36 auth.signingKeys.publishAhead: want a duration of at least a minute"},
		{
			"signingKeys: {publishAhead: 24h}",
			at + "36 auth.signingKeys.publishAhead: want publishAhead (10 minutes by default) to be shorter than rotation (24 hours by default)",
		},
		{
			"signingKeys: {rotation: 10m}",
			at + "32 auth.signingKeys.rotation: want publishAhead (10 minutes by default) to be shorter than rotation (24 hours by default)",
		},
		{"keyStore: {provider: redis}", at + "29 auth.keyStore.provider: want one of database, memory, static"},
		{"keyStore: {provider: static}", at + "29 auth.keyStore.provider: want at least one key pair in auth.keyStore.static.keys"},
		{"keyStore: {provider: static, static: {keys: []}}", at + "52 auth.keyStore.static.keys: want at least one key pair in auth.keyStore.static.keys"},
		{"keyStore: {static: {keys: [{publicKeyFile: a, privateKeyFile: b}]}}", "Missing required config value at 'auth.keyStore.static.keys[0].keyId' in 'app-config.yaml'"},
		{"keyStore: {nodeTable: perhaps}", at + "30 auth.keyStore.nodeTable: want true or false"},
		{
			"keyStore: {provider: memory, nodeTable: true}",
			at + "48 auth.keyStore.nodeTable: want false, or database in auth.keyStore.provider: other keys are not shared through a table",
		},
		{"experimentalExtraAllowedOrigins: a", at + "41 auth.experimentalExtraAllowedOrigins: want a list, found a string"},
		{"catalog: {cache: 10}", at + "25 auth.catalog.cache: want a duration with a unit, such as 30s, 90m or 2 days"},
		{"catalog: {token: 'a b'}", at + "25 auth.catalog.token: want letters, digits and signs of ASCII, without white space"},
		{"catalog: {token: [a]}", at + "25 auth.catalog.token: want a string, found a list"},
		{"devIdp: {algorithm: none}", at + "28 auth.devIdp.algorithm: want one of RS256, ES256"},
	}
	for _, tt := range tests {
		t.Run(tt.yaml, func(t *testing.T) {
			if got := problemsOf(t, with("", tt.yaml)); !cmp.Equal(got, []string{tt.want}) {
				t.Errorf("got  %v\nwant %s", got, tt.want)
			}
		})
	}
}

func TestDevIDPNeedsDevelopment(t *testing.T) {
	const yaml = "app: {baseUrl: 'http://a'}\nbackend: {baseUrl: 'http://localhost:7007'}\nauth: {devIdp: {enabled: true}}\n"
	want := []string{"app-config.yaml:3:26 auth.devIdp.enabled: want false outside of development: anyone may sign in as anyone there"}
	if diff := cmp.Diff(want, problemsOf(t, one(yaml))); diff != "" {
		t.Error(diff)
	}
}

func TestOriginPatterns(t *testing.T) {
	for pattern, ok := range map[string]bool{
		"https://*.example.com": true, "http://localhost:*": true, "https://*": true, "*://portal.example": true, "http://[::1]:3000": true,
		"https://a.example/": false, "a.example": false, "null": false, "*": false, "**": false, "https://{a,b}.example": false,
		"https://[a-z].example": false, "/^https:.*/": false, "": false,
	} {
		_, err := Load(one("app: {baseUrl: 'http://a'}\nbackend: {baseUrl: 'http://a'}\nauth: {experimentalExtraAllowedOrigins: ['" + pattern + "']}\n").input())
		if (err == nil) != ok {
			t.Errorf("%q: %v", pattern, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "app-config.yaml:3:42 auth.experimentalExtraAllowedOrigins[0]: want") {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}

func TestDevIDPNeedsLoopback(t *testing.T) {
	tests := []struct {
		url  string
		want bool
	}{
		{"http://localhost:7007", true},
		{"http://portal.localhost", true},
		{"http://127.0.0.2:80", true},
		{"http://[::1]", true},
		{"http://example.com", false},
		{"http://localhost.example.com", false},
		{"http://10.0.0.1", false},
		{"http://0.0.0.0", false},
	}
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) {
			yaml := "app: {baseUrl: 'http://a'}\nbackend: {baseUrl: '" + tt.url + "'}\nauth: {devIdp: {enabled: true}}\n"
			_, err := Load(one(yaml, "NODE_ENV=development").input())
			if (err == nil) != tt.want {
				t.Fatalf("got %v, want success %v", err, tt.want)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "app-config.yaml:2:20 backend.baseUrl: want a loopback address") {
				t.Errorf("got %v", err)
			}
		})
	}
}
