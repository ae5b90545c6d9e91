package providers_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

// TestTrustedProxies: unsigned headers count from the listed peers, however their addresses are written (security P01).
func TestTrustedProxies(t *testing.T) {
	p := newProxied(t, "oauth2Proxy", "trustedProxies: [10.0.0.0/24, 192.0.2.1, 'fd00::/64']", nil)
	for _, tt := range []struct {
		peer string
		want string
	}{
		{"10.0.0.255", ""},
		{"::ffff:10.0.0.1", ""},
		{"192.0.2.1", ""},
		{"fd00::9", ""},
		{"fd00::9%eth0", ""},
		{"10.0.1.0", providers.CodeProxyPeer},
		{"192.0.2.2", providers.CodeProxyPeer},
		{"127.0.0.1", providers.CodeProxyPeer},
		{"::ffff:10.0.1.1", providers.CodeProxyPeer},
		{"", providers.CodeProxyPeer},
	} {
		t.Run(tt.peer, func(t *testing.T) {
			var peer netip.Addr
			if tt.peer != "" {
				peer = netip.MustParseAddr(tt.peer)
			}
			_, err := p.provider.Handle(t.Context(), providers.Request{
				Peer: peer, Header: http.Header{"X-Forwarded-User": {"jane"}, "X-Forwarded-For": {"10.0.0.1"}},
			})
			wantCode(t, err, tt.want)
		})
	}
}

// TestOAuth2ProxyForgedToken: oauth2-proxy passes on what its users send under a name that it does not know, so that nobody gets into
// a group, or becomes somebody else, by writing it there.
func TestOAuth2ProxyForgedToken(t *testing.T) {
	p := newProxied(t, "oauth2Proxy", "trustedProxies: [192.0.2.9]", nil)
	b, err := json.Marshal(map[string]any{"sub": "root", "groups": []string{"admins"}, "x-forwarded-groups": []string{"admins"}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.handle(http.Header{
		"X-Forwarded-User": {"jane"}, "X-Forwarded-Groups": {"users"},
		"X-Oauth2-Proxy-Id-Token": {"Bearer eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString(b) + ".x"},
	})
	wantCode(t, err, "")
	for _, list := range []string{"groups: [admins]", "{groups: [admins], groupsClaim: groups}", "users: [root]"} {
		a, err := providers.NewAdmission("oauth2Proxy", providertest.Decode(list))
		if err != nil {
			t.Fatal(err)
		}
		if a.Admit(r) == nil {
			t.Errorf("%s: admitted", list)
		}
	}
}

func TestOAuth2ProxyToken(t *testing.T) {
	p := newProxied(t, "oauth2Proxy", "{trustedProxies: [192.0.2.9], trustIdToken: true}", nil)
	const token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1MSIsImdyb3VwcyI6WyJhIl19.x"
	r, err := p.handle(http.Header{"X-Oauth2-Proxy-Id-Token": {"bearer " + token}, "X-Forwarded-User": {"jane"}})
	wantCode(t, err, "")
	if r.Claims["sub"] != "u1" || r.Info["accessToken"] != token || r.Profile.DisplayName != "jane" || r.Headers["x-oauth2-proxy-id-token"] != "" {
		t.Errorf("got %+v", r)
	}
}

// TestProxyConfig: what would let anybody in, or never anybody, does not start.
func TestProxyConfig(t *testing.T) {
	for _, tt := range []struct {
		name, kind, config string
		development        bool
		want               string
	}{
		{"no trusted proxies", "oauth2Proxy", "{}", false, "trustedProxies is missing"},
		{"no trusted proxies in development", "oauth2Proxy", "{}", true, ""},
		{"every address", "oauth2Proxy", "trustedProxies: [0.0.0.0/0]", false, "every address"},
		{"host bits", "oauth2Proxy", "trustedProxies: [10.0.0.7/24]", false, "beyond its length"},
		{"IPv4 in IPv6", "oauth2Proxy", "trustedProxies: ['::ffff:10.0.0.0/120']", false, "written as IPv6"},
		{"one IPv4 address in IPv6", "oauth2Proxy", "trustedProxies: ['::ffff:10.0.0.7']", false, ""},
		{"a name", "oauth2Proxy", "trustedProxies: [proxy.example]", true, "neither an address"},
		{"unknown key", "oauth2Proxy", "trustedProxy: [10.0.0.7]", true, "trustedProxy"},
		{"easy auth elsewhere", "azureEasyAuth", "trustedProxies: [10.0.0.7]", false, "WEBSITE_SKU"},
		{"easy auth without peers", "azureEasyAuth", "{}", false, "or set tenantId"},
		{"easy auth in development", "azureEasyAuth", "{}", true, ""},
		{"easy auth with half of it", "azureEasyAuth", "clientId: x", false, "must both be set"},
		{"easy auth of many tenants", "azureEasyAuth", "{tenantId: common, clientId: x}", false, "as a UUID"},
		{"issuer without a scheme", "awsalb", "{issuer: idp.example, region: eu-west-1}", false, "issuer is not an http"},
		{"region with a host", "awsalb", "{issuer: x, region: evil.example/}", false, "region"},
		{"no issuer", "awsalb", "region: eu-west-1", false, "issuer"},
		{"signer is no ARN", "awsalb", "{issuer: x, region: eu-west-1, signer: me}", false, "signer"},
		{"no audience", "gcpIap", "{}", false, "audience"},
		{"header with underscores", "gcpIap", "{audience: x, jwtHeader: x_token}", false, "jwtHeader"},
		{"team with a host", "cfaccess", "{teamName: evil.example/, audience: x}", false, "teamName"},
		{"no AUD tag", "cfaccess", "teamName: corp", false, "audience"},
		{"header is Host", "cfaccess", "{teamName: corp, audience: x, jwtHeaderName: host}", false, "Host"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := (&proxied{t: t}).open(tt.kind, tt.config, tt.development)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("New: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("New: %v, want %q in it", err, tt.want)
			}
		})
	}
}
