package main

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stagedoor/providers/providertest"
	"stagedoor/server/internal/api/apitest"
)

// proxied is a refresh as a proxy passes it on: without env and X-Requested-With (contract/providers.md 0.1 and 3).
func (p *portal) proxied(method string, header map[string]string) apitest.Response {
	p.t.Helper()
	var edits []func(*http.Request)
	for name, value := range header {
		edits = append(edits, apitest.Header(name, value))
	}
	return p.Send(method, "/api/auth/"+p.id+"/refresh", edits...)
}

// wantOnlyRefresh: a proxied provider has no popup and no logout (contract/providers.md 0.1).
func (p *portal) wantOnlyRefresh() {
	p.t.Helper()
	for _, tt := range []struct {
		method, action string
		want           int
	}{
		{http.MethodGet, "start", http.StatusNotImplemented},
		{http.MethodGet, "handler/frame", http.StatusNotImplemented},
		{http.MethodPost, "logout", http.StatusNotFound},
	} {
		if res := p.Send(tt.method, p.path(tt.action)); res.Status != tt.want {
			p.t.Errorf("%s: %d %s", tt.action, res.Status, res.Body)
		}
	}
}

const (
	albKeys   = "GET public-keys.auth.elb.eu-west-1.amazonaws.com/"
	albSigner = "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/a/1"
)

// albToken is a token as the load balancer makes it: padded, and signed with the padding (contract/providers.md 3.1).
func albToken(t *testing.T, key providertest.Key, signer string, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for len(text)%3 == 0 { // so that there is padding
			text = append(text, ' ')
		}
		return base64.URLEncoding.EncodeToString(text)
	}
	signed := part(map[string]any{"alg": "ES256", "typ": "JWT", "kid": key.ID, "signer": signer, "iss": "https://sso.example"}) + "." + part(claims)
	hash := sha256.Sum256([]byte(signed))
	private, ok := key.Private.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatalf("key is a %T", key.Private)
	}
	r, s, err := ecdsa.Sign(rand.Reader, private, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return signed + "." + base64.URLEncoding.EncodeToString(signature)
}

// albClaims are of Jane, until exp.
func albClaims(exp int64) map[string]any {
	return map[string]any{"sub": "u1", "iss": "https://sso.example", "exp": exp, "email": "jane@example.com", "name": "Jane Doe"}
}

// albHeaders are what the load balancer adds to a request.
func albHeaders(token string) map[string]string {
	return map[string]string{"x-amzn-oidc-data": token, "x-amzn-oidc-accesstoken": "opaque", "x-amzn-oidc-identity": "u1"}
}

// loadBalancer is contract/providers.md 3.1: signed headers, with a key that is read once.
func loadBalancer(t *testing.T, v *vendors) {
	key, err := providertest.ECKey("0f1e2d3c-1111-4222-8333-444455556666")
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	unread := providertest.Key{ID: "unread", Alg: key.Alg, Private: key.Private}
	v.begin(t, map[string]site{
		albKeys + key.ID:    always(vendorAnswer{http.StatusOK, "application/x-pem-file", public}),
		albKeys + unread.ID: always(vendorAnswer{http.StatusServiceUnavailable, "text/html", "later"}),
	})
	exp := time.Now().Add(2 * time.Minute).Unix()
	p := v.portal(t, "awsalb")
	want := jane(func(in *signedIn) {
		in.Email, in.DisplayName, in.AccessToken, in.Minutes = "jane@example.com", "Jane Doe", "opaque", float64((exp+59)/60) // the time itself
	})
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		p.wantProxied(p.proxied(method, albHeaders(albToken(t, key, albSigner, albClaims(exp)))), want)
	}
	if diff := cmp.Diff([]string{albKeys + key.ID}, routes(v.take())); diff != "" {
		t.Errorf("calls, -want +got:\n%s", diff)
	}
	p.wantRefused("AWS is down", p.proxied(http.MethodGet, albHeaders(albToken(t, unread, albSigner, albClaims(exp)))),
		http.StatusServiceUnavailable, "idp_keys_unavailable")
	p.wantForgeriesRefused(key, exp)
	p.wantOnlyRefresh()
}

// wantForgeriesRefused sends what only looks like the load balancer's.
func (p *portal) wantForgeriesRefused(key providertest.Key, exp int64) {
	p.t.Helper()
	other, err := providertest.ECKey(key.ID)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, tt := range []struct{ name, token, want string }{
		{"no token", "", "proxy_header_missing"},
		{"no JWT", "text", "assertion_malformed"},
		{"another key", albToken(p.t, other, albSigner, albClaims(exp)), "assertion_signature"},
		{"another load balancer", albToken(p.t, key, albSigner+"2", albClaims(exp)), "assertion_signer"},
		{"an old one", albToken(p.t, key, albSigner, albClaims(exp-3600)), "assertion_clock"},
	} {
		p.wantRefused(tt.name, p.proxied(http.MethodGet, albHeaders(tt.token)), http.StatusUnauthorized, tt.want)
	}
}

// unsignedHeaders is contract/providers.md 3.5, with the addresses that are believed (design section 3).
func unsignedHeaders(t *testing.T, v *vendors) {
	v.begin(t, nil)
	p := v.portal(t, "oauth2Proxy")
	token := newVendorKeys(t).token(map[string]any{"sub": "u1"})
	header := map[string]string{"x-forwarded-preferred-username": "jane", "x-forwarded-user": "u1", "x-forwarded-email": "jane@example.com"}
	want := jane(func(in *signedIn) { in.Email, in.DisplayName = "jane@example.com", "jane" })
	p.wantProxied(p.proxied(http.MethodGet, header), want)
	header["x-oauth2-proxy-id-token"] = "Bearer " + token
	want.AccessToken = token
	p.wantProxied(p.proxied(http.MethodPost, header), want)
	p.wantRefused("no header", p.proxied(http.MethodGet, nil), http.StatusUnauthorized, "proxy_header_missing")
	p.wantRefused("no JWT", p.proxied(http.MethodGet, map[string]string{"x-oauth2-proxy-id-token": "Bearer x"}), http.StatusUnauthorized, "assertion_malformed")
	p.wantOnlyRefresh()
	edge := v.portal(t, "edge")
	header["x-forwarded-for"] = "192.0.2.1"
	edge.wantRefused("past the proxy", edge.proxied(http.MethodGet, header), http.StatusUnauthorized, "proxy_peer_untrusted")
}

func (p *portal) wantProxied(res apitest.Response, want signedIn) {
	p.t.Helper()
	var s session
	if err := json.Unmarshal(res.Body, &s); res.Status != http.StatusOK || err != nil || len(res.Cookies) > 0 {
		p.t.Fatalf("refresh: %d %s %v %v", res.Status, res.Body, err, res.Cookies)
	}
	if diff := cmp.Diff(want, told(s)); diff != "" {
		p.t.Errorf("refresh, -want +got:\n%s", diff)
	}
}

func (p *portal) wantRefused(name string, res apitest.Response, status int, code string) {
	p.t.Helper()
	if e := failure(p.t, res); res.Status != status || e.Code != code || e.AttemptID == "" {
		p.t.Errorf("%s: %d %+v, want %d %s", name, res.Status, e, status, code)
	}
}
