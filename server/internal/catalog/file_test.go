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

func TestFindUser(t *testing.T) {
	f, err := NewStatic([]byte(people))
	if err != nil {
		t.Fatal(err)
	}
	jane := User{"user:default/jane.doe", []string{"user:default/jane.doe", "group:default/team-a", "group:ops/oncall", "group:default/admins"}}
	email := func(s string) providers.Lookup {
		return providers.Lookup{Filter: map[string]string{"spec.profile.email": s}}
	}
	for _, tt := range []struct {
		name   string
		lookup providers.Lookup
		want   User
		err    error
	}{
		{"by full reference", providers.Lookup{EntityRef: "user:default/jane.doe"}, jane, nil},
		{"by bare name, other case", providers.Lookup{EntityRef: "JANE.Doe"}, jane, nil},
		{"by namespace", providers.Lookup{EntityRef: "ext/john"}, User{"user:ext/john", []string{"user:ext/john", "group:default/admins"}}, nil},
		{"a group is not a user", providers.Lookup{EntityRef: "group:default/admins"}, User{}, ErrNotFound},
		{"by address, other case", email("jane@EXAMPLE.com"), jane, nil},
		{"a comma is part of the value", email("a,b@example.com"), User{"user:ext/john", []string{"user:ext/john", "group:default/admins"}}, nil},
		{"a comma adds no condition", email("jane@example.com,kind=user"), User{}, ErrNotFound},
		{"two users", email("twin@example.com"), User{}, ErrAmbiguous},
		{"two conditions", providers.Lookup{
			Filter:      map[string]string{"spec.profile.email": "twin@example.com"},
			Annotations: map[string]string{"google.com/email": "t2@example.com"},
		}, User{"user:default/twin2", []string{"user:default/twin2"}}, nil},
		{"conditions of two users", providers.Lookup{
			Filter:      map[string]string{"spec.profile.email": "jane@example.com"},
			Annotations: map[string]string{"google.com/email": "t2@example.com"},
		}, User{}, ErrNotFound},
		{"nobody", email("x@example.com"), User{}, ErrNotFound},
		{"empty address", email(""), User{}, ErrNotFound},
		{"nothing asked", providers.Lookup{}, User{}, ErrLookup},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := f.FindUser(t.Context(), tt.lookup)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
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
