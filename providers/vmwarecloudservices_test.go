package providers_test

import (
	"strings"
	"testing"

	"stagedoor/providers"
)

const console = "clientId: client\norganizationId: org-1\nconsoleEndpoint: " + issuer + "/\nissuer: " + issuer + "\n"

// newConsole answers as VMware's console does, with an id_token whose claims are changed: nil takes one out.
func newConsole(t *testing.T, changed map[string]any) *idp {
	i := newIDP(t)
	i.idToken = func(c map[string]any) map[string]any {
		c["email"], c["given_name"], c["family_name"], c["context_name"] = "jane@corp.example", "Jane", "Doe", "org-1"
		for name, value := range changed {
			if c[name] = value; value == nil {
				delete(c, name)
			}
		}
		return c
	}
	const auth = "/csp/gateway/am/api/auth/"
	i.handlers[auth+"token-public-key"] = i.handler("/keys")
	i.handlers[auth+"token"] = answer(200, i.tokens())
	return i
}

func TestVMwareClaims(t *testing.T) {
	for _, tt := range []struct {
		name    string
		changed map[string]any
		want    string
		message string
	}{
		{"good", nil, "", ""},
		{"one missing", map[string]any{"email": nil}, providers.CodeIDTokenMalformed, "ID token missing required claims: email"},
		{
			"two missing, one mistyped",
			map[string]any{"email": nil, "context_name": nil, "given_name": 1},
			providers.CodeIDTokenMalformed,
			"ID token missing required claims: email, context_name",
		},
		{
			"mistyped",
			map[string]any{"given_name": 1, "family_name": []string{"Doe"}},
			providers.CodeIDTokenMalformed,
			"ID token claims type mismatch: given_name, family_name",
		},
		{"other organization", map[string]any{"context_name": "org-2"}, providers.CodeIDTokenOrg, "ID token organizationId mismatch"},
		{"other issuer", map[string]any{"iss": "https://evil.example"}, providers.CodeIDTokenIssuer, "unexpected iss"},
		{"other client", map[string]any{"aud": "other"}, providers.CodeIDTokenAudience, "not meant for this client"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newConsole(t, tt.changed).mustOpenKind("vmwareCloudServices", console)
			got, err := comeBack(t, p)
			wantCode(t, err, tt.want)
			if tt.want == "" {
				if got.Profile.DisplayName != "Jane Doe" || got.Profile.Email == "" || got.Session.Subject != "u1" {
					t.Error("the id_token is not read")
				}
				return
			}
			if !strings.Contains(err.Error(), "Authentication failed, ") || !strings.Contains(err.Error(), tt.message) {
				t.Errorf("error %v, want %q", err, tt.message)
			}
			_, err = p.Refresh(t.Context(), providers.RefreshInput{RefreshToken: "rt-secret"})
			wantCode(t, err, tt.want)
		})
	}
}

func TestVMwareSignature(t *testing.T) {
	i := newConsole(t, nil)
	i.forge = func(s string) string { return s[:len(s)-8] + "AAAAAAAA" }
	i.handlers["/csp/gateway/am/api/auth/token"] = answer(200, i.tokens())
	_, err := comeBack(t, i.mustOpenKind("vmwareCloudServices", console))
	wantCode(t, err, providers.CodeIDTokenSignature)
}

func TestVMwareDisownedEmail(t *testing.T) {
	got, err := comeBack(t, newConsole(t, map[string]any{"email_verified": false}).mustOpenKind("vmwareCloudServices", console))
	if err != nil || got.Profile.Email != "" {
		t.Errorf("email there: %t, error %v", got.Profile.Email != "", err)
	}
}

// TestVMwareRefreshWithoutIDToken says nothing about the user, and keeps the refresh token that came with it.
func TestVMwareRefreshWithoutIDToken(t *testing.T) {
	i := newConsole(t, nil)
	i.handlers["/csp/gateway/am/api/auth/token"] = answer(200, map[string]any{"access_token": "at", "refresh_token": "rt-2"})
	got, err := i.mustOpenKind("vmwareCloudServices", console).Refresh(t.Context(), providers.RefreshInput{RefreshToken: "rt-secret"})
	wantCode(t, err, providers.CodeIDTokenMissing)
	if got.Session.RefreshToken != "rt-2" {
		t.Error("the new refresh token is lost")
	}
}

func TestVMwareCredentials(t *testing.T) {
	for config, want := range map[string]string{console: "", console + "clientSecret: s\n": "s"} {
		i := newConsole(t, nil)
		if _, err := comeBack(t, i.mustOpenKind("vmwareCloudServices", config)); err != nil {
			t.Fatal(err)
		}
		if !i.form.Has("client_secret") || i.form.Get("client_secret") != want || i.form.Get("code_verifier") == "" {
			t.Errorf("token request has %v", fieldsOf(i.form))
		}
	}
}

func TestVMwareConfig(t *testing.T) {
	for config, want := range map[string]string{
		"clientId: client\n":        "organizationId",
		console + "scope: openid\n": "scope is not a key of vmwareCloudServices",
		"clientId: client\norganizationId: o\nconsoleEndpoint: " + issuer + "\n":  "issuer is missing",
		"clientId: client\norganizationId: o\nconsoleEndpoint: console.example\n": "consoleEndpoint is not an http",
	} {
		if _, err := newIDP(t).openKind("vmwareCloudServices", "vmwareCloudServices", config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", config, err, want)
		}
	}
}
