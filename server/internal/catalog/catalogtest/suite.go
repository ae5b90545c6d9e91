package catalogtest

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stagedoor/providers"
	"stagedoor/server/internal/catalog"
)

// Catalog is what a catalog offers to sign-ins.
type Catalog interface {
	FindUser(ctx context.Context, l providers.Lookup) (catalog.User, error)
	EntitiesExist(ctx context.Context, refs []string) (missing []string, err error)
}

// People is the catalog of the suite.
const People = `
apiVersion: backstage.io/v1alpha1
kind: User
metadata:
  name: Jane.Doe
  annotations:
    google.com/email: jane@example.com
    example.com/odd: "it's (a) 100% 'test'+tag & more=less"
spec:
  profile: {email: Jane@Example.com}
  memberOf: [Team-A, group:ops/oncall, team-a, api:default/x]
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: john, namespace: ext, annotations: {example.com/number: 1234567}}
spec:
  profile: {email: john@example.com}
  memberOf: [guests, default/team-a]
  roles: [reader]
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: twin1}
spec: {profile: {email: twin@example.com}, memberOf: []}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: twin2, annotations: {google.com/email: t2@example.com}}
spec: {profile: {email: twin@example.com}}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: nobody.home}
spec: {profile: {email: ""}}
---
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: admins}
spec: {profile: {email: admins@example.com}, members: [jane.doe, "user:ext/john", nobody]}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: site}
spec: {profile: {email: site@example.com}}
`

// Run holds the catalogs that open returns against the contract of FindUser and EntitiesExist. Open is called once for every
// test, with the entities that the catalog must have.
func Run(t *testing.T, open func(t *testing.T, entities string) Catalog) {
	t.Run("FindUser", func(t *testing.T) { testFindUser(t, open) })
	t.Run("EntitiesExist", func(t *testing.T) { testEntitiesExist(t, open) })
	t.Run("what is returned is a copy", func(t *testing.T) { testCopy(t, open(t, People)) })
	t.Run("no entities", func(t *testing.T) { testEmpty(t, open(t, "")) })
}

// findCase is a look-up and what it ends in.
type findCase struct {
	name   string
	lookup providers.Lookup
	want   catalog.User
	err    error
}

func user(ref string, groups ...string) catalog.User {
	return catalog.User{Ref: ref, Ownership: append([]string{ref}, groups...)}
}

func byRef(ref string) providers.Lookup { return providers.Lookup{EntityRef: ref} }

func byFilter(pairs map[string]string) providers.Lookup { return providers.Lookup{Filter: pairs} }

func byEmail(address string) providers.Lookup {
	return byFilter(map[string]string{"spec.profile.email": address})
}

func byAnnotation(name, value string) providers.Lookup {
	return providers.Lookup{Annotations: map[string]string{name: value}}
}

func exactly(l providers.Lookup) providers.Lookup {
	l.Exact = true
	return l
}

func findCases() []findCase {
	none := catalog.User{}
	jane := user("user:default/jane.doe", "group:default/team-a", "group:ops/oncall", "group:default/admins")
	john := user("user:ext/john", "group:ext/guests", "group:default/team-a", "group:default/admins")
	return []findCase{
		{"exactly", exactly(byAnnotation("google.com/email", "jane@example.com")), jane, nil},
		{"exactly, in other case", exactly(byAnnotation("google.com/email", "Jane@example.com")), none, catalog.ErrInexact},
		{"exactly, nobody", exactly(byAnnotation("google.com/email", "x@example.com")), none, catalog.ErrNotFound},
		{"exactly, two", exactly(byEmail("twin@example.com")), none, catalog.ErrAmbiguous},
		{"full reference", byRef("user:default/jane.doe"), jane, nil},
		{"bare name in other case", byRef("JANE.Doe"), jane, nil},
		{"kind without namespace", byRef("USER:jane.doe"), jane, nil},
		{"namespace without kind", byRef("ext/john"), john, nil},
		{"a group is not a user", byRef("group:default/admins"), none, catalog.ErrNotFound},
		{"unknown name", byRef("jane"), none, catalog.ErrNotFound},
		{"reference without a name", byRef("user:default/"), none, catalog.ErrNotFound},
		{"reference that walks the path", byRef("user:default/.."), none, catalog.ErrNotFound},
		{"name with a slash", byRef("user:default/jane.doe/x"), none, catalog.ErrNotFound},
		{"name with a question mark", byRef("user:default/jane.doe?x"), none, catalog.ErrNotFound},
		{"colon behind the slash is part of the name", byRef("default/user:jane.doe"), none, catalog.ErrNotFound},

		{"address in other case", byEmail("jane@EXAMPLE.com"), jane, nil},
		{"nobody's address", byEmail("x@example.com"), none, catalog.ErrNotFound},
		{"no address finds nobody, not who has none", byEmail(""), none, catalog.ErrNotFound},
		{"address of a group", byEmail("admins@example.com"), none, catalog.ErrNotFound},
		{"address of two users", byEmail("twin@example.com"), none, catalog.ErrAmbiguous},
		{"comma adds no condition", byEmail("jane@example.com,kind=user"), none, catalog.ErrNotFound},
		{"comma adds no alternative", byEmail("x@x.y,spec.profile.email=jane@example.com"), none, catalog.ErrNotFound},
		{"comma alone", byEmail(","), none, catalog.ErrNotFound},
		{"white space is part of the value", byEmail(" jane@example.com"), none, catalog.ErrNotFound},
		{"white space alone", byEmail(" "), none, catalog.ErrNotFound},
		{"invisible character", byEmail("john@example.com\u200b"), none, catalog.ErrNotFound},
		{"line break", byEmail("jane@example.com\n"), none, catalog.ErrNotFound},
		{"not UTF-8", byEmail("jane\xff@example.com"), none, catalog.ErrNotFound},
		{"two at-signs", byEmail("jane@example.com@example.com"), none, catalog.ErrNotFound},

		{"annotation", byAnnotation("google.com/email", "JANE@example.com"), jane, nil},
		{"odd characters", byAnnotation("example.com/odd", "it's (a) 100% 'test'+tag & more=less"), jane, nil},
		{"a number is its text", byAnnotation("example.com/number", "1234567"), john, nil},
		{"annotation that nobody has", byAnnotation("example.com/none", "x"), none, catalog.ErrNotFound},
		{"annotation name that is half a condition", byAnnotation("google.com/email=jane@example.com,x", "x"), none, catalog.ErrNotFound},

		{"element of a list", byFilter(map[string]string{"spec.roles": "READER"}), john, nil},
		{"element of a list as a field", byFilter(map[string]string{"spec.roles.reader": "true"}), john, nil},
		{"namespace", byFilter(map[string]string{"metadata.namespace": "ext"}), john, nil},
		{"namespace that is left out", byFilter(map[string]string{
			"metadata.namespace": "default", "metadata.name": "jane.doe",
		}), jane, nil},
		{"membership", byFilter(map[string]string{"relations.memberOf": "group:ops/oncall"}), jane, nil},
		{"own kind named", byFilter(map[string]string{"kind": "User", "spec.profile.email": "john@example.com"}), john, nil},
		{"other kind named", byFilter(map[string]string{
			"kind": "group", "spec.profile.email": "admins@example.com",
		}), none, catalog.ErrNotFound},
		{"conditions that one of two fulfils", providers.Lookup{
			Filter:      map[string]string{"spec.profile.email": "twin@example.com"},
			Annotations: map[string]string{"google.com/email": "t2@example.com"},
		}, user("user:default/twin2"), nil},
		{"conditions of two users", providers.Lookup{
			Filter:      map[string]string{"spec.profile.email": "jane@example.com"},
			Annotations: map[string]string{"google.com/email": "t2@example.com"},
		}, none, catalog.ErrNotFound},
		{"one field twice is not an alternative", providers.Lookup{
			Filter:      map[string]string{"metadata.annotations.google.com/email": "jane@example.com"},
			Annotations: map[string]string{"google.com/email": "t2@example.com"},
		}, none, catalog.ErrNotFound},
		{"everybody", byFilter(map[string]string{"kind": "user"}), none, catalog.ErrAmbiguous},
		{"nothing asked", providers.Lookup{}, none, catalog.ErrLookup},
	}
}

func testFindUser(t *testing.T, open func(t *testing.T, entities string) Catalog) {
	for _, c := range findCases() {
		t.Run(c.name, func(t *testing.T) {
			got, err := open(t, People).FindUser(t.Context(), c.lookup)
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("look-alikes of ASCII letters", func(t *testing.T) {
		c := open(t, "kind: User\nmetadata: {name: kim}\nspec: {profile: {email: kim@example.com}}\n")
		for _, address := range []string{"\u212Aim@example.com", "k\u0130m@example.com", "kim@ex\u0430mple.com"} {
			if got, err := c.FindUser(t.Context(), byEmail(address)); !errors.Is(err, catalog.ErrNotFound) {
				t.Errorf("%q: found %v, error %v", address, got, err)
			}
		}
	})
}

func testEntitiesExist(t *testing.T, open func(t *testing.T, entities string) Catalog) {
	for _, c := range []struct {
		name       string
		refs, want []string
	}{
		{"none asked", nil, nil},
		{"all there", []string{"group:default/admins", "user:ext/john", "component:default/site"}, nil},
		{"other case, namespace left out", []string{"Group:Default/ADMINS", "user:jane.doe"}, nil},
		{"missing ones in their order, as given", []string{"group:z/Z", "group:default/admins", "group:a/a"}, []string{"group:z/Z", "group:a/a"}},
		{"other namespace, other kind", []string{"group:ext/admins", "user:default/admins"}, []string{"group:ext/admins", "user:default/admins"}},
		{"named as a group, without an entity", []string{"group:default/team-a"}, []string{"group:default/team-a"}},
		{"malformed ones are missing", []string{"admins", "", "group:", ":default/admins", "default/admins"}, []string{"admins", "", "group:", ":default/admins", "default/admins"}},
		{"one twice", []string{"group:a/a", "group:a/a"}, []string{"group:a/a", "group:a/a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := open(t, People).EntitiesExist(t.Context(), c.refs)
			if err != nil {
				t.Fatal(err)
			}
			if len(got)+len(c.want) > 0 && !cmp.Equal(c.want, got) {
				t.Error(cmp.Diff(c.want, got))
			}
		})
	}
}

// testCopy looks whether a caller that changes its User changes everybody's.
func testCopy(t *testing.T, c Catalog) {
	for range 3 { // one asks, two may be served from what was kept
		got, err := c.FindUser(t.Context(), byRef("john"))
		if !errors.Is(err, catalog.ErrNotFound) {
			t.Fatalf("john of no namespace: %v, error %v", got, err)
		}
		if got, err = c.FindUser(t.Context(), byRef("ext/john")); err != nil || got.Ownership[1] != "group:ext/guests" {
			t.Fatalf("found %v, error %v", got, err)
		}
		got.Ownership[1] = "group:default/root"
	}
}

func testEmpty(t *testing.T, c Catalog) {
	if got, err := c.FindUser(t.Context(), byRef("jane.doe")); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("found %v, error %v", got, err)
	}
	if got, err := c.FindUser(t.Context(), byEmail("jane@example.com")); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("found %v, error %v", got, err)
	}
}
