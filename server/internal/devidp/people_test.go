package devidp

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

func TestLoadPeople(t *testing.T) {
	for _, test := range []struct {
		name, yaml string
		want       []Person
		fails      string
	}{
		{"verified by default", "- {subject: a, email: a@example.com}", []Person{{Subject: "a", Email: "a@example.com", EmailVerified: true}}, ""},
		{"all keys", `
- subject: a
  name: A B
  givenName: A
  familyName: B
  username: ab
  picture: https://example.com/a.png
  email: a@example.com
  emailVerified: false
  note: hello
  declines: true
`, []Person{{
			Subject: "a", Name: "A B", GivenName: "A", FamilyName: "B", Username: "ab", Picture: "https://example.com/a.png",
			Email: "a@example.com", Note: "hello", Declines: true,
		}}, ""},
		{"empty", "", nil, "at least one"},
		{"unknown key", "- {subject: a, email: a@example.com, mail: b}", nil, "unknown field"},
		{"no subject", "- {email: a@example.com}", nil, "person 1: subject"},
		{"colon in subject", `- {subject: "a:b", email: a@example.com}`, nil, "person 1: subject"},
		{"no e-mail", "- {subject: a}", nil, "person 1: email"},
		{"twice", "- {subject: a, email: x}\n- {subject: a, email: y}", nil, "person 2: subject appears twice"},
		{"no list", "subject: a", nil, "read people"},
		{"no YAML", "- {", nil, "read people"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := LoadPeople([]byte(test.yaml))
			if test.fails == "" && err != nil || test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)) {
				t.Errorf("error is %v, want one with %q", err, test.fails)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("people (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzLoadPeople(f *testing.F) {
	f.Add(defaultPeople)
	f.Add([]byte("- {subject: a, email: a@example.com}"))
	f.Add([]byte("- &a {subject: b, email: c}\n- *a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		people, err := LoadPeople(data)
		if (err == nil) != (len(people) > 0) {
			t.Fatalf("%d people and error %v", len(people), err)
		}
		for _, p := range people {
			if strings.Contains(p.Subject, ":") {
				t.Fatal("a subject holds a colon")
			}
		}
	})
}

// entity is as much of a Backstage entity as the match with the people needs.
type entity struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Spec       struct {
		Profile  struct{ DisplayName, Email string }
		MemberOf []string `yaml:"memberOf"`
	}
}

func TestCatalogMatchesPeople(t *testing.T) {
	groups, emails := map[string]bool{}, map[string][]string{}
	decoder := yaml.NewDecoder(bytes.NewReader(Catalog()))
	for {
		var e entity
		err := decoder.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == "Group" {
			groups[e.Metadata.Name] = true
			continue
		}
		emails[e.Spec.Profile.Email] = e.Spec.MemberOf
		if local, _, _ := strings.Cut(e.Spec.Profile.Email, "@"); local != e.Metadata.Name {
			t.Errorf("%s has the address %s", e.Metadata.Name, e.Spec.Profile.Email)
		}
	}
	var missing []string
	for _, p := range DefaultPeople() {
		groupsOf, known := emails[p.Email]
		if !known {
			missing = append(missing, p.Subject)
		}
		if i := slices.IndexFunc(groupsOf, func(g string) bool { return !groups[g] }); i >= 0 {
			t.Errorf("%s is a member of %s, which is no group", p.Subject, groupsOf[i])
		}
	}
	if diff := cmp.Diff([]string{"unknown"}, missing); diff != "" {
		t.Errorf("people without an entity (-want +got):\n%s", diff)
	}
}

func TestDefaultPeopleCoverTheCases(t *testing.T) {
	var unverified, declines int
	for _, p := range DefaultPeople() {
		if !p.EmailVerified {
			unverified++
		}
		if p.Declines {
			declines++
		}
	}
	if unverified != 1 || declines != 1 {
		t.Errorf("%d unverified and %d who decline, want one each", unverified, declines)
	}
}
