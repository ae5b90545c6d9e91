package catalog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"stagedoor/server/internal/catalog"
	"stagedoor/server/internal/catalog/catalogtest"
)

func TestExistRequest(t *testing.T) {
	s := catalogtest.Start(t, catalogtest.People)
	r := newREST(s, catalog.RESTConfig{})
	missing, err := r.EntitiesExist(t.Context(), []string{"Group:Default/Admins", "x", "group:a/<b>", "group:default/admins"})
	if err != nil || !cmp.Equal(missing, []string{"x", "group:a/<b>"}) {
		t.Errorf("missing %v, error %v", missing, err)
	}
	want := []catalogtest.Call{{
		Method: "POST", URI: "/api/catalog/entities/by-refs", Authorization: "Bearer a-token",
		Body: `{"entityRefs":["group:default/admins","group:a/\u003cb\u003e"],"fields":["kind","metadata.namespace","metadata.name"]}`,
	}}
	if diff := cmp.Diff(want, s.Calls()); diff != "" {
		t.Error(diff)
	}
	if _, err := r.EntitiesExist(t.Context(), []string{"x", "", "group:default/" + strings.Repeat("x", 600)}); err != nil || len(s.Calls()) != 1 {
		t.Errorf("asked for references that nothing can have: %v, error %v", s.Calls()[1:], err)
	}
}

func TestExistFaults(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault catalogtest.Fault
		want  error
		calls int
	}{
		{"down", catalogtest.Down(), catalog.ErrUnavailable, 2},
		{"down once", catalogtest.Once(catalogtest.Down()), nil, 2},
		{"unavailable once", catalogtest.Once(catalogtest.Status(503)), nil, 2},
		{"broken", catalogtest.Status(500), catalog.ErrUnavailable, 1},
		{"refused", catalogtest.Status(403), catalog.ErrRefused, 1},
		{"catalog too old for the route", catalogtest.Status(404), catalog.ErrUnavailable, 1},
		{"body called malformed", catalogtest.Status(400), catalog.ErrUnavailable, 1},
		{"garbage", catalogtest.Garbage(), catalog.ErrUnavailable, 1},
		{"huge", catalogtest.Huge(), catalog.ErrUnavailable, 1},
		{"too few", catalogtest.Answer(200, `{"items":[]}`), catalog.ErrUnavailable, 1},
		{"too many", catalogtest.Answer(200, `{"items":[null,null]}`), catalog.ErrUnavailable, 1},
		{"no items", catalogtest.Answer(200, `{}`), catalog.ErrUnavailable, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := catalogtest.New(t, catalogtest.People)
				s.Fail(tt.fault)
				missing, err := newREST(s, catalog.RESTConfig{}).EntitiesExist(t.Context(), []string{"group:default/admins"})
				if !errors.Is(err, tt.want) || len(missing) > 0 {
					t.Errorf("missing %v, error %v, want %v", missing, err, tt.want)
				}
				if errors.Is(err, catalog.ErrUnavailable) && errors.Is(err, catalog.ErrRefused) {
					t.Errorf("two kinds at once: %v", err)
				}
				if n := len(s.Calls()); n != tt.calls {
					t.Errorf("asked %d times, want %d", n, tt.calls)
				}
			})
		})
	}
}

func TestExistStranger(t *testing.T) {
	s := catalogtest.New(t, "")
	s.Fail(catalogtest.Answer(http.StatusOK, `{"items":[{"kind":"Group","metadata":{"name":"other"}}]}`))
	missing, err := newREST(s, catalog.RESTConfig{}).EntitiesExist(t.Context(), []string{"group:default/admins"})
	if err != nil || len(missing) != 1 {
		t.Errorf("missing %v, error %v", missing, err)
	}
}

// TestExistBatches shows that no body is larger than what a catalog reads, and that every reference is asked for once.
func TestExistBatches(t *testing.T) {
	for _, tt := range []struct {
		name        string
		refs, width int
		calls       int
	}{
		{"one", 1, 5, 1},
		{"as many as fit", 1000, 5, 1},
		{"one more", 1001, 5, 2},
		{"long ones", 1000, 190, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := catalogtest.New(t, catalogtest.People)
			refs := make([]string, tt.refs)
			for i := range refs {
				refs[i] = fmt.Sprintf("group:default/%0*d", tt.width, i)
			}
			missing, err := newREST(s, catalog.RESTConfig{}).EntitiesExist(t.Context(), refs)
			if err != nil || !cmp.Equal(missing, refs) {
				t.Errorf("%d missing, error %v", len(missing), err)
			}
			var asked []string
			for _, c := range s.Calls() {
				var body struct{ EntityRefs []string }
				if err := json.Unmarshal([]byte(c.Body), &body); err != nil || len(c.Body) > 100_000 {
					t.Errorf("body of %d bytes: %v", len(c.Body), err)
				}
				asked = append(asked, body.EntityRefs...)
			}
			if len(s.Calls()) != tt.calls || !cmp.Equal(asked, refs) {
				t.Errorf("asked %d times for %d references", len(s.Calls()), len(asked))
			}
		})
	}
}

func TestNone(t *testing.T) {
	var none catalog.None
	if _, err := none.FindUser(t.Context(), byRef("jane")); !errors.Is(err, catalog.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	if _, err := none.EntitiesExist(t.Context(), nil); !errors.Is(err, catalog.ErrUnavailable) || !strings.Contains(err.Error(), "configured") {
		t.Errorf("error %v", err)
	}
}
