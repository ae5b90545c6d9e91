package devidp

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUserinfoFaults(t *testing.T) {
	type info = map[string]any
	for _, test := range []struct {
		fault  UserinfoFault
		status int
		change func(info)
	}{
		{"", http.StatusOK, func(info) {}},
		{UserinfoOtherSubject, http.StatusOK, func(i info) { i["sub"] = "somebody-else" }},
		{UserinfoNoSubject, http.StatusOK, func(i info) { delete(i, "sub") }},
		{UserinfoNotFound, http.StatusNotFound, func(i info) { clear(i) }},
		{UserinfoUnverified, http.StatusOK, func(i info) { i["email_verified"] = false }},
		{UserinfoVerifiedAbsent, http.StatusOK, func(i info) { delete(i, "email_verified") }},
		{UserinfoVerifiedString, http.StatusOK, func(i info) { i["email_verified"] = "false" }},
		{UserinfoVerifiedTrue, http.StatusOK, func(i info) { i["email_verified"] = "true" }},
	} {
		t.Run(string(test.fault), func(t *testing.T) {
			r := newRig(t)
			access, _ := r.tokens(t, jane, "scope", "openid email")["access_token"].(string)
			r.Misbehave(func(f *Faults) { f.Userinfo = test.fault })
			status, got := r.get(t, userinfoPath, access)
			want := info{"sub": "jane-doe", "email": jane, "email_verified": true}
			test.change(want)
			if diff := cmp.Diff(want, got); diff != "" || status != test.status {
				t.Errorf("status %d, userinfo (-want +got):\n%s", status, diff)
			}
			if status, _ := r.get(t, userinfoPath, "guess"); status != http.StatusUnauthorized {
				t.Errorf("a guessed token gets %d, want 401", status)
			}
		})
	}
}

func TestDiscoveryFaults(t *testing.T) {
	for _, test := range []struct {
		name   string
		faults Faults
		want   map[string]any // What changes; nil is absent.
	}{
		{"other issuer", Faults{Discovery: DiscoveryOtherIssuer}, map[string]any{"issuer": otherIssuer}},
		{"slash", Faults{Discovery: DiscoveryTrailingSlash}, map[string]any{"issuer": "ISSUER/"}},
		{"no endpoints", Faults{Discovery: DiscoveryNoEndpoints}, map[string]any{
			"authorization_endpoint": nil, "token_endpoint": nil, "userinfo_endpoint": nil,
		}},
		{"no userinfo", Faults{Discovery: DiscoveryNoUserinfo}, map[string]any{"userinfo_endpoint": nil}},
		{"no keys", Faults{Discovery: DiscoveryNoKeys}, map[string]any{"jwks_uri": nil}},
		{"plain token endpoint", Faults{Discovery: DiscoveryPlainToken}, map[string]any{"token_endpoint": "http://idp.elsewhere.invalid/token"}},
		{"private keys", Faults{Discovery: DiscoveryPrivateKeys}, map[string]any{"jwks_uri": "http://169.254.169.254/keys"}},
		{"plain PKCE", Faults{Discovery: DiscoveryPlainPKCE}, map[string]any{"code_challenge_methods_supported": []any{"plain"}}},
		{"iss not announced", Faults{Authorization: ResponseIssuerUnannounced}, map[string]any{
			"authorization_response_iss_parameter_supported": nil,
		}},
		{"edited", Faults{EditDiscovery: func(d map[string]any) { d["issuer"] = 7 }}, map[string]any{"issuer": 7.0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t)
			_, want := r.get(t, discoveryPath, "")
			r.Misbehave(func(f *Faults) { *f = test.faults })
			_, got := r.get(t, discoveryPath, "")
			for name, value := range test.want {
				if text, ok := value.(string); ok {
					value = strings.ReplaceAll(text, "ISSUER", r.Issuer())
				}
				if want[name] = value; value == nil {
					delete(want, name)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("discovery (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKeysFaults(t *testing.T) {
	r := newRig(t)
	own := r.publishedKeys(t)[0]
	for _, test := range []struct {
		fault KeysFault
		keys  int
		kid   string
	}{
		{"", 1, own.KeyID},
		{KeysUnknown, 1, r.other.id},
		{KeysEmpty, 0, ""},
		{KeysNoID, 1, ""},
	} {
		t.Run(string(test.fault), func(t *testing.T) {
			r.Misbehave(func(f *Faults) { f.Keys = test.fault })
			got := r.publishedKeys(t)
			if len(got) != test.keys || len(got) > 0 && (got[0].KeyID != test.kid || !got[0].IsPublic()) {
				t.Errorf("published are %+v", got)
			}
		})
	}
}

func TestAuthorizationFaults(t *testing.T) {
	for _, test := range []struct {
		name   string
		faults Faults
		change func(url.Values)
	}{
		{"none", Faults{}, func(url.Values) {}},
		{"no state", Faults{Authorization: StateMissing}, func(q url.Values) { q.Del("state") }},
		{"other state", Faults{Authorization: StateOther}, func(q url.Values) { q.Set("state", "another-state") }},
		{"state twice", Faults{Authorization: StateDuplicated}, func(q url.Values) { q.Add("state", someState) }},
		{"no code", Faults{Authorization: CodeMissing}, func(q url.Values) { q.Del("code") }},
		{"other code", Faults{Authorization: CodeOther}, func(q url.Values) { q.Set("code", "another-code") }},
		{"code twice", Faults{Authorization: CodeDuplicated}, func(q url.Values) { q.Add("code", "CODE") }},
		{"other iss", Faults{Authorization: ResponseIssuerOther}, func(q url.Values) { q.Set("iss", otherIssuer) }},
		{"no iss", Faults{Authorization: ResponseIssuerMissing}, func(q url.Values) { q.Del("iss") }},
		{"no iss ever", Faults{Authorization: ResponseIssuerUnannounced}, func(q url.Values) { q.Del("iss") }},
		{"error", Faults{AuthorizationError: "server_error"}, func(q url.Values) {
			q.Del("code")
			q.Set("error", "server_error")
			q.Set("error_description", "this provider misbehaves on request")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t)
			r.Misbehave(func(f *Faults) { *f = test.faults })
			got := r.signIn(t, jane)
			for i, code := range got["code"] {
				if code != "another-code" {
					got["code"][i] = "CODE"
				}
			}
			want := url.Values{"code": {"CODE"}, "state": {someState}, "iss": {r.Issuer()}}
			test.change(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}
