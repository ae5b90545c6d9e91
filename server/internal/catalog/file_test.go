package catalog

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stagedoor/providers"
)

const people = `
apiVersion: backstage.io/v1alpha1
kind: User
metadata:
  name: Jane.Doe
  annotations:
    google.com/email: jane@example.com
spec:
  profile: {email: Jane@Example.com}
  memberOf: [Team-A, group:ops/oncall, team-a, api:default/x]
---
kind: User
metadata: {name: john, namespace: ext}
spec:
  profile: {email: "a,b@example.com"}
---
kind: User
metadata: {name: twin1}
spec: {profile: {email: twin@example.com}, memberOf: []}
---
kind: User
metadata: {name: twin2, annotations: {google.com/email: t2@example.com}}
spec: {profile: {email: twin@example.com}}
---
kind: Group
metadata: {name: admins}
spec: {members: [jane.doe, "user:ext/john", nobody]}
---
kind: Component
metadata: {name: site}
`

// TestFileComma shows what a file can do and the API cannot: find a value with a comma in it. The rest is in the suite.
func TestFileComma(t *testing.T) {
	f, err := NewStatic([]byte(people))
	if err != nil {
		t.Fatal(err)
	}
	l := providers.Lookup{Filter: map[string]string{"spec.profile.email": "A,B@example.com"}}
	got, err := f.FindUser(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	want := User{"user:ext/john", []string{"user:ext/john", "group:default/admins"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBadFile(t *testing.T) {
	for name, text := range map[string]string{
		"no name":     "kind: User\nmetadata: {}\n",
		"twice":       "kind: User\nmetadata: {name: a}\n---\nkind: user\nmetadata: {name: A}\n",
		"not yaml":    "kind: [User\n",
		"a list":      "- kind: User\n",
		"wrong shape": "kind: User\nmetadata: {name: a}\nspec: {memberOf: {a: b}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewStatic([]byte(text)); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "people.yaml")
	now := time.Unix(1_800_000_000, 0)
	write := func(text string) {
		t.Helper()
		now = now.Add(2 * recheck)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now, now); err != nil {
			t.Fatal(err)
		}
	}
	write("kind: User\nmetadata: {name: a}\n")
	f, err := OpenFile(path, func() time.Time { return now }, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	has := func(name string) bool {
		t.Helper()
		_, err := f.FindUser(t.Context(), providers.Lookup{EntityRef: name})
		if err != nil && !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	if !has("a") {
		t.Fatal("first content not read")
	}
	write("kind: User\nmetadata: {name: b}\n")
	if has("a") || !has("b") {
		t.Error("new content not read")
	}
	write("")
	if !has("b") {
		t.Error("a file that is just being written replaced the good one")
	}
	write("kind: [\n")
	if !has("b") {
		t.Error("unreadable content replaced the good one")
	}
	now = now.Add(2 * recheck)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if !has("b") {
		t.Error("missing file replaced the good content")
	}
	write("kind: User\nmetadata: {name: c}\n")
	if !has("c") {
		t.Error("not read after recovery")
	}
	if _, err := OpenFile(filepath.Join(t.TempDir(), "none.yaml"), time.Now, nil); err == nil {
		t.Error("a missing file opens")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(people))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("kind: User\nmetadata: {name: 1}"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		_, _ = parse(text) // must not panic
	})
}
