package devidp

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

func TestNewRefuses(t *testing.T) {
	good := []Client{{ID: "a", RedirectURIs: []string{callback}}}
	for _, test := range []struct {
		name    string
		options Options
		want    error // nil is any.
	}{
		{"public name", Options{Issuer: "http://idp.example.com/dev-idp", Clients: good}, ErrNotLoopback},
		{"name that only begins so", Options{Issuer: "http://localhost.example.com/", Clients: good}, ErrNotLoopback},
		{"private address", Options{Issuer: "http://192.168.1.1:7007", Clients: good}, ErrNotLoopback},
		{"every address", Options{Issuer: "http://0.0.0.0:7007", Clients: good}, ErrNotLoopback},
		{"IPv6", Options{Issuer: "http://[2001:db8::1]/", Clients: good}, ErrNotLoopback},
		{"no issuer", Options{Clients: good}, errIssuer},
		{"user", Options{Issuer: "http://u@localhost/", Clients: good}, errIssuer},
		{"query", Options{Issuer: "http://localhost/?a=b", Clients: good}, errIssuer},
		{"pattern as path", Options{Issuer: "http://localhost/{x}", Clients: good}, errIssuer},
		{"dot segment", Options{Issuer: "http://localhost/a/../b", Clients: good}, errIssuer},
		{"no client", Options{Issuer: "http://localhost/"}, nil},
		{"client twice", Options{Issuer: "http://localhost/", Clients: append(good, good...)}, nil},
		{"relative redirect URI", Options{Issuer: "http://localhost/", Clients: []Client{{ID: "a", RedirectURIs: []string{"/x"}}}}, nil},
		{"algorithm", Options{Issuer: "http://localhost/", Clients: good, Algorithm: "none"}, nil},
		{"nobody", Options{Issuer: "http://localhost/", Clients: good, People: []Person{}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(test.options)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
			if _, err := NewMisbehaving(test.options); err == nil {
				t.Error("NewMisbehaving accepts it")
			}
		})
	}
}

func TestPaths(t *testing.T) {
	for _, test := range []struct{ issuer, path string }{
		{"http://localhost:7007/dev-idp", "/dev-idp"},
		{"http://127.0.0.1:7007", ""},
		{"http://127.8.9.10/", ""},
		{"https://[::1]:7007/a/b", "/a/b"},
		{"http://[::ffff:127.0.0.1]/x", "/x"},
	} {
		t.Run(test.issuer, func(t *testing.T) {
			p, err := New(Options{Issuer: test.issuer, Algorithm: ES256, Clients: []Client{{ID: "a"}}})
			if err != nil {
				t.Fatal(err)
			}
			if p.Path() != test.path || p.Issuer() != test.issuer {
				t.Errorf("path %q, issuer %q", p.Path(), p.Issuer())
			}
			answer := httptest.NewRecorder()
			request := fromHere(http.MethodGet, "http://localhost"+test.path+discoveryPath, nil)
			p.ServeHTTP(answer, request)
			var doc struct{ Issuer string }
			if err := json.Unmarshal(answer.Body.Bytes(), &doc); err != nil || doc.Issuer != test.issuer {
				t.Errorf("discovery says %q (%v), want %q", doc.Issuer, err, test.issuer)
			}
		})
	}
}

func TestLoopbackHostOnly(t *testing.T) {
	r := newRig(t)
	for _, test := range []struct {
		host string
		want int
	}{
		{"localhost", http.StatusOK},
		{"LOCALHOST:7007", http.StatusOK},
		{"127.0.0.1:80", http.StatusOK},
		{"[::1]:80", http.StatusOK},
		{"[::1]", http.StatusOK},
		{"rebound.example.com", http.StatusMisdirectedRequest},
		{"192.168.0.2:7007", http.StatusMisdirectedRequest},
		{"", http.StatusMisdirectedRequest},
	} {
		t.Run(test.host, func(t *testing.T) {
			request := fromHere(http.MethodGet, testPrefix+discoveryPath, nil)
			request.Host = test.host
			answer := httptest.NewRecorder()
			r.Provider.ServeHTTP(answer, request)
			if answer.Code != test.want {
				t.Errorf("answer is %d, want %d", answer.Code, test.want)
			}
		})
	}
}

func TestDiscoveryIsTruthful(t *testing.T) {
	r := newRig(t)
	_, got := r.get(t, discoveryPath, "")
	want := map[string]any{
		"issuer":                                         r.Issuer(),
		"authorization_endpoint":                         r.Issuer() + "/authorize",
		"token_endpoint":                                 r.Issuer() + "/oauth/token",
		"userinfo_endpoint":                              r.Issuer() + "/userinfo",
		"revocation_endpoint":                            r.Issuer() + "/revoke",
		"end_session_endpoint":                           r.Issuer() + "/end_session",
		"jwks_uri":                                       r.Issuer() + "/keys",
		"scopes_supported":                               []any{"openid", "profile", "email", "offline_access"},
		"response_types_supported":                       []any{"code"},
		"response_modes_supported":                       []any{"query"},
		"grant_types_supported":                          []any{"authorization_code", "refresh_token"},
		"subject_types_supported":                        []any{"public"},
		"id_token_signing_alg_values_supported":          []any{"ES256"},
		"token_endpoint_auth_methods_supported":          []any{"none", "client_secret_basic", "client_secret_post"},
		"revocation_endpoint_auth_methods_supported":     []any{"none", "client_secret_basic", "client_secret_post"},
		"code_challenge_methods_supported":               []any{"S256"},
		"request_uri_parameter_supported":                false,
		"authorization_response_iss_parameter_supported": true,
		"claims_supported": []any{
			"sub", "aud", "azp", "exp", "iat", "iss", "auth_time", "nonce", "at_hash", "c_hash",
			"name", "given_name", "family_name", "preferred_username", "picture", "email", "email_verified",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("discovery (-want +got):\n%s", diff)
	}
}

func TestMethodsAndPaths(t *testing.T) {
	r := newRig(t)
	for _, test := range []struct {
		method, path string
		want         int
	}{
		{http.MethodPost, discoveryPath, http.StatusMethodNotAllowed},
		{http.MethodGet, tokenPath, http.StatusMethodNotAllowed},
		{http.MethodDelete, userinfoPath, http.StatusMethodNotAllowed},
		{http.MethodHead, keysPath, http.StatusOK},
		{http.MethodGet, "/authorize/callback?id=x", http.StatusNotFound},
		{http.MethodPost, "/oauth/introspect", http.StatusNotFound},
		{http.MethodPost, "/device_authorization", http.StatusNotFound},
		{http.MethodGet, "/healthz", http.StatusNotFound},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), test.method, r.Issuer()+test.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != test.want {
				t.Errorf("answer is %d, want %d", response.StatusCode, test.want)
			}
		})
	}
}

func TestBodyLimit(t *testing.T) {
	r := newRig(t)
	body := strings.NewReader("grant_type=refresh_token&refresh_token=" + strings.Repeat("x", maxBody))
	request := fromHere(http.MethodPost, "http://localhost"+testPrefix+tokenPath, body)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	r.Provider.ServeHTTP(answer, request)
	if answer.Code != http.StatusBadRequest {
		t.Errorf("answer is %d, want 400", answer.Code)
	}
}

func TestKeyRotation(t *testing.T) {
	r := newRig(t)
	first, _ := r.tokens(t, jane)["id_token"].(string)
	if err := r.RotateKey(); err != nil {
		t.Fatal(err)
	}
	second, _ := r.tokens(t, jane)["id_token"].(string)
	if r.verify(t, first) != nil || r.verify(t, second) != nil {
		t.Error("a token does not verify after the rotation")
	}
	if got := len(r.publishedKeys(t)); got != 2 {
		t.Errorf("%d keys are published, want 2", got)
	}
	r.WithdrawOldKeys()
	if r.verify(t, first) == nil || r.verify(t, second) != nil {
		t.Error("after the withdrawal the old token verifies, or the new one does not")
	}
	for _, key := range r.publishedKeys(t) {
		if !key.IsPublic() || !key.Valid() || key.Use != "sig" || key.Algorithm != ES256 || key.KeyID == "" {
			t.Errorf("published key is %+v", key)
		}
	}
}

func (r *rig) publishedKeys(t *testing.T) []jose.JSONWebKey {
	t.Helper()
	response, err := http.Get(r.Issuer() + keysPath)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	return set.Keys
}
