package providers_test

import (
	"net/http"
	"testing"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

// TestUserInfo is C12: whose profile is this, and who says so.
func TestUserInfo(t *testing.T) {
	stranger := ecKey(t, "k")
	for _, tt := range []struct {
		name    string
		handler func(i *idp) http.HandlerFunc
		want    string
	}{
		{"same sub", func(i *idp) http.HandlerFunc { return answer(200, i.info) }, ""},
		{"other sub", func(*idp) http.HandlerFunc { return answer(200, map[string]any{"sub": "u2"}) }, providers.CodeUserInfoSubject},
		{"no sub", func(*idp) http.HandlerFunc { return answer(200, map[string]any{"name": "Jane"}) }, providers.CodeUserInfo},
		{"sub a number", func(*idp) http.HandlerFunc { return answer(200, map[string]any{"sub": 1}) }, providers.CodeUserInfo},
		{"sub in another case", func(*idp) http.HandlerFunc { return answer(200, map[string]any{"Sub": "u1"}) }, providers.CodeUserInfo},
		{"a list", func(*idp) http.HandlerFunc { return answer(200, []string{"u1"}) }, providers.CodeUserInfo},
		{"null", func(*idp) http.HandlerFunc { return body(200, "application/json", "null") }, providers.CodeUserInfo},
		{"a page", func(*idp) http.HandlerFunc { return body(200, "text/html", "<html>") }, providers.CodeUserInfo},
		{"refused", func(*idp) http.HandlerFunc { return body(401, "text/plain", "no") }, providers.CodeUserInfo},
		{"down", func(*idp) http.HandlerFunc { return body(503, "text/plain", "later") }, providers.CodeUpstream},
		{"signed", func(i *idp) http.HandlerFunc { return signedInfo(i, i.signer, nil) }, ""},
		{"signed for us", func(i *idp) http.HandlerFunc {
			return signedInfo(i, i.signer, map[string]any{"iss": issuer, "aud": "client"})
		}, ""},
		{"signed by another key", func(i *idp) http.HandlerFunc { return signedInfo(i, stranger, nil) }, providers.CodeUserInfoSignature},
		{"signed for another client", func(i *idp) http.HandlerFunc {
			return signedInfo(i, i.signer, map[string]any{"aud": "other"})
		}, providers.CodeUserInfo},
		{"signed by another issuer", func(i *idp) http.HandlerFunc {
			return signedInfo(i, i.signer, map[string]any{"iss": "https://evil.example"})
		}, providers.CodeUserInfo},
		{"unsigned as signed", func(i *idp) http.HandlerFunc { return body(200, "application/jwt", `{"sub":"u1"}`) }, providers.CodeUserInfo},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			i.signer = ecKey(t, "k")
			i.published = []providertest.Key{i.signer}
			i.handlers["/userinfo"] = tt.handler(i)
			result, err := i.signIn(i.mustOpen(es256))
			wantCode(t, err, tt.want)
			if tt.want == "" && result.UserInfo["sub"] != "u1" {
				t.Errorf("userinfo %v", result.UserInfo)
			}
		})
	}
}

func signedInfo(i *idp, key providertest.Key, more map[string]any) http.HandlerFunc {
	claims := map[string]any{"sub": "u1"}
	for k, v := range more {
		claims[k] = v
	}
	token, err := key.Sign(claims)
	if err != nil {
		i.t.Fatal(err)
	}
	return body(200, "application/jwt; charset=utf-8", token)
}

// TestVerifiedEmail is C14: an address that anybody could have typed is nobody's.
func TestVerifiedEmail(t *testing.T) {
	const email = "jane@corp.example"
	for _, tt := range []struct {
		name     string
		verified any
		config   string
		want     string
	}{
		{"true", true, "", email},
		{"false", false, "", ""},
		{"absent", nil, "", ""},
		{"the string true", "true", "", ""},
		{"the string false", "false", "", ""},
		{"one", 1, "", ""},
		{"absent but trusted", nil, "trustUnverifiedEmail: true\n", email},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			i.info["email_verified"] = tt.verified
			if tt.verified == nil {
				delete(i.info, "email_verified")
			}
			result, err := i.signIn(i.mustOpen(confidential + tt.config))
			wantCode(t, err, "")
			if result.Profile.Email != tt.want {
				t.Errorf("email %q, want %q", result.Profile.Email, tt.want)
			}
		})
	}
}
