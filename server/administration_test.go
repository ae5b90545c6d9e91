package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"stagedoor/server/internal/api/apitest"
)

const operator = "Bearer the-operators-token"

// sessionPage is an answer of GET /v1/sessions.
type sessionPage struct {
	Sessions []struct{ ID, Provider, Env, UserEntityRef, UsedAt string }
}

// sessionsOf lists a user's sessions as an operator.
func (b *browser) sessionsOf(user string) sessionPage {
	b.d.t.Helper()
	res := b.Get("/api/auth/v1/sessions?userEntityRef="+url.QueryEscape(user), apitest.Header("Authorization", operator))
	var page sessionPage
	if err := json.Unmarshal(res.Body, &page); err != nil || res.Status != http.StatusOK {
		b.d.t.Fatalf("list: %d %s", res.Status, res.Body)
	}
	return page
}

// TestOperatorEndsSessions: what an operator ends is over at the next refresh, and revoked at the provider; nobody else may.
func TestOperatorEndsSessions(t *testing.T) {
	d := deploy(t, settings{backend: adminAccess, auth: "  session: {refreshReuse: 0s}"})
	jane, janesPhone, john := d.browser(), d.browser(), d.browser()
	user := jane.signIn("jane.doe@example.com").BackstageIdentity.Identity.UserEntityRef
	janesPhone.signIn("jane.doe@example.com")
	john.signIn("john.roe@example.com")

	page := john.sessionsOf(user)
	if len(page.Sessions) != 2 || page.Sessions[0].Provider != "idp" || page.Sessions[0].Env != "development" || page.Sessions[0].UserEntityRef != user {
		t.Fatalf("listed %+v", page)
	}
	one := "/api/auth/v1/sessions/" + page.Sessions[0].ID
	if res := john.Send(http.MethodDelete, one); res.Status != http.StatusUnauthorized {
		t.Errorf("nobody: %d", res.Status)
	}
	if res := john.Send(http.MethodDelete, one, apitest.Header("Authorization", operator)); res.Status != http.StatusNoContent {
		t.Errorf("end one: %d %s", res.Status, res.Body)
	}
	all := "/api/auth/v1/sessions?userEntityRef=" + url.QueryEscape(strings.ToUpper(user))
	if res := john.Send(http.MethodDelete, all, apitest.Header("Authorization", operator)); strings.TrimSpace(string(res.Body)) != `{"ended":1}` {
		t.Errorf("end the rest: %d %s", res.Status, res.Body)
	}
	for name, b := range map[string]*browser{"laptop": jane, "phone": janesPhone} {
		res, _ := b.refresh("")
		if e := failure(t, res); e.Code != "session_unknown" || b.cookie("backstage-auth") != "" {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if res, s := john.refresh(""); res.Status != http.StatusOK || s.BackstageIdentity == nil {
		t.Errorf("somebody else: %d %s", res.Status, res.Body)
	}
}

// TestProviderEndsSessions is OpenID Connect Back-Channel Logout 1.0: a logout token ends the sessions of its subject, once, and a token
// of another client ends nothing.
func TestProviderEndsSessions(t *testing.T) {
	d := deploy(t, settings{})
	jane, john := d.browser(), d.browser()
	jane.signIn("jane.doe@example.com")
	john.signIn("john.roe@example.com")
	post := func(client, subject string) (string, apitest.Response) {
		token, err := d.idp.LogoutToken(client, subject)
		if err != nil {
			t.Fatal(err)
		}
		form := url.Values{"logout_token": {token}}.Encode()
		return form, john.Post("/api/auth/idp/backchannel-logout", apitest.Body("application/x-www-form-urlencoded", form))
	}
	if _, res := post("somebody", "jane-doe"); res.Status != http.StatusBadRequest {
		t.Errorf("for another client: %d %s", res.Status, res.Body)
	}
	if res, _ := jane.refresh(""); res.Status != http.StatusOK {
		t.Errorf("still signed in: %d %s", res.Status, res.Body)
	}
	form, res := post("stagedoor", "jane-doe")
	if res.Status != http.StatusOK {
		t.Fatalf("logout: %d %s", res.Status, res.Body)
	}
	refreshed, _ := jane.refresh("")
	if e := failure(t, refreshed); e.Code != "session_unknown" {
		t.Errorf("after the logout: %+v", e)
	}
	if res, _ := john.refresh(""); res.Status != http.StatusOK {
		t.Errorf("somebody else: %d %s", res.Status, res.Body)
	}
	res = john.Post("/api/auth/idp/backchannel-logout", apitest.Body("application/x-www-form-urlencoded", form))
	if !strings.Contains(string(res.Body), "logout_token_replayed") {
		t.Errorf("again: %d %s", res.Status, res.Body)
	}
}
