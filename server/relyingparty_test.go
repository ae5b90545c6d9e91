package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/devidp"
	"stagedoor/server/internal/signin"
)

// TestMisbehavingProviderAtSignIn goes through the OpenID Connect relying-party cases: whatever the provider does wrong ends in a
// readable, coded error on the page, and in nothing else.
func TestMisbehavingProviderAtSignIn(t *testing.T) {
	d := deploy(t, settings{provider: "        timeout: 2s"})
	id := func(c devidp.ClaimFault) func(*devidp.Faults) {
		return func(f *devidp.Faults) { f.IDToken.Claims = []devidp.ClaimFault{c} }
	}
	signature := func(s devidp.SignatureFault) func(*devidp.Faults) {
		return func(f *devidp.Faults) { f.IDToken.Signature = s }
	}
	token := func(k devidp.TokenFault) func(*devidp.Faults) {
		return func(f *devidp.Faults) { f.Token = k }
	}
	userinfo := func(u devidp.UserinfoFault) func(*devidp.Faults) {
		return func(f *devidp.Faults) { f.Userinfo = u }
	}
	fails := func(e devidp.Endpoint, k devidp.FailureKind) func(*devidp.Faults) {
		return func(f *devidp.Faults) { f.Failures[e] = devidp.Failure{Kind: k} }
	}
	back := func(a devidp.AuthorizationFault) func(*devidp.Faults) {
		return func(f *devidp.Faults) { f.Authorization = a }
	}
	for _, tt := range []struct {
		name  string
		fault func(*devidp.Faults)
		code  string
		// silent: the token endpoint must not be asked.
		silent bool
	}{
		{"iss of another", id(devidp.IssuerOther), "id_token_issuer", false},
		{"iss with a slash", id(devidp.IssuerTrailingSlash), "id_token_issuer", false},
		{"iss in upper case", id(devidp.IssuerUpperCase), "id_token_issuer", false},
		{"no iss", id(devidp.IssuerMissing), "id_token_issuer", false},
		{"aud of another", id(devidp.AudienceOther), "id_token_audience", false},
		{"aud without us", id(devidp.AudienceOthers), "id_token_audience", false},
		{"azp of another", id(devidp.AudiencePartyOther), "id_token_audience", false},
		{"azp missing", id(devidp.AudiencePartyNone), "id_token_audience", false},
		{"no aud", id(devidp.AudienceMissing), "id_token_audience", false},
		{"no sub", id(devidp.SubjectMissing), "id_token_malformed", false},
		{"empty sub", id(devidp.SubjectEmpty), "id_token_malformed", false},
		{"exp past", id(devidp.ExpiryPast), "id_token_clock", false},
		{"no exp", id(devidp.ExpiryMissing), "id_token_malformed", false},
		{"exp as string", id(devidp.ExpiryString), "id_token_malformed", false},
		{"exp huge", id(devidp.ExpiryHuge), "id_token_malformed", false},
		{"no iat", id(devidp.IssuedAtMissing), "id_token_malformed", false},
		{"iat ahead", id(devidp.IssuedAtFuture), "id_token_clock", false},
		{"nbf ahead", id(devidp.NotBeforeFuture), "id_token_clock", false},
		{"other nonce", id(devidp.NonceOther), "id_token_nonce", false},
		{"no nonce", id(devidp.NonceMissing), "id_token_nonce", false},
		{"other at_hash", id(devidp.AccessHashOther), "id_token_hash", false},
		{"alg none", signature(devidp.SignatureNone), "id_token_alg", false},
		{"flipped bit", signature(devidp.SignatureFlipped), "id_token_signature", false},
		{"other key, same kid", signature(devidp.SignatureOtherKey), "id_token_signature", false},
		{"HS256 by the public key", signature(devidp.SignatureSymmetric), "id_token_alg", false},
		{"unknown kid", signature(devidp.KeyIDUnknown), "id_token_signature", false},
		{"no id_token", token(devidp.TokenNoIDToken), "id_token_missing", false},
		{"no access_token", token(devidp.TokenNoAccessToken), "idp_answer_invalid", false},
		{"error with 200", token(devidp.TokenErrorWithOK), "idp_error", false},
		{"invalid_grant", token(devidp.TokenInvalidGrant), "idp_code_rejected", false},
		{"invalid_client", token(devidp.TokenInvalidClient), "idp_client_rejected", false},
		{"token 500", fails(devidp.TokenEndpoint, devidp.FailServerError), "idp_error", false},
		{"token 503", fails(devidp.TokenEndpoint, devidp.FailUnavailable), "idp_error", false},
		{"token 429", fails(devidp.TokenEndpoint, devidp.FailTooMany), "idp_error", false},
		{"token hangs", fails(devidp.TokenEndpoint, devidp.FailHang), "idp_timeout", false},
		{"token garbage", fails(devidp.TokenEndpoint, devidp.FailGarbage), "idp_answer_invalid", false},
		{"token 10 MB", fails(devidp.TokenEndpoint, devidp.FailHuge), "idp_answer_too_large", false},
		{"token redirects", fails(devidp.TokenEndpoint, devidp.FailRedirect), "idp_redirected", false},
		{"token in HTML", fails(devidp.TokenEndpoint, devidp.FailContentType), "idp_answer_invalid", false},
		{"token reset", fails(devidp.TokenEndpoint, devidp.FailReset), "idp_unreachable", false},
		{"userinfo of another", userinfo(devidp.UserinfoOtherSubject), "userinfo_subject", false},
		{"userinfo without sub", userinfo(devidp.UserinfoNoSubject), "userinfo_invalid", false},
		{"userinfo 404", userinfo(devidp.UserinfoNotFound), "userinfo_invalid", false},
		{"userinfo 500", fails(devidp.UserinfoEndpoint, devidp.FailServerError), "idp_error", false},
		{"userinfo 10 MB", fails(devidp.UserinfoEndpoint, devidp.FailHuge), "idp_answer_too_large", false},
		{"address not verified", userinfo(devidp.UserinfoUnverified), "email_missing", false},
		{"verification absent", userinfo(devidp.UserinfoVerifiedAbsent), "email_missing", false},
		{"verified as a string", userinfo(devidp.UserinfoVerifiedString), "email_missing", false},
		{"verified as a true string", userinfo(devidp.UserinfoVerifiedTrue), "email_missing", false},
		{"state missing", back(devidp.StateMissing), "state_invalid", true},
		{"state of another", back(devidp.StateOther), "", true},
		{"state twice", back(devidp.StateDuplicated), "parameter_repeated", true},
		{"code missing", back(devidp.CodeMissing), "callback_invalid", true},
		{"code of another", back(devidp.CodeOther), "idp_code_rejected", false},
		{"code twice", back(devidp.CodeDuplicated), "parameter_repeated", true},
		{"iss parameter of another", back(devidp.ResponseIssuerOther), "callback_issuer", true},
		{"iss parameter announced and missing", back(devidp.ResponseIssuerMissing), "callback_issuer", true},
		{"server_error", func(f *devidp.Faults) { f.AuthorizationError = "server_error" }, "idp_error", true},
		{"login_required", func(f *devidp.Faults) { f.AuthorizationError = "login_required" }, "idp_login_required", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d.idp.Behave()
			b := d.browser()
			b.Get(startPath()) // discovery is not what is tested
			d.idp.Misbehave(tt.fault)
			before := d.idp.Calls().Endpoint[devidp.TokenEndpoint]
			m := posted(t, b.follow(b.toCallback("jane.doe@example.com")))
			if m.Error.Name == "" || m.Error.AttemptID == "" || m.Error.Message == "" {
				t.Fatalf("no error: %+v", m)
			}
			if tt.code != "" && m.Error.Code != tt.code {
				t.Errorf("code %s (%s), want %s", m.Error.Code, m.Error.Message, tt.code)
			}
			if n := d.idp.Calls().Endpoint[devidp.TokenEndpoint] - before; tt.silent && n > 0 || n > 1 {
				t.Errorf("%d calls of the token endpoint", n)
			}
			d.idp.Behave()
			if res, _ := b.refresh(""); strings.TrimSpace(string(res.Body)) != "{}" {
				t.Errorf("there is a session: %d %s", res.Status, res.Body)
			}
			if !strings.Contains(d.logs.String(), m.Error.AttemptID) {
				t.Error("the attempt is not in the log")
			}
		})
	}
	d.idp.Behave()
	d.browser().signIn("jane.doe@example.com") // nothing of all that is left
}

// TestClockSkew is security C06: inside of a minute a difference passes.
func TestClockSkew(t *testing.T) {
	d := deploy(t, settings{})
	for _, c := range []devidp.ClaimFault{devidp.ExpiryPast, devidp.IssuedAtFuture, devidp.NotBeforeFuture} {
		for by, ok := range map[time.Duration]bool{30 * time.Second: true, 90 * time.Second: false} {
			d.idp.Behave()
			d.idp.Misbehave(func(f *devidp.Faults) { f.IDToken.Claims, f.IDToken.By = []devidp.ClaimFault{c}, by })
			b := d.browser()
			m := posted(t, b.follow(b.toCallback("jane.doe@example.com")))
			if ok != (m.Error.Name == "") || !ok && m.Error.Code != "id_token_clock" {
				t.Errorf("%s by %v: %+v", c, by, m.Error)
			}
		}
	}
}

// TestKeysOfProvider is security C09, C10: keys without a kid, and keys that change while somebody is at the provider.
func TestKeysOfProvider(t *testing.T) {
	d := deploy(t, settings{})
	signIn := func(b *browser, callback string) errorDetail { return posted(t, b.follow(callback)).Error }
	b := d.browser()
	callback := b.toCallback("jane.doe@example.com")
	if err := d.idp.RotateKey(); err != nil {
		t.Fatal(err)
	}
	d.idp.WithdrawOldKeys()
	if e := signIn(b, callback); e.Name != "" {
		t.Errorf("key rotated under way: %+v", e)
	}
	d.idp.Misbehave(func(f *devidp.Faults) { f.IDToken.Signature = devidp.KeyIDAbsent })
	if b = d.browser(); signIn(b, b.toCallback("jane.doe@example.com")).Name != "" {
		t.Error("no kid and one key is refused")
	}
}

// TestMisbehavingProviderAtRefresh: what passes keeps the session, what is for good ends it with its reason.
func TestMisbehavingProviderAtRefresh(t *testing.T) {
	d := deploy(t, settings{auth: "  session: {refreshReuse: 0s}", provider: "        timeout: 2s"})
	fails := func(k devidp.FailureKind) func(*devidp.Faults) {
		return func(f *devidp.Faults) { f.Failures[devidp.TokenEndpoint] = devidp.Failure{Kind: k} }
	}
	for _, tt := range []struct {
		name  string
		fault func(*devidp.Faults)
		code  string
		ends  bool
	}{
		{"500", fails(devidp.FailServerError), "idp_error", false},
		{"503", fails(devidp.FailUnavailable), "idp_error", false},
		{"429", fails(devidp.FailTooMany), "idp_error", false},
		{"hang", fails(devidp.FailHang), "idp_timeout", false},
		{"reset", fails(devidp.FailReset), "idp_unreachable", false},
		{"garbage", fails(devidp.FailGarbage), "idp_answer_invalid", false},
		{"10 MB", fails(devidp.FailHuge), "idp_answer_too_large", false},
		{"redirect", fails(devidp.FailRedirect), "idp_redirected", false},
		{"invalid_client", func(f *devidp.Faults) {
			f.Failures[devidp.TokenEndpoint] = devidp.Failure{}
			f.Token = devidp.TokenInvalidClient
		}, "idp_client_rejected", false},
		{"userinfo down", func(f *devidp.Faults) {
			f.Failures[devidp.UserinfoEndpoint] = devidp.Failure{Kind: devidp.FailServerError}
		}, "idp_error", false},
		{"invalid_grant", func(f *devidp.Faults) { f.Token = devidp.TokenInvalidGrant }, "idp_token_rejected", true},
		{"address no longer verified", func(f *devidp.Faults) { f.Userinfo = devidp.UserinfoUnverified }, "email_missing", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d.idp.Behave()
			b := d.browser()
			b.signIn("jane.doe@example.com")
			d.idp.Misbehave(tt.fault)
			res, _ := b.refresh("")
			e := failure(t, res)
			if res.Status != http.StatusUnauthorized || e.Name != "AuthenticationError" || e.Code != tt.code || e.Cause == nil ||
				e.Message != "Refresh failed; caused by "+e.Cause.Name+": "+e.Cause.Message {
				t.Errorf("got %d %+v, want code %s", res.Status, e, tt.code)
			}
			d.idp.Behave()
			if kept := b.cookie(signin.SessionCookie) != ""; kept == tt.ends {
				t.Errorf("cookie kept: %v", kept)
			}
			// A provider that answers invalid_client after it spent the token has ended the session by itself.
			if res, s := b.refresh(""); !tt.ends && tt.code != "idp_client_rejected" && (res.Status != http.StatusOK || s.BackstageIdentity == nil) {
				t.Errorf("after the fault: %d %s", res.Status, res.Body)
			}
		})
	}
}

// TestNewRefreshTokenOptional is security D11: without a new refresh token the old one stays.
func TestNewRefreshTokenOptional(t *testing.T) {
	d := deploy(t, settings{auth: "  session: {refreshReuse: 0s}", idp: func(o *devidp.Options) { o.KeepRefreshTokens = true }})
	b := d.browser()
	b.signIn("jane.doe@example.com")
	d.idp.Misbehave(func(f *devidp.Faults) { f.Token = devidp.TokenNoRefreshToken })
	for range 3 {
		if res, s := b.refresh(""); res.Status != http.StatusOK || s.BackstageIdentity == nil {
			t.Fatalf("refresh: %d %s", res.Status, res.Body)
		}
	}
}

// TestNoRefreshToken: without one the session lasts as long as the access token.
func TestNoRefreshToken(t *testing.T) {
	d := deploy(t, settings{auth: "  session: {refreshReuse: 0s}"})
	d.idp.Misbehave(func(f *devidp.Faults) { f.Token = devidp.TokenNoRefreshToken })
	b := d.browser()
	s := b.signIn("jane.doe@example.com")
	res, again := b.refresh("")
	if res.Status != http.StatusOK || again.ProviderInfo.AccessToken != s.ProviderInfo.AccessToken {
		t.Errorf("refresh: %d %s", res.Status, res.Body)
	}
	if n := d.idp.Calls().Grant["refresh_token"]; n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}
}

// TestProviderDownAtStart is security D01: the server starts, everything else works, and the provider comes back by itself.
func TestProviderDownAtStart(t *testing.T) {
	d := deploy(t, settings{})
	d.idp.Misbehave(func(f *devidp.Faults) {
		f.Failures[devidp.DiscoveryEndpoint] = devidp.Failure{Kind: devidp.FailUnavailable}
	})
	b := d.browser()
	res := b.Get(startPath())
	if e := failure(t, res); res.Status != http.StatusServiceUnavailable || e.Code != "idp_discovery_failed" || len(res.Cookies) > 0 {
		t.Errorf("start: %d %+v", res.Status, e)
	}
	if res := b.Get("/api/auth/guest/refresh"); res.Status != http.StatusOK {
		t.Errorf("another provider: %d", res.Status)
	}
	if res := b.Get("/.backstage/health/v1/readiness"); res.Status != http.StatusOK {
		t.Errorf("readiness: %d", res.Status)
	}
	d.idp.Behave()
	deadline := time.Now().Add(time.Minute) // a bound for a broken test; the back-off begins with a second
	for b.Get(startPath()).Status != http.StatusFound {
		if time.Now().After(deadline) {
			t.Fatal("the provider did not come back")
		}
	}
	b.signIn("jane.doe@example.com")
}

// TestPoisonedDiscovery is security C19: metadata that contradicts itself is refused with a reason, and others go on.
func TestPoisonedDiscovery(t *testing.T) {
	for _, tt := range []struct {
		fault devidp.DiscoveryFault
		code  string
	}{
		{devidp.DiscoveryOtherIssuer, "idp_metadata_invalid"},
		{devidp.DiscoveryNoEndpoints, "idp_metadata_invalid"},
		{devidp.DiscoveryNoUserinfo, "idp_metadata_invalid"},
		{devidp.DiscoveryNoKeys, "idp_metadata_invalid"},
		{devidp.DiscoveryPlainPKCE, "idp_pkce_unsupported"},
	} {
		t.Run(string(tt.fault), func(t *testing.T) {
			d := deploy(t, settings{})
			d.idp.Misbehave(func(f *devidp.Faults) { f.Discovery = tt.fault })
			b := d.browser()
			res := b.Get(startPath())
			if e := failure(t, res); res.Status < 400 || e.Code != tt.code {
				t.Errorf("got %d %+v", res.Status, e)
			}
			if res := b.Get("/api/auth/guest/refresh"); res.Status != http.StatusOK {
				t.Errorf("another provider: %d", res.Status)
			}
		})
	}
}

// TestUserRemoved is security F17: out at the next refresh, and the session has ended.
func TestUserRemoved(t *testing.T) {
	d := deploy(t, settings{})
	b := d.browser()
	b.signIn("jane.doe@example.com")
	d.write("people.yaml", "kind: User\nmetadata: {name: somebody.else}\n")
	deadline := time.Now().Add(time.Minute) // the file is looked at once a second
	for {
		res, _ := b.refresh("")
		if res.Status == http.StatusUnauthorized {
			if e := failure(t, res); e.Code != "no_catalog_user" || !strings.Contains(d.logs.String(), e.AttemptID) {
				t.Errorf("got %+v", e)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the user is still in")
		}
	}
	if res, _ := b.refresh(""); strings.TrimSpace(string(res.Body)) != "{}" {
		t.Errorf("the session goes on: %d %s", res.Status, res.Body)
	}
}

// TestSlowProviderIsAlone is security D07: sign-ins that hang at one provider hold nobody else up.
func TestSlowProviderIsAlone(t *testing.T) {
	d := deploy(t, settings{})
	b := d.browser()
	callback := b.toCallback("jane.doe@example.com")
	d.idp.Misbehave(func(f *devidp.Faults) {
		f.Failures[devidp.TokenEndpoint] = devidp.Failure{Kind: devidp.FailHang}
	})
	stuck := make(chan apitest.Response)
	go func() { stuck <- b.follow(callback) }()
	<-d.idp.Hanging()
	other := d.browser()
	for _, path := range []string{"/api/auth/guest/refresh", "/api/auth/.well-known/jwks.json", "/.backstage/health/v1/readiness"} {
		if res := other.Get(path); res.Status != http.StatusOK {
			t.Errorf("%s: %d", path, res.Status)
		}
	}
	d.idp.Behave()
	d.idp.Release()
	if m := posted(t, <-stuck); m.Error.Name != "" {
		t.Errorf("after the wait: %+v", m.Error)
	}
}

// TestManyGroups is security C16: a provider that sends every group there is keeps nobody out, and makes no token that others refuse.
func TestManyGroups(t *testing.T) {
	d := deploy(t, settings{})
	groups := make([]string, 5000)
	for i := range groups {
		groups[i] = fmt.Sprintf("group-%04d-%s", i, strings.Repeat("x", 60))
	}
	d.idp.Misbehave(func(f *devidp.Faults) {
		f.IDToken.Edit = func(claims map[string]any) { claims["groups"] = groups }
	})
	b := d.browser()
	s := b.signIn("jane.doe@example.com")
	if len(s.BackstageIdentity.Token) > 8<<10 {
		t.Errorf("a Backstage token of %d bytes", len(s.BackstageIdentity.Token))
	}
	if res, s := b.refresh(""); res.Status != http.StatusOK || s.BackstageIdentity == nil {
		t.Errorf("refresh: %d", res.Status)
	}
}
