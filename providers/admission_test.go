package providers_test

import (
	"errors"
	"strings"
	"testing"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

func TestAdmission(t *testing.T) {
	member := func(change func(*providers.Result)) providers.Result {
		r := providers.Result{
			Session: providers.Session{Subject: "4a1c"},
			Profile: providers.Profile{Email: "Jane@Corp.example"},
			Claims: map[string]any{
				"hd": "corp.example", "tid": "0a-TENANT", "groups": []any{"ops", 7.0, "Dev", nil}, "roles": "admin",
				"realm_access": map[string]any{"roles": []any{"portal"}}, "https://corp.example/groups": []any{"x"},
			},
			UserInfo: map[string]any{"organizations": []any{"Acme"}, "teams": []any{"acme/platform"}, "groups": []any{"only-in-userinfo"}},
			Headers:  map[string]string{"x-forwarded-groups": "ops, dev,"},
		}
		if change != nil {
			change(&r)
		}
		return r
	}
	email := func(email string) func(*providers.Result) {
		return func(r *providers.Result) { r.Profile.Email = email }
	}
	noClaims := func(r *providers.Result) { r.Claims, r.UserInfo, r.Headers = nil, nil, nil }
	noSubject := func(r *providers.Result) { r.Session.Subject = "" }
	for _, tt := range []struct {
		name, kind, options string
		change              func(*providers.Result)
		want                string
	}{
		{"nothing asked", "oidc", "", noClaims, ""},
		{"domain", "oidc", "emailDomains: [other.example, corp.EXAMPLE]", nil, ""},
		{"domain above", "oidc", "emailDomains: [example]", nil, providers.CodeAdmissionDomain},
		{"domain below", "oidc", "emailDomains: [corp.example]", email("jane@sub.corp.example"), providers.CodeAdmissionDomain},
		{"domain as a suffix", "oidc", "emailDomains: [corp.example]", email("jane@evilcorp.example"), providers.CodeAdmissionDomain},
		{"domain that looks alike", "oidc", "emailDomains: [korp.example]", email("jane@\u212aorp.example"), providers.CodeAdmissionDomain},
		{"two ats", "oidc", "emailDomains: [corp.example]", email("jane@evil.example@corp.example"), providers.CodeAdmissionDomain},
		{"no verified email", "oidc", "emailDomains: [corp.example]", email(""), providers.CodeAdmissionDomain},

		{"organization of google", "google", "organizations: [CORP.example]", nil, ""},
		{"organization of microsoft", "microsoft", "organizations: [0A-tenant]", nil, ""},
		{"organization of github", "github", "organizations: [acme]", nil, ""},
		{"other organization", "google", "organizations: [other.example]", nil, providers.CodeAdmissionOrg},
		{"organization by another claim", "oidc", "organizations: [admin]\norganizationClaim: roles", nil, ""},
		{"no organization", "google", "organizations: [corp.example]", noClaims, providers.CodeAdmissionOrg},
		{"organization that looks alike", "oidc", "organizations: [k]\norganizationClaim: org", func(r *providers.Result) {
			r.Claims["org"] = "\u212a"
		}, providers.CodeAdmissionOrg},

		{"group", "oidc", "groups: [absent, ops]", nil, ""},
		{"numbered group", "oidc", "groups: ['7']", nil, ""},
		{"group in another case", "oidc", "groups: [dev]", nil, providers.CodeAdmissionGroup},
		{"verified claims come before userinfo", "oidc", "groups: [only-in-userinfo]", nil, providers.CodeAdmissionGroup},
		{"group by path", "oidc", "groups: [portal]\ngroupsClaim: realm_access.roles", nil, ""},
		{"group by a name with dots", "oidc", "groups: [x]\ngroupsClaim: https://corp.example/groups", nil, ""},
		{"group by a single role", "oidc", "groups: [admin]\ngroupsClaim: roles", nil, ""},
		{"group by a claim that is none", "oidc", "groups: [portal]\ngroupsClaim: realm_access", nil, providers.CodeAdmissionGroup},
		{"team of github", "github", "groups: [acme/platform]", nil, ""},
		{"group of a proxy", "oauth2Proxy", "groups: [dev]", nil, ""},
		{"empty group of a proxy", "oauth2Proxy", "groups: [other]", nil, providers.CodeAdmissionGroup},
		{"no groups", "oidc", "groups: [ops]", noClaims, providers.CodeAdmissionGroup},

		{"user by email", "oidc", "users: [jane@corp.example]", nil, ""},
		{"user by unverified email", "oidc", "users: [jane@corp.example]", email(""), providers.CodeAdmissionUser},
		{"user by id", "oidc", "users: [4a1c]", nil, ""},
		{"user by id in another case", "oidc", "users: [4A1C]", nil, providers.CodeAdmissionUser},
		{"no user", "oidc", "users: [4a1c, jane@corp.example]", func(r *providers.Result) { noSubject(r); r.Profile.Email = "x@corp.example" }, providers.CodeAdmissionUser},
		{"id that is an email", "oidc", "users: [eve@corp.example]", func(r *providers.Result) { r.Session.Subject = "eve@corp.example" }, providers.CodeAdmissionUser},

		{"all lists bind", "oidc", "users: [4a1c]\ngroups: [absent]", nil, providers.CodeAdmissionGroup},
		{"all lists are satisfied", "google", "users: [4a1c]\ngroups: [ops]\norganizations: [corp.example]\nemailDomains: [corp.example]", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := providers.NewAdmission(tt.kind, providertest.Decode(tt.options))
			if err != nil {
				t.Fatal(err)
			}
			err = a.Admit(member(tt.change))
			wantCode(t, err, tt.want)
			if err == nil {
				return
			}
			if !errors.Is(err, providers.ErrForbidden) || strings.Contains(strings.ToLower(err.Error()), "jane") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAdmissionOptions(t *testing.T) {
	for options, want := range map[string]string{
		"emailDomains: []": "emailDomains is empty", "groups: ['']": "groups is empty", "users: []": "users is empty",
		"organizations: []": "organizations is empty", "emailDomains: ['@corp.example']": "read emailDomains",
		"users: ['jane@']": "read users", "organizations: [acme]": "organizationClaim", "group: [a]": "group", "groups: a": "groups",
	} {
		if _, err := providers.NewAdmission("oidc", providertest.Decode(options)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q in it", options, err, want)
		}
	}
	if err := (providers.Admission{}).Admit(providers.Result{}); err != nil {
		t.Errorf("without a section: %v", err)
	}
}
