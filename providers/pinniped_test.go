package providers_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

const domain = "federationDomain: " + issuer + "\nclientId: client\nclientSecret: 0123456789abcdef0123456789abcdef\n"

const tokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"

// newPinniped is a Supervisor: it signs with ES256, knows no userinfo, and gives a cluster's token to whoever asks.
func newPinniped(t *testing.T) *idp {
	i := newIDP(t)
	i.signer = ecKey(t, "k")
	i.published = []providertest.Key{i.signer}
	delete(i.meta, "userinfo_endpoint")
	delete(i.meta, "revocation_endpoint")
	i.token["refresh_token"] = "rt"
	i.idToken = func(c map[string]any) map[string]any { delete(c, "nonce"); return c }
	i.exchanges(answer(200, map[string]any{"access_token": "cluster-token", "token_type": "N_A"}))
	return i
}

// exchanges lets h answer the grant token-exchange.
func (i *idp) exchanges(h http.HandlerFunc) {
	i.handlers["/token"] = func(w http.ResponseWriter, r *http.Request) {
		if i.form.Get("grant_type") == tokenExchange {
			h(w, r)
			return
		}
		answer(200, i.tokens())(w, r)
	}
}

// signInFor starts with a query of the front end and comes back with a code.
func (i *idp) signInFor(p oauthProvider, query url.Values) (providers.Result, error) {
	start, err := p.Start(i.t.Context(), providers.StartInput{State: "s", Scope: "openid", Query: query})
	if err != nil {
		return providers.Result{}, err
	}
	return p.Handle(i.t.Context(), providers.Request{Query: url.Values{"code": {"c0de"}}, Memo: start.Memo})
}

// TestPinnipedIDToken: a cluster's token is asked for where the front end names an audience, and not at a refresh. Nothing is told
// about the person or the lifetime, and nothing but the four calls is made.
func TestPinnipedIDToken(t *testing.T) {
	for _, tt := range []struct {
		name     string
		audience []string
		cluster  bool
		calls    int
	}{
		{"no audience", nil, false, 1},
		{"empty audience", []string{""}, false, 1},
		{"audience", []string{"my-cluster-0a1b"}, true, 2},
		{"audience as it is", []string{"https://api.example:6443/a b?c&d=é"}, true, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newPinniped(t)
			p := i.mustOpenKind("pinniped", domain)
			got, err := i.signInFor(p, url.Values{"audience": tt.audience, "env": {"x"}})
			wantCode(t, err, "")
			if cluster := got.Session.IDToken == "cluster-token"; cluster != tt.cluster {
				t.Errorf("id_token %q, want a cluster's: %t", got.Session.IDToken, tt.cluster)
			}
			if tt.cluster && i.form.Get("audience") != tt.audience[0] {
				t.Errorf("audience %q", i.form.Get("audience"))
			}
			checkNothingTold(t, got)
			if got.Claims["sub"] != "u1" {
				t.Error("rules see no claims")
			}
			got, err = p.Refresh(t.Context(), providers.RefreshInput{RefreshToken: "rt", Subject: "u1", Scope: "openid"})
			wantCode(t, err, "")
			if !strings.HasPrefix(got.Session.IDToken, "eyJ") || i.called("/token") != tt.calls+1 || i.form.Has("scope") {
				t.Errorf("refreshed id_token %q after %d calls", got.Session.IDToken, i.called("/token"))
			}
			checkNothingTold(t, got)
		})
	}
}

func checkNothingTold(t *testing.T, got providers.Result) {
	t.Helper()
	if got.Profile != (providers.Profile{}) || got.UserInfo != nil || got.Session.ExpiresIn != 0 || got.Session.Subject != "u1" {
		t.Errorf("profile %v, userinfo %v, lifetime %v, subject %q", got.Profile, got.UserInfo, got.Session.ExpiresIn, got.Session.Subject)
	}
}

// TestPinnipedExchangeFails: one code for whatever goes wrong, in Backstage's words; only what may pass is called so.
func TestPinnipedExchangeFails(t *testing.T) {
	const words = `Failed to get cluster specific ID token for "my-cluster", RFC8693 token exchange failed with error: `
	for _, tt := range upstreamFaults {
		t.Run(tt.name, func(t *testing.T) {
			i := newPinniped(t)
			i.exchanges(tt.handler)
			_, err := i.signInFor(i.mustOpenKind("pinniped", domain), url.Values{"audience": {"my-cluster"}})
			wantCode(t, err, providers.CodeTokenExchange)
			if e, ok := errors.AsType[*providers.Error](err); !ok || !strings.HasPrefix(e.Message, words) || len(e.Message) == len(words) {
				t.Errorf("error %v, want it to begin with %q", err, words)
			}
			passes := !errors.Is(tt.kind, providers.ErrExpired)
			if errors.Is(err, providers.ErrUnavailable) != passes || errors.Is(err, providers.ErrExpired) {
				t.Errorf("%v may pass: %t", err, !passes)
			}
			if n := i.called("/token"); n != 2 {
				t.Errorf("%d calls, want 2", n)
			}
		})
	}
}

// TestPinnipedAudience: what is refused is refused before anybody is sent anywhere.
func TestPinnipedAudience(t *testing.T) {
	for name, audience := range map[string][]string{
		"repeated": {"a", "b"}, "too long": {strings.Repeat("a", 257)}, "line break": {"a\nb"}, "space around": {" a"},
		"unseen": {"a\u200bb"}, "not UTF-8": {"a\xff"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newPinniped(t)
			_, err := i.mustOpenKind("pinniped", domain).Start(t.Context(), providers.StartInput{Query: url.Values{"audience": audience}})
			wantCode(t, err, providers.CodeAudience)
			if !errors.Is(err, providers.ErrInput) || i.called(wellKnown) != 0 {
				t.Errorf("%v after %d discoveries", err, i.called(wellKnown))
			}
		})
	}
	i := newPinniped(t)
	longest := strings.Repeat("é", 256)
	_, err := i.signInFor(i.mustOpenKind("pinniped", domain), url.Values{"audience": {longest}})
	wantCode(t, err, "")
	if i.form.Get("audience") != longest {
		t.Error("the longest audience was changed")
	}
}

// TestPinnipedChecks: without a nonce the id_token is verified like any other, and must be there at a sign-in.
func TestPinnipedChecks(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(i *idp)
		want    string
	}{
		{"good", func(*idp) {}, ""},
		{"RS256", func(i *idp) {
			i.signer, _ = providertest.RSAKey("k1")
			i.published = append(i.published, i.signer)
		}, providers.CodeIDTokenAlg},
		{"another key", func(i *idp) { i.signer = ecKey(i.t, "k") }, providers.CodeIDTokenSignature},
		{"another client", func(i *idp) {
			i.idToken = func(c map[string]any) map[string]any { c["aud"] = "other"; return c }
		}, providers.CodeIDTokenAudience},
		{"no id_token", func(i *idp) { i.idToken = nil }, providers.CodeIDTokenMissing},
		{"issuer with a slash", func(i *idp) { i.meta["issuer"] = issuer + "/" }, providers.CodeMetadata},
		{"another issuer", func(i *idp) { i.meta["issuer"] = "https://evil.example" }, providers.CodeMetadata},
		{"plain PKCE only", func(i *idp) { i.meta["code_challenge_methods_supported"] = []string{"plain"} }, providers.CodePKCE},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newPinniped(t)
			tt.prepare(i)
			_, err := i.signInFor(i.mustOpenKind("pinniped", domain), url.Values{"audience": {"my-cluster"}})
			wantCode(t, err, tt.want)
			if tt.want != "" && i.form.Get("grant_type") == tokenExchange {
				t.Error("exchanged what was not verified")
			}
		})
	}
}

func TestPinnipedRefresh(t *testing.T) {
	for _, tt := range []struct {
		name, subject string
		prepare       func(i *idp)
		want, token   string
	}{
		{"rotated", "u1", func(*idp) {}, "", "rt"},
		{"without id_token", "u1", func(i *idp) { i.idToken = nil }, "", "rt"},
		{"another user", "u2", func(*idp) {}, providers.CodeSubject, "rt"},
		{"ended", "u1", func(i *idp) { i.handlers["/token"] = answer(400, map[string]any{"error": "invalid_grant"}) }, providers.CodeTokenRejected, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newPinniped(t)
			tt.prepare(i)
			r, err := i.mustOpenKind("pinniped", domain).Refresh(t.Context(), providers.RefreshInput{RefreshToken: "rt-secret", Subject: tt.subject})
			wantCode(t, err, tt.want)
			if r.Session.RefreshToken != tt.token || err == nil && r.Session.Subject != tt.subject {
				t.Errorf("refresh token %q of %q", r.Session.RefreshToken, r.Session.Subject)
			}
		})
	}
}

// TestPinnipedClientAuth: the secret is in the header, unless the metadata offers the body and not the header.
func TestPinnipedClientAuth(t *testing.T) {
	for _, tt := range []struct {
		name    string
		offered any
		body    bool
	}{
		{"nothing said", nil, false},
		{"both", []string{"client_secret_post", "client_secret_basic"}, false},
		{"post alone", []string{"client_secret_post"}, true},
		{"neither", []string{"private_key_jwt"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newPinniped(t)
			i.meta["token_endpoint_auth_methods_supported"] = tt.offered
			p := i.mustOpenKind("pinniped", domain)
			check := func() {
				t.Helper()
				if i.form.Has("client_secret") != tt.body || (i.header.Get("Authorization") == "") != tt.body {
					t.Errorf("%s: body %v, header %v", i.form.Get("grant_type"), fieldsOf(i.form), i.header)
				}
			}
			_, err := i.signInFor(p, nil)
			wantCode(t, err, "")
			check()
			_, err = i.signInFor(p, url.Values{"audience": {"my-cluster"}})
			wantCode(t, err, "")
			check()
			_, err = p.Refresh(t.Context(), providers.RefreshInput{RefreshToken: "rt"})
			wantCode(t, err, "")
			check()
		})
	}
}

// TestPinnipedMetadataAgain reads the metadata again after an hour, and not before.
func TestPinnipedMetadataAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newPinniped(t)
		p := i.mustOpenKind("pinniped", domain)
		var counts []int
		for _, later := range []time.Duration{0, time.Hour - time.Second, time.Second} {
			i.advance(later)
			_, err := p.Start(t.Context(), providers.StartInput{State: "s"})
			wantCode(t, err, "")
			synctest.Wait()
			counts = append(counts, i.called(wellKnown))
		}
		if diff := cmp.Diff([]int{1, 1, 2}, counts); diff != "" {
			t.Errorf("discoveries (-want +got):\n%s", diff)
		}
	})
}

func TestPinnipedConfig(t *testing.T) {
	const minimal = "clientId: c\nclientSecret: s\n"
	for _, tt := range []struct{ name, id, config, want string }{
		{"minimal", "pinniped", minimal + "federationDomain: https://a.example/b\n", ""},
		{"with a slash and a timeout", "pinniped", minimal + "federationDomain: https://a.example/b/\ntimeout: 3s\n", ""},
		{"on http", "pinniped", minimal + "federationDomain: http://localhost:7007/b\n", ""},
		{"no federationDomain", "pinniped", minimal, "federationDomain"},
		{"a path", "pinniped", minimal + "federationDomain: /b\n", "federationDomain"},
		{"a query", "pinniped", minimal + "federationDomain: https://a.example/?b=c\n", "federationDomain"},
		{"a fragment", "pinniped", minimal + "federationDomain: https://a.example/#b\n", "federationDomain"},
		{"a password", "pinniped", minimal + "federationDomain: https://a:b@a.example\n", "federationDomain"},
		{"a file", "pinniped", minimal + "federationDomain: file:///a\n", "federationDomain"},
		{"no secret", "pinniped", "clientId: c\nfederationDomain: https://a.example\n", "clientSecret"},
		{"a key of oidc", "pinniped", domain + "prompt: auto\n", "prompt"},
		{"timeout negative", "pinniped", domain + "timeout: -1s\n", "timeout"},
		{"scope of its own id", "pinniped", domain + "scope: groups\n", "additionalScopes"},
		{"scope of another id", "clusters", domain + "scope: groups\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newPinniped(t).openKind(tt.id, "pinniped", tt.config)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one about %q", err, tt.want)
			}
		})
	}
}

// TestPinnipedAbilities: nobody can be told that a user leaves, and a dry run shows what a sign-in would.
func TestPinnipedAbilities(t *testing.T) {
	p := newPinniped(t).mustOpenKind("pinniped", domain)
	if _, ok := p.(providers.Logouter); ok {
		t.Error("there is a logout")
	}
	got, err := p.(providers.ClaimsReader).ReadClaims(map[string]any{"sub": "u1", "username": "jane"}, map[string]any{"name": "Jane"})
	if err != nil {
		t.Fatal(err)
	}
	checkNothingTold(t, got)
	if got.Claims["username"] != "jane" {
		t.Errorf("claims %v", got.Claims)
	}
}
