package devidp

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCodeExchangeRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		change url.Values
		want   string
	}{
		{"wrong verifier", url.Values{"code_verifier": {verifier + "x"}}, "invalid_grant"},
		{"no verifier", url.Values{"code_verifier": {""}}, "invalid_request"},
		{"other redirect URI", url.Values{"redirect_uri": {"http://localhost:9/other"}}, "invalid_grant"},
		{"other client", url.Values{"client_id": {secretID}, "client_secret": {secret}}, "invalid_grant"},
		{"unknown client", url.Values{"client_id": {"nobody"}}, "invalid_client"},
		{"unknown code", url.Values{"code": {"guess"}}, "invalid_grant"},
		{"no code", url.Values{"code": {""}}, "invalid_request"},
		{"unknown grant", url.Values{"grant_type": {"password"}}, "unsupported_grant_type"},
		{"client credentials", url.Values{"grant_type": {"client_credentials"}}, "unsupported_grant_type"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t)
			form := codeForm(r.signIn(t, jane).Get("code"))
			for name, values := range test.change {
				form[name] = values
			}
			if _, body := r.post(t, tokenPath, form); body["error"] != test.want {
				t.Errorf("error is %v, want %s", body["error"], test.want)
			}
		})
	}
}

func TestConfidentialClientNeedsItsSecret(t *testing.T) {
	r := newRig(t)
	for _, test := range []struct{ name, id, secret, want string }{
		{"wrong secret", secretID, "guess", "invalid_client"},
		{"no secret", secretID, "", "invalid_client"},
	} {
		t.Run(test.name, func(t *testing.T) {
			form := codeForm(r.signIn(t, jane, "client_id", test.id).Get("code"))
			form.Set("client_id", test.id)
			form.Set("client_secret", test.secret)
			if _, body := r.post(t, tokenPath, form); body["error"] != test.want {
				t.Errorf("error is %v, want %s", body["error"], test.want)
			}
		})
	}
	if r.store.AuthorizeClientIDSecret(t.Context(), publicID, "") == nil {
		t.Error("a public client authenticates with an empty secret")
	}
}

func TestCodeReplayEndsTheGrant(t *testing.T) {
	r := newRig(t)
	form := codeForm(r.signIn(t, jane).Get("code"))
	_, tokens := r.post(t, tokenPath, form)
	access, _ := tokens["access_token"].(string)
	if status, _ := r.get(t, userinfoPath, access); status != http.StatusOK {
		t.Fatalf("userinfo answers %d, want 200", status)
	}
	if _, body := r.post(t, tokenPath, form); body["error"] != "invalid_grant" {
		t.Errorf("second use gives %v, want invalid_grant", body["error"])
	}
	if status, _ := r.get(t, userinfoPath, access); status != http.StatusUnauthorized {
		t.Errorf("userinfo after the replay answers %d, want 401", status)
	}
	refresh, _ := tokens["refresh_token"].(string)
	if _, body := r.post(t, tokenPath, refreshForm(refresh)); body["error"] != "invalid_grant" {
		t.Errorf("refresh after the replay gives %v, want invalid_grant", body["error"])
	}
}

func TestRefreshReplay(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Options)
		rotate bool
		replay any // The error of using the first token again.
		newest any // The error of using the newest token then.
	}{
		{"ends the grant", func(*Options) {}, true, "invalid_grant", "invalid_grant"},
		{"keeps the grant", func(o *Options) { o.KeepGrantOnReplay = true }, true, "invalid_grant", nil},
		{"does not rotate", func(o *Options) { o.KeepRefreshTokens = true }, false, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, test.change)
			first, _ := r.tokens(t, jane)["refresh_token"].(string)
			_, body := r.post(t, tokenPath, refreshForm(first))
			newest, _ := body["refresh_token"].(string)
			if newest == "" || (newest != first) != test.rotate {
				t.Errorf("rotated: %v, want %v", newest != first, test.rotate)
			}
			if _, body = r.post(t, tokenPath, refreshForm(first)); body["error"] != test.replay {
				t.Errorf("replay gives %v, want %v", body["error"], test.replay)
			}
			if _, body = r.post(t, tokenPath, refreshForm(newest)); body["error"] != test.newest {
				t.Errorf("newest gives %v, want %v", body["error"], test.newest)
			}
		})
	}
}

func TestRefreshRefused(t *testing.T) {
	r := newRig(t, func(o *Options) { o.KeepRefreshTokens = true })
	token, _ := r.tokens(t, jane)["refresh_token"].(string)
	for _, test := range []struct {
		name   string
		change url.Values
		want   any
	}{
		{"other client", url.Values{"client_id": {secretID}, "client_secret": {secret}}, "invalid_grant"},
		{"wider scope", url.Values{"scope": {"openid phone"}}, "invalid_scope"},
		{"unknown token", url.Values{"refresh_token": {"guess"}}, "invalid_grant"},
		{"no token", url.Values{"refresh_token": {""}}, "invalid_request"},
		{"narrower scope", url.Values{"scope": {"openid"}}, nil},
		{"all scopes again", url.Values{"scope": {allScopes}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			form := refreshForm(token)
			for name, values := range test.change {
				form[name] = values
			}
			if _, body := r.post(t, tokenPath, form); body["error"] != test.want {
				t.Errorf("error is %v, want %v", body["error"], test.want)
			}
		})
	}
}

func TestScopesDecide(t *testing.T) {
	for _, test := range []struct {
		scope   string
		refresh bool
		want    map[string]any
	}{
		{"openid", false, map[string]any{"sub": "sam-poe"}},
		{"openid email", false, map[string]any{
			"sub": "sam-poe", "email": "sam.poe@example.com", "email_verified": false,
		}},
		{"openid profile offline_access", true, map[string]any{
			"sub": "sam-poe", "name": "Sam Poe", "given_name": "Sam", "family_name": "Poe", "preferred_username": "sam.poe",
		}},
	} {
		t.Run(test.scope, func(t *testing.T) {
			r := newRig(t)
			tokens := r.tokens(t, "sam-poe", "scope", test.scope)
			if _, got := tokens["refresh_token"]; got != test.refresh {
				t.Errorf("refresh token given: %v, want %v", got, test.refresh)
			}
			access, _ := tokens["access_token"].(string)
			_, got := r.get(t, userinfoPath, access)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("userinfo (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRevocationOfAnotherClientsToken(t *testing.T) {
	r := newRig(t)
	tokens := r.tokens(t, jane)
	for _, kind := range []string{"access_token", "refresh_token"} {
		token, _ := tokens[kind].(string)
		form := url.Values{"token": {token}, "client_id": {secretID}, "client_secret": {secret}}
		if status, _ := r.post(t, revocationPath, form); status != http.StatusOK {
			t.Errorf("revoking another client's %s answers %d, want 200", kind, status)
		}
	}
	access, _ := tokens["access_token"].(string)
	if status, _ := r.get(t, userinfoPath, access); status != http.StatusOK {
		t.Errorf("userinfo answers %d, want 200: another client revoked the token", status)
	}
	refresh, _ := tokens["refresh_token"].(string)
	if status, _ := r.post(t, tokenPath, refreshForm(refresh)); status != http.StatusOK {
		t.Errorf("refresh answers %d, want 200: another client revoked the token", status)
	}
}

func TestUserinfoWithoutToken(t *testing.T) {
	r := newRig(t)
	for _, token := range []string{"", "guess"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.Issuer()+userinfoPath, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized || response.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("token %q: %d, want 401 with a challenge", token, response.StatusCode)
		}
	}
}

func TestNarrowerRefresh(t *testing.T) {
	r := newRig(t)
	first, _ := r.tokens(t, jane)["refresh_token"].(string)
	form := refreshForm(first)
	form.Set("scope", "openid")
	_, narrow := r.post(t, tokenPath, form)
	access, _ := narrow["access_token"].(string)
	if _, got := r.get(t, userinfoPath, access); !cmp.Equal(got, map[string]any{"sub": "jane-doe"}) {
		t.Errorf("userinfo of a narrower token is %v, want the subject only", got)
	}
	second, _ := narrow["refresh_token"].(string)
	if _, wide := r.post(t, tokenPath, refreshForm(second)); wide["scope"] != allScopes {
		t.Errorf("the next refresh has the scope %v, want %s", wide["scope"], allScopes)
	}
}
