package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/store/pgtest"
)

const (
	livenessPath  = "/.backstage/health/v1/liveness"
	readinessPath = "/.backstage/health/v1/readiness"
	keysPath      = "/api/auth/.well-known/jwks.json"
)

// onLine are the settings of a deployment that reaches a cluster through a line, without TLS, so that the line sees statements. The
// tables are in the schema auth of a database, or without a name in the database that is the plugin's own.
func onLine(c *pgtest.Cluster, l *faultLine, database string) settings {
	at := c.TCP("")
	name, division := "", "database"
	if database != "" {
		name, division = ", database: "+database, "schema"
	}
	return settings{
		auth: "  session: {secret: a-secret-of-the-tests, refreshReuse: 0s}",
		database: fmt.Sprintf("{client: pg, pluginDivisionMode: %s, connection: {host: 127.0.0.1, port: %s, user: %s, password: %s%s, ssl: false}}",
			division, l.port(), at["user"], at["password"], name),
	}
}

// TestPostgresAbsentAtStart is security R01: the server listens, lives and is not ready, says to everybody else when to come again, and
// becomes ready by itself.
func TestPostgresAbsentAtStart(t *testing.T) {
	c := pgtest.Start(t)
	for _, away := range []struct {
		name string
		from func(*faultLine)
		back func(*faultLine)
	}{
		{"refused", func(*faultLine) { c.Stop(t) }, func(*faultLine) { c.Restart(t) }},
		{"reset", func(l *faultLine) { l.set(lineState{cut: true}) }, func(l *faultLine) { l.set(lineState{}) }},
		{"silent", func(l *faultLine) { l.set(lineState{still: true}) }, func(l *faultLine) { l.set(lineState{}) }},
	} {
		t.Run(away.name, func(t *testing.T) {
			l := newFaultLine(t, "127.0.0.1:"+c.TCP("")["port"], statements)
			away.from(l)
			s := onLine(c, l, "")
			s.databaseAway = true
			d := deploy(t, s)
			b := d.browser()
			wantNotStarted(t, b)
			away.back(l)
			d.awaitLog(`"listening"`)
			if res := b.Get(readinessPath); res.Status != http.StatusOK {
				t.Errorf("readiness with the database: %d %s", res.Status, res.Body)
			}
			b.signIn("jane.doe@example.com")
			if at := c.TCP(""); strings.Contains(d.logs.String(), at["password"]) {
				t.Error("the log holds the password")
			}
		})
	}
}

func wantNotStarted(t *testing.T, b *browser) {
	t.Helper()
	if res := b.Get(livenessPath); res.Status != http.StatusOK {
		t.Errorf("liveness: %d %s", res.Status, res.Body)
	}
	if res := b.Get(readinessPath); res.Status != http.StatusServiceUnavailable || !strings.Contains(string(res.Body), "Backend has not started yet") {
		t.Errorf("readiness: %d %s", res.Status, res.Body)
	}
	for _, path := range []string{keysPath, "/api/auth/.well-known/openid-configuration", startPath(), "/api/auth/idp/refresh?optional"} {
		res := b.Get(path, apitest.Header("X-Requested-With", "XMLHttpRequest"))
		if e := failure(t, res); res.Status != http.StatusServiceUnavailable || e.Code != "starting" || res.Header.Get("Retry-After") == "" ||
			res.Header.Get("Cache-Control") != "no-store" || len(res.Cookies) > 0 {
			t.Errorf("%s: %d %+v %v", path, res.Status, e, res.Header)
		}
	}
}

// TestStoppedWhileWaiting: a server that waits for its database ends in order.
func TestStoppedWhileWaiting(t *testing.T) {
	c := pgtest.Shared(t)
	l := newFaultLine(t, "127.0.0.1:"+c.TCP("")["port"], nil)
	l.set(lineState{cut: true})
	s := onLine(c, l, "")
	s.databaseAway = true
	d := deploy(t, s)
	wantNotStarted(t, d.browser())
	d.shutdown()
	if !strings.Contains(d.logs.String(), "stopped while starting") {
		t.Errorf("log: %s", d.logs)
	}
}

// TestMistakesEndTheStart: what no waiting mends is said at once, and the process ends.
func TestMistakesEndTheStart(t *testing.T) {
	c := pgtest.Shared(t)
	newer := c.Database(t)
	c.Exec(t, newer, `create schema auth; create table auth.stagedoor_migrations (id serial, version_id bigint, is_applied bool, tstamp timestamp default now());
		insert into auth.stagedoor_migrations (version_id, is_applied) values (99, true)`)
	for _, tt := range []struct{ name, database, from, to, code string }{
		{"password", "", "password: " + c.TCP("")["password"], "password: wrong", "database_login"},
		{"TLS", "", "ssl: false", "ssl: {rejectUnauthorized: true}", "database_tls"},
		{"newer schema", newer, "", "", "database_newer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newFaultLine(t, "127.0.0.1:"+c.TCP("")["port"], nil)
			s := onLine(c, l, tt.database)
			s.database = strings.Replace(s.database, tt.from, tt.to, 1)
			s.databaseAway = true
			d := deploy(t, s)
			select {
			case err := <-d.done:
				if d.stop = nil; err == nil || !strings.Contains(err.Error(), tt.code) {
					t.Errorf("ended with %v, want %s", err, tt.code)
				}
			case <-time.After(30 * time.Second):
				t.Errorf("the server did not end: %s", d.logs)
			}
		})
	}
}
