package providers_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}

// upstreamFaults are the ways in which any back-channel call may fail, and what a refresh is told. A sign-in has the same
// codes, but for the two rejected grants.
var upstreamFaults = []struct {
	name    string
	handler http.HandlerFunc
	kind    error
	refresh string
	signIn  string
}{
	{"invalid_grant", answer(400, map[string]any{"error": "invalid_grant", "error_description": "gone"}), providers.ErrExpired, providers.CodeTokenRejected, providers.CodeCodeRejected},
	{"invalid_grant with 200", answer(200, map[string]any{"error": "invalid_grant"}), providers.ErrExpired, providers.CodeTokenRejected, providers.CodeCodeRejected},
	{"invalid_grant with 500", answer(500, map[string]any{"error": "invalid_grant"}), providers.ErrUnavailable, providers.CodeUpstream, providers.CodeUpstream},
	{"invalid_client", answer(401, map[string]any{"error": "invalid_client"}), providers.ErrUnavailable, providers.CodeClientRejected, providers.CodeClientRejected},
	{"401 page", body(401, "text/html", "<h1>no</h1>"), providers.ErrUnavailable, providers.CodeClientRejected, providers.CodeClientRejected},
	{"other error", answer(400, map[string]any{"error": "invalid_scope"}), providers.ErrUnavailable, providers.CodeUpstream, providers.CodeUpstream},
	{"error not a string", answer(400, map[string]any{"error": map[string]any{"code": 1}}), providers.ErrUnavailable, providers.CodeUpstream, providers.CodeUpstream},
	{"429", body(429, "text/plain", "slow down"), providers.ErrUnavailable, providers.CodeUpstream, providers.CodeUpstream},
	{"502", body(502, "text/html", "<h1>bad gateway</h1>"), providers.ErrUnavailable, providers.CodeUpstream, providers.CodeUpstream},
	{"redirect loop", redirect(issuer + "/token"), providers.ErrUnavailable, providers.CodeRedirected, providers.CodeRedirected},
	{"redirect away", redirect("https://evil.example/token"), providers.ErrUnavailable, providers.CodeRedirected, providers.CodeRedirected},
	{"garbage", body(200, "application/json", `{"access_token":`), providers.ErrUnavailable, providers.CodeAnswer, providers.CodeAnswer},
	{"a list", body(200, "application/json", `["at"]`), providers.ErrUnavailable, providers.CodeAnswer, providers.CodeAnswer},
	{"empty", body(200, "application/json", ``), providers.ErrUnavailable, providers.CodeAnswer, providers.CodeAnswer},
	{"no access token", answer(200, map[string]any{"token_type": "Bearer"}), providers.ErrUnavailable, providers.CodeAnswer, providers.CodeAnswer},
	{"access token a number", answer(200, map[string]any{"access_token": 1}), providers.ErrUnavailable, providers.CodeAnswer, providers.CodeAnswer},
	{"10 MB", body(200, "application/json", `{"access_token":"`+strings.Repeat("a", 10<<20)+`"}`), providers.ErrUnavailable, providers.CodeAnswerSize, providers.CodeAnswerSize},
}

func TestTokenEndpointFaults(t *testing.T) {
	for _, tt := range upstreamFaults {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			i.handlers["/token"] = tt.handler
			p := i.mustOpen(confidential)
			_, err := i.signIn(p)
			wantCode(t, err, tt.signIn)
			if n := i.called("/token"); n != 1 {
				t.Errorf("code sent %d times (D02)", n)
			}
			_, err = p.Refresh(t.Context(), providers.RefreshInput{RefreshToken: "rt-secret"})
			wantCode(t, err, tt.refresh)
			if !errors.Is(err, tt.kind) {
				t.Errorf("kind of %v, want %v", err, tt.kind)
			}
		})
	}
}

func TestConnectionFaults(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"refused", syscall.ECONNREFUSED, providers.CodeUnreachable},
		{"reset", syscall.ECONNRESET, providers.CodeUnreachable},
		{"timeout", context.DeadlineExceeded, providers.CodeTimeout},
	} {
		for _, path := range []string{"/token", "/userinfo", "/keys"} {
			t.Run(tt.name+" "+path, func(t *testing.T) {
				i := newIDP(t)
				p := i.mustOpen(confidential)
				i.broken[path] = tt.err
				_, err := i.signIn(p)
				wantCode(t, err, tt.want)
				if !errors.Is(err, providers.ErrUnavailable) {
					t.Errorf("%v is not ErrUnavailable", err)
				}
				if !strings.HasPrefix(err.Error(), "Authentication failed, ") {
					t.Errorf("message %q", err)
				}
			})
		}
	}
}

// TestSlowProvider is D03: within the configured limit there is an answer, and nothing is left behind.
func TestSlowProvider(t *testing.T) {
	for _, path := range []string{"/.well-known/openid-configuration", "/token", "/keys", "/userinfo"} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newIDP(t)
				i.hanging[path] = true
				begin := time.Now()
				_, err := i.signIn(i.mustOpen(confidential + "timeout: 7s\n"))
				wantCode(t, err, providers.CodeTimeout)
				if took := time.Since(begin); took != 7*time.Second {
					t.Errorf("took %v, want 7s", took)
				}
				synctest.Wait()
			})
		})
	}
}

// TestCallerGone ends the wait with the request, while the attempt goes on for whoever asks next.
func TestCallerGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIDP(t)
		i.hanging["/.well-known/openid-configuration"] = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		p := i.mustOpen(confidential)
		_, err := p.Start(ctx, providers.StartInput{})
		wantCode(t, err, providers.CodeTimeout)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("took %v, want 1s", took)
		}
		_, err = p.Start(t.Context(), providers.StartInput{})
		wantCode(t, err, providers.CodeTimeout)
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("took %v, want 10s", took)
		}
		if n := i.called("/.well-known/openid-configuration"); n != 1 {
			t.Errorf("%d attempts, want 1", n)
		}
	})
}

func TestTokenAnswer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		token map[string]any
		want  providers.Session
	}{
		{
			"all",
			map[string]any{"refresh_token": "rt", "scope": "openid,email openid", "expires_in": 60},
			providers.Session{AccessToken: "at", RefreshToken: "rt", Scope: "openid email", ExpiresIn: time.Minute, Subject: "u1"},
		},
		{"lifetime a string", map[string]any{"expires_in": "60"}, providers.Session{AccessToken: "at", ExpiresIn: time.Minute, Subject: "u1"}},
		{"lifetime negative", map[string]any{"expires_in": -1}, providers.Session{AccessToken: "at", Subject: "u1"}},
		{"lifetime endless", map[string]any{"expires_in": 1e300}, providers.Session{AccessToken: "at", Subject: "u1"}},
		{"lifetime a word", map[string]any{"expires_in": "NaN"}, providers.Session{AccessToken: "at", Subject: "u1"}},
		{"scope a list", map[string]any{"scope": []string{"openid"}}, providers.Session{AccessToken: "at", Subject: "u1"}},
		{"lifetime null", map[string]any{"expires_in": nil}, providers.Session{AccessToken: "at", Subject: "u1"}},
		{
			"60 KB refresh token",
			map[string]any{"refresh_token": strings.Repeat("r", 60<<10), "expires_in": 0},
			providers.Session{AccessToken: "at", RefreshToken: strings.Repeat("r", 60<<10), Subject: "u1"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			delete(i.token, "expires_in")
			for k, v := range tt.token {
				i.token[k] = v
			}
			result, err := i.signIn(i.mustOpen(confidential))
			wantCode(t, err, "")
			result.Session.IDToken = ""
			if diff := cmp.Diff(tt.want, result.Session); diff != "" {
				t.Errorf("session (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSignInWithoutIDToken(t *testing.T) {
	i := newIDP(t)
	i.idToken = nil
	_, err := i.signIn(i.mustOpen(confidential))
	wantCode(t, err, providers.CodeIDTokenMissing)
	if n := i.called("/userinfo"); n != 0 {
		t.Error("userinfo asked about nobody")
	}
}

// TestClientAuth reads what goes over the wire: one proof, and nothing of another method.
func TestClientAuth(t *testing.T) {
	key := ecKey(t, "mine")
	der, err := x509.MarshalPKCS8PrivateKey(key.Private)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	jwk, err := jose.JSONWebKey{Key: key.Private, KeyID: "mine"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	const public = "metadataUrl: " + issuer + "\nclientId: client\n"
	const basic = "Basic Y2xpZW50OjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm"
	indented := strings.ReplaceAll(keyPEM, "\n", "\n  ")
	for _, tt := range []struct {
		name, config, header string
		body                 []string
	}{
		{"public", public, "", []string{"client_id"}},
		{"none with a secret", confidential + "tokenEndpointAuthMethod: none\n", "", []string{"client_id"}},
		{"default with a secret", confidential, basic, nil},
		{"basic", confidential + "tokenEndpointAuthMethod: client_secret_basic\n", basic, nil},
		{"post", confidential + "tokenEndpointAuthMethod: client_secret_post\n", "", []string{"client_id", "client_secret"}},
		{"secret JWT", confidential + "tokenEndpointAuthMethod: client_secret_jwt\n", "", []string{"client_assertion", "client_assertion_type", "client_id"}},
		{
			"key JWT from PEM", public + "tokenEndpointAuthMethod: private_key_jwt\nkeyId: mine\nprivateKey: |\n  " + indented, "",
			[]string{"client_assertion", "client_assertion_type", "client_id"},
		},
		{
			"key JWT from JWK", public + "tokenEndpointAuthMethod: private_key_jwt\nprivateKey: '" + string(jwk) + "'\n", "",
			[]string{"client_assertion", "client_assertion_type", "client_id"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			p := i.mustOpen(tt.config)
			check := func(what string, grant ...string) {
				t.Helper()
				if got := i.header.Get("Authorization"); got != tt.header {
					t.Errorf("%s: Authorization %q, want %q", what, got, tt.header)
				}
				if diff := cmp.Diff(sorted(append(grant, tt.body...)), fieldsOf(i.form)); diff != "" {
					t.Errorf("%s: form (-want +got):\n%s", what, diff)
				}
				if assertion := i.form.Get("client_assertion"); assertion != "" {
					checkAssertion(t, assertion, tt.config, key)
				}
			}
			_, err := i.signIn(p)
			wantCode(t, err, "")
			check("code", "grant_type", "code", "redirect_uri", "code_verifier")
			_, err = p.Refresh(t.Context(), providers.RefreshInput{RefreshToken: "rt-secret", Scope: "openid"})
			wantCode(t, err, "")
			check("refresh", "grant_type", "refresh_token")
			_, err = p.Logout(t.Context(), providers.LogoutInput{RefreshToken: "rt-secret"})
			wantCode(t, err, "")
			check("revoke", "token")
		})
	}
}

// checkAssertion verifies one as the provider would (RFC 7523 section 3).
func checkAssertion(t *testing.T, assertion, config string, key providertest.Key) {
	t.Helper()
	jws, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.ES256, jose.HS256})
	if err != nil {
		t.Fatal(err)
	}
	var verifier any = key.Private.Public()
	if strings.Contains(config, "client_secret_jwt") {
		verifier = []byte("0123456789abcdef0123456789abcdef")
	} else if kid := jws.Signatures[0].Header.KeyID; kid != "mine" {
		t.Errorf("kid %q, want mine", kid)
	}
	if _, err := jws.Verify(verifier); err != nil {
		t.Errorf("verify assertion: %v", err)
	}
	claims := claimsOf(t, assertion)
	if claims["jti"] == "" || claims["jti"] == nil {
		t.Error("assertion has no jti")
	}
	delete(claims, "jti")
	want := map[string]any{
		"iss": "client", "sub": "client", "aud": []any{issuer, issuer + "/token"}, "iat": 1.8e9, "exp": 1.8e9 + 60,
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("assertion (-want +got):\n%s", diff)
	}
}

// TestCodeVerifier is C18: fresh, long enough, sent once, and the one that was announced.
func TestCodeVerifier(t *testing.T) {
	i := newIDP(t)
	p := i.mustOpen(confidential)
	seen := map[string]bool{}
	for range 3 {
		_, err := i.signIn(p)
		wantCode(t, err, "")
		verifier := i.form["code_verifier"]
		if len(verifier) != 1 || len(verifier[0]) < 43 || seen[verifier[0]] {
			t.Errorf("verifiers %v", verifier)
		}
		seen[verifier[0]] = true
	}
}

// TestTLS is D06: a certificate nobody vouches for is refused, and accepted once its CA is known.
func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	config := "metadataUrl: " + server.URL + "\nclientId: client\n"
	for _, tt := range []struct {
		name      string
		transport http.RoundTripper
		want      string
	}{
		{"unknown CA", &http.Transport{}, providers.CodeTLS},
		{"known CA", server.Client().Transport, providers.CodeDiscovery},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := openAs(newIDP(t), "oidc", config, tt.transport)
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Start(t.Context(), providers.StartInput{})
			wantCode(t, err, tt.want)
		})
	}
}

func sorted(s []string) []string {
	m := url.Values{}
	for _, v := range s {
		m.Set(v, "")
	}
	return fieldsOf(m)
}
