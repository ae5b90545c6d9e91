package providers_test

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

// oauthProvider is what every plain OAuth 2.0 kind can do.
type oauthProvider interface {
	providers.Provider
	providers.Starter
	providers.Refresher
}

func (i *idp) openKind(id, kind, config string) (oauthProvider, error) {
	k, err := providers.KindOf(id, kind, nil)
	if err != nil {
		return nil, err
	}
	p, err := k.New(providers.Setup{
		ID: id, CallbackURL: "https://portal.example/cb", Decode: providertest.Decode(config),
		HTTP: &http.Client{Transport: i}, Now: i.clock, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	return p.(oauthProvider), nil
}

const (
	client     = "clientId: client\nclientSecret: s\n"
	generic    = client + "authorizationUrl: " + issuer + "/authorize\ntokenUrl: " + issuer + "/token\n"
	enterprise = client + "enterpriseInstanceUrl: " + issuer + "/\n"
	published  = generic + "issuer: " + issuer + "\njwksUrl: " + issuer + "/keys\n"
)

func (i *idp) mustOpenKind(kind, config string) oauthProvider {
	i.t.Helper()
	p, err := i.openKind(kind, kind, config)
	if err != nil {
		i.t.Fatal(err)
	}
	return p
}

func comeBack(t *testing.T, p oauthProvider) (providers.Result, error) {
	t.Helper()
	start, err := p.Start(t.Context(), providers.StartInput{State: "s"})
	if err != nil {
		t.Fatal(err)
	}
	return p.Handle(t.Context(), providers.Request{Query: url.Values{"code": {"c0de"}}, Memo: start.Memo})
}

func TestOAuth2TokenFaults(t *testing.T) {
	for _, tt := range upstreamFaults {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			i.handlers["/token"] = tt.handler
			p := i.mustOpenKind("oauth2", generic)
			_, err := comeBack(t, p)
			wantCode(t, err, tt.signIn)
			if errors.Is(err, providers.ErrExpired) {
				t.Error("a sign-in ends a session")
			}
			_, err = p.Refresh(t.Context(), providers.RefreshInput{RefreshToken: "rt-secret"})
			wantCode(t, err, tt.refresh)
			if !errors.Is(err, tt.kind) {
				t.Errorf("error %v, want %v", err, tt.kind)
			}
		})
	}
}

// TestOAuth2IDToken: without keys an id_token is read and must be meant for us; with keys it is verified.
func TestOAuth2IDToken(t *testing.T) {
	change := func(key string, value any) func(map[string]any) map[string]any {
		return func(claims map[string]any) map[string]any { claims[key] = value; return claims }
	}
	for _, tt := range []struct {
		name, config string
		idToken      func(map[string]any) map[string]any
		forge        func(string) string
		want         string
	}{
		{name: "read", config: generic},
		{name: "verified", config: published},
		{name: "read, audience", config: generic, idToken: change("aud", "other"), want: providers.CodeIDTokenAudience},
		{name: "read, expired", config: generic, idToken: change("exp", 1), want: providers.CodeIDTokenClock},
		{name: "read, no subject", config: generic, idToken: change("sub", ""), want: providers.CodeIDTokenMalformed},
		{name: "read, not a JWT", config: generic, forge: func(string) string { return "opaque" }, want: providers.CodeIDTokenMalformed},
		{name: "read, not base64", config: generic, forge: func(string) string { return "a.*.c" }, want: providers.CodeIDTokenMalformed},
		{name: "issuer", config: published, idToken: change("iss", "https://evil.example"), want: providers.CodeIDTokenIssuer},
		{name: "signature", config: published, forge: func(s string) string { return s[:len(s)-8] + "AAAAAAAA" }, want: providers.CodeIDTokenSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			if tt.idToken != nil {
				i.idToken = tt.idToken
			}
			if tt.forge != nil {
				i.forge = tt.forge
			}
			got, err := comeBack(t, i.mustOpenKind("oauth2", tt.config))
			wantCode(t, err, tt.want)
			if (got.Session.Subject == "u1") != (tt.want == "") {
				t.Errorf("subject %q", got.Session.Subject)
			}
		})
	}
}

func TestOAuth2Memo(t *testing.T) {
	p := newIDP(t).mustOpenKind("oauth2", generic+"pkce: true\n")
	for _, memo := range []string{"", "x", "{}", `{"n":"nonce"}`} {
		_, err := p.Handle(t.Context(), providers.Request{Query: url.Values{"code": {"c0de"}}, Memo: []byte(memo)})
		wantCode(t, err, providers.CodeTransaction)
	}
}

// TestOAuth2PublicClient has no secret and says who it is in the body.
func TestOAuth2PublicClient(t *testing.T) {
	i := newIDP(t)
	if _, err := comeBack(t, i.mustOpenKind("oauth2", strings.Replace(generic, "clientSecret: s", "pkce: true", 1))); err != nil {
		t.Fatal(err)
	}
	if i.form.Get("client_id") != "client" || i.form.Has("client_secret") || i.form.Get("code_verifier") == "" || i.header.Get("Authorization") != "" {
		t.Errorf("token request has %v", fieldsOf(i.form))
	}
}

func TestOAuth2Config(t *testing.T) {
	for _, tt := range []struct{ id, kind, config, want string }{
		{"oauth2", "oauth2", strings.Replace(generic, "clientSecret: s", "", 1), "clientSecret is missing"},
		{"oauth2", "oauth2", generic + "scope: a\n", "scope is not a key of oauth2"},
		{"custom", "oauth2", generic + "scope: a\n", ""},
		{"oauth2", "oauth2", generic + "timeout: -1s\n", "timeout is negative"},
		{"oauth2", "oauth2", client + "authorizationUrl: idp\ntokenUrl: idp\n", "authorizationUrl is not an http"},
		{"oauth2", "oauth2", client + "authorizationUrl: idp\ntokenUrl: idp\n", "tokenUrl is not an http"},
		{"oauth2", "oauth2", generic + "jwksUrl: idp\n", "issuer and jwksUrl need each other"},
		{"oauth2", "oauth2", generic + "issuer: idp\njwksUrl: https://idp.example/keys\n", "issuer is not an http"},
		{"oauth2", "oauth2", generic + "claims: {email: mail}\n", "claims needs userInfoUrl"},
		{"oauth2", "oauth2", generic + "userInfoUrl: idp\n", "userInfoUrl is not an http"},
		{"github", "github", client + "enterpriseInstanceUrl: ghe.example\n", "enterpriseInstanceUrl is not an http"},
		{"gitlab", "gitlab", client + "audience: gitlab.example\n", "audience is not an http"},
		{"okta", "okta", client + "audience: corp.okta.com\n", "audience is not an http"},
		{"okta", "okta", client + "audience: https://corp.okta.com?a=b\n", "must not have a query"},
		{"microsoft", "microsoft", client, "tenantId"},
		{"microsoft", "microsoft", client + "tenantId: a/b\n", "tenantId is neither"},
	} {
		t.Run(tt.id+" "+tt.want, func(t *testing.T) {
			_, err := newIDP(t).openKind(tt.id, tt.kind, tt.config)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// TestOAuth2UserFaults: only a held access token that the vendor refuses with 401 ends a session.
func TestOAuth2UserFaults(t *testing.T) {
	user := answer(200, map[string]any{"id": 1, "login": "jane"})
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		subject string
		granted bool
		code    string
		kind    error
	}{
		{"well", user, "1", true, "", nil},
		{"somebody else", user, "2", true, providers.CodeSubject, nil},
		{"scope", user, "1", false, providers.CodeScope, nil},
		{"401", answer(401, map[string]any{"message": "Bad credentials"}), "1", true, providers.CodeTokenRejected, providers.ErrExpired},
		{"403", answer(403, map[string]any{}), "1", true, providers.CodeUserInfo, nil},
		{"502", body(502, "text/html", "<h1>"), "1", true, providers.CodeUpstream, providers.ErrUnavailable},
		{"garbage", body(200, "text/html", "<h1>"), "1", true, providers.CodeUserInfo, nil},
		{"no id", answer(200, map[string]any{"login": "jane"}), "1", true, providers.CodeUserInfo, nil},
		{"id of another type", answer(200, map[string]any{"id": true}), "1", true, providers.CodeUserInfo, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			i.handlers["/api/v3/user"] = tt.handler
			_, err := i.mustOpenKind("github", enterprise).Refresh(t.Context(), providers.RefreshInput{
				RefreshToken: "access-token-v2.at", Subject: tt.subject, ScopeGranted: tt.granted,
			})
			wantCode(t, err, tt.code)
			if tt.kind != nil && !errors.Is(err, tt.kind) || tt.kind == nil && errors.Is(err, providers.ErrExpired) {
				t.Errorf("error %v, want %v", err, tt.kind)
			}
		})
	}
}

// TestGithubApp renews with refresh tokens, and never asks for emails that the scope does not cover.
func TestGithubApp(t *testing.T) {
	i := newIDP(t)
	i.handlers["/api/v3/user"] = answer(200, map[string]any{"id": 1, "login": "jane"})
	i.handlers["/login/oauth/access_token"] = body(200, "application/x-www-form-urlencoded",
		"access_token=at&refresh_token=rt&expires_in=28800&scope=&token_type=bearer")
	p := i.mustOpenKind("github", enterprise)
	got, err := comeBack(t, p)
	if err != nil || got.Session.RefreshToken != "rt" || got.Session.ExpiresIn.Seconds() != 28800 || got.Profile.Email != "" {
		t.Errorf("session ends in %v, error %v", got.Session.ExpiresIn, err)
	}
	if n := i.called("/api/v3/user/emails"); n != 0 {
		t.Errorf("%d calls for emails", n)
	}
	i.handlers["/login/oauth/access_token"] = body(200, "application/x-www-form-urlencoded", "error=bad_refresh_token")
	if _, err = p.Refresh(t.Context(), providers.RefreshInput{RefreshToken: "rt"}); !errors.Is(err, providers.ErrExpired) {
		t.Errorf("error %v, want ErrExpired", err)
	}
}

// TestTwoGithubs live side by side.
func TestTwoGithubs(t *testing.T) {
	for id, want := range map[string]string{
		"github": "https://github.com/login/oauth/authorize?", "ghe": issuer + "/login/oauth/authorize?",
	} {
		config := client
		if id == "ghe" {
			config = enterprise
		}
		p, err := newIDP(t).openKind(id, "github", config)
		if err != nil {
			t.Fatal(err)
		}
		start, err := p.Start(t.Context(), providers.StartInput{State: "s"})
		if err != nil || !strings.HasPrefix(start.URL, want) {
			t.Errorf("%s starts at %s, %v", id, start.URL, err)
		}
	}
}

// TestRotatedAtRefresh keeps a refresh token that was replaced before the user could be read.
func TestRotatedAtRefresh(t *testing.T) {
	i := newIDP(t)
	i.handlers["/oauth/token"] = answer(200, map[string]any{"access_token": "at", "refresh_token": "rt-2"})
	i.handlers["/api/v4/user"] = body(503, "text/plain", "")
	got, err := i.mustOpenKind("gitlab", client+"audience: "+issuer+"\n").Refresh(t.Context(), providers.RefreshInput{RefreshToken: "rt-1"})
	if !errors.Is(err, providers.ErrUnavailable) || got.Session.RefreshToken != "rt-2" {
		t.Errorf("refresh token kept: %t, error %v", got.Session.RefreshToken == "rt-2", err)
	}
}

// TestUnconfirmedEmail: an email that the vendor disowns does not come back from the id_token.
func TestUnconfirmedEmail(t *testing.T) {
	for _, verified := range []any{false, "false", nil, true} {
		i := newIDP(t)
		i.info = map[string]any{"sub": "u1", "email": "jane@corp.example", "email_verified": verified}
		i.idToken = func(c map[string]any) map[string]any { c["email"] = "jane@corp.example"; return c }
		got, err := comeBack(t, i.mustOpenKind("oauth2", generic+"userInfoUrl: "+issuer+"/userinfo\n"))
		if err != nil || (got.Profile.Email != "") != (verified == true) {
			t.Errorf("email_verified %v: email there: %t, error %v", verified, got.Profile.Email != "", err)
		}
	}
}

// TestVouchedEmail: at a vendor that we know nothing of, an email that nobody vouches for is none, wherever it stands, unless the
// config trusts it (design D12).
func TestVouchedEmail(t *testing.T) {
	asks, trusts := "userInfoUrl: "+issuer+"/userinfo\n", "trustUnverifiedEmail: true\n"
	const jane = "jane@corp.example"
	for _, tt := range []struct {
		name, config string
		info, claims map[string]any
		want         string
	}{
		{"userinfo does not say", asks, map[string]any{"email": jane}, nil, ""},
		{"id_token does not say", "", nil, map[string]any{"email": jane}, ""},
		{"id_token does not say, userinfo asked", asks, map[string]any{}, map[string]any{"email": jane}, ""},
		{"id_token vouches", asks, map[string]any{}, map[string]any{"email": jane, "email_verified": true}, jane},
		{"another name", asks + "claims: {emailVerified: ok}\n", map[string]any{"email": jane, "ok": true}, nil, jane},
		{"another name says no", asks + "claims: {emailVerified: ok}\n", map[string]any{"email": jane, "ok": false}, nil, ""},
		{"trusted", asks + trusts, map[string]any{"email": jane}, nil, jane},
		{"trusted id_token", trusts, nil, map[string]any{"email": jane}, jane},
		{"trusted and disowned", asks + trusts, map[string]any{"email": jane, "email_verified": false}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			i.info = map[string]any{"sub": "u1"}
			maps.Copy(i.info, tt.info)
			i.idToken = func(c map[string]any) map[string]any { maps.Copy(c, tt.claims); return c }
			got, err := comeBack(t, i.mustOpenKind("oauth2", generic+tt.config))
			if err != nil || got.Profile.Email != tt.want {
				t.Errorf("email %q, want %q, error %v", got.Profile.Email, tt.want, err)
			}
		})
	}
}

// TestOAuth2CallbackWords are those of the Node backend (contract/providers.md 0.5).
func TestOAuth2CallbackWords(t *testing.T) {
	p := newIDP(t).mustOpenKind("oauth2", generic)
	for query, want := range map[string]string{
		"error=access_denied&error_description=no": "Authentication rejected, access_denied (no)",
		"error=login_required":                     "Authentication failed, login_required",
		"":                                         "Unexpected redirect",
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Handle(t.Context(), providers.Request{Query: q})
		if e, ok := errors.AsType[*providers.Error](err); !ok || e.Message != want {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestMicrosoftScopes: scopes of another API go alone, as an access token has one audience.
func TestMicrosoftScopes(t *testing.T) {
	kind, err := providers.KindOf("microsoft", "", func(string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	for requested, want := range map[string]string{
		"User.Read openid":      "User.Read openid email offline_access user.read extra",
		"api://x/read":          "api://x/read offline_access",
		"openid api://x/read a": "openid api://x/read a offline_access",
	} {
		if got := kind.Scopes.Merge(requested, "", []string{"extra"}); got != want {
			t.Errorf("%s: %q, want %q", requested, got, want)
		}
	}
}

// microsoft plays login.microsoftonline.com and Graph for every tenant, with an access token that says nothing.
type microsoft struct {
	*idp
	tenant string
	edov   any
}

func (m microsoft) RoundTrip(r *http.Request) (*http.Response, error) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/token"):
		m.idToken = func(c map[string]any) map[string]any {
			c["iss"], c["tid"], c["xms_edov"] = fmt.Sprintf("https://login.microsoftonline.com/%s/v2.0", m.tenant), m.tenant, m.edov
			return c
		}
		r.URL.Path = "/token"
	case strings.HasSuffix(r.URL.Path, "/keys"):
		r.URL.Path = "/keys"
	case strings.HasSuffix(r.URL.Path, "/me/"):
		m.info = map[string]any{"id": "g1", "mail": "jane@corp.example"}
		r.URL.Path = "/userinfo"
	}
	r.URL.Host = "idp.example"
	return m.idp.RoundTrip(r)
}

// TestMicrosoftForeignTenant: an administrator of any tenant may write any address, so it counts only with xms_edov.
func TestMicrosoftForeignTenant(t *testing.T) {
	const tenant, letters = "11111111-2222-3333-4444-555555555555", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	for _, tt := range []struct {
		name, tenantID string
		edov           any
		email          bool
	}{
		{"own tenant", tenant, nil, true},
		{"own domain", "corp.example", nil, true},
		{"any tenant", "common", nil, false},
		{"any tenant in capitals", "Common", nil, false},
		{"everybody, by its id", "9188040d-6c67-4c5b-b112-36a304b66dad", nil, false},
		{"own tenant in capitals", strings.ToUpper(letters), nil, true},
		{"any tenant, not owned", "organizations", "0", false},
		{"any tenant, owned", "organizations", true, true},
		{"any tenant, owned in words", "common", "1", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			from := tenant
			if tenantID := strings.ToLower(tt.tenantID); strings.Count(tenantID, "-") == 4 {
				from = tenantID
			}
			k, err := providers.KindOf("microsoft", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			p, err := k.New(providers.Setup{
				CallbackURL: "https://portal.example/cb", Decode: providertest.Decode(client + "tenantId: " + tt.tenantID + "\n"),
				HTTP: &http.Client{Transport: microsoft{i, from, tt.edov}}, Now: i.clock, Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			got, err := comeBack(t, p.(oauthProvider))
			if err != nil || (got.Profile.Email != "") != tt.email || got.Session.Subject != "g1" {
				t.Errorf("email there: %t, error %v", got.Profile.Email != "", err)
			}
		})
	}
}

// TestHeldToken: OpenShift's access token renews without scopes being granted, and a 401 ends the session.
func TestHeldToken(t *testing.T) {
	config := generic + "openshiftApiServerUrl: " + issuer + "\n"
	for status, want := range map[int]string{200: "", 401: providers.CodeTokenRejected, 403: providers.CodeUserInfo} {
		i := newIDP(t)
		i.handlers["/apis/user.openshift.io/v1/users/~"] = answer(status, map[string]any{"metadata": map[string]any{"name": "jane"}})
		_, err := i.mustOpenKind("openshift", config).Refresh(t.Context(), providers.RefreshInput{
			RefreshToken: "at", Scope: "user:full", Subject: "jane",
		})
		wantCode(t, err, want)
		if errors.Is(err, providers.ErrExpired) != (status == 401) {
			t.Errorf("status %d: error %v", status, err)
		}
	}
}

// TestHeldTokenLogout: what is gone already counts as deleted, and no session is no call.
func TestHeldTokenLogout(t *testing.T) {
	for status, fails := range map[int]bool{200: false, 404: false, 401: true, 500: true} {
		i := newIDP(t)
		i.handlers["/apis/oauth.openshift.io/v1/oauthaccesstokens/sha256~LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ"] = answer(status, nil)
		p := i.mustOpenKind("openshift", generic+"openshiftApiServerUrl: "+issuer+"\n").(providers.Logouter)
		if _, err := p.Logout(t.Context(), providers.LogoutInput{}); err != nil {
			t.Errorf("without a session: %v", err)
		}
		if _, err := p.Logout(t.Context(), providers.LogoutInput{RefreshToken: "sha256~hello"}); (err != nil) != fails {
			t.Errorf("status %d: error %v", status, err)
		}
	}
}
