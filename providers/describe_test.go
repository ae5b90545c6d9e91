package providers_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stagedoor/providers"
)

func TestMaskValue(t *testing.T) {
	for value, want := range map[string]string{"": "", "jane": "j…", "ümit": "ü…", "x": "x…", "\xff\xfe": "\xff…"} {
		if got := providers.MaskValue(value); got != want {
			t.Errorf("%q became %q, want %q", value, got, want)
		}
	}
}

func TestLookupDescribe(t *testing.T) {
	for _, tt := range []struct {
		name         string
		lookup       providers.Lookup
		shown, masks string
	}{
		{"ref", providers.Lookup{EntityRef: "user:default/jane"}, "user:default/jane", "user:default/j…"},
		{"ref elsewhere", providers.Lookup{EntityRef: "user:partners/jane"}, "user:partners/jane", "user:p…/j…"},
		{"short refs", providers.Lookup{EntityRef: "jane", Fallback: "user:jane"}, "jane, else without an entity as user:jane", "j…, else without an entity as user:j…"},
		{
			"annotations",
			providers.Lookup{Annotations: map[string]string{"b": "2", "a": "1"}, Exact: true},
			"metadata.annotations.a=1 and metadata.annotations.b=2, in exactly this case",
			"metadata.annotations.a=1… and metadata.annotations.b=2…, in exactly this case",
		},
		{
			"filter",
			providers.Lookup{Filter: profileEmail("jane@corp.example"), Then: &providers.Lookup{EntityRef: "x"}},
			"spec.profile.email=jane@corp.example", "spec.profile.email=j…",
		},
		{
			"without the catalog",
			providers.Lookup{SignIn: "user:default/jane", Ownership: []string{"group:default/ops", "group:default/dev"}, OwnershipMustExist: true},
			"user:default/jane without the catalog, owning through group:default/ops group:default/dev, which must exist",
			"user:default/j… without the catalog, owning through group:default/o… group:default/d…, which must exist",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.lookup.Describe(true); got != tt.shown {
				t.Errorf("%q, want %q", got, tt.shown)
			}
			if got := tt.lookup.Describe(false); got != tt.masks {
				t.Errorf("%q, want %q", got, tt.masks)
			}
		})
	}
}

func TestResultDescribe(t *testing.T) {
	r := providers.Result{
		Session: providers.Session{AccessToken: "c0de", IDToken: "c0de", RefreshToken: "c0de", Subject: "4a1c"},
		Profile: providers.Profile{Email: "jane@corp.example"},
		Claims:  map[string]any{"n": 42.0, "ok": true, "none": nil, "groups": []any{"ops", map[string]any{"id": "x1"}}},
		Headers: map[string]string{"x-forwarded-user": "jane"},
	}
	if diff := cmp.Diff([]string{
		"claims.groups[0]=ops", "claims.groups[1].id=x1", "claims.n=42", "claims.none=null", "claims.ok=true", "headers.x-forwarded-user=jane",
		"profile.email=jane@corp.example", "profile.subject=4a1c",
	}, r.Describe(true)); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"claims.groups[0]=o…", "claims.groups[1].id=x…", "claims.n=4…", "claims.none=null", "claims.ok=true", "headers.x-forwarded-user=j…",
		"profile.email=j…", "profile.subject=4…",
	}, r.Describe(false)); diff != "" {
		t.Errorf("masked (-want +got):\n%s", diff)
	}
	many := make([]any, 2000)
	if got := (providers.Result{Claims: map[string]any{"groups": many}}).Describe(false); len(got) != 500 {
		t.Errorf("%d lines", len(got))
	}
	long := providers.Result{UserInfo: map[string]any{"a": strings.Repeat("a", 1<<20)}}
	if got := long.Describe(true); len(got) != 1 || len(got[0]) > 100 {
		t.Errorf("%d lines of what is too large", len(got))
	}
}
