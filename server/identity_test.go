package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/catalog/catalogtest"
	"stagedoor/server/internal/devidp"
	"stagedoor/tokens"
)

// withCatalog deploys a server that asks a catalog by its REST API, found by discovery, which checks our plugin tokens as the real
// one does: by coming back for the keys.
func withCatalog(t *testing.T, s settings) (*deployment, *catalogtest.Server) {
	t.Helper()
	c := catalogtest.Start(t, string(devidp.Catalog()))
	s.catalog = "{cache: 0s}"
	s.top += "discovery: {endpoints: [{target: '" + c.URL + "', plugins: [catalog]}]}\n"
	d := deploy(t, s)
	check := catalogtest.PluginTokens{Base: d.base + "/api/auth", HTTP: http.DefaultClient, Now: time.Now}
	c.CheckTokens(check.Check)
	return d, c
}

// TestCatalogByREST is the look-up of a sign-in on the wire, with our own plugin token (contract/core.md S8, T26, T27).
func TestCatalogByREST(t *testing.T) {
	d, c := withCatalog(t, settings{})
	b := d.browser()
	s := b.signIn("jane.doe@example.com")
	if s.BackstageIdentity.Identity.UserEntityRef != "user:default/jane.doe" || len(s.BackstageIdentity.Identity.OwnershipEntityRefs) != 2 {
		t.Errorf("identity %+v", s.BackstageIdentity.Identity)
	}
	calls := c.Calls()
	if len(calls) != 1 || calls[0].Method != http.MethodGet || calls[0].URI != "/api/catalog/entities?filter=spec.profile.email%3Djane.doe%40example.com%2Ckind%3Duser" {
		t.Errorf("calls %+v", calls)
	}
	if !strings.Contains(d.logs.String(), "plugin tokens of our own") {
		t.Error("the log does not say which credential is used")
	}
	if res := b.Get("/api/auth/.backstage/auth/v1/jwks.json"); res.Status != http.StatusOK || !strings.Contains(string(res.Body), `"ES256"`) {
		t.Errorf("plugin keys: %d %s", res.Status, res.Body)
	}
}

func TestCatalogByStaticToken(t *testing.T) {
	c := catalogtest.Start(t, string(devidp.Catalog()))
	d := deploy(t, settings{
		catalog: "{token: a-static-token}", top: "discovery: {endpoints: [{target: '" + c.URL + "', plugins: [catalog]}]}\n",
	})
	d.browser().signIn("jane.doe@example.com")
	if calls := c.Calls(); len(calls) != 1 || calls[0].Authorization != "Bearer a-static-token" {
		t.Errorf("calls %+v", calls)
	}
	if log := d.logs.String(); !strings.Contains(log, "auth.catalog.token") || strings.Contains(log, "a-static-token") {
		t.Error("the log does not name the credential, or holds it")
	}
}

// TestCatalogTrouble is security D08: four troubles, four codes; nobody's session suffers from a catalog that cannot answer.
func TestCatalogTrouble(t *testing.T) {
	d, c := withCatalog(t, settings{auth: "  session: {refreshReuse: 10m}"})
	b := d.browser()
	b.signIn("jane.doe@example.com")
	for _, tt := range []struct {
		name  string
		fault catalogtest.Fault
		code  string
	}{
		{"down", catalogtest.Down(), "catalog_unavailable"},
		{"500", catalogtest.Status(500), "catalog_unavailable"},
		{"401", catalogtest.Status(401), "catalog_refused"},
		{"garbage", catalogtest.Garbage(), "catalog_unavailable"},
		{"two hits", catalogtest.Twins(), "catalog_ambiguous"},
	} {
		c.Fail(tt.fault)
		res, _ := b.refresh("")
		if e := failure(t, res); res.Status != http.StatusUnauthorized || e.Code != tt.code || b.cookie("backstage-auth") == "" {
			t.Errorf("%s: %d %+v", tt.name, res.Status, e)
		}
		other := d.browser()
		if m := posted(t, other.follow(other.toCallback("jane.doe@example.com"))); m.Error.Code != tt.code {
			t.Errorf("%s, sign-in: %+v", tt.name, m.Error)
		}
		c.Fail(nil)
		if res, s := b.refresh(""); res.Status != http.StatusOK || s.BackstageIdentity == nil {
			t.Errorf("after %s: %d %s", tt.name, res.Status, res.Body)
		}
	}
	c.Set(t, "kind: User\nmetadata: {name: somebody.else}\n")
	res, _ := b.refresh("")
	if e := failure(t, res); e.Code != "no_catalog_user" || b.cookie("backstage-auth") != "" {
		t.Errorf("user removed: %+v", e)
	}
}

const adminAccess = `  auth:
    externalAccess:
      - {type: static, options: {token: the-operators-token, subject: ops}, accessRestrictions: [{plugin: auth, permission: stagedoor.admin}]}
      - {type: static, options: {token: another-token-of-some-plugin, subject: other}}
      - {type: static, options: {token: a-token-for-the-catalog, subject: third}, accessRestrictions: [{plugin: catalog}]}`

// TestAttemptIsExplained: the operator reads under the id that the user saw what every resolver said, with values masked.
func TestAttemptIsExplained(t *testing.T) {
	d := deploy(t, settings{
		backend:   adminAccess,
		resolvers: "[{resolver: emailLocalPartMatchingUserEntityName, allowedDomains: [example.com]}, {resolver: emailMatchingUserEntityProfileEmail}]",
	})
	b := d.browser()
	m := posted(t, b.follow(b.toCallback("unknown@example.com")))
	path := "/api/auth/v1/attempts/" + m.Error.AttemptID
	res := b.Get(path, apitest.Header("Authorization", "Bearer the-operators-token"))
	var a struct {
		Code, Advice, Provider, Env, What string
		Steps                             []struct{ Name, Lookup, Outcome, Code string }
	}
	if err := json.Unmarshal(res.Body, &a); err != nil || res.Status != http.StatusOK {
		t.Fatalf("%d %s", res.Status, res.Body)
	}
	if a.Code != "no_catalog_user" || a.Provider != "idp" || a.Env != "development" || a.What != "sign-in" || a.Advice == "" || len(a.Steps) != 2 ||
		a.Steps[0].Name != "emailLocalPartMatchingUserEntityName" || a.Steps[1].Outcome != "no user found" || !strings.Contains(a.Steps[1].Lookup, "spec.profile.email") {
		t.Errorf("attempt %s", res.Body)
	}
	if strings.Contains(string(res.Body), "unknown@example.com") {
		t.Errorf("a value is not masked: %s", res.Body)
	}
	jane := d.browser().signIn("jane.doe@example.com").BackstageIdentity.Token
	for bearer, status := range map[string]int{
		"": http.StatusUnauthorized, "junk": http.StatusUnauthorized, "another-token-of-some-plugin": http.StatusForbidden,
		"a-token-for-the-catalog": http.StatusForbidden, jane: http.StatusForbidden,
	} {
		if res := b.Get(path, apitest.Header("Authorization", "Bearer "+bearer)); res.Status != status {
			t.Errorf("%.20q: %d %s", bearer, res.Status, res.Body)
		}
	}
	if res := b.Get("/api/auth/v1/attempts/nosuch", apitest.Header("Authorization", "Bearer the-operators-token")); res.Status != http.StatusNotFound {
		t.Errorf("unknown attempt: %d", res.Status)
	}
}

// TestFrameworkRoutes is contract/core.md R18, R22 to R25 through the whole server.
func TestFrameworkRoutes(t *testing.T) {
	d := deploy(t, settings{backend: adminAccess})
	b := d.browser()
	token := b.signIn("jane.doe@example.com").BackstageIdentity.Token
	const cookie = "/api/auth/.backstage/auth/v1/cookie"
	res := b.Get(cookie, apitest.Header("Authorization", "Bearer "+token))
	limited, err := tokens.LimitedToken(token)
	if err != nil {
		t.Fatal(err)
	}
	if res.Status != http.StatusOK || len(res.Cookies) != 1 || res.Cookies[0].Value != limited || res.Cookies[0].Path != "/" || !strings.Contains(res.Header.Get("Set-Cookie"), "Priority=High") {
		t.Errorf("cookie: %d %s %v", res.Status, res.Body, res.Header)
	}
	// Both cookies of the name now come to the provider's routes, and ours is still the one that counts.
	if res, s := b.refresh(""); res.Status != http.StatusOK || s.BackstageIdentity == nil {
		t.Errorf("refresh: %d %s", res.Status, res.Body)
	}
	for _, tt := range []struct {
		name, method, path, bearer string
		status                     int
	}{
		{"cookie without a token", http.MethodGet, cookie, "", http.StatusUnauthorized},
		{"cookie for a limited token", http.MethodGet, cookie, limited, http.StatusUnauthorized},
		{"cookie for a service", http.MethodGet, cookie, "another-token-of-some-plugin", http.StatusForbidden},
		{"cookie for junk", http.MethodGet, cookie, "junk", http.StatusUnauthorized},
		{"clearing", http.MethodDelete, cookie, "", http.StatusNoContent},
		{"user info of a user", http.MethodGet, "/api/auth/v1/userinfo", token, http.StatusOK},
		{"user info of a limited token", http.MethodGet, "/api/auth/v1/userinfo", limited, http.StatusOK},
		{"user info of a service", http.MethodGet, "/api/auth/v1/userinfo", "another-token-of-some-plugin", http.StatusBadRequest},
		{"user info elsewhere", http.MethodGet, "/api/auth/v1/userinfo", "a-token-for-the-catalog", http.StatusForbidden},
	} {
		if res := b.Send(tt.method, tt.path, apitest.Header("Authorization", "Bearer "+tt.bearer)); res.Status != tt.status {
			t.Errorf("%s: %d %s", tt.name, res.Status, res.Body)
		}
	}
}

// TestRuleSignsIn: a rule instead of a module, through the whole server.
func TestRuleSignsIn(t *testing.T) {
	d := deploy(t, settings{resolvers: `[{resolver: rule, when: 'claims.sub == "nobody"', user: {ref: '"user:default/x"'}}, ` +
		`{resolver: rule, user: {filter: {spec.profile.email: profile.email}}, ownership: '["group:default/" + provider.id]'}]`})
	b := d.browser()
	s := b.signIn("jane.doe@example.com")
	own := strings.Join(s.BackstageIdentity.Identity.OwnershipEntityRefs, " ")
	if own != "user:default/jane.doe group:default/team-a group:default/idp" {
		t.Errorf("ownership %s", own)
	}
	info := b.Get("/api/auth/v1/userinfo", apitest.Header("Authorization", "Bearer "+s.BackstageIdentity.Token))
	if !strings.Contains(string(info.Body), "group:default/idp") {
		t.Errorf("user info %s", info.Body)
	}
	if res, s := b.refresh(""); res.Status != http.StatusOK || len(s.BackstageIdentity.Identity.OwnershipEntityRefs) != 3 {
		t.Errorf("refresh: %d %s", res.Status, res.Body)
	}
}

// TestAdmission: who is not admitted never reaches the catalog.
func TestAdmission(t *testing.T) {
	d, c := withCatalog(t, settings{})
	text, err := os.ReadFile(filepath.Join(d.dir, "app-config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	d.write("app-config.yaml", strings.Replace(string(text), "signIn: {", "signIn: {admission: {emailDomains: [other.example]}, ", 1))
	d.restart(settings{})
	b := d.browser()
	m := posted(t, b.follow(b.toCallback("jane.doe@example.com")))
	if m.Error.Code != "admission_domain" || len(c.Calls()) != 0 {
		t.Errorf("got %+v, %d calls of the catalog", m.Error, len(c.Calls()))
	}
}

// TestExplain: the six most frequent mistakes, each with a line that says what to change, and an exit code that says which.
func TestExplain(t *testing.T) {
	const people = `
kind: User
metadata: {name: jane, annotations: {example.com/id: "Abc"}}
spec: {profile: {email: jane@example.com}}
---
kind: User
metadata: {name: twin1}
spec: {profile: {email: twin@example.com}}
---
kind: User
metadata: {name: twin2}
spec: {profile: {email: twin@example.com}}
`
	jane := map[string]any{"sub": "1", "email": "jane@example.com", "email_verified": true}
	with := func(key string, value any) map[string]any {
		m := map[string]any{}
		for k, v := range jane {
			m[k] = v
		}
		m[key] = value
		return m
	}
	const byEmail = "[{resolver: emailMatchingUserEntityProfileEmail}]"
	for _, tt := range []struct {
		name, resolvers string
		claims          map[string]any
		exit            int
		want            []string
	}{
		{"signed in", byEmail, jane, exitSignedIn, []string{"signed in as user:default/jane", "one user found"}},
		{"no such user", byEmail, with("email", "nobody@example.com"), exitRefused, []string{"no_catalog_user", "no user found", "what to change: No resolver found a user"}},
		{"not verified", byEmail, with("email_verified", false), exitRefused, []string{"email_missing", "what to change: The provider gave no verified email"}},
		{"wrong annotation", `[{resolver: rule, user: {annotations: {example.com/ID2: claims.sub}}}]`, jane, exitRefused, []string{"metadata.annotations.example.com/ID2", "what to change"}},
		{"two users", byEmail, with("email", "twin@example.com"), exitRefused, []string{"catalog_ambiguous", "Remove the duplicate"}},
		{"domain", "[{resolver: emailMatchingUserEntityProfileEmail, allowedDomains: [other.example]}]", jane, exitRefused, []string{"email_domain", "allowedDomains"}},
		{"no resolver", "[]", jane, exitRefused, []string{"no_resolver", "signIn.resolvers"}},
		{"rule denies", `[{resolver: rule, deny: '"contractors use the other portal"', user: {ref: '"user:default/jane"'}}]`, jane, exitRefused, []string{"rule_denied", "contractors use the other portal"}},
		{"rule fails", `[{resolver: rule, user: {ref: claims.nosuch}}]`, jane, exitRefused, []string{"rule_failed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, text string) string {
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			claims, err := json.Marshal(tt.claims)
			if err != nil {
				t.Fatal(err)
			}
			file := write("people.yaml", people)
			config := write("app-config.yaml", "app: {baseUrl: http://localhost:3000}\nbackend: {baseUrl: http://localhost:7007, database: {client: better-sqlite3, connection: ':memory:'}}\n"+
				"auth: {catalog: {file: '"+file+"'}, providers: {idp: {development: {metadataUrl: 'https://idp.example', clientId: x, signIn: {resolvers: "+tt.resolvers+"}}}}}\n")
			for _, show := range []bool{false, true} {
				args := []string{"--config", config, "--provider", "idp", "--claims", write("claims.json", string(claims))}
				if show {
					args = append(args, "--show-values")
				}
				var out bytes.Buffer
				if exit := runExplain(t.Context(), args, &out, os.Stderr); exit != tt.exit {
					t.Errorf("exit %d, want %d: %s", exit, tt.exit, &out)
				}
				for _, want := range tt.want {
					if !strings.Contains(out.String(), want) {
						t.Errorf("output lacks %q:\n%s", want, &out)
					}
				}
				if email, _ := tt.claims["email"].(string); !show && strings.Contains(out.String(), email) {
					t.Errorf("a value is not masked:\n%s", &out)
				}
			}
		})
	}
}

// TestExplainVendor: the answer of a vendor's own API is read as a sign-in reads it, without an id_token that the vendor never sends.
func TestExplainVendor(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"people.yaml": "kind: User\nmetadata: {name: jane}\n",
		"app-config.yaml": "app: {baseUrl: http://localhost:3000}\nbackend: {baseUrl: http://localhost:7007, database: {client: better-sqlite3, connection: ':memory:'}}\n" +
			"auth: {catalog: {file: people.yaml}, providers: {github: {development: {clientId: x, clientSecret: y, signIn: {resolvers: [{resolver: usernameMatchingUserEntityName}]}}}}}\n",
		"user.json": `{"id": 1, "login": "jane"}`, "nobody.json": `{"login": "jane"}`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]struct {
		exit int
		text string
	}{
		"user.json": {exitSignedIn, "signed in as user:default/jane"}, "nobody.json": {exitRefused, "userinfo_invalid"},
	} {
		var out bytes.Buffer
		exit := runExplain(t.Context(), []string{"--provider", "github", "--userinfo", file}, &out, os.Stderr)
		if exit != want.exit || !strings.Contains(out.String(), want.text) || strings.Contains(out.String(), "saw claims.") {
			t.Errorf("%s: exit %d:\n%s", file, exit, &out)
		}
	}
}

func TestExplainArguments(t *testing.T) {
	for _, args := range [][]string{{}, {"--provider", "x"}, {"--provider", "x", "--claims", "/nonexistent"}, {"--nosuch"}, {"--provider", "x", "--claims", os.DevNull}} {
		if exit := runExplain(t.Context(), args, &bytes.Buffer{}, os.Stderr); exit != 2 {
			t.Errorf("%v: exit %d", args, exit)
		}
	}
}

// TestOwnAddress: the address that discovery gives the auth plugin is what browsers and verifiers see of us.
func TestOwnAddress(t *testing.T) {
	d := deploy(t, settings{top: "discovery: {endpoints: [{target: 'https://auth.example/login', plugins: [auth]}]}\n"})
	b := d.browser()
	start := b.Get(startPath())
	u, err := url.Parse(start.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	if got := u.Query().Get("redirect_uri"); got != "https://auth.example/login/idp/handler/frame" {
		t.Errorf("redirect_uri %s", got)
	}
	if c := start.Cookies[0]; c.Path != "/login/idp/handler" || !c.Secure {
		t.Errorf("cookie %v", c)
	}
	if res := b.Get("/api/auth/.well-known/openid-configuration"); !strings.Contains(string(res.Body), `"issuer":"https://auth.example/login"`) {
		t.Errorf("discovery %s", res.Body)
	}
}
