package providers_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

const danger = "dangerouslyAllowSignInWithoutUserInCatalog: true\n"

// The ways a user is asked for. Each also has its own idea of a value that cannot be asked for.
type way struct {
	// lookup is the question for value, fallback the identity that stands in for it.
	lookup   func(value string) providers.Lookup
	fallback func(value string) string
	// missing and invalid are the codes; odd are values with the answer, "" for a look-up as it is.
	missing, invalid string
	odd              map[string]bool
}

// Odd values, true where the way refuses them.
var (
	oddNames = map[string]bool{
		"jane,kind=group": true, `jane"doe`: true, "group:default/admins": true, "ops/jane": true, "jane doe": true, "..": true,
		"jane\u200b": true, "\u212aelvin": true, "\u0130van": true, "je\u017fus": true, strings.Repeat("j", 255): true, "jane\x00": true,
		"jane+tag": false, "Jane": false, "j\u0430ne": false, "jane@a@b": false, "jane.doe": false,
	}
	oddIDs = map[string]bool{
		"1,metadata.name=admin": true, " 1": true, "1\n": true, "\u212a1": true, strings.Repeat("1", 255): true,
		`{4f-"x"}`: false, "a+b": false, "U_kgDOA=": false, "\u0430": false, "a@b@c": false, "ops/jane": false,
	}
	oddEmails = map[string]bool{
		"jane,x@corp.example": true, `"jane"@corp.example`: true, "jane@evil.example@corp.example": true, "jane@\u212aorp.example": true,
		"\u212aelvin@corp.example": true, "..@corp.example": true, "jane": true, "Jane@Corp.example": false, "j\u0430ne@corp.example": false,
	}
)

func nameWay() way {
	ref := func(v string) string { return "user:default/" + v }
	return way{
		func(v string) providers.Lookup { return providers.Lookup{EntityRef: ref(v)} }, ref,
		providers.CodeValueMissing, providers.CodeValueInvalid, oddNames,
	}
}

func annotationWay(key string, exact bool) way {
	w := nameWay()
	w.odd = oddIDs
	w.lookup = func(v string) providers.Lookup {
		return providers.Lookup{Annotations: map[string]string{key: v}, Exact: exact}
	}
	return w
}

func emailWay(lookup func(v string) providers.Lookup) way {
	return way{lookup, nameWay().fallback, providers.CodeEmailMissing, providers.CodeEmailInvalid, oddEmails}
}

func emailAnnotationWay(key string) way {
	return emailWay(func(v string) providers.Lookup { return providers.Lookup{Annotations: map[string]string{key: v}} })
}

func profileEmailWay() way {
	return emailWay(func(v string) providers.Lookup { return providers.Lookup{Filter: profileEmail(v)} })
}

func localPartWay() way {
	w := emailWay(func(v string) providers.Lookup {
		local, _, _ := strings.Cut(v, "@")
		return providers.Lookup{EntityRef: "user:default/" + local}
	})
	w.fallback = func(v string) string { return w.lookup(v).EntityRef }
	return w
}

// Where a value stands in a Result.
func fromUsername(v string) providers.Result {
	return providers.Result{Profile: providers.Profile{Username: v}}
}

func fromEmail(v string) providers.Result {
	return providers.Result{Profile: providers.Profile{Email: v}}
}

func fromInfo(key string) func(string) providers.Result {
	return func(v string) providers.Result {
		return providers.Result{UserInfo: map[string]any{key: v, "web_url": "https://GitLab.example:8443/jane"}}
	}
}

func fromClaim(key, prefix string) func(string) providers.Result {
	return func(v string) providers.Result {
		if v == "" {
			return providers.Result{}
		}
		return providers.Result{Claims: map[string]any{key: prefix + v}}
	}
}

func fromHeader(name string) func(string) providers.Result {
	return func(v string) providers.Result { return providers.Result{Headers: map[string]string{name: v}} }
}

// vendorResolvers are the names of contract/core.md 7.3 with what each reads and asks.
var vendorResolvers = []struct {
	kind, name string
	from       func(value string) providers.Result
	way        way
	value      string
}{
	{"github", "usernameMatchingUserEntityName", fromUsername, nameWay(), "jane"},
	{"github", "userIdMatchingUserEntityAnnotation", fromInfo("node_id"), annotationWay("github.com/user-id", true), "MDQ6VXNlcjE="},
	{"gitlab", "usernameMatchingUserEntityName", fromUsername, nameWay(), "jane"},
	{"gitlab", "userIdMatchingUserEntityAnnotation", fromInfo("id"), annotationWay("gitlab.example/user-id", false), "4711"},
	{"google", "emailMatchingUserEntityAnnotation", fromEmail, emailAnnotationWay("google.com/email"), "jane@corp.example"},
	{"microsoft", "emailMatchingUserEntityAnnotation", fromEmail, emailAnnotationWay("microsoft.com/email"), "jane@corp.example"},
	{"microsoft", "userIdMatchingUserEntityAnnotation", fromInfo("id"), annotationWay("graph.microsoft.com/user-id", false), "6c5a"},
	{"microsoft", "userIdMatchingUserEntityAnnotation", fromClaim("oid", ""), annotationWay("graph.microsoft.com/user-id", false), "6c5a"},
	{"okta", "emailMatchingUserEntityAnnotation", fromEmail, emailAnnotationWay("okta.com/email"), "jane@corp.example"},
	{"atlassian", "usernameMatchingUserEntityName", fromUsername, nameWay(), "jane"},
	{"oauth2", "usernameMatchingUserEntityName", fromUsername, nameWay(), "jane"},
	{"jwtHeader", "usernameMatchingUserEntityName", fromUsername, nameWay(), "jane"},
	{"onelogin", "usernameMatchingUserEntityName", fromUsername, nameWay(), "jane"},
	{"bitbucket", "userIdMatchingUserEntityAnnotation", fromInfo("uuid"), annotationWay("bitbucket.org/user-id", false), "{4f3c-1}"},
	{"bitbucket", "usernameMatchingUserEntityAnnotation", fromUsername, annotationWay("bitbucket.org/username", false), "jane"},
	{"awsalb", byProfile, fromEmail, profileEmailWay(), "jane+x@corp.example"},
	{"gcpIap", "emailMatchingUserEntityAnnotation", fromEmail, emailAnnotationWay("google.com/email"), "jane@corp.example"},
	{"gcpIap", "idMatchingUserEntityAnnotation", fromClaim("sub", "accounts.google.com:"), annotationWay("google.com/user-id", false), "1234"},
	{"oauth2Proxy", "forwardedUserMatchingUserEntityName", fromHeader("x-forwarded-user"), nameWay(), "jane"},
	{"oauth2Proxy", "forwardedPreferredUsernameMatchingUserEntityName", fromHeader("x-forwarded-preferred-username"), nameWay(), "jane"},
	{"azureEasyAuth", "idMatchingUserEntityAnnotation", fromClaim("oid", ""), annotationWay("graph.microsoft.com/user-id", false), "6c5a"},
	{"openshift", "displayNameMatchingUserEntityName", func(v string) providers.Result {
		return providers.Result{Profile: providers.Profile{DisplayName: v}}
	}, nameWay(), "jane"},
	{"saml", "nameIdMatchingUserEntityName", func(v string) providers.Result {
		return providers.Result{Session: providers.Session{Subject: v}}
	}, nameWay(), "jane"},
	{"oidc", byProfile, fromEmail, profileEmailWay(), "jane@corp.example"},
	{"oidc", byLocal, fromEmail, localPartWay(), "jane@corp.example"},
}

func TestVendorResolvers(t *testing.T) {
	for _, tt := range vendorResolvers {
		t.Run(tt.kind+"/"+tt.name, func(t *testing.T) {
			open := func(options string) providers.Resolver {
				r, err := providers.ResolversFor(tt.kind)[tt.name](providertest.Decode("resolver: " + tt.name + "\n" + options))
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			plain, lenient := open(""), open(danger)
			got, err := plain(tt.from(tt.value))
			wantCode(t, err, "")
			if diff := cmp.Diff(tt.way.lookup(tt.value), got); diff != "" {
				t.Errorf("hit (-want +got):\n%s", diff)
			}
			_, err = lenient(tt.from(""))
			wantFinal(t, err, tt.way.missing)
			got, err = lenient(tt.from(tt.value))
			wantCode(t, err, "")
			if want := strings.ToLower(tt.way.fallback(tt.value)); got.Fallback != want {
				t.Errorf("fallback %q, want %q", got.Fallback, want)
			}
			for value, refused := range tt.way.odd {
				got, err := plain(tt.from(value))
				if refused {
					wantFinal(t, err, tt.way.invalid)
					continue
				}
				wantCode(t, err, "")
				if diff := cmp.Diff(tt.way.lookup(value), got); diff != "" {
					t.Errorf("%q (-want +got):\n%s", value, diff)
				}
			}
		})
	}
}

// wantFinal wants an error that does not pass on to the next resolver, and that repeats nothing of the user's.
func wantFinal(t *testing.T, err error, code string) {
	t.Helper()
	wantCode(t, err, code)
	if errors.Is(err, providers.ErrNoMatch) {
		t.Error("passes on to the next resolver (S3)")
	}
	for _, part := range []string{"jane", "corp", "evil", "elvin", "admin"} {
		if strings.Contains(err.Error(), part) {
			t.Errorf("the error %q repeats a value", err)
		}
	}
}

// TestResolverNames holds the table to contract/core.md 7.2 and 7.3, name for name, and to the cases above.
func TestResolverNames(t *testing.T) {
	names := map[string][]string{
		"auth0": nil, "awsalb": nil, "bitbucketServer": nil, "cfaccess": nil, "oidc": nil, "pinniped": nil, "vmwareCloudServices": nil,
	}
	own := map[string]bool{}
	for _, tt := range vendorResolvers {
		own[tt.kind+"/"+tt.name] = true
		if tt.name != byProfile && tt.name != byLocal && !slices.Contains(names[tt.kind], tt.name) {
			names[tt.kind] = append(names[tt.kind], tt.name)
		}
	}
	for kind := range providers.ResolverTable {
		if _, ok := names[kind]; !ok {
			t.Errorf("%s is tested nowhere", kind)
		}
	}
	for kind, want := range names {
		if kind != "openshift" {
			want = append(want, byProfile, byLocal)
		}
		got := providers.Kind{Resolvers: providers.ResolversFor(kind)}.ResolverNames()
		slices.Sort(want)
		if diff := cmp.Diff(want, slices.DeleteFunc(got, func(n string) bool { return n == "rule" })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}

// TestKindResolvers: what a registered Kind lets config name.
func TestKindResolvers(t *testing.T) {
	for _, k := range providers.Kinds() {
		if k.Resolvers == nil {
			if _, ok := k.Resolver("rule", k.ID, ""); ok || k.ResolverNames() != nil {
				t.Errorf("%s takes no resolvers, and takes a rule", k.ID)
			}
			continue
		}
		want := slices.Sorted(maps.Keys(providers.ResolversFor(k.ID)))
		for _, name := range append(want, "rule") {
			if _, ok := k.Resolver(name, k.ID, "env"); !ok || !slices.Contains(k.ResolverNames(), name) {
				t.Errorf("%s does not know %s", k.ID, name)
			}
		}
		if _, ok := k.Resolver("preferredUsernameMatchingUserEntityName", k.ID, "env"); ok {
			t.Errorf("%s knows a name that Backstage only advertises", k.ID)
		}
	}
}

// TestResolverOptionsOfVendors: a typing error must not become a default, and a list of domains binds wherever it is taken.
func TestResolverOptionsOfVendors(t *testing.T) {
	for kind, resolvers := range providers.ResolverTable {
		for name, make := range resolvers {
			if _, err := make(providertest.Decode("dangerouslyAllowSignInWithoutUserInCatalogue: true")); err == nil {
				t.Errorf("%s/%s accepts an option that it does not know", kind, name)
			}
			r, err := make(providertest.Decode("allowedDomains: [corp.example]"))
			if byEmail := strings.HasPrefix(name, "email"); byEmail != (err == nil) {
				t.Errorf("%s/%s with allowedDomains: %v", kind, name, err)
			}
			if err == nil {
				_, err = r(fromEmail("jane@evilcorp.example"))
				wantCode(t, err, providers.CodeEmailDomain)
			}
		}
	}
}

// TestNumberedUsers: an upstream that numbers its users sends a number.
func TestNumberedUsers(t *testing.T) {
	r, err := providers.ResolversFor("gitlab")["userIdMatchingUserEntityAnnotation"](providertest.Decode(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name      string
		id, page  any
		want, key string
		code      string
	}{
		{"whole number", 4711.0, "https://gitlab.com/jane", "4711", "gitlab.com/user-id", ""},
		{"large number", 9007199254740991.0, "https://gitlab.com/jane", "9007199254740991", "gitlab.com/user-id", ""},
		{"number that the next one is read as", 9007199254740993.0, "https://gitlab.com/jane", "", "", providers.CodeValueMissing},
		{"number without its last digits", 1e17, "https://gitlab.com/jane", "", "", providers.CodeValueMissing},
		{"fraction", 1.5, "https://gitlab.com/jane", "", "", providers.CodeValueMissing},
		{"list", []any{"1"}, "https://gitlab.com/jane", "", "", providers.CodeValueMissing},
		{"no page", 1.0, nil, "", "", providers.CodeValueMissing},
		{"page without a host", 1.0, "/jane", "", "", providers.CodeValueMissing},
		{"page of an odd host", 1.0, "https://git,lab/jane", "", "", providers.CodeValueInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := r(providers.Result{UserInfo: map[string]any{"id": tt.id, "web_url": tt.page}})
			wantCode(t, err, tt.code)
			if err == nil && got.Annotations[tt.key] != tt.want {
				t.Errorf("asks for %v, want %s=%s", got.Annotations, tt.key, tt.want)
			}
		})
	}
}
