package tokens_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stagedoor/tokens"
)

func TestParseEntityRef(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     tokens.EntityRef // zero means ErrSubject
	}{
		{"full", "user:default/jane.doe@x.y", tokens.EntityRef{Kind: "user", Namespace: "default", Name: "jane.doe@x.y"}},
		{"no namespace", "user:jane", tokens.EntityRef{Kind: "user", Namespace: "default", Name: "jane"}},
		{"case is kept", "User:Default/Jane", tokens.EntityRef{Kind: "User", Namespace: "Default", Name: "Jane"}},
		{"slash in the name", "user:a/b/c", tokens.EntityRef{Kind: "user", Namespace: "a", Name: "b/c"}},
		{"colon in the name", "user:a/b:c", tokens.EntityRef{Kind: "user", Namespace: "a", Name: "b:c"}},
		{"colon in the namespace", "user:a:b/c", tokens.EntityRef{Kind: "user", Namespace: "a:b", Name: "c"}},
		{"white space", "user: / ", tokens.EntityRef{Kind: "user", Namespace: " ", Name: " "}},
		{name: "empty", in: ""},
		{name: "name only", in: "jane"},
		{name: "no kind", in: "default/jane"},
		{name: "colon behind the slash", in: "default/user:jane"},
		{name: "empty kind", in: ":default/jane"},
		{name: "empty namespace", in: "user:/jane"},
		{name: "empty name", in: "user:default/"},
		{name: "kind only", in: "user:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := tokens.ParseEntityRef(c.in)
			if wrong := c.want == (tokens.EntityRef{}); wrong != errors.Is(err, tokens.ErrSubject) {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("parts differ (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzParseEntityRef holds that the parts of whatever parses make up the input, and parse again.
func FuzzParseEntityRef(f *testing.F) {
	for _, seed := range []string{"user:default/jane", "user:jane", "a:b:c/d:e/f", "/:", ":/", "a/b:c", "\xff:\x00/\u2028"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		ref, err := tokens.ParseEntityRef(in)
		if err != nil {
			if !errors.Is(err, tokens.ErrSubject) {
				t.Fatalf("error %v, want ErrSubject", err)
			}
			return
		}
		full := ref.Kind + ":" + ref.Namespace + "/" + ref.Name
		if short := ref.Kind + ":" + ref.Name; in != full && (in != short || ref.Namespace != tokens.DefaultNamespace) {
			t.Fatalf("%q parsed as %q", in, full)
		}
		if again, err := tokens.ParseEntityRef(full); err != nil || again != ref {
			t.Fatalf("%q parses as %v, error %v", full, again, err)
		}
	})
}
