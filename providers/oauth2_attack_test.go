package providers_test

import (
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

// TestForeignToken: a browser brings an access token in a cookie of the Node backend, which GitHub gave to another application. It
// names its user, and signs nobody in here.
func TestForeignToken(t *testing.T) {
	const check = "/api/v3/applications/client/token"
	for _, tt := range []struct {
		name, subject string
		status, asked int
		want          string
		kind          error
	}{
		{"of this app", "", 200, 1, "", nil},
		{"of another app", "", 404, 1, providers.CodeTokenRejected, providers.ErrExpired},
		{"no token at all", "", 422, 1, providers.CodeTokenRejected, providers.ErrExpired},
		{"our credentials are wrong", "", 401, 1, providers.CodeUpstream, providers.ErrUnavailable},
		{"GitHub is down", "", 503, 1, providers.CodeUpstream, providers.ErrUnavailable},
		{"from a sign-in here", "1", 404, 0, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			i.handlers["/api/v3/user"] = answer(200, map[string]any{"id": 1, "login": "jane"})
			i.handlers[check] = answer(tt.status, map[string]any{"user": map[string]any{"login": "jane"}})
			got, err := i.mustOpenKind("github", enterprise).Refresh(t.Context(), providers.RefreshInput{
				RefreshToken: "access-token-v2.rt-secret", ScopeGranted: true, Subject: tt.subject,
			})
			wantCode(t, err, tt.want)
			if tt.kind != nil && !errors.Is(err, tt.kind) || i.called(check) != tt.asked {
				t.Errorf("error %v, asked %d times", err, i.called(check))
			}
			if (got.Session.Subject == "1") != (tt.want == "") || tt.want != "" && i.called("/api/v3/user") != 0 {
				t.Errorf("subject %q", got.Session.Subject)
			}
			if id, secret, ok := (&http.Request{Header: i.header}).BasicAuth(); tt.asked > 0 && (!ok || id != "client" || secret != "s") {
				t.Error("the question is not the app's")
			}
		})
	}
}

// TestForeignClusterToken: OpenShift does not say whose a token is, so one from a cookie counts for nothing.
func TestForeignClusterToken(t *testing.T) {
	i := newIDP(t)
	i.handlers["/apis/user.openshift.io/v1/users/~"] = answer(200, map[string]any{"metadata": map[string]any{"name": "jane"}})
	_, err := i.mustOpenKind("openshift", generic+"openshiftApiServerUrl: "+issuer+"\n").Refresh(t.Context(), providers.RefreshInput{RefreshToken: "rt-secret"})
	wantCode(t, err, providers.CodeTokenRejected)
	if !errors.Is(err, providers.ErrExpired) || i.called("/apis/user.openshift.io/v1/users/~") != 0 {
		t.Errorf("error %v", err)
	}
}

// TestUnconfirmedAtGitlab: an email that GitLab's API calls unconfirmed does not come back from the id_token.
func TestUnconfirmedAtGitlab(t *testing.T) {
	for _, tt := range []struct {
		name      string
		confirmed map[string]any
		email     bool
	}{
		{"confirmed", map[string]any{"confirmed_at": "2026-01-01T00:00:00Z"}, true},
		{"an old GitLab does not tell", nil, true},
		{"unconfirmed", map[string]any{"confirmed_at": nil}, false},
		{"empty", map[string]any{"confirmed_at": ""}, false},
		{"of another type", map[string]any{"confirmed_at": false}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			i.idToken = func(c map[string]any) map[string]any { c["email"] = "jane@corp.example"; return c }
			i.handlers["/oauth/token"] = answer(200, i.tokens())
			i.handlers["/oauth/discovery/keys"] = i.handler("/keys")
			user := map[string]any{"id": 7, "username": "jane", "email": "jane@corp.example"}
			maps.Copy(user, tt.confirmed)
			i.handlers["/api/v4/user"] = answer(200, user)
			got, err := comeBack(t, i.mustOpenKind("gitlab", client+"audience: "+issuer+"\n"))
			if err != nil || (got.Profile.Email != "") != tt.email {
				t.Errorf("email there: %t, error %v", got.Profile.Email != "", err)
			}
		})
	}
}

// TestExtraAnswers: what is asked about a user beyond the first answer may be refused, and then it is not there. A vendor that is asked
// too often, or something else that answers in its place, does not say that somebody has no email: their session would end.
func TestExtraAnswers(t *testing.T) {
	slow := func(name, value string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(name, value)
			answer(403, map[string]any{"message": "rate limit"})(w, r)
		}
	}
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"told", answer(200, []any{}), ""},
		{"refused", answer(403, map[string]any{}), ""},
		{"not there", answer(404, map[string]any{}), ""},
		{"more calls left", slow("X-RateLimit-Remaining", "1"), ""},
		{"no calls left", slow("X-RateLimit-Remaining", "0"), providers.CodeUpstream},
		{"asked too often", slow("Retry-After", "60"), providers.CodeUpstream},
		{"down", answer(502, nil), providers.CodeUpstream},
		{"another page", body(200, "text/html", "<h1>Log in to the network"), providers.CodeUserInfo},
		{"an object", answer(200, map[string]any{"error": "x"}), providers.CodeUserInfo},
	} {
		for _, path := range []string{"/api/v3/user/emails", "/api/v3/user/orgs"} {
			t.Run(tt.name+path, func(t *testing.T) {
				i := newIDP(t)
				i.handlers["/api/v3/user"] = answer(200, map[string]any{"id": 1, "login": "jane"})
				i.handlers["/api/v3/user/emails"], i.handlers["/api/v3/user/orgs"] = answer(200, []any{}), answer(200, []any{})
				i.handlers[path] = tt.handler
				_, err := i.mustOpenKind("github", enterprise+"organizations: true\n").Refresh(t.Context(), providers.RefreshInput{
					RefreshToken: "access-token-v2.rt-secret", ScopeGranted: true, Scope: "user:email", Subject: "1",
				})
				wantCode(t, err, tt.want)
				if errors.Is(err, providers.ErrUnavailable) != (tt.want == providers.CodeUpstream) {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}

// elsewhere plays Entra for a scope of another API: its first token answer has no id_token, and the access token cannot read Graph.
type elsewhere struct {
	microsoft
	forge func(claims map[string]any)
}

func (e elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, "/token") {
		return e.microsoft.RoundTrip(r)
	}
	form, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	claims := map[string]any{
		"iss": "https://login.microsoftonline.com/" + e.tenant + "/v2.0", "tid": e.tenant, "aud": "client", "sub": "s1", "oid": "g1",
		"xms_edov": true, "iat": e.clock().Unix(), "exp": e.clock().Add(time.Hour).Unix(),
	}
	e.forge(claims)
	idToken, err := e.signer.Sign(claims)
	if err != nil {
		return nil, err
	}
	tokens := map[string]any{"access_token": "opaque", "refresh_token": "rt-3", "id_token": idToken}
	if !strings.Contains(string(form), "User.Read") {
		tokens = map[string]any{"access_token": "e30.eyJhdWQiOiJhcGk6Ly94In0.x", "refresh_token": "rt-2"}
	}
	rec := httptest.NewRecorder()
	answer(200, tokens)(rec, r)
	return rec.Result(), nil
}

// TestMicrosoftElsewhere: a refresh for another API of a user whom any tenant may have written. The second token answer vouches for the
// email, and is verified for it; without that the refresh would end the session.
func TestMicrosoftElsewhere(t *testing.T) {
	const tenant = "11111111-2222-3333-4444-555555555555"
	for _, tt := range []struct {
		name  string
		forge func(map[string]any)
		want  string
		email bool
	}{
		{"vouched for", func(map[string]any) {}, "", true},
		{"not vouched for", func(c map[string]any) { delete(c, "xms_edov") }, "", false},
		{"for another client", func(c map[string]any) { c["aud"] = "other" }, providers.CodeIDTokenAudience, false},
		{"of another issuer", func(c map[string]any) { c["iss"] = "https://evil.example" }, providers.CodeIDTokenIssuer, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			k, err := providers.KindOf("microsoft", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			p, err := k.New(providers.Setup{
				CallbackURL: "https://portal.example/cb", Decode: providertest.Decode(client + "tenantId: common\n"),
				HTTP: &http.Client{Transport: elsewhere{microsoft{i, tenant, nil}, tt.forge}}, Now: i.clock, Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.(oauthProvider).Refresh(t.Context(), providers.RefreshInput{RefreshToken: "rt-1", Scope: "api://x/read", Subject: "g1"})
			wantCode(t, err, tt.want)
			if (got.Profile.Email != "") != tt.email || got.Session.RefreshToken != "rt-3" {
				t.Errorf("email there: %t, refresh token kept: %t", got.Profile.Email != "", got.Session.RefreshToken == "rt-3")
			}
			if err == nil && (got.Session.AccessToken == "opaque" || got.Claims["tid"] != tenant) {
				t.Errorf("claims %v", got.Claims)
			}
		})
	}
}
