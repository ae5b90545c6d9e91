package main

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stagedoor/server/internal/api/apitest"
)

// otherAPI: a scope of another API is asked for alone; its token cannot read Graph, so the refresh token is traded once more, and the
// session keeps the first access token and the last refresh token (contract/providers.md 1.4).
func otherAPI(t *testing.T, v *vendors) {
	const scope = "https://dev.azure.example/vso.code"
	k := newVendorKeys(t)
	j := microsoftJourney(k)
	v.begin(t, j.sites)
	graph := graphToken(k, "1")
	trades := 0
	v.on(entraToken, func(c vendorCall) vendorAnswer {
		trades++
		answer := map[string]any{"access_token": k.token(map[string]any{"aud": "azure"}), "scope": scope, "expires_in": 3600}
		if c.form.Get("scope") == "openid email User.Read offline_access" {
			answer["access_token"], answer["scope"] = graph, "openid email User.Read"
		}
		answer["refresh_token"] = strings.Repeat("r", trades)
		return says(http.StatusOK, answer)
	})
	p := v.portal(t, "microsoft")
	to := p.start("scope", scope)
	if got := to.Query().Get("scope"); got != scope+" offline_access" {
		t.Errorf("asked for %q", got)
	}
	if m := p.back(to); m.Error.Name != "" || m.Response.ProviderInfo.Scope != scope || m.Response.ProviderInfo.AccessToken == graph ||
		m.Response.Profile.Email != "jane@corp.example" || told(m.Response).User != "user:default/jane" {
		t.Errorf("sign-in: %+v", m)
	}
	v.take()
	if s := p.renew("scope", scope); s.ProviderInfo.Scope != scope || s.ProviderInfo.AccessToken == graph {
		t.Errorf("refresh: %+v", s)
	}
	var brought []string
	for _, c := range v.take() {
		if c.route == entraToken {
			brought = append(brought, c.form.Get("refresh_token")+" for "+c.form.Get("scope"))
		}
	}
	want := []string{"rr for " + scope + " offline_access", "rrr for openid email User.Read offline_access"}
	if diff := cmp.Diff(want, brought); diff != "" {
		t.Errorf("trades, -want +got:\n%s", diff)
	}
}

// lastingToken: a classic OAuth App has access tokens without an end and no refresh tokens, so that the access token is held, and
// GitHub is asked whether it still is good (contract/providers.md 1.1).
func lastingToken(t *testing.T, v *vendors) {
	j := githubJourney("github", "github.com", "api.github.com")
	v.begin(t, j.sites)
	v.on(githubToken, always(vendorAnswer{
		http.StatusOK, "application/x-www-form-urlencoded", "access_token=ghu_1&scope=read%3Auser&token_type=bearer",
	}))
	p := v.portal(t, "github")
	want := j.signedIn
	want.Minutes = 0
	if diff := cmp.Diff(want, told(p.signIn())); diff != "" {
		t.Errorf("sign-in, -want +got:\n%s", diff)
	}
	v.take()
	if diff := cmp.Diff(want, told(p.renew("scope", "read:user"))); diff != "" {
		t.Errorf("refresh, -want +got:\n%s", diff)
	}
	if got := string(p.refresh().Body); !strings.Contains(got, `"providerInfo":{"accessToken":"ghu_1","scope":"read:user"}`) {
		t.Errorf("refresh tells of an end: %s", got)
	}
	if diff := cmp.Diff([]string{githubMe, githubMe}, routes(v.take())); diff != "" {
		t.Errorf("calls of two refreshes, -want +got:\n%s", diff)
	}
	// More than was granted needs a popup, and costs nobody the session.
	res := p.refresh("scope", "read:user repo")
	if e := failure(t, res); res.Status != http.StatusUnauthorized || e.Code != "scope_not_granted" || p.cookie() == "" || len(v.take()) > 0 {
		t.Errorf("more scope: %d %+v", res.Status, e)
	}
	v.on(githubMe, bearer(vendorAnswer{}))
	res = p.refresh()
	if e := failure(t, res); e.Cause == nil || e.Cause.Message != "Invalid access token" {
		t.Errorf("cause %+v", e)
	}
	p.wantEnded(res, "idp_token_rejected")
}

// twoGitHubs: the cloud and an Enterprise Server in one browser; a session of one is none of the other.
func twoGitHubs(t *testing.T, v *vendors) {
	cloud := githubJourney("github", "github.com", "api.github.com")
	own := githubJourney("ghe", "ghe.corp.example", "ghe.corp.example/api/v3")
	sites := maps.Clone(cloud.sites)
	maps.Copy(sites, own.sites)
	v.begin(t, sites)
	v.on(cloud.token, cloud.trade)
	v.on(own.token, own.trade)
	p := v.portal(t, "github")
	p.signIn()
	if e := p.at("ghe"); e.cookie() != "" || strings.TrimSpace(string(e.refresh("optional", "").Body)) != "{}" {
		t.Error("a session of one is one of the other")
	}
	p.at("ghe").signIn()
	for _, j := range []journey{cloud, own} {
		v.take()
		if diff := cmp.Diff(j.refreshed, told(p.at(j.id).renew())); diff != "" {
			t.Errorf("%s, -want +got:\n%s", j.id, diff)
		}
		if diff := cmp.Diff(append([]string{j.token}, j.asksAgain...), routes(v.take())); diff != "" {
			t.Errorf("%s asked, -want +got:\n%s", j.id, diff)
		}
	}
	p.logout()
	p.wantNoSession()
	if s := p.at("ghe").renew(); told(s).User != "user:default/jane" {
		t.Errorf("the other session: %+v", s)
	}
}

// disownedEmail: an address that Google did not verify is nobody's, and the id_token's does not take its place (contract/providers.md
// 0.4 and 1.3).
func disownedEmail(t *testing.T, v *vendors) {
	j := googleJourney(newVendorKeys(t))
	v.begin(t, j.sites)
	v.on(j.token, j.trade)
	v.on(googleMe, always(says(http.StatusOK, map[string]any{"sub": "1001", "name": "Jane", "email": "jane@gmail.example", "email_verified": false})))
	p := v.portal(t, "google")
	m := p.back(p.start())
	wantError(t, m.Error, "email_missing", "Error", "Login failed, user profile does not contain an email")
	p.wantNoSession()
}

// vendorDown: whatever is wrong with one vendor, that provider alone answers with its code, its sessions wait, and the others serve.
func vendorDown(t *testing.T, v *vendors) {
	google, github := googleJourney(newVendorKeys(t)), githubJourney("github", "github.com", "api.github.com")
	sites := maps.Clone(google.sites)
	maps.Copy(sites, github.sites)
	v.begin(t, sites)
	v.on(google.token, google.trade)
	v.on(github.token, github.trade)
	p := v.portal(t, "google")
	p.signIn()
	for _, tt := range []struct {
		outage outage
		want   string
	}{
		{answers503, "idp_error"},
		{cannotReach, "idp_unreachable"},
		{wrongTLSName, "idp_tls"},
	} {
		t.Run(string(tt.outage), func(t *testing.T) {
			v.breakDown(tt.outage, "www.googleapis.com", "oauth2.googleapis.com")
			res := p.refresh()
			if e := failure(t, res); res.Status != http.StatusUnauthorized || e.Code != tt.want || p.cookie() == "" {
				t.Errorf("refresh: %d %+v", res.Status, e)
			}
			other := v.portal(t, "google")
			wantError(t, other.back(other.start()).Error, tt.want, "ServiceUnavailableError", "Authentication failed, ")
			if res := other.at("github"); told(res.signIn()).User == "" || told(res.renew()).User == "" {
				t.Error("the other provider does not serve")
			}
			v.mend()
			if told(p.renew()).User == "" {
				t.Error("the session did not outlive it")
			}
		})
	}
	// A revocation that nobody takes keeps nobody signed in.
	v.breakDown(cannotReach, "oauth2.googleapis.com")
	if res := p.logout(); res.Status != http.StatusOK {
		t.Errorf("logout: %d %s", res.Status, res.Body)
	}
	p.wantNoSession()
}

// vendorHangs: who waits for a vendor keeps nobody else waiting.
func vendorHangs(t *testing.T, v *vendors) {
	google, github := googleJourney(newVendorKeys(t)), githubJourney("github", "github.com", "api.github.com")
	sites := maps.Clone(google.sites)
	maps.Copy(sites, github.sites)
	v.begin(t, sites)
	v.on(google.token, google.trade)
	v.on(github.token, github.trade)
	p := v.portal(t, "google")
	p.signIn()
	arrived, release := make(chan bool), make(chan bool)
	v.on(google.token, func(vendorCall) vendorAnswer {
		close(arrived)
		select {
		case <-release:
		case <-t.Context().Done():
		}
		return google.renewed
	})
	answer := make(chan apitest.Response, 1)
	go func() { answer <- p.refresh() }()
	<-arrived
	if told(v.portal(t, "github").signIn()).User == "" {
		t.Error("the other provider does not serve")
	}
	close(release)
	if res := <-answer; res.Status != http.StatusOK {
		t.Errorf("the refresh that waited: %d %s", res.Status, res.Body)
	}
}
