package main

import (
	"net/http"
	"strings"
	"testing"
)

// TestConfiguredDifferently: a server that is started on the database of one that was configured differently says so, key by key, and
// says nothing that is secret; nothing that is stored is lost by it.
func TestConfiguredDifferently(t *testing.T) {
	const first, second = "the first secret of this server", "the second secret of this server"
	with := func(secret, life string) settings {
		return settings{auth: "  session: {secret: " + secret + "}\n  backstageTokenExpiration: " + life}
	}
	d := deploy(t, with(first, "1h"))
	b := d.browser()
	b.signIn("jane.doe@example.com")
	const differs, sealed = "was configured differently", "sealed with a session secret that is not configured here"
	again := func(s settings) {
		t.Helper()
		d.shutdown()
		d.write("app-config.yaml", d.config(s))
		d.restart(s)
		if res := b.Get("/api/auth/.well-known/jwks.json"); res.Status != http.StatusOK {
			t.Fatalf("keys: %d", res.Status)
		}
	}
	again(with(first, "1h"))
	if d.logged(differs) != 0 || d.logged(sealed) != 0 {
		t.Fatalf("the same configuration is told of: %s", d.logs)
	}
	again(with(first, "2h"))
	if d.logged(differs) != 1 || d.logged(`"key":"auth.backstageTokenExpiration","before":"1h0m0s","now":"2h0m0s"`) != 1 {
		t.Errorf("another lifetime: %s", d.logs)
	}
	again(with("["+second+", "+first+"]", "2h"))
	if d.logged(sealed) != 0 {
		t.Errorf("the old secret is listed: %s", d.logs)
	}
	again(with(second, "2h"))
	again(with(first, "2h"))
	if d.logged(sealed) != 1 {
		t.Errorf("the sealing secret is not listed: %s", d.logs)
	}
	if res, s := b.refresh(""); res.Status != http.StatusOK || s.BackstageIdentity == nil {
		t.Errorf("the session of the first secret is lost: %d %s", res.Status, res.Body)
	}
	if strings.Contains(d.logs.String(), first) || strings.Contains(d.logs.String(), second) {
		t.Error("a secret is in the log")
	}
}
