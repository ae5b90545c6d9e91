package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// journey is the way of a user through one vendor: contract/providers.md 0.5, 0.10 and the vendor's own entry.
type journey struct {
	id string
	// authorize is where the popup goes, parameters what it carries beside those that all vendors get (0.10).
	authorize  string
	parameters map[string]string
	// sites are the vendor's, beside token: the route that trades a code for granted and a refresh token for renewed.
	sites            map[string]site
	token            string
	granted, renewed vendorAnswer
	// credentials and authorization are where the token requests prove who we are (body, header).
	credentials   map[string]string
	authorization string
	// scope is the one that a refresh asks for, refreshTokens are the ones that two refreshes bring.
	scope         string
	refreshTokens [2]string
	// asks are the routes of a sign-in behind the token's, asksAgain those of a refresh, leaves those of a logout.
	asks, asksAgain, leaves []string
	signedIn, refreshed     signedIn
	// leaving is what a logout sends.
	leaving map[string]string
	// revoked is how the vendor says that it takes the refresh token no more.
	revoked vendorAnswer
}

// TestVendors goes through the whole server with vendors whose addresses are built in, and with two whose addresses are configured.
func TestVendors(t *testing.T) {
	v := startVendors(t, vendorProviders)
	for _, j := range journeys(t) {
		t.Run(j.id, func(t *testing.T) {
			v.begin(t, j.sites)
			v.on(j.token, j.trade)
			j.there(v.portal(t, j.id), v.internet)
			j.revokedLater(v.portal(t, j.id), v.internet)
		})
	}
	t.Run("microsoft for another API", func(t *testing.T) { otherAPI(t, v) })
	t.Run("github without refresh tokens", func(t *testing.T) { lastingToken(t, v) })
	t.Run("two of one kind", func(t *testing.T) { twoGitHubs(t, v) })
	t.Run("google disowns the email", func(t *testing.T) { disownedEmail(t, v) })
	t.Run("down", func(t *testing.T) { vendorDown(t, v) })
	t.Run("hanging", func(t *testing.T) { vendorHangs(t, v) })
	t.Run("awsalb", func(t *testing.T) { loadBalancer(t, v) })
	t.Run("oauth2Proxy", func(t *testing.T) { unsignedHeaders(t, v) })
}

// trade is the token endpoint.
func (j journey) trade(c vendorCall) vendorAnswer {
	if c.form.Get("grant_type") == "refresh_token" {
		return j.renewed
	}
	return j.granted
}

// there goes the good way: sign-in, two refreshes, logout.
func (j journey) there(p *portal, n *internet) {
	p.t.Helper()
	j.wantStart(p)
	got := told(p.signIn())
	if diff := cmp.Diff(j.signedIn, got); diff != "" {
		p.t.Errorf("sign-in, -want +got:\n%s", diff)
	}
	calls := n.take()
	if diff := cmp.Diff(append([]string{j.token}, j.asks...), routes(calls)); diff != "" {
		p.t.Errorf("calls of the sign-in, -want +got:\n%s", diff)
	}
	j.wantToken(p.t, find(p.t, calls, j.token), map[string]string{
		"grant_type": "authorization_code", "code": "c0de", "redirect_uri": fmt.Sprintf(vendorCallback, j.id),
	})
	for i, query := range [][]string{nil, {"optional", "", "scope", j.scope}} {
		if diff := cmp.Diff(j.refreshed, told(p.renew(query...))); diff != "" {
			p.t.Errorf("refresh, -want +got:\n%s", diff)
		}
		calls := n.take()
		if diff := cmp.Diff(append([]string{j.token}, j.asksAgain...), routes(calls)); diff != "" {
			p.t.Errorf("calls of a refresh, -want +got:\n%s", diff)
		}
		want := map[string]string{"grant_type": "refresh_token", "refresh_token": j.refreshTokens[i]}
		if j.scope != "" {
			want["scope"] = j.scope
		}
		j.wantToken(p.t, find(p.t, calls, j.token), want)
	}
	if res := p.logout(); res.Status != http.StatusOK || len(res.Body) != 0 {
		p.t.Errorf("logout: %d %s", res.Status, res.Body)
	}
	j.wantLeft(p.t, n.take())
	p.wantNoSession()
}

// wantLeft compares what the vendor was told of a logout, in the body alone.
func (j journey) wantLeft(t *testing.T, calls []vendorCall) {
	t.Helper()
	if diff := cmp.Diff(j.leaves, routes(calls)); diff != "" {
		t.Errorf("calls of the logout, -want +got:\n%s", diff)
	}
	for _, c := range calls {
		if diff := cmp.Diff(j.leaving, flat(t, c.form)); diff != "" || len(c.query) > 0 {
			t.Errorf("revocation with the query %v, -want +got:\n%s", c.query, diff)
		}
	}
}

// revokedLater is a session that the vendor ends.
func (j journey) revokedLater(p *portal, n *internet) {
	p.t.Helper()
	p.signIn()
	n.take()
	n.on(j.token, always(j.revoked))
	p.wantEnded(p.refresh(), "idp_token_rejected")
	if diff := cmp.Diff([]string{j.token}, routes(n.take())); diff != "" {
		p.t.Errorf("calls of the refused refresh, -want +got:\n%s", diff)
	}
}

// wantStart compares the whole authorization request.
func (j journey) wantStart(p *portal) {
	p.t.Helper()
	to := p.start()
	want := map[string]string{"response_type": "code", "client_id": vendorClient, "redirect_uri": fmt.Sprintf(vendorCallback, j.id)}
	for name, value := range j.parameters {
		want[name] = value
	}
	got := flat(p.t, to.Query())
	if len(got["state"]) != 43 {
		p.t.Errorf("state %q", got["state"])
	}
	delete(got, "state")
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Errorf("authorization request, -want +got:\n%s", diff)
	}
	to.RawQuery = ""
	if to.String() != j.authorize {
		p.t.Errorf("sent to %s, want %s", to, j.authorize)
	}
}

// wantToken compares a whole token request.
func (j journey) wantToken(t *testing.T, c vendorCall, want map[string]string) {
	t.Helper()
	for name, value := range j.credentials {
		want[name] = value
	}
	if diff := cmp.Diff(want, flat(t, c.form)); diff != "" {
		t.Errorf("token request, -want +got:\n%s", diff)
	}
	if got := c.header.Get("Authorization"); got != j.authorization {
		t.Errorf("Authorization %q, want %q", got, j.authorization)
	}
	if len(c.query) > 0 {
		t.Errorf("query %v", c.query)
	}
}

// flat demands each parameter once.
func flat(t *testing.T, values url.Values) map[string]string {
	t.Helper()
	m := map[string]string{}
	for name, all := range values {
		if len(all) != 1 {
			t.Errorf("%s is there %d times", name, len(all))
		}
		m[name] = strings.Join(all, " ")
	}
	return m
}

var (
	inBody = map[string]string{"client_id": vendorClient, "client_secret": vendorSecret}
	// inHeader is encoded as RFC 6749 section 2.3.1 says.
	inHeader = "Basic " + base64.StdEncoding.EncodeToString([]byte(vendorClient+":"+url.QueryEscape(vendorSecret)))
	// invalidGrant is the standard's own way to end a session.
	invalidGrant = says(http.StatusBadRequest, map[string]any{"error": "invalid_grant", "error_description": "revoked"})
)

// bearer answers whoever has one of the access tokens, and 401 anybody else.
func bearer(a vendorAnswer, tokens ...string) site {
	return func(c vendorCall) vendorAnswer {
		for _, token := range tokens {
			if c.header.Get("Authorization") == "Bearer "+token {
				return a
			}
		}
		return says(http.StatusUnauthorized, map[string]any{"message": "Bad credentials"})
	}
}
