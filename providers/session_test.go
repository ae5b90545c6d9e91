package providers_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"stagedoor/providers"
)

func TestRefresh(t *testing.T) {
	for _, tt := range []struct {
		name    string
		subject string
		prepare func(i *idp)
		want    string
		token   string // the refresh token of the result, error or not
	}{
		{"rotated", "u1", func(i *idp) { i.token["refresh_token"] = "rt-2" }, "", "rt-2"},
		{"kept", "u1", func(*idp) {}, "", ""},
		{"the same again", "u1", func(i *idp) { i.token["refresh_token"] = "rt-secret" }, "", "rt-secret"},
		{"subject unknown", "", func(*idp) {}, "", ""},
		{"without id_token", "u1", func(i *idp) { i.idToken = nil }, "", ""},
		{"nonce is not looked at", "u1", func(i *idp) { i.nonce = "whatever" }, "", ""},
		{"id_token of another user", "u2", func(*idp) {}, providers.CodeSubject, ""},
		{"userinfo of another user", "u2", func(i *idp) { i.idToken = nil }, providers.CodeUserInfoSubject, ""},
		{"id_token of another client", "u1", func(i *idp) {
			i.idToken = func(c map[string]any) map[string]any { c["aud"] = "other"; return c }
		}, providers.CodeIDTokenAudience, ""},
		{"rotated, then userinfo down", "u1", func(i *idp) {
			i.token["refresh_token"] = "rt-2"
			i.handlers["/userinfo"] = body(503, "text/plain", "later")
		}, providers.CodeUpstream, "rt-2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			tt.prepare(i)
			r, err := i.mustOpen(confidential).Refresh(t.Context(), providers.RefreshInput{RefreshToken: "rt-secret", Subject: tt.subject})
			wantCode(t, err, tt.want)
			if r.Session.RefreshToken != tt.token {
				t.Errorf("refresh token %q, want %q", r.Session.RefreshToken, tt.token)
			}
			if err == nil && (r.Session.Subject != "u1" || r.Profile.Email == "") {
				t.Errorf("result is incomplete: subject %q", r.Session.Subject)
			}
			if i.form.Has("scope") {
				t.Error("scope sent")
			}
		})
	}
}

func TestLogout(t *testing.T) {
	const returnTo, confirm = "https://portal.example", confidential + "endSession: true\n"
	for _, tt := range []struct {
		name, config, token string
		prepare             func(i *idp)
		after               string // prefix
		revoked             int
		want                string
	}{
		{"revoked", confidential, "rt-secret", func(*idp) {}, "", 1, ""},
		{"no token", confidential, "", func(*idp) {}, "", 0, ""},
		{"no endpoint", confidential, "rt-secret", func(i *idp) { delete(i.meta, "revocation_endpoint") }, "", 0, ""},
		{"end session", confirm, "rt-secret", func(*idp) {}, issuer + "/end?", 1, ""},
		{"no end session endpoint", confirm, "rt-secret", func(i *idp) { delete(i.meta, "end_session_endpoint") }, "", 1, ""},
		{"revocation fails, page stays", confirm, "rt-secret", func(i *idp) { i.handlers["/revoke"] = body(503, "", "") }, issuer + "/end?", 1, providers.CodeUpstream},
		{"page keeps its query", confirm, "", func(i *idp) { i.meta["end_session_endpoint"] = issuer + "/end?tenant=a" }, issuer + "/end?", 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			tt.prepare(i)
			after, err := i.mustOpen(tt.config).Logout(t.Context(), providers.LogoutInput{RefreshToken: tt.token, IDToken: "idt", ReturnTo: returnTo})
			wantCode(t, err, tt.want)
			if !strings.HasPrefix(after, tt.after) || tt.after == "" && after != "" {
				t.Errorf("address %q, want %q…", after, tt.after)
			}
			if u, _ := url.Parse(after); after != "" && u.Query().Get("post_logout_redirect_uri") != returnTo {
				t.Errorf("address %q does not lead back", after)
			}
			if n := i.called("/revoke"); n != tt.revoked {
				t.Errorf("%d revocations, want %d", n, tt.revoked)
			}
		})
	}
}

// TestLogoutPageInTheClear keeps an id_token off the network: a page on http is left out, unless it is this machine's.
func TestLogoutPageInTheClear(t *testing.T) {
	for host, want := range map[string]bool{"http://idp.example": false, "http://localhost:9400": true, "http://127.0.0.1:9400": true} {
		i := newIDP(t)
		i.meta["issuer"] = "http://idp.example"
		i.meta["end_session_endpoint"] = host + "/end"
		p := i.mustOpen("metadataUrl: http://idp.example\nclientId: c\nendSession: true\n")
		after, err := p.Logout(t.Context(), providers.LogoutInput{IDToken: "idt"})
		wantCode(t, err, "")
		if (after != "") != want {
			t.Errorf("%s: address %q", host, after)
		}
	}
}

// TestCallbackMessages are the words that Backstage's users know.
func TestCallbackMessages(t *testing.T) {
	for _, tt := range []struct {
		query, want string
		kind        error
	}{
		{"error=access_denied&error_description=the+user+said+no", "Authentication rejected, access_denied (the user said no)", providers.ErrDenied},
		{"error=access_denied", "Authentication rejected, access_denied", providers.ErrDenied},
		{"error=server_error", "Authentication failed, server_error", providers.ErrUnavailable},
		{"error=temporarily_unavailable", "Authentication rejected, temporarily_unavailable", providers.ErrUnavailable},
		{"error=invalid_request&error_description=x", "Authentication failed, invalid_request (x)", nil},
		{"error=a%0d%0aSet-Cookie:b&error_description=%e2%80%a8%e2%80%ae%00%ff</script>", "Authentication rejected, aSet-Cookie:b (</script>)", nil},
		{"error=" + strings.Repeat("e", 500), "Authentication rejected, " + strings.Repeat("e", 64), nil},
		{"", "Authentication rejected, code missing from response", nil},
		{"iss=https://evil.example&code=c0de", "Authentication rejected, iss mismatch, expected " + issuer, nil},
		{"iss=" + issuer + "&iss=" + issuer + "&code=c0de", "Authentication rejected, iss is repeated in the response", nil},
		{"iss=&code=c0de", "Authentication rejected, iss mismatch, expected " + issuer, nil},
	} {
		t.Run(tt.query, func(t *testing.T) {
			i := newIDP(t)
			p := i.mustOpen(confidential)
			start, err := p.Start(t.Context(), providers.StartInput{State: "s"})
			if err != nil {
				t.Fatal(err)
			}
			q, _ := url.ParseQuery(tt.query)
			_, err = p.Handle(t.Context(), providers.Request{Query: q, Memo: start.Memo})
			e, ok := errors.AsType[*providers.Error](err)
			if !ok || e.Message != tt.want || tt.kind != nil && !errors.Is(err, tt.kind) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if i.called("/token") > 0 {
				t.Error("token endpoint called (A07)")
			}
		})
	}
}

func TestCallbackWithoutMemo(t *testing.T) {
	i := newIDP(t)
	for _, memo := range []string{"", "x", "{}", `{"v":"verifier"}`, `{"n":"nonce"}`} {
		_, err := i.mustOpen(confidential).Handle(t.Context(), providers.Request{Query: url.Values{"code": {"c0de"}}, Memo: []byte(memo)})
		wantCode(t, err, providers.CodeTransaction)
	}
}
