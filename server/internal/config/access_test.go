package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// accessing is the minimal configuration with backend.auth, a flow object.
func accessing(auth string) world { return with(", auth: "+auth, "") }

func TestExternalAccess(t *testing.T) {
	c := mustLoad(t, one(minimal+`  auth:
    keys:
      - secret: c2VjcmV0LW9mLW9sZA==
      - {secret: c2VjcmV0LTI, accessRestrictions: [{plugin: auth}]}
    externalAccess:
      - type: static
        options: {token: "${CI_TOKEN}", subject: ci}
        accessRestrictions:
          - {plugin: auth, permission: 'stagedoor.admin, other stagedoor.admin'}
          - {plugin: catalog, permission: [a.b, 'c.d e.f'], permissionAttribute: {action: [read, update]}}
      - type: legacy
        options: {secret: _-__, subject: external:old}
      - type: jwks
        options: {url: 'https://idp/keys?tenant=a'}
      - type: jwks
        options:
          url: http://idp/jwks
          algorithm: RS256, ES256
          issuer: https://idp
          audience: [a, 'b c']
          subjectPrefix: idp
`, "CI_TOKEN=0123456789"))
	want := []ExternalAccess{
		{Type: AccessStatic, Token: "0123456789", Subject: "ci", Restrictions: []Restriction{
			{Plugin: "auth", Permissions: []string{"stagedoor.admin", "other"}},
			{Plugin: "catalog", Permissions: []string{"a.b", "c.d", "e.f"}, Actions: []string{"read", "update"}},
		}},
		{Type: AccessLegacy, Secret: []byte{0xff, 0xef, 0xff}, Subject: "external:old"},
		{Type: AccessJWKS, URL: "https://idp/keys?tenant=a"},
		{
			Type: AccessJWKS, URL: "http://idp/jwks", Algorithms: []string{"RS256", "ES256"}, Issuers: []string{"https://idp"},
			Audiences: []string{"a", "b", "c"}, SubjectPrefix: "idp",
		},
		{Type: AccessLegacy, Secret: []byte("secret-of-old"), Subject: "external:backstage-plugin"},
		{Type: AccessLegacy, Secret: []byte("secret-2"), Subject: "external:backstage-plugin", Restrictions: []Restriction{{Plugin: "auth"}}},
	}
	if diff := cmp.Diff(want, c.Backend.ExternalAccess); diff != "" {
		t.Error(diff)
	}
}

func TestNoExternalAccess(t *testing.T) {
	for _, auth := range []string{"null", "{}", "{externalAccess: [], keys: null}", "{dangerouslyDisableDefaultAuthPolicy: true}"} {
		if got := mustLoad(t, accessing(auth)).Backend.ExternalAccess; got != nil {
			t.Errorf("%s: got %+v", auth, got)
		}
	}
}

// anExternal is the place of one item's problem in the file that accessing makes, without the column.
const anExternal = " backend.auth.externalAccess[0]"

func TestExternalAccessProblems(t *testing.T) {
	const static = "type: static, options: {subject: ci, token: 01234567}"
	missing := func(key string) string {
		return "Missing required config value at 'backend.auth.externalAccess[0]." + key + "' in 'app-config.yaml'"
	}
	tests := []struct{ item, want string }{
		{"null", anExternal + ": want a value, found null"},
		{"x", anExternal + ": want an object, found a string"},
		{"{options: {}}", missing("type")},
		{"{type: custom, options: {}}", anExternal + ".type: want one of static, legacy, jwks"},
		{"{type: static}", missing("options")},
		{"{" + static + ", restrictions: []}", anExternal + ".restrictions: unknown key, did you mean accessRestrictions?"},
		{"{type: static, options: {token: 01234567x}}", missing("options.subject")},
		{"{type: static, options: {subject: ci}}", missing("options.token")},
		{"{type: static, options: {subject: ci, token: short}}", anExternal + ".options.token: want at least 8 characters"},
		{"{type: static, options: {subject: ci, token: a token with spaces}}", anExternal + ".options.token: want a value without white space"},
		{"{type: static, options: {subject: c i, token: 01234567x}}", anExternal + ".options.subject: want a value without white space"},
		{"{type: legacy, options: {subject: ci}}", missing("options.secret")},
		{"{type: legacy, options: {subject: ci, secret: a!}}", anExternal + ".options.secret: want a secret in base64"},
		{"{type: legacy, options: {subject: ci, secret: '='}}", anExternal + ".options.secret: want a secret in base64"},
		{"{type: jwks, options: {}}", missing("options.url")},
		{"{type: jwks, options: {url: ftp://a}}", anExternal + ".options.url: want an http:// or https:// URL without user and fragment"},
		{"{type: jwks, options: {url: 'http://u:p@a'}}", anExternal + ".options.url: want an http:// or https:// URL without user and fragment"},
		{"{type: jwks, options: {url: 'http://a', algorithm: HS256}}", anExternal + ".options.algorithm: want one of RS256, RS384, RS512, " +
			"PS256, PS384, PS512, ES256, ES384, ES512, EdDSA"},
		{"{type: jwks, options: {url: 'http://a', issuer: []}}", anExternal + ".options.issuer: want at least one name"},
		{"{type: jwks, options: {url: 'http://a', audience: ' ,'}}", anExternal + ".options.audience: want at least one name"},
		{"{type: jwks, options: {url: 'http://a', audience: [5]}}", anExternal + ".options.audience[0]: want a string, found a number: put it in quotes"},
		{"{type: jwks, options: {url: 'http://a', issuers: a}}", anExternal + ".options.issuers: unknown key, did you mean issuer?"},
	}
	for _, tt := range tests {
		t.Run(tt.item, func(t *testing.T) {
			got := problemsOf(t, accessing("{externalAccess: ["+strings.ReplaceAll(tt.item, ": 01234567}", ": '01234567'}")+"]}"))
			if len(got) != 1 || !strings.HasSuffix(got[0], tt.want) || strings.HasPrefix(tt.want, " ") && !strings.HasPrefix(got[0], "app-config.yaml:2:") {
				t.Errorf("got  %v\nwant %s", got, tt.want)
			}
		})
	}
}

func TestAccessRestrictionProblems(t *testing.T) {
	const at = anExternal + ".accessRestrictions"
	tests := []struct{ restrictions, want string }{
		{"x", at + ": want a list, found a string"},
		{"[]", at + ": want at least one restriction"},
		{"[{}]", "Missing required config value at '" + at[1:] + "[0].plugin' in 'app-config.yaml'"},
		{"[{plugin: a}, {plugin: b}, {plugin: a}]", at + "[2].plugin: want each plugin once"},
		{"[{plugin: a, permissions: b}]", at + "[0].permissions: unknown key, did you mean permission?"},
		{"[{plugin: a, permission: []}]", at + "[0].permission: want at least one name"},
		{"[{plugin: a, permissionAttribute: {action: run}}]", at + "[0].permissionAttribute.action: want one of create, read, update, delete"},
		{"[{plugin: a, permissionAttribute: {actions: read}}]", at + "[0].permissionAttribute.actions: unknown key, did you mean action?"},
	}
	for _, tt := range tests {
		t.Run(tt.restrictions, func(t *testing.T) {
			item := "{type: static, options: {token: abcdefgh, subject: s}, accessRestrictions: " + tt.restrictions + "}"
			if got := problemsOf(t, accessing("{externalAccess: ["+item+"]}")); !strings.HasSuffix(got[0], tt.want) {
				t.Errorf("got  %v\nwant %s", got, tt.want)
			}
		})
	}
}

// TestCallersDiffer: a token of two callers would be the first one's, with its restrictions.
func TestCallersDiffer(t *testing.T) {
	const (
		static = "{type: static, options: {token: abcdefgh, subject: s}}"
		legacy = "{type: legacy, options: {secret: c2VjcmV0, subject: s}}"
		want   = ": want a value that no other caller has"
	)
	tests := []struct{ auth, want string }{
		{"{externalAccess: [" + static + ", " + static + "]}", "backend.auth.externalAccess[1].options.token" + want},
		{"{externalAccess: [" + legacy + "], keys: [{secret: c2VjcmV0==}]}", "backend.auth.keys[0].secret" + want},
	}
	for _, tt := range tests {
		if got := problemsOf(t, accessing(tt.auth)); len(got) != 1 || !strings.HasSuffix(got[0], tt.want) {
			t.Errorf("got %v, want %s", got, tt.want)
		}
	}
}

// TestNoMessageHoldsACallersValue plants the canary where the entries of a list have their values.
func TestNoMessageHoldsACallersValue(t *testing.T) {
	items := []string{
		"externalAccess: [{type: %}]", "externalAccess: [{type: static, options: {token: %, subject: %}}]",
		"externalAccess: [{type: static, options: %}]", "externalAccess: [{type: legacy, options: {secret: %, subject: %}}]",
		"externalAccess: [{type: jwks, options: {url: %, algorithm: %, issuer: %}}]", "keys: [{secret: %}]", "keys: [%]",
		"externalAccess: [{type: static, options: {token: abcdefgh, subject: s}, accessRestrictions: [{plugin: %, permissionAttribute: {action: %}}]}]",
	}
	values := []string{canary, "'" + canary + " x'", "'!" + canary + "'", "[" + canary + "]", "{a: " + canary + "}", "${CANARY}!", "'http://" + canary + "@a'"}
	for _, item := range items {
		wrong := 0
		for _, value := range values {
			w := accessing("{" + strings.ReplaceAll(item, "%", value) + "}")
			w.env["CANARY"] = canary
			err := everyError(w)
			if err == nil {
				continue
			}
			wrong++
			if strings.Contains(err.Error(), canary) {
				t.Errorf("%s: %s: a message holds the value: %v", item, value, err)
			}
		}
		if wrong == 0 {
			t.Errorf("%s: nothing was wrong, so nothing was shown", item)
		}
	}
}
