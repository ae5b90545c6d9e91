package providers_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

func newRule(t testing.TB, options string) providers.Resolver {
	t.Helper()
	r, err := makeRule(options)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func makeRule(options string) (providers.Resolver, error) {
	rule, _ := providers.Kind{Resolvers: providers.ResolversFor("oidc")}.Resolver("rule", "keycloak", "production")
	return rule(providertest.Decode("resolver: rule\n" + options))
}

// jane is a user of a provider that tells a lot. No error may repeat what stands here.
func jane() providers.Result {
	return providers.Result{
		Session: providers.Session{AccessToken: "c0de", Subject: "4a1c"},
		Profile: providers.Profile{Email: "jane@corp.example", Username: "jane"},
		Claims: map[string]any{
			"sub": "4a1c", "level": 3.0, "share": 0.5, "id": json.Number("12345678901"), "big": 1e18, "nothing": nil, "admin": true,
			"groups": []any{"/portal/ops", "/portal/dev", "/elsewhere"}, "key": "jane", "number": "jane@corp.example",
			"realm_access": map[string]any{"roles": []any{"r1"}},
		},
		UserInfo: map[string]any{"login": "jane"},
		Headers:  map[string]string{"x-forwarded-groups": "ops,dev"},
	}
}

func TestRule(t *testing.T) {
	const user = "user: {ref: '\"user:default/jane\"'}\n"
	found := providers.Lookup{EntityRef: "user:default/jane"}
	for _, tt := range []struct {
		name, options string
		want          providers.Lookup
		code          string
	}{
		{"ref", `user: {ref: '"user:default/" + profile.username'}`, found, ""},
		{"ref keeps its case (S7)", `user: {ref: '"User:Default/Jane"'}`, providers.Lookup{EntityRef: "User:Default/Jane"}, ""},
		{"annotations", `user: {annotations: {corp.example/sub: claims.sub, a/b: '"c"'}}`, providers.Lookup{
			Annotations: map[string]string{"corp.example/sub": "4a1c", "a/b": "c"},
		}, ""},
		{"exact", `user: {annotations: {corp.example/sub: profile.subject}, exact: true}`, providers.Lookup{
			Annotations: map[string]string{"corp.example/sub": "4a1c"}, Exact: true,
		}, ""},
		{"filter", `user: {filter: {spec.profile.email: profile.email}}`, providers.Lookup{Filter: profileEmail("jane@corp.example")}, ""},
		{"sign in without the catalog", `user: {signIn: '"user:Partners/" + profile.email'}`, providers.Lookup{SignIn: "user:partners/jane@corp.example"}, ""},
		{"ownership", `
user: {ref: '"user:default/jane"'}
ownership: 'claims.groups.map(g, g.startsWith("/portal/"), "Group:default/" + g.substring(8)) + ["group:default/ops"]'
ownershipMustExist: true
`, providers.Lookup{EntityRef: "user:default/jane", Ownership: []string{"group:default/ops", "group:default/dev"}, OwnershipMustExist: true}, ""},
		{"no ownership after all", user + `ownership: 'claims.?teams.orValue([])'`, found, ""},

		{"when is true", user + `when: 'claims.admin'`, found, ""},
		{"when is false", user + `when: 'claims.level > 3'`, providers.Lookup{}, providers.CodeRuleSkipped},
		{"deny alone passes on", `deny: 'claims.level > 3'`, providers.Lookup{}, providers.CodeRuleSkipped},
		{"deny", user + `deny: 'claims.level == 3'`, providers.Lookup{}, providers.CodeRuleDenied},
		{"deny with a text", user + `deny: 'claims.admin ? "No admins" : ""'`, providers.Lookup{}, providers.CodeRuleDenied},
		{"deny with an empty text", user + `deny: 'claims.level > 3 ? "No" : ""'`, found, ""},
		{"deny by a claim", user + `deny: 'claims.admin'`, providers.Lookup{}, providers.CodeRuleDenied},
		{"when comes before deny", user + "when: 'false'\ndeny: 'true'", providers.Lookup{}, providers.CodeRuleSkipped},
		{"deny comes before user", "user: {ref: claims.absent}\ndeny: 'true'", providers.Lookup{}, providers.CodeRuleDenied},
		{"false leaves the rest alone", "user: {ref: claims.absent}\nwhen: 'false'", providers.Lookup{}, providers.CodeRuleSkipped},

		{"whole numbers are integers", user + `when: 'claims.level == 3 && claims.level > 2.5 && string(claims.id) == "12345678901"'`, found, ""},
		{"other numbers are not", user + `when: 'claims.share < 1 && type(claims.big) == double'`, found, ""},
		{"null is there", user + `when: 'has(claims.nothing) && claims.nothing == null'`, found, ""},
		{"nested", user + `when: '"r1" in claims.realm_access.roles'`, found, ""},
		{"userinfo and headers", user + `when: 'userinfo.login == "jane" && "dev" in headers["x-forwarded-groups"].split(",")'`, found, ""},
		{"provider", user + `when: 'provider.id == "keycloak" && provider.env == "production"'`, found, ""},
		{"what is unknown is absent", user + `when: '!has(profile.displayName) && !has(profile.picture)'`, found, ""},

		{"no such key in when", user + `when: 'claims.absent'`, providers.Lookup{}, providers.CodeRuleFailed},
		{"no such key in deny", user + `deny: 'claims.absent == "x"'`, providers.Lookup{}, providers.CodeRuleFailed},
		{"no such key in ownership", user + `ownership: claims.teams`, providers.Lookup{}, providers.CodeRuleFailed},
		{"no such profile", `user: {ref: '"user:default/" + profile.displayName'}`, providers.Lookup{}, providers.CodeRuleFailed},
		{"when is a text", user + `when: 'claims.sub'`, providers.Lookup{}, providers.CodeRuleFailed},
		{"when is null", user + `when: 'claims.nothing'`, providers.Lookup{}, providers.CodeRuleFailed},
		{"deny is a claim's text", user + `deny: 'claims.number'`, providers.Lookup{}, providers.CodeRuleFailed},
		{"deny is a number", user + `deny: 'claims.level'`, providers.Lookup{}, providers.CodeRuleFailed},
		{"ref is a number", `user: {ref: claims.level}`, providers.Lookup{}, providers.CodeRuleFailed},
		{"ref is a name", `user: {ref: profile.username}`, providers.Lookup{}, providers.CodeRuleFailed},
		{"ref is a group", `user: {ref: '"group:default/ops"'}`, providers.Lookup{}, providers.CodeRuleFailed},
		{"signIn is a group", `user: {signIn: '"group:default/ops"'}`, providers.Lookup{}, providers.CodeRuleFailed},
		{"claim brings a namespace", `user: {ref: '"user:default/" + "x/" + profile.username'}`, providers.Lookup{}, providers.CodeRuleFailed},
		{"annotation adds a condition", `user: {annotations: {a: '"1,metadata.name=admin"'}}`, providers.Lookup{}, providers.CodeRuleFailed},
		{"annotation is empty", `user: {annotations: {a: '""'}}`, providers.Lookup{}, providers.CodeRuleFailed},
		{"filter value looks alike", `user: {filter: {a: '"\u212aelvin"'}}`, providers.Lookup{}, providers.CodeRuleFailed},
		{"ownership is a text", user + `ownership: claims.sub`, providers.Lookup{}, providers.CodeRuleFailed},
		{"ownership of numbers", user + `ownership: '[claims.level]'`, providers.Lookup{}, providers.CodeRuleFailed},
		{"ownership without kind", user + `ownership: '["default/ops"]'`, providers.Lookup{}, providers.CodeRuleFailed},
		{"ownership without namespace", user + `ownership: '["group:ops"]'`, providers.Lookup{}, providers.CodeRuleFailed},
		{"ownership by an odd group", user + `ownership: '["group:default/Domain Users"]'`, providers.Lookup{}, providers.CodeRuleFailed},
		{"ownership by an email", user + `ownership: '["group:default/a@b"]'`, providers.Lookup{}, providers.CodeRuleFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := newRule(t, tt.options)(jane())
			wantCode(t, err, tt.code)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("lookup (-want +got):\n%s", diff)
			}
			if passes := errors.Is(err, providers.ErrNoMatch); passes != (tt.code == providers.CodeRuleSkipped) {
				t.Errorf("passes on is %v for %v", passes, err)
			}
			if forbidden := errors.Is(err, providers.ErrForbidden); forbidden != (tt.code == providers.CodeRuleDenied) {
				t.Errorf("forbidden is %v for %v", forbidden, err)
			}
		})
	}
}

// TestRuleErrors: the log says what to change, and repeats nothing of the user's.
func TestRuleErrors(t *testing.T) {
	const rest = "\nuser: {ref: '\"user:default/x\"'}"
	for _, tt := range []struct{ name, options, want string }{
		{"missing key", "when: 'claims.absent == 1'" + rest, "when, line 1, column 7: no such key: absent"},
		{"second line", "when: |-\n  true &&\n    claims.absent" + rest, "when, line 2, column 9: no such key: absent"},
		{"key made of a claim", "when: 'claims[claims.number]'" + rest, "when, line 1, column 7: no such key"},
		{"conversion of a claim", "when: 'int(claims.number) > 1'" + rest, "when, line 1, column 4: a value has the wrong type"},
		{"type of a claim", "when: 'claims.sub + 1 == 2'" + rest, "when, line 1, column 12: a value has the wrong type"},
		{"index", "when: 'claims.groups[7] == \"a\"'" + rest, "when, line 1, column 14: index out of range"},
		{"annotation", "user: {annotations: {corp.example/id: claims.absent}}", "user.annotations.corp.example/id, line 1, column 7: no such key: absent"},
		{"outcome", "user: {ref: profile.username}", "user.ref: want an entity ref such as user:default/jane"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newRule(t, tt.options)(jane())
			wantCode(t, err, providers.CodeRuleFailed)
			e, ok := errors.AsType[*providers.Error](err)
			if !ok || e.Err.Error() != tt.want {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

func TestRuleDenialMessage(t *testing.T) {
	_, err := newRule(t, `deny: 'claims.level < 2 ? "" : claims.admin ? "No admins here." : "Nobody"'`)(jane())
	if e, ok := errors.AsType[*providers.Error](err); !ok || e.Message != "No admins here." {
		t.Errorf("%v", err)
	}
}

// TestRuleOptions are the mistakes that stop the start, with the option and the place.
func TestRuleOptions(t *testing.T) {
	const user = "\nuser: {ref: '\"user:default/x\"'}"
	for _, tt := range []struct{ name, options, want string }{
		{"nothing", "", "needs user, or deny"},
		{"when alone", "when: 'true'", "needs user, or deny"},
		{"two ways", "user: {ref: '\"a\"', signIn: '\"b\"'}", "user has ref and signIn"},
		{"ownership alone", "ownership: '[\"group:default/a\"]'", "user is missing"},
		{"exact alone", "user: {exact: true}", "user is missing"},
		{"exact ref", "user: {ref: '\"user:default/x\"', exact: true}", "user.exact is for"},
		{"existence of nothing", "ownershipMustExist: true" + user, "ownershipMustExist needs ownership"},
		{"unknown option", "whenn: 'true'" + user, "whenn"},
		{"unknown way", "user: {name: '\"x\"'}", "name"},
		{"filter by kind", "user: {filter: {Kind: '\"group\"'}}", "user.filter"},
		{"filter with two conditions", "user: {filter: {'a=b,c': '\"x\"'}}", "user.filter"},
		{"annotation with two conditions", "user: {annotations: {'a=b,c': '\"x\"'}}", "user.annotations"},
		{"syntax", "when: 'claims.'" + user, "when, line 1, column 8: "},
		{"unknown variable", "when: |-\n  true\n  && clams.x" + user, "when, line 2, column 4: undeclared reference to 'clams'"},
		{"unknown function", "when: 'claims.x.lower() == \"x\"'" + user, "when, line 1, column 15: undeclared reference to 'lower'"},
		{"unknown profile field", "when: 'has(profile.mail)'" + user, "profile has no mail, want one of email, displayName"},
		{"unknown provider field", "when: 'provider.type == \"oidc\"'" + user, "provider has no type, want one of id, env"},
		{"when of another type", "when: '\"true\"'" + user, "when: want true or false, found string"},
		{"deny of another type", "deny: '1'" + user, "deny: want true or false, or a text, found int"},
		{"deny with a claim", "deny: '\"Hello \" + profile.email'" + user, "deny: a text for the user must be written out"},
		{"deny with a hidden claim", "deny: 'claims.x == 1 ? \"\" : profile.email'" + user, "deny: a text for the user must be written out"},
		{"ref of another type", "user: {ref: '[\"user:default/x\"]'}", "user.ref: want a text, found list(string)"},
		{"ownership of another type", "ownership: '\"group:default/x\"'" + user, "ownership: want a list of texts, found string"},
		{"pattern of a claim", "when: 'profile.email.matches(claims.pattern)'" + user, "when, line 1, column 22: the pattern of matches must be written out"},
		{"pattern of a claim as argument", "when: 'matches(profile.email, claims.pattern)'" + user, "the pattern of matches must be written out"},
		{"broken pattern", "when: 'profile.email.matches(\"(\")'" + user, "when: "},
		{"too long", "when: '" + strings.Repeat(" ", 5000) + "true'" + user, "when: expression code point size"},
		{"too deep", "when: '" + strings.Repeat("(", 500) + "true" + strings.Repeat(")", 500) + "'" + user, "when: expression recursion limit"},
		{"all at once", "when: x\ndeny: y" + user, "to 'x' (in container ''); deny, line 1, column 1: undeclared reference to 'y'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := makeRule(tt.options)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}

// TestRuleBounds: whatever a provider sends about a user, a rule ends soon.
func TestRuleBounds(t *testing.T) {
	groups := func(n int) providers.Result {
		r := jane()
		items := make([]any, n)
		for i := range items {
			items[i] = fmt.Sprintf("/portal/team-%d", i)
		}
		r.Claims["groups"] = items
		return r
	}
	deep := map[string]any{}
	for range 50 {
		deep = map[string]any{"in": deep}
	}
	const own = "user: {ref: '\"user:default/x\"'}\nownership: 'claims.groups.map(g, \"group:default/\" + g.substring(8))'"
	const cubic = "user: {ref: '\"user:default/x\"'}\nwhen: 'claims.groups.all(a, claims.groups.all(b, claims.groups.all(c, a + b + c != \"\")))'"
	for _, tt := range []struct {
		name, options string
		result        providers.Result
		code, want    string
	}{
		{"two thousand groups", own, groups(2000), "", ""},
		{"thirty thousand groups", own, groups(30_000), providers.CodeRuleFailed, "input is too large for a rule"},
		{"few groups three times", cubic, groups(10), "", ""},
		{"many groups three times", cubic, groups(1000), providers.CodeRuleFailed, "when: the expression costs too much"},
		{"long text", own, providers.Result{Claims: map[string]any{"a": strings.Repeat("a", 1<<20)}}, providers.CodeRuleFailed, "input is too large"},
		{"deep claims", own, providers.Result{UserInfo: deep}, providers.CodeRuleFailed, "input is too large"},
		{"long header", own, providers.Result{Headers: map[string]string{"x": strings.Repeat("a", 1<<20)}}, providers.CodeRuleFailed, "input is too large"},
		{"something that is not JSON", own, providers.Result{Claims: map[string]any{"a": struct{ secret string }{"s"}}}, providers.CodeRuleFailed, "not JSON"},
		{"number that is none", own, providers.Result{Claims: map[string]any{"a": json.Number("1e999")}}, providers.CodeRuleFailed, "read claims"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newRule(t, tt.options)(tt.result)
			wantCode(t, err, tt.code)
			if err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}

// TestRuleLeavesTheResultAlone: the next resolver sees what the first one saw.
func TestRuleLeavesTheResultAlone(t *testing.T) {
	r := jane()
	if _, err := newRule(t, "user: {ref: '\"user:default/x\"'}\nownership: 'claims.groups.map(g, g.startsWith(\"/p\"), \"group:default/x\")'")(r); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(jane(), r); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
}

// FuzzRule: no claims make a rule panic, pass without an answer, or name anything but a user and groups of the namespaces that
// the rule says.
func FuzzRule(f *testing.F) {
	for _, seed := range []string{
		`{"preferred_username":"jane","groups":["a","b"]}`, `{"preferred_username":"../x","groups":[]}`, `{"groups":"a"}`,
		`{"preferred_username":"x/y:z","groups":["a,b"]}`, `{"preferred_username":7,"groups":[{"a":1}]}`, `{"preferred_username":"\u212a","groups":[null]}`,
	} {
		f.Add(seed)
	}
	rule := newRule(f, `
user: {ref: '"user:default/" + claims.preferred_username'}
ownership: 'claims.groups.map(g, "group:teams/" + g)'
`)
	f.Fuzz(func(t *testing.T, text string) {
		var claims map[string]any
		if json.Unmarshal([]byte(text), &claims) != nil {
			return
		}
		got, err := rule(providers.Result{Claims: claims})
		if err != nil {
			wantCode(t, err, providers.CodeRuleFailed)
			return
		}
		for _, ref := range append(got.Ownership, got.EntityRef) {
			name, isUser := strings.CutPrefix(ref, "user:default/")
			if !isUser {
				var isGroup bool
				if name, isGroup = strings.CutPrefix(ref, "group:teams/"); !isGroup {
					t.Errorf("%q became %q", text, ref)
				}
			}
			if name == "" || strings.ContainsAny(name, ":/, \x00") {
				t.Errorf("%q became %q", text, ref)
			}
		}
	})
}
