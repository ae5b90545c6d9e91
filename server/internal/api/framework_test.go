package api

import (
	"net/http"
	"strings"
	"testing"

	"stagedoor/server/internal/api/apitest"
)

func TestPluginJwks(t *testing.T) {
	b := setUp(t)
	res := b.Get("/api/auth/.backstage/auth/v1/jwks.json")
	if res.Status != http.StatusOK || string(res.Body) != string(keySet.Body) || res.Header.Get("ETag") != keySet.ETag {
		t.Errorf("got %d %s", res.Status, res.Body)
	}
	if res := b.Get("/api/auth/.backstage/auth/v1/jwks.json", apitest.Header("If-None-Match", keySet.ETag)); res.Status != http.StatusNotModified {
		t.Errorf("conditional: %d", res.Status)
	}
}

// TestUserCookie is contract/core.md R22 to R25 on the wire; who gets one is the caller room's business.
func TestUserCookie(t *testing.T) {
	b := setUp(t)
	user := apitest.Header("Authorization", "Bearer user")
	res := b.Get("/api/auth/.backstage/auth/v1/cookie", user)
	if res.Status != http.StatusOK || string(res.Body) != `{"expiresAt":"2026-01-02T12:00:00.000Z"}` ||
		res.Header.Get("Set-Cookie") != "backstage-auth=new; Path=/; Priority=High" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %s %v", res.Status, res.Body, res.Header)
	}
	res = b.Get("/api/auth/.backstage/auth/v1/cookie", user, apitest.Header("Cookie", "backstage-auth=good"))
	if res.Status != http.StatusOK || len(res.Header.Values("Set-Cookie")) != 0 {
		t.Errorf("with a good cookie: %d %v", res.Status, res.Header)
	}
	if res := b.Get("/api/auth/.backstage/auth/v1/cookie"); res.Status != http.StatusUnauthorized || len(res.Header.Values("Set-Cookie")) != 0 {
		t.Errorf("without a token: %d %s", res.Status, res.Body)
	}
	res = b.Send(http.MethodDelete, "/api/auth/.backstage/auth/v1/cookie")
	if res.Status != http.StatusNoContent || len(res.Body) != 0 || !strings.Contains(res.Header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("clear: %d %s %v", res.Status, res.Body, res.Header)
	}
}

func TestAttempt(t *testing.T) {
	b := setUp(t)
	admin := apitest.Header("Authorization", "Bearer admin")
	res := b.Get("/api/auth/v1/attempts/abc", admin)
	want := `{"advice":"look","attemptId":"abc","code":"no_catalog_user","env":"development","message":"nobody","provider":"idp",` +
		`"steps":[{"code":"no_catalog_user","lookup":"j…","name":"byEmail","outcome":"no user found"}],"time":"2026-01-02T12:00:00Z","what":"sign-in"}`
	if res.Status != http.StatusOK || string(res.Body) != want || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %s", res.Status, res.Body)
	}
	for name, tt := range map[string]struct {
		path   string
		edit   func(*http.Request)
		status int
	}{
		"unknown": {"/api/auth/v1/attempts/nosuch", admin, http.StatusNotFound},
		"a user":  {"/api/auth/v1/attempts/abc", apitest.Header("Authorization", "Bearer user"), http.StatusForbidden},
		"nobody":  {"/api/auth/v1/attempts/abc", apitest.Header("Authorization", ""), http.StatusUnauthorized},
	} {
		if res := b.Get(tt.path, tt.edit); res.Status != tt.status {
			t.Errorf("%s: %d %s", name, res.Status, res.Body)
		}
	}
}
