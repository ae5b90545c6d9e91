package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/store/pgtest"
)

// onPostgres are the settings of a deployment on a cluster.
func onPostgres(c *pgtest.Cluster) settings {
	at := c.TCP("")
	return settings{
		auth: "  session: {secret: a-secret-of-the-tests, refreshReuse: 0s}",
		database: fmt.Sprintf("{client: pg, connection: {host: localhost, port: %s, user: %s, password: %s, ssl: {ca: %q}}}",
			at["port"], at["user"], at["password"], c.CA),
	}
}

// replica starts another server with the same configuration, and returns the browser as it is there.
func (d *deployment) replica(b *browser, s settings) *browser {
	d.t.Helper()
	ln := d.listen("127.0.0.1:0")
	other := &deployment{t: d.t, dir: d.dir, logs: &logBuffer{}, idp: d.idp, base: "http://" + ln.Addr().String()}
	other.start(ln, s)
	d.t.Cleanup(other.shutdown)
	return &browser{d: other, http: b.http, Client: apitest.NewClient(d.t, other.base, b.http)}
}

// TestReplicas has two servers share a PostgreSQL database: whatever one begins the other goes on with, and ends.
func TestReplicas(t *testing.T) {
	s := onPostgres(pgtest.Shared(t))
	d := deploy(t, s)
	b := d.browser()
	there := d.replica(b, s)
	const keys = "/api/auth/.well-known/jwks.json"
	if here, over := b.Get(keys), there.Get(keys); string(here.Body) != string(over.Body) {
		t.Errorf("the key sets differ:\n%s\n%s", here.Body, over.Body)
	}
	callback := strings.TrimPrefix(b.toCallback("jane.doe@example.com"), d.base)
	if m := posted(t, there.Get(callback)); m.Error.Name != "" {
		t.Fatalf("sign-in at the other: %+v", m.Error)
	}
	for _, at := range []*browser{b, there, b} {
		if res, got := at.refresh(""); res.Status != http.StatusOK || got.BackstageIdentity == nil {
			t.Errorf("refresh: %d %s", res.Status, res.Body)
		}
	}
	if m := posted(t, b.Get(callback)); m.Error.Name == "" {
		t.Error("the callback counted twice")
	}
	cookie := b.cookie("backstage-auth")
	b.logout()
	res := there.Get("/api/auth/idp/refresh?env=development", apitest.Header("X-Requested-With", "XMLHttpRequest"), apitest.Header("Cookie", "backstage-auth="+cookie))
	if res.Status != http.StatusUnauthorized {
		t.Errorf("refresh after sign-out at the other: %d %s", res.Status, res.Body)
	}
}

// TestPostgresGone is security R02: the server goes away and comes back. Keys are still served, whoever needs the database is told, no
// cookie is lost, and nobody has to start anything.
func TestPostgresGone(t *testing.T) {
	c := pgtest.Start(t)
	d := deploy(t, onPostgres(c))
	b := d.browser()
	b.signIn("jane.doe@example.com")
	callback := b.toCallback("jane.doe@example.com")
	const readiness = "/.backstage/health/v1/readiness"
	if res := b.Get(readiness); res.Status != http.StatusOK {
		t.Errorf("readiness before: %d", res.Status)
	}
	c.Kill(t)
	for path, want := range map[string]int{
		"/api/auth/.well-known/jwks.json": http.StatusOK, "/api/auth/.well-known/openid-configuration": http.StatusOK,
		"/.backstage/health/v1/liveness": http.StatusOK, readiness: http.StatusOK, // or nobody could fetch the keys
	} {
		if res := b.Get(path); res.Status != want {
			t.Errorf("%s: %d, want %d", path, res.Status, want)
		}
	}
	wantError(t, posted(t, b.follow(callback)).Error, "store_unavailable", "ServiceUnavailableError", "The session store is not available")
	res, _ := b.refresh("")
	if e := failure(t, res); res.Status != http.StatusServiceUnavailable || e.Code != "store_unavailable" || b.cookie("backstage-auth") == "" || res.Header.Get("Retry-After") == "" {
		t.Errorf("refresh: %d %+v", res.Status, e)
	}
	c.Restart(t)
	if res, s := b.refresh(""); res.Status != http.StatusOK || s.BackstageIdentity == nil {
		t.Errorf("refresh after the fault: %d %s", res.Status, res.Body)
	}
	if m := posted(t, b.follow(callback)); m.Error.Name != "" {
		t.Errorf("the same callback after the fault: %+v", m.Error)
	}
	if res := b.Get(readiness); res.Status != http.StatusOK {
		t.Errorf("readiness after: %d", res.Status)
	}
	if at := c.TCP(""); strings.Contains(d.logs.String(), at["password"]) {
		t.Error("the log holds the password")
	}
}

// TestReloadWithoutPostgres: what changes while the database is away is in force when it is back, though no file changes any more.
func TestReloadWithoutPostgres(t *testing.T) {
	c := pgtest.Start(t)
	d := deploy(t, onPostgres(c))
	b := d.browser()
	b.signIn("jane.doe@example.com")
	c.Kill(t)
	d.replace("guest: {}", "guest: {userEntityRef: user:default/somebody}")
	d.look()
	if d.logged(inForce) != 0 || d.logged("the changed configuration cannot be used") != 1 {
		t.Errorf("log: %s", d.logs)
	}
	c.Restart(t)
	d.look()
	if res := b.Post("/api/auth/guest/refresh"); d.logged(inForce) != 1 || !strings.Contains(string(res.Body), "user:default/somebody") {
		t.Errorf("afterwards: %d %s, log: %s", res.Status, res.Body, d.logs)
	}
}
