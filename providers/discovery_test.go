package providers_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

const wellKnown = "/.well-known/openid-configuration"

func start(ctx context.Context, p upstreamProvider) (url.Values, error) {
	r, err := p.Start(ctx, providers.StartInput{State: "s", Scope: "openid"})
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, err
	}
	return u.Query(), nil
}

// TestMetadata is C19: what a poisoned or poor document is refused for.
func TestMetadata(t *testing.T) {
	for _, tt := range []struct {
		name, config string
		set          map[string]any // nil removes the member
		want         string
	}{
		{"good", "", nil, ""},
		{"issuer with slash", "", map[string]any{"issuer": issuer + "/"}, ""},
		{"issuer differs", "", map[string]any{"issuer": "https://evil.example"}, providers.CodeMetadata},
		{"issuer is longer", "", map[string]any{"issuer": issuer + "/realm"}, providers.CodeMetadata},
		{"issuer absent", "", map[string]any{"issuer": nil}, providers.CodeMetadata},
		{"issuer configured", "issuer: https://sts.example\n", map[string]any{"issuer": "https://sts.example"}, ""},
		{"issuer configured otherwise", "issuer: https://sts.example\n", nil, providers.CodeMetadata},
		{"issuer a template", "", map[string]any{"issuer": "https://idp.example/{tenantid}"}, providers.CodeMetadata},
		{"no authorization endpoint", "", map[string]any{"authorization_endpoint": nil}, providers.CodeMetadata},
		{"no token endpoint", "", map[string]any{"token_endpoint": nil}, providers.CodeMetadata},
		{"no userinfo endpoint", "", map[string]any{"userinfo_endpoint": nil}, providers.CodeMetadata},
		{"no keys", "", map[string]any{"jwks_uri": nil}, providers.CodeMetadata},
		{"token endpoint on http", "", map[string]any{"token_endpoint": "http://idp.example/token"}, providers.CodeMetadata},
		{"keys in a file", "", map[string]any{"jwks_uri": "file:///etc/keys"}, providers.CodeMetadata},
		{"relative", "", map[string]any{"token_endpoint": "/token"}, providers.CodeMetadata},
		{"user info", "", map[string]any{"token_endpoint": "https://a:b@idp.example/token"}, providers.CodeMetadata},
		{"end session script", "", map[string]any{"end_session_endpoint": "javascript:alert(1)"}, providers.CodeMetadata},
		{"PKCE unknown", "", map[string]any{"code_challenge_methods_supported": []string{}}, ""},
		{"PKCE S256", "", map[string]any{"code_challenge_methods_supported": []string{"plain", "S256"}}, ""},
		{"PKCE plain only", "", map[string]any{"code_challenge_methods_supported": []string{"plain"}}, providers.CodePKCE},
		{"member of a wrong type", "", map[string]any{"token_endpoint": 1}, providers.CodeMetadata},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			for k, v := range tt.set {
				i.meta[k] = v
				if v == nil {
					delete(i.meta, k)
				}
			}
			_, err := start(t.Context(), i.mustOpen(confidential+tt.config))
			wantCode(t, err, tt.want)
		})
	}
}

func TestMetadataAddress(t *testing.T) {
	for _, tt := range []struct{ metadataURL, issuer, path, want string }{
		{issuer, issuer, wellKnown, ""},
		{issuer + "/", issuer, wellKnown, ""},
		{issuer + "/realm", issuer + "/realm", "/realm" + wellKnown, ""},
		{issuer + "/realm" + wellKnown, issuer + "/realm", "/realm" + wellKnown, ""},
		{issuer + "/realm" + wellKnown, issuer, "/realm" + wellKnown, providers.CodeMetadata},
		{issuer + wellKnown + "/realm", issuer + "/realm", wellKnown + "/realm", ""},
		{issuer + wellKnown + "?p=policy", issuer + "/other", wellKnown, ""},
	} {
		t.Run(tt.metadataURL, func(t *testing.T) {
			i := newIDP(t)
			i.meta["issuer"] = tt.issuer
			i.handlers[tt.path] = answer(200, i.meta)
			_, err := start(t.Context(), i.mustOpen("metadataUrl: "+tt.metadataURL+"\nclientId: client\n"))
			wantCode(t, err, tt.want)
		})
	}
}

// TestDiscoveryBackOff is D01: a provider that is down stops nothing, is not asked all the time, and recovers by itself.
func TestDiscoveryBackOff(t *testing.T) {
	i := newIDP(t)
	i.broken[wellKnown] = syscall.ECONNREFUSED
	p := i.mustOpen(confidential)
	asked := 0
	for n, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		_, err := start(t.Context(), p)
		wantCode(t, err, providers.CodeUnreachable)
		asked++
		i.advance(pause*time.Second - time.Millisecond)
		_, err = start(t.Context(), p)
		wantCode(t, err, providers.CodeUnreachable)
		if got := i.called(wellKnown); got != asked {
			t.Fatalf("failure %d: asked %d times, want %d", n+1, got, asked)
		}
		i.advance(time.Millisecond)
	}
	delete(i.broken, wellKnown)
	_, err := start(t.Context(), p)
	wantCode(t, err, "")
	_, err = start(t.Context(), p)
	wantCode(t, err, "")
	if got := i.called(wellKnown); got != asked+1 {
		t.Errorf("asked %d times, want %d", got, asked+1)
	}
}

// TestDiscoveryOnce lets many first sign-ins share one discovery.
func TestDiscoveryOnce(t *testing.T) {
	i := newIDP(t)
	p := i.mustOpen(confidential)
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			_, err := start(t.Context(), p)
			wantCode(t, err, "")
		})
	}
	group.Wait()
	if n := i.called(wellKnown); n != 1 {
		t.Errorf("%d discoveries, want 1", n)
	}
}

// TestDiscoveryAgain reads the metadata again after some hours, without making anybody wait, and keeps what was good.
func TestDiscoveryAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIDP(t)
		p := i.mustOpen(confidential)
		_, err := start(t.Context(), p)
		wantCode(t, err, "")
		for n, meta := range []string{"https://evil.example", issuer} {
			i.mu.Lock()
			i.meta["issuer"], i.now = meta, i.now.Add(4*time.Hour)
			i.mu.Unlock()
			_, err = start(t.Context(), p)
			wantCode(t, err, "")
			synctest.Wait()
			if got := i.called(wellKnown); got != n+2 {
				t.Errorf("asked %d times, want %d", got, n+2)
			}
			_, err = start(t.Context(), p)
			wantCode(t, err, "")
		}
	})
}

// TestMultiTenant is Entra's: the metadata names a template, each token a tenant.
func TestMultiTenant(t *testing.T) {
	const tenant = "9188040d-6c67-4c5b-b112-36a304b66dad"
	const base = "https://login.microsoftonline.com/"
	for _, tt := range []struct {
		name, tid, iss, param, want string
	}{
		{"its tenant", tenant, base + tenant + "/v2.0", "", ""},
		{"its tenant with iss", tenant, base + tenant + "/v2.0", base + tenant + "/v2.0", ""},
		{"another tenant", "00000000-0000-0000-0000-000000000000", base + tenant + "/v2.0", "", providers.CodeIDTokenIssuer},
		{"no tenant", "", base + "/v2.0", "", providers.CodeIDTokenIssuer},
		{"not substituted", "{tenantid}", base + "{tenantid}/v2.0", "", providers.CodeIDTokenIssuer},
		{"tenant with a path", "a/../b", base + "a/../b/v2.0", "", providers.CodeIDTokenIssuer},
		{"foreign iss parameter", tenant, base + tenant + "/v2.0", "https://evil.example/v2.0", providers.CodeCallbackIssuer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			i.meta["issuer"] = base + "{tenantid}/v2.0"
			i.idToken = func(c map[string]any) map[string]any { c["iss"], c["tid"] = tt.iss, tt.tid; return c }
			i.handlers["/common/v2.0"+wellKnown] = answer(200, i.meta)
			p, err := openAs(i, "entra", "metadataUrl: "+base+"common/v2.0\nclientId: client\n", rehosted{i})
			if err != nil {
				t.Fatal(err)
			}
			r, err := p.Start(t.Context(), providers.StartInput{State: "s"})
			if err != nil {
				t.Fatal(err)
			}
			u, _ := url.Parse(r.URL)
			i.nonce = u.Query().Get("nonce")
			q := url.Values{"code": {"c0de"}}
			if tt.param != "" {
				q.Set("iss", tt.param)
			}
			_, err = p.Handle(t.Context(), providers.Request{Query: q, Memo: r.Memo})
			wantCode(t, err, tt.want)
		})
	}
}

// rehosted lets the test provider answer for another host.
type rehosted struct{ *idp }

func (r rehosted) RoundTrip(req *http.Request) (*http.Response, error) {
	own := req.Clone(req.Context())
	own.URL.Host = "idp.example"
	return r.idp.RoundTrip(own)
}

func TestPrompt(t *testing.T) {
	for _, tt := range []struct {
		config string
		want   []string
	}{
		{"", []string{"none"}},
		{"prompt: auto\n", nil},
		{"prompt: select_account\n", []string{"select_account"}},
		{"prompt: login\nstartUrlSearchParams: {prompt: none}\n", []string{"login"}},
		{"prompt: auto\nstartUrlSearchParams: {prompt: consent}\n", []string{"consent"}},
	} {
		q, err := start(t.Context(), newIDP(t).mustOpen(confidential+tt.config))
		wantCode(t, err, "")
		if fmt.Sprint(q["prompt"]) != fmt.Sprint(tt.want) {
			t.Errorf("%q: prompt %v, want %v", tt.config, q["prompt"], tt.want)
		}
	}
}

// TestFixedParams keeps the configuration from taking away what protects a sign-in.
func TestFixedParams(t *testing.T) {
	q, err := start(t.Context(), newIDP(t).mustOpen(confidential+`startUrlSearchParams:
  client_id: evil
  redirect_uri: https://evil.example
  response_type: token
  scope: evil
  state: evil
  nonce: evil
  code_challenge: evil
  code_challenge_method: plain
  acr_values: mfa
`))
	wantCode(t, err, "")
	if q.Get("acr_values") != "mfa" {
		t.Error("acr_values lost")
	}
	for key, values := range q {
		if len(values) != 1 || strings.Contains(values[0], "evil") || values[0] == "plain" || values[0] == "token" {
			t.Errorf("%s is %v", key, values)
		}
	}
}

func TestOIDCConfig(t *testing.T) {
	const minimal = "metadataUrl: https://idp.example\nclientId: c\n"
	for _, tt := range []struct {
		name, id, config, want string
	}{
		{"minimal", "oidc", minimal, ""},
		{"every common key", "oidc", minimal + "type: oidc\ncallbackUrl: https://p/cb\nadditionalScopes: [a]\nsessionDuration: 24h\nsignIn: {resolvers: []}\n", ""},
		{"scope of the Kind's own id", "oidc", minimal + "scope: openid\n", "additionalScopes"},
		{"scope of a custom id", "oidc-pkce", minimal + "scope: openid profile email\n", ""},
		{"no clientId", "oidc", "metadataUrl: https://idp.example\n", "clientId"},
		{"no metadataUrl", "oidc", "clientId: c\n", "metadataUrl"},
		{"metadataUrl a path", "oidc", "metadataUrl: /idp\nclientId: c\n", "metadataUrl"},
		{"metadataUrl with a password", "oidc", "metadataUrl: https://a:b@idp.example\nclientId: c\n", "metadataUrl"},
		{"metadataUrl of a file", "oidc", "metadataUrl: file:///etc/idp\nclientId: c\n", "metadataUrl"},
		{"unknown key", "oidc", minimal + "clientld: c\n", "clientld"},
		{"basic without secret", "oidc", minimal + "tokenEndpointAuthMethod: client_secret_basic\n", "clientSecret"},
		{"post without secret", "oidc", minimal + "tokenEndpointAuthMethod: client_secret_post\n", "clientSecret"},
		{"secret JWT without secret", "oidc", minimal + "tokenEndpointAuthMethod: client_secret_jwt\n", "clientSecret"},
		{"secret JWT with a short secret", "oidc", minimal + "clientSecret: short\ntokenEndpointAuthMethod: client_secret_jwt\n", "client key"},
		{"key JWT without key", "oidc", minimal + "tokenEndpointAuthMethod: private_key_jwt\n", "privateKey"},
		{"key JWT with a text", "oidc", minimal + "tokenEndpointAuthMethod: private_key_jwt\nprivateKey: hunter2\n", "privateKey"},
		{"key JWT with a public JWK", "oidc", minimal + `tokenEndpointAuthMethod: private_key_jwt` + "\n" +
			`privateKey: '{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'` + "\n", "privateKey"},
		{"key without its method", "oidc", minimal + "privateKey: x\n", "private_key_jwt"},
		{"mutual TLS", "oidc", minimal + "tokenEndpointAuthMethod: tls_client_auth\n", "not supported"},
		{"algorithm none", "oidc", minimal + "tokenSignedResponseAlg: none\n", "tokenSignedResponseAlg"},
		{"HS256 without secret", "oidc", minimal + "tokenSignedResponseAlg: HS256\n", "clientSecret"},
		{"HS256 with a short secret", "oidc", minimal + "clientSecret: short\ntokenSignedResponseAlg: HS256\n", "32 bytes"},
		{"HS256 with a secret that is not sent", "oidc", confidential + "tokenEndpointAuthMethod: none\ntokenSignedResponseAlg: HS256\n", ""},
		{"timeout negative", "oidc", minimal + "timeout: -1s\n", "timeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := openAs(newIDP(t), tt.id, tt.config, http.DefaultTransport)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want one about %s", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("error repeats the key: %v", err)
			}
		})
	}
}

// TestDecodeTwice lets the server read the common keys after the provider read its own.
func TestDecodeTwice(t *testing.T) {
	decode := providertest.Decode("type: oidc\nadditionalScopes: a, b|c\nscope: [d]\nsessionDuration: 24h\n")
	for range 2 {
		var c providers.Common
		if err := decode(&c); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%v %v %v", c.ExtraScopes(), c.SessionDuration, c.Type); got != "[a b c d] 24h0m0s oidc" {
			t.Errorf("decoded %s", got)
		}
	}
}

func TestGuestOutsideDevelopment(t *testing.T) {
	for _, tt := range []struct {
		config      string
		development bool
		want        string
	}{
		{"{}", true, ""},
		{"{}", false, providers.CodeGuest},
		{"dangerouslyAllowOutsideDevelopment: true", false, ""},
		{"dangerouslyAllowOutsideDevelopment: false", false, providers.CodeGuest},
	} {
		p, logged := openGuest(t, tt.config, tt.development)
		_, err := p.Handle(t.Context(), providers.Request{})
		wantCode(t, err, tt.want)
		if loud := strings.Contains(logged.String(), "level=WARN"); loud != (!tt.development && tt.want == "") {
			t.Errorf("%s: logged %q", tt.config, logged)
		}
	}
}

func openGuest(t *testing.T, config string, development bool) (providers.Provider, *strings.Builder) {
	t.Helper()
	kind, err := providers.KindOf("guest", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	p, err := kind.New(providers.Setup{
		ID: "guest", Decode: providertest.Decode(config), Development: development, Log: slog.New(slog.NewTextHandler(&logged, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, &logged
}

func TestGuestConfig(t *testing.T) {
	kind, err := providers.KindOf("guest", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for config, good := range map[string]bool{
		"userEntityRef: guest": true, "userEntityRef: user:default/jane": true, "userEntityRef: a/b/c": false, "userEntityRef: 'user:'": false,
		"ownershipEntityRefs: [group:default/a]": true, "ownershipEntityRefs: [a]": false, "userEntityRefs: x": false,
	} {
		_, err := kind.New(providers.Setup{Decode: providertest.Decode(config), Log: slog.New(slog.DiscardHandler), Development: true})
		if (err == nil) != good {
			t.Errorf("%s: error %v", config, err)
		}
	}
}
