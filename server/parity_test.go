package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/devidp"
)

// parityConfig is how the Backstage was set up that the cases were recorded from, in production mode. refreshReuse makes every
// refresh one of the provider's, as there.
const parityConfig = `
app: {baseUrl: %APP%}
backend:
  baseUrl: %BASE%
  database: {client: better-sqlite3, connection: {directory: "%DIR%"}}
  lifecycle: {serverShutdownDelay: 0s}
  cors: {origin: %APP%, methods: [GET, HEAD, PATCH, POST, PUT, DELETE], credentials: true}
  csp: {connect-src: ["'self'", "http:", "https:"]}
auth:
  environment: development
  session: {refreshReuse: 0s}
  experimentalExtraAllowedOrigins: ["http://*.allowed.example:3000"]
  catalog: {file: "%DIR%/people.yaml"}
  providers:
    guest: {dangerouslyAllowOutsideDevelopment: true}
    oidc:
      development:
        metadataUrl: %IDP%/.well-known/openid-configuration
        clientId: backstage
        clientSecret: a client secret of the tests
        prompt: auto
        signIn: {resolvers: [{resolver: emailMatchingUserEntityProfileEmail}]}
    oauth2:
      development:
        authorizationUrl: %IDP%/authorize
        tokenUrl: %IDP%/oauth/token
        userInfoUrl: %IDP%/userinfo
        clientId: backstage
        clientSecret: a client secret of the tests
        signIn: {resolvers: [{resolver: emailMatchingUserEntityProfileEmail}]}
    github:
      development:
        enterpriseInstanceUrl: %GITHUB%/gh
        clientId: gh-client
        clientSecret: a client secret of the tests
        signIn: {resolvers: [{resolver: usernameMatchingUserEntityName}]}
`

const parityCatalog = `
kind: User
metadata: {name: jane.doe}
spec: {profile: {displayName: Jane Doe, email: jane.doe@example.com}, memberOf: [team-a, admins]}
---
kind: User
metadata: {name: jane-gh}
spec: {profile: {displayName: Jane Hub}, memberOf: [team-b]}
`

// TestParity replays what was recorded from the real Backstage. A case is a txtar file: a comment that says what was recorded,
// the differences that we want, and a step for each request; see parityStep.
func TestParity(t *testing.T) {
	cases := parityCases(t)
	d, github := deployParity(t)
	for _, name := range recordedCases {
		t.Run(name, func(t *testing.T) { newReplay(t, d, github).run(cases[name]) })
	}
}

// recordedCases are the conversations with the providers that we have.
var recordedCases = []string{
	"01-oidc-flow", "10-oidc-flow-denied", "15-oidc-flow-redirect", "16-oidc-flow-redirect-denied", "21-oauth2-flow",
	"22-github-flow", "23-github-flow-forever", "26-guest", "27-well-known", "28-userinfo", "30-err-unknown-provider", "32-err-wrong-method", "33-err-start", "34-err-frame", "38-err-refresh",
	"39-err-logout", "40-cors",
}

// parityCases reads all cases; one that is missing or that nobody expects fails the test.
func parityCases(t *testing.T) map[string]parityCase {
	t.Helper()
	entries, err := os.ReadDir("testdata/parity")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]parityCase{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join("testdata/parity", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(e.Name(), ".txtar")
		if cases[name], err = parseParityCase(text); err != nil {
			t.Errorf("%s: %v", e.Name(), err)
		}
	}
	for _, name := range recordedCases {
		if _, ok := cases[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	if len(cases) != len(recordedCases) {
		t.Errorf("%d cases, want those of %v", len(cases), recordedCases)
	}
	return cases
}

// deployParity starts a provider, a GitHub and a server with parityConfig.
func deployParity(t *testing.T) (_ *deployment, github string) {
	t.Helper()
	github = startParityGitHub(t)
	d := &deployment{t: t, dir: t.TempDir(), logs: &logBuffer{}}
	d.write("people.yaml", parityCatalog)
	ln := d.listen("127.0.0.1:0")
	d.base = "http://" + ln.Addr().String()
	s := settings{production: true, idp: func(o *devidp.Options) {
		o.Algorithm = devidp.RS256
		o.Clients[0].ID, o.Clients[0].RedirectURIs = "backstage", []string{
			d.base + "/api/auth/oidc/handler/frame", d.base + "/api/auth/oauth2/handler/frame",
		}
		o.People = []devidp.Person{{
			Subject: "jane-doe", Name: "Jane Doe", Email: "jane.doe@example.com", EmailVerified: true,
			Picture: "http://localhost:9400/picture/jane.doe.png",
		}}
	}}
	d.startProvider(s)
	d.write("app-config.yaml", strings.NewReplacer("%APP%", appOrigin, "%BASE%", d.base, "%DIR%", d.dir, "%IDP%", d.idp.Issuer(),
		"%GITHUB%", github).Replace(parityConfig))
	d.start(ln, s)
	t.Cleanup(d.shutdown)
	return d, github
}

// newReplay is a caller without a cookie jar: every step says what it sends.
func newReplay(t *testing.T, d *deployment, github string) *replay {
	t.Helper()
	// A bound that only a broken test reaches; nothing is asserted about it.
	client := apitest.NewClient(t, d.base, &http.Client{Timeout: time.Minute})
	return &replay{t: t, client: client, base: d.base, kept: map[string]string{
		"base": d.base, "app": appOrigin, "idp": d.idp.Issuer(), "github": github,
	}}
}
