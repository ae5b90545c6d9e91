package providers_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

const (
	byProfile = "emailMatchingUserEntityProfileEmail"
	byLocal   = "emailLocalPartMatchingUserEntityName"
)

func resolver(t testing.TB, name, options string) providers.Resolver {
	t.Helper()
	r, err := providers.ResolversFor("oidc")[name](providertest.Decode("resolver: " + name + "\n" + options))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func profileEmail(email string) map[string]string {
	return map[string]string{"spec.profile.email": email}
}

func TestCommonResolvers(t *testing.T) {
	const allow = "allowedDomains: [corp.example, b.example]\n"
	const danger = "dangerouslyAllowSignInWithoutUserInCatalog: true\n"
	for _, tt := range []struct {
		name, resolver, options, email string
		want                           providers.Lookup
		code                           string
	}{
		{"profile", byProfile, "", "jane@corp.example", providers.Lookup{Filter: profileEmail("jane@corp.example")}, ""},
		{"profile with tag", byProfile, "", "jane+x+y@corp.example", providers.Lookup{
			Filter: profileEmail("jane+x+y@corp.example"), Then: &providers.Lookup{Filter: profileEmail("jane@corp.example")},
		}, ""},
		{"profile of a tag alone", byProfile, "", "+x@corp.example", providers.Lookup{Filter: profileEmail("+x@corp.example")}, ""},
		{"profile without entity", byProfile, danger, "jane+x@corp.example", providers.Lookup{
			Filter: profileEmail("jane+x@corp.example"), Then: &providers.Lookup{Filter: profileEmail("jane@corp.example")},
			Fallback: "user:default/jane@corp.example",
		}, ""},
		{"profile of an allowed domain", byProfile, allow, "jane@CORP.example", providers.Lookup{Filter: profileEmail("jane@CORP.example")}, ""},
		{"profile of another domain", byProfile, allow, "jane@evil.example", providers.Lookup{}, providers.CodeEmailDomain},
		{"local part", byLocal, "", "jane@corp.example", providers.Lookup{EntityRef: "user:default/jane"}, ""},
		{"local part without entity", byLocal, danger, "jane@corp.example", providers.Lookup{EntityRef: "user:default/jane", Fallback: "user:default/jane"}, ""},
		{"local part of an allowed domain", byLocal, allow, "jane@b.example", providers.Lookup{EntityRef: "user:default/jane"}, ""},
		{"suffix of an allowed domain", byLocal, allow, "jane@evilcorp.example", providers.Lookup{}, providers.CodeEmailDomain},
		{"domain below an allowed one", byLocal, allow, "jane@sub.corp.example", providers.Lookup{}, providers.CodeEmailDomain},
		{"domain above an allowed one", byLocal, allow, "jane@example", providers.Lookup{}, providers.CodeEmailDomain},
		{"final dot", byLocal, allow, "jane@corp.example.", providers.Lookup{}, providers.CodeEmailInvalid},
		{"two ats", byLocal, allow, "jane@evil.example@corp.example", providers.Lookup{}, providers.CodeEmailInvalid},
		{"quoted at", byLocal, allow, `"jane@evil.example"@corp.example`, providers.Lookup{}, providers.CodeEmailInvalid},
		{"comma", byProfile, "", "jane,kind=group@corp.example", providers.Lookup{}, providers.CodeEmailInvalid},
		{"entity ref", byLocal, "", "group:default/admins@corp.example", providers.Lookup{}, providers.CodeEmailInvalid},
		{"line break", byLocal, "", "jane\n@corp.example", providers.Lookup{}, providers.CodeEmailInvalid},
		{"space", byProfile, "", "jane doe@corp.example", providers.Lookup{}, providers.CodeEmailInvalid},
		{"no local part", byLocal, "", "@corp.example", providers.Lookup{}, providers.CodeEmailInvalid},
		{"no domain", byProfile, "", "jane@", providers.Lookup{}, providers.CodeEmailInvalid},
		{"no at", byProfile, "", "jane", providers.Lookup{}, providers.CodeEmailInvalid},
		{"too long", byProfile, "", strings.Repeat("j", 250) + "@b.example", providers.Lookup{}, providers.CodeEmailInvalid},
		{"no email for profile", byProfile, "", "", providers.Lookup{}, providers.CodeEmailMissing},
		{"no email for local part", byLocal, danger, "", providers.Lookup{}, providers.CodeEmailMissing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := resolver(t, tt.resolver, tt.options)(providers.Result{Profile: providers.Profile{Email: tt.email}})
			wantCode(t, err, tt.code)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("lookup (-want +got):\n%s", diff)
			}
			if errors.Is(err, providers.ErrNoMatch) {
				t.Error("passes on to the next resolver (S3)")
			}
			if forbidden := errors.Is(err, providers.ErrForbidden); forbidden != (tt.code == providers.CodeEmailDomain) {
				t.Errorf("forbidden is %v for %v", forbidden, err)
			}
		})
	}
}

func TestResolverOptions(t *testing.T) {
	for name, make := range providers.ResolversFor("oidc") {
		for options, want := range map[string]string{
			"allowedDomain: [a.example]": "allowedDomain", "allowedDomains: a.example": "allowedDomains",
			"allowedDomains: ['@a.example']": "allowedDomains", "allowedDomains: ['']": "allowedDomains",
			"dangerouslyAllowSignInWithoutUserInCatalog: sure": "dangerously",
		} {
			if _, err := make(providertest.Decode(options)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s with %s: error %v", name, options, err)
			}
		}
	}
}

// FuzzEmail holds what an address may do to a catalog filter and an entity ref: nothing.
func FuzzEmail(f *testing.F) {
	for _, seed := range []string{"jane@corp.example", "a@b@corp.example", "a,b=c@corp.example", "\"a b\"@corp.example", "a+b@corp.example", "é@ünï.example", "a@corp.example\x00"} {
		f.Add(seed)
	}
	allowed := resolver(f, byLocal, "allowedDomains: [corp.example]\n")
	f.Fuzz(func(t *testing.T, email string) {
		got, err := allowed(providers.Result{Profile: providers.Profile{Email: email}})
		if err != nil {
			return
		}
		name, ok := strings.CutPrefix(got.EntityRef, "user:default/")
		if !ok || strings.ContainsAny(name, ",/:@ \t\r\n\x00") || !strings.EqualFold(email, name+"@corp.example") {
			t.Errorf("%q became %q", email, got.EntityRef)
		}
	})
}

func TestMerge(t *testing.T) {
	keep := providers.Scopes{Required: []string{"openid", "profile"}, Persist: true}
	swap := providers.Scopes{Required: []string{"r"}, Transform: func(requested, _, required, additional []string) []string {
		return append(append(append([]string{}, additional...), required...), requested...)
	}}
	for _, tt := range []struct {
		name               string
		scopes             providers.Scopes
		requested, granted string
		additional         []string
		want               string
	}{
		{"documented example", keep, "a,b c", "", []string{"extra"}, "a b c openid profile extra"},
		{"granted persists", keep, "profile", "repo email", []string{"email"}, "profile repo email openid"},
		{"granted does not persist", providers.Scopes{}, "a", "b", nil, "a"},
		{"every separator", providers.Scopes{}, " a,|b\t\nc||", "", nil, "a b c"},
		{"nothing", providers.Scopes{}, "", "", nil, ""},
		{"transformed", swap, "q r", "g", []string{"x", "x"}, "x r q"},
	} {
		if got := tt.scopes.Merge(tt.requested, tt.granted, tt.additional); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestMergeProperties(t *testing.T) {
	word := rapid.StringMatching(`[a-z]{1,3}`)
	text := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(word, 0, 6).Draw(t, "words"), rapid.SampledFrom([]string{" ", ",", "|", ", "}).Draw(t, "separator"))
	})
	rapid.Check(t, func(t *rapid.T) {
		s := providers.Scopes{Required: rapid.SliceOfN(word, 0, 3).Draw(t, "required"), Persist: rapid.Bool().Draw(t, "persist")}
		requested, granted := text.Draw(t, "requested"), text.Draw(t, "granted")
		additional := rapid.SliceOfN(word, 0, 3).Draw(t, "additional")
		once := s.Merge(requested, granted, additional)
		if twice := s.Merge(once, once, additional); twice != once {
			t.Fatalf("not stable: %q then %q", once, twice)
		}
		if !s.Covers(once, requested) || !s.Covers(once, strings.Join(s.Required, " ")) || s.Persist && !s.Covers(once, granted) {
			t.Fatalf("%q lost a scope", once)
		}
		seen := map[string]bool{}
		for _, w := range strings.Split(once, " ") {
			if seen[w] {
				t.Fatalf("%q repeats %q", once, w)
			}
			seen[w] = true
		}
	})
}

func TestCovers(t *testing.T) {
	for _, tt := range []struct {
		granted, wanted string
		want            bool
	}{{"a b", "b", true}, {"a", "a b", false}, {"", "", true}, {"", "a", false}, {"ab", "a", false}} {
		if got := (providers.Scopes{}).Covers(tt.granted, tt.wanted); got != tt.want {
			t.Errorf("Covers(%q, %q) is %v", tt.granted, tt.wanted, got)
		}
	}
}
