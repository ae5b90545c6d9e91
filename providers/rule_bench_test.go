package providers_test

import (
	"fmt"
	"testing"

	"stagedoor/providers"
)

// BenchmarkRule resolves a user of ordinary size by a rule with all of its options.
func BenchmarkRule(b *testing.B) {
	rule := newRule(b, `
when: 'claims.iss == "https://idp.example/realms/corp" && has(claims.preferred_username)'
deny: 'claims.preferred_username.startsWith("service-account-") ? "Service accounts cannot sign in" : ""'
user: {ref: '"user:default/" + claims.preferred_username'}
ownership: 'claims.groups.map(g, g.startsWith("/portal/"), "group:default/" + g.substring(8))'
`)
	var groups []any
	for i := range 5 {
		groups = append(groups, fmt.Sprintf("/portal/team-%d", i))
	}
	r := providers.Result{
		Profile: providers.Profile{Email: "jane@corp.example", DisplayName: "Jane"},
		Claims: map[string]any{
			"iss": "https://idp.example/realms/corp", "sub": "4a1c", "aud": "portal", "exp": 1.8e9, "iat": 1.8e9, "email": "jane@corp.example",
			"email_verified": true, "preferred_username": "jane", "groups": groups, "realm_access": map[string]any{"roles": []any{"a", "b"}},
		},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rule(r); err != nil {
			b.Fatal(err)
		}
	}
}
