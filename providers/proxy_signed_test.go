package providers_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

const iapKeys = "https://www.gstatic.com/iap/verify/public_key"

var iapClaims = map[string]any{
	"iss": "https://cloud.google.com/iap", "aud": "/projects/1/apps/x", "sub": "accounts.google.com:7",
	"email": "jane@corp.example", "iat": 1_800_000_000, "exp": 1_800_000_600,
}

func newIAP(t *testing.T, text string) *proxied {
	t.Helper()
	page, err := json.Marshal(map[string]string{"k-1": text})
	if err != nil {
		t.Fatal(err)
	}
	return newProxied(t, "gcpIap", "audience: /projects/1/apps/x", map[string]string{iapKeys: string(page)})
}

func iapRequest(token string) http.Header { return http.Header{"X-Goog-Iap-Jwt-Assertion": {token}} }

func TestGCPIAPTokens(t *testing.T) {
	key, text := proxyECKey(t)
	other, _ := proxyECKey(t)
	unknown := key
	unknown.ID = "k-2"
	rsa, err := providertest.RSAKey("k-1")
	if err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	for _, tt := range []struct {
		name   string
		key    providertest.Key
		claims object
		want   string
	}{
		{"good", key, nil, ""},
		{"other key", other, nil, providers.CodeAssertionSignature},
		{"unknown kid", unknown, nil, providers.CodeAssertionSignature},
		{"other algorithm", rsa, nil, providers.CodeAssertionAlg},
		{"issuer with a slash", key, object{"iss": "https://cloud.google.com/iap/"}, providers.CodeAssertionIssuer},
		{"issuer is a list", key, object{"iss": []string{"https://cloud.google.com/iap"}}, providers.CodeAssertionMalformed},
		{"other audience", key, object{"aud": "/projects/2/apps/x"}, providers.CodeAssertionAudience},
		{"no audience", key, object{"aud": nil}, providers.CodeAssertionAudience},
		{"expired within the skew", key, object{"exp": 1_799_999_701}, ""},
		{"expired", key, object{"exp": 1_799_999_700}, providers.CodeAssertionClock},
		{"from the future within the skew", key, object{"iat": 1_800_000_300}, ""},
		{"from the future", key, object{"iat": 1_800_000_301}, providers.CodeAssertionClock},
		{"valid for a day", key, object{"exp": 1_800_086_400}, providers.CodeAssertionClock},
		{"no iat", key, object{"iat": nil}, providers.CodeAssertionMalformed},
		{"no exp", key, object{"exp": nil}, providers.CodeAssertionMalformed},
		{"no sub", key, object{"sub": nil}, providers.CodeAssertionClaim},
		{"empty email", key, object{"email": ""}, providers.CodeAssertionClaim},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newIAP(t, text).handle(iapRequest(signed(t, tt.key, with(iapClaims, tt.claims))))
			wantCode(t, err, tt.want)
		})
	}
}

func TestGCPIAPKeys(t *testing.T) {
	key, text := proxyECKey(t)
	p := newIAP(t, text)
	token := func() http.Header {
		return iapRequest(signed(t, key, with(iapClaims, map[string]any{"iat": p.now.Unix(), "exp": p.now.Add(time.Minute).Unix()})))
	}
	p.down = true
	_, err := p.handle(token())
	wantCode(t, err, providers.CodeUnreachable)
	p.down = false
	_, err = p.handle(token())
	wantCode(t, err, "")
	p.down = true
	_, err = p.handle(token())
	wantCode(t, err, "")
	if want := []string{iapKeys, iapKeys}; !slices.Equal(p.calls, want) {
		t.Errorf("calls %v, want %v", p.calls, want)
	}
	p.now = p.now.Add(time.Hour)
	_, err = p.handle(token())
	wantCode(t, err, providers.CodeUnreachable)
	p.down = false
	p.pages[iapKeys] = "[]"
	_, err = p.handle(token())
	wantCode(t, err, providers.CodeKeys)
}

const (
	cfBase     = "https://corp.cloudflareaccess.com"
	cfCerts    = cfBase + "/cdn-cgi/access/certs"
	cfIdentity = cfBase + "/cdn-cgi/access/get-identity"
)

var cfClaims = map[string]any{"iss": cfBase, "aud": []string{"aud-tag"}, "sub": "u1", "iat": 1_800_000_000, "exp": 1_800_000_600}

func newCF(t *testing.T) (*proxied, providertest.Key) {
	t.Helper()
	key, err := providertest.RSAKey("k-1")
	if err != nil {
		t.Fatal(err)
	}
	set, err := providertest.KeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	return newProxied(t, "cfaccess", "{teamName: corp, audience: aud-tag, serviceTokens: [{token: ci.access, subject: ci@corp.example}]}",
		map[string]string{cfCerts: set, cfIdentity: `{"user_uuid": "u1", "email": "jane@corp.example", "name": "Jane"}`}), key
}

func cfRequest(token string) http.Header { return http.Header{"Cf-Access-Jwt-Assertion": {token}} }

func TestCFAccessTokens(t *testing.T) {
	type object = map[string]any
	for _, tt := range []struct {
		name     string
		claims   object
		identity string
		want     string
	}{
		{"good", nil, "", ""},
		{"other audience", object{"aud": []string{"other"}}, "", providers.CodeAssertionAudience},
		{"other team", object{"iss": "https://evil.cloudflareaccess.com"}, "", providers.CodeAssertionIssuer},
		{"expired", object{"exp": 1_799_999_940}, "", providers.CodeAssertionClock},
		{"from the future", object{"iat": 1_800_000_061}, "", providers.CodeAssertionClock},
		{"neither user nor service", object{"sub": nil}, "", providers.CodeAssertionClaim},
		{"unknown service", object{"sub": "", "common_name": "x.access"}, "", providers.CodeAssertionUser},
		{"known service", object{"sub": "", "common_name": "ci.access"}, "", ""},
		{"identity of another", nil, `{"user_uuid": "u2", "email": "root@corp.example"}`, providers.CodeAssertionUser},
		{"identity is garbage", nil, `nonsense`, providers.CodeAnswer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, key := newCF(t)
			if tt.identity != "" {
				p.pages[cfIdentity] = tt.identity
			}
			_, err := p.handle(cfRequest(signed(t, key, with(cfClaims, tt.claims))))
			wantCode(t, err, tt.want)
		})
	}
}

func TestCFAccessService(t *testing.T) {
	p, key := newCF(t)
	r, err := p.handle(cfRequest(signed(t, key, with(cfClaims, map[string]any{"sub": nil, "common_name": "ci.access"}))))
	wantCode(t, err, "")
	if r.Profile.Email != "ci@corp.example" || r.Profile.DisplayName != "Bot" || r.Session.Subject != "ci.access" {
		t.Errorf("got %+v", r)
	}
	if slices.Contains(p.calls, cfIdentity) {
		t.Error("a service has no identity to ask for")
	}
}

// TestCFAccessIdentity: an identity is asked for once in a while, the token is verified every time.
func TestCFAccessIdentity(t *testing.T) {
	p, key := newCF(t)
	good := cfRequest(signed(t, key, cfClaims))
	p.down = true
	_, err := p.handle(good)
	wantCode(t, err, providers.CodeUnreachable)
	p.down = false
	delete(p.pages, cfIdentity)
	_, err = p.handle(good)
	wantCode(t, err, providers.CodeAssertionUser)
	p.pages[cfIdentity] = `{"user_uuid": "u1", "email": "jane@corp.example"}`
	r, err := p.handle(good)
	wantCode(t, err, "")
	if r.Info["expiresInSeconds"] != 600.0 || r.Info["token"] == "" {
		t.Errorf("info %v", r.Info)
	}
	p.down = true
	_, err = p.handle(good)
	wantCode(t, err, "")
	p.now = p.now.Add(5 * time.Minute)
	_, err = p.handle(good)
	wantCode(t, err, providers.CodeUnreachable)
	p.now = p.now.Add(6 * time.Minute)
	_, err = p.handle(good)
	wantCode(t, err, providers.CodeAssertionClock)
}

func TestCFAccessCookie(t *testing.T) {
	p, key := newCF(t)
	token := signed(t, key, cfClaims)
	_, err := p.handle(http.Header{"Cookie": {"CF_Authorization=" + token}})
	wantCode(t, err, "")
	_, err = p.handle(http.Header{"Cookie": {"CF_Authorization=" + token + "; CF_Authorization=" + token}})
	wantCode(t, err, providers.CodeProxyAmbiguous)
	_, err = p.handle(http.Header{"Cookie": {"CF_Authorization="}})
	wantCode(t, err, providers.CodeProxyHeader)
}

const easyKeys = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/discovery/v2.0/keys"

// TestAzureEasyAuthVerified: with tenantId and clientId the id_token is verified, and neither peer nor environment counts.
func TestAzureEasyAuthVerified(t *testing.T) {
	key, err := providertest.RSAKey("k-1")
	if err != nil {
		t.Fatal(err)
	}
	set, err := providertest.KeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{
		"iss": "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0", "aud": "app", "ver": "2.0",
		"oid": "o1", "exp": 1_800_000_600,
	}
	type object = map[string]any
	for _, tt := range []struct {
		name   string
		claims object
		want   string
	}{
		{"good", nil, ""},
		{"other client", object{"aud": "other"}, providers.CodeAssertionAudience},
		{"other tenant", object{"iss": "https://login.microsoftonline.com/1/v2.0"}, providers.CodeAssertionIssuer},
		{"expired", object{"exp": 1_799_999_000}, providers.CodeAssertionClock},
		{"no oid", object{"oid": nil}, providers.CodeAssertionClaim},
		{"other version", object{"ver": "1.0"}, providers.CodeAssertionClaim},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProxied(t, "azureEasyAuth", "{tenantId: 11111111-2222-3333-4444-555555555555, clientId: app}", map[string]string{easyKeys: set})
			_, err := p.handle(http.Header{"X-Ms-Token-Aad-Id-Token": {signed(t, key, with(claims, tt.claims))}})
			wantCode(t, err, tt.want)
		})
	}
}
