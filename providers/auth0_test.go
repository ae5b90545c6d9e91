package providers_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"stagedoor/providers"
)

// tenant is the config of auth0 at the idp, whose issuer ends in a slash and whose endpoints have Auth0's names.
const tenant = client + "domain: idp.example\n"

func newTenant(t *testing.T, claims map[string]any) *idp {
	i := newIDP(t)
	i.idToken = func(c map[string]any) map[string]any {
		c["iss"] = issuer + "/"
		for name, value := range claims {
			c[name] = value
		}
		return c
	}
	i.handlers["/.well-known/jwks.json"] = i.handler("/keys")
	return i
}

// visit is a sign-in with query on the address of the start route; it returns what the authorization request asked for.
func (i *idp) visit(p oauthProvider, query url.Values) (url.Values, error) {
	i.t.Helper()
	start, err := p.Start(i.t.Context(), providers.StartInput{State: "s", Query: query})
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(start.URL)
	if err != nil {
		i.t.Fatal(err)
	}
	i.nonce = u.Query().Get("nonce")
	i.handlers["/oauth/token"] = answer(200, i.tokens())
	_, err = p.Handle(i.t.Context(), providers.Request{Query: url.Values{"code": {"c0de"}}, Memo: start.Memo})
	return u.Query(), err
}

func TestAuth0IDToken(t *testing.T) {
	for _, tt := range []struct {
		name, config string
		claims       map[string]any
		forge        func(string) string
		want         string
	}{
		{name: "good", config: tenant},
		{name: "signature", config: tenant, forge: func(s string) string { return s[:len(s)-8] + "AAAAAAAA" }, want: providers.CodeIDTokenSignature},
		{name: "issuer", config: tenant, claims: map[string]any{"iss": issuer}, want: providers.CodeIDTokenIssuer},
		{name: "nonce", config: tenant, claims: map[string]any{"nonce": "other"}, want: providers.CodeIDTokenNonce},
		{name: "other user", config: tenant, claims: map[string]any{"sub": "u2"}, want: providers.CodeUserInfoSubject},
		{name: "organization", config: tenant + "organization: org_1\n", claims: map[string]any{"org_id": "org_1"}},
		{name: "other organization", config: tenant + "organization: org_1\n", claims: map[string]any{"org_id": "org_2"}, want: providers.CodeIDTokenOrg},
		{name: "no organization", config: tenant + "organization: org_1\n", want: providers.CodeIDTokenOrg},
		{name: "organization by name", config: tenant + "organization: Corp\n", claims: map[string]any{"org_id": "org_1", "org_name": "corp"}},
		{name: "name of another", config: tenant + "organization: corp\n", claims: map[string]any{"org_id": "corp", "org_name": "evil"}, want: providers.CodeIDTokenOrg},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newTenant(t, tt.claims)
			if tt.forge != nil {
				i.forge = tt.forge
			}
			_, err := i.visit(i.mustOpenKind("auth0", tt.config), nil)
			wantCode(t, err, tt.want)
		})
	}
}

// TestAuth0SharedSecret: with HS256 the client's secret signs, and only with HS256.
func TestAuth0SharedSecret(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	shared := strings.Replace(tenant, "clientSecret: s", "clientSecret: "+secret, 1)
	for config, want := range map[string]string{
		shared: providers.CodeIDTokenAlg, shared + "tokenSignedResponseAlg: HS256\n": "",
		strings.Replace(shared, secret, strings.ToUpper(secret), 1) + "tokenSignedResponseAlg: HS256\n": providers.CodeIDTokenSignature,
	} {
		i := newTenant(t, nil)
		i.forge = func(signed string) string { return resigned(t, signed, secret) }
		_, err := i.visit(i.mustOpenKind("auth0", config), nil)
		wantCode(t, err, want)
	}
}

// resigned is a token with the same claims under HS256.
func resigned(t *testing.T, token, secret string) string {
	t.Helper()
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(secret)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(jws.UnsafePayloadWithoutVerification())
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// TestAuth0Start: what the front end may add, and what the config decides.
func TestAuth0Start(t *testing.T) {
	for _, tt := range []struct {
		name, config, query string
		want                string
	}{
		{"bare", tenant, "", "accessType=offline&prompt=consent&scope="},
		{"auto", tenant + "prompt: auto\n", "", "accessType=offline&scope="},
		{"prompt", tenant + "prompt: select_account\n", "", "accessType=offline&prompt=select_account&scope="},
		{"connection scope alone", tenant + "connectionScope: groups\n", "", "accessType=offline&prompt=consent&scope="},
		{
			"invitation", tenant, "organization=org_1&invitation=i&screen_hint=signup&login_hint=jane&prompt=none&audience=x",
			"accessType=offline&invitation=i&login_hint=jane&organization=org_1&prompt=consent&scope=&screen_hint=signup",
		},
		{"same organization", tenant + "organization: org_1\n", "organization=org_1", "accessType=offline&organization=org_1&prompt=consent&scope="},
	} {
		t.Run(tt.name, func(t *testing.T) {
			query, err := url.ParseQuery(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			i := newTenant(t, map[string]any{"org_id": "org_1"})
			got, err := i.visit(i.mustOpenKind("auth0", tt.config), query)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"response_type", "client_id", "redirect_uri", "state", "nonce"} {
				got.Del(name)
			}
			if got.Encode() != tt.want {
				t.Errorf("asks for %s, want %s", got.Encode(), tt.want)
			}
		})
	}
}

func TestAuth0OtherOrganization(t *testing.T) {
	i := newTenant(t, nil)
	_, err := i.visit(i.mustOpenKind("auth0", tenant+"organization: org_1\n"), url.Values{"organization": {"org_2"}})
	wantCode(t, err, providers.CodeOrganization)
	if !errors.Is(err, providers.ErrInput) {
		t.Errorf("error %v, want ErrInput", err)
	}
}

// TestAuth0Refresh verifies an id_token that is there, and has the userinfo tell who it is about if there is none.
func TestAuth0Refresh(t *testing.T) {
	for _, tt := range []struct {
		name    string
		claims  map[string]any
		without bool
		subject string
		want    string
	}{
		{name: "id_token", claims: map[string]any{"org_id": "org_1"}, subject: "u1"},
		{name: "other organization", claims: map[string]any{"org_id": "org_2"}, subject: "u1", want: providers.CodeIDTokenOrg},
		{name: "no id_token", without: true, subject: "u1"},
		{name: "no id_token, somebody else", without: true, subject: "u2", want: providers.CodeSubject},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newTenant(t, tt.claims)
			if tt.without {
				i.idToken = nil
			}
			i.handlers["/oauth/token"] = answer(200, i.tokens())
			p := i.mustOpenKind("auth0", tenant+"organization: org_1\n")
			_, err := p.Refresh(t.Context(), providers.RefreshInput{RefreshToken: "rt-secret", Subject: tt.subject})
			wantCode(t, err, tt.want)
		})
	}
}

func TestAuth0Logout(t *testing.T) {
	for config, want := range map[string]string{
		tenant:                             issuer + "/v2/logout?client_id=client&returnTo=https%3A%2F%2Fportal.example",
		tenant + "federatedLogout: true\n": issuer + "/v2/logout?client_id=client&federated=&returnTo=https%3A%2F%2Fportal.example",
	} {
		p := newIDP(t).mustOpenKind("auth0", config).(providers.Logouter)
		got, err := p.Logout(t.Context(), providers.LogoutInput{RefreshToken: "rt-secret", ReturnTo: "https://portal.example"})
		if err != nil || got != want {
			t.Errorf("leads to %s, %v, want %s", got, err, want)
		}
	}
}

func TestAuth0Config(t *testing.T) {
	for config, want := range map[string]string{
		client:                                     "domain",
		client + "domain: https://idp.example\n":   "domain is not a host",
		client + "domain: idp.example/\n":          "domain is not a host",
		client + "domain: a@idp.example\n":         "domain is not a host",
		client + "domain: 'idp.example:'\n":        "domain is not a host",
		client + "domain: ':443'\n":                "domain is not a host",
		tenant + "tokenSignedResponseAlg: none\n":  "want one of",
		tenant + "tokenSignedResponseAlg: HS256\n": "clientSecret of at least 32 bytes",
		"clientId: client\ndomain: idp.example\n":  "clientSecret is missing",
	} {
		if _, err := newIDP(t).openKind("auth0", "auth0", config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", config, err, want)
		}
	}
}
