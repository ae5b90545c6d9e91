package api

import (
	"net/http"
	"testing"

	"stagedoor/server/internal/api/apitest"
)

// TestAdministration: operators list and end sessions, and nobody else does.
func TestAdministration(t *testing.T) {
	b := setUp(t)
	list := "/api/auth/v1/sessions?userEntityRef=user:default/jane&provider=idp&limit=5&cursor=0e"
	tests := []struct {
		name, method, path, bearer string
		status                     int
		body                       string
	}{
		{"list", http.MethodGet, list, "admin", 200, `{"nextCursor":"0e","sessions":[{"createdAt":"0001-01-01T00:00:00Z","env":"",` +
			`"expiresAt":"0001-01-01T00:00:00Z","id":"0f","provider":"idp","refreshedAt":"0001-01-01T00:00:00Z",` +
			`"usedAt":"0001-01-01T00:00:00Z","userEntityRef":"user:default/jane"}]}`},
		{"list too much", http.MethodGet, "/api/auth/v1/sessions?limit=101", "admin", 400, ""},
		{"list, a user", http.MethodGet, list, "user", 403, ""},
		{"list, nobody", http.MethodGet, list, "", 401, ""},
		{"end all of a user", http.MethodDelete, "/api/auth/v1/sessions?userEntityRef=user:default/jane", "admin", 200, `{"ended":2}`},
		{"end all of nobody", http.MethodDelete, "/api/auth/v1/sessions", "admin", 400, ""},
		{"end all of a user, a user", http.MethodDelete, "/api/auth/v1/sessions?userEntityRef=user:default/jane", "user", 403, ""},
		{"end one", http.MethodDelete, "/api/auth/v1/sessions/0f", "admin", 204, ""},
		{"end one that is not there", http.MethodDelete, "/api/auth/v1/sessions/00", "admin", 404, ""},
		{"end one, nobody", http.MethodDelete, "/api/auth/v1/sessions/0f", "", 401, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := b.Send(tt.method, tt.path, apitest.Header("Authorization", "Bearer "+tt.bearer))
			if res.Status != tt.status || tt.body != "" && string(res.Body) != tt.body {
				t.Errorf("got %d %s", res.Status, res.Body)
			}
		})
	}
}

// TestBackchannelLogout: the token is in a form, and the answer is empty and kept by nobody.
func TestBackchannelLogout(t *testing.T) {
	b := setUp(t)
	const form = "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name, kind, body string
		status           int
	}{
		{"good", form, "logout_token=good", 200},
		{"bad", form, "logout_token=bad", 400},
		{"none", form, "x=y", 400},
		{"JSON", "application/json", `{"logout_token":"good"}`, 415},
		{"nothing", "", "", 400},
	} {
		res := b.Post("/api/auth/idp/backchannel-logout", apitest.Body(tt.kind, tt.body))
		if res.Status != tt.status || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s", tt.name, res.Status, res.Body)
		}
	}
}
