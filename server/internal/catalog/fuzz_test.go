package catalog_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stagedoor/providers"
	"stagedoor/server/internal/catalog"
	"stagedoor/server/internal/catalog/catalogtest"
)

// FuzzFindUser sends any value there is and holds that it finds nobody but whose it is.
func FuzzFindUser(f *testing.F) {
	for _, seed := range []string{
		"jane@example.com", "JANE@example.com", "x,kind=user", "jane@example.com,", " jane@example.com", "twin@example.com\t",
		"\u212Aim", "jane@example.com\x00", "=", "%2C", "jane@example.com&filter=kind=user", "\uFF0C", "a\"b,c\"@x.y",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		u, err := newREST(catalogtest.New(t, catalogtest.People), catalog.RESTConfig{}).FindUser(t.Context(), byEmail(address))
		hers := strings.EqualFold(address, "jane@example.com") && len(address) == len("jane@example.com")
		his := strings.EqualFold(address, "john@example.com") && len(address) == len("john@example.com")
		twins := strings.EqualFold(address, "twin@example.com") && len(address) == len("twin@example.com")
		switch {
		case hers && u.Ref == "user:default/jane.doe", his && u.Ref == "user:ext/john":
		case twins && errors.Is(err, catalog.ErrAmbiguous):
		case !hers && !his && !twins && errors.Is(err, catalog.ErrNotFound):
		default:
			t.Errorf("%q: found %v, error %v", address, u, err)
		}
	})
}

// FuzzAnswer reads any answer there is and holds that it finds nobody but who was asked for.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `{}`, `[]`, `[{}]`, `{"kind":"User","metadata":{"name":"jane"}}`, `[{"kind":"User","metadata":{"name":"jane"}}]`,
		`{"kind":"User","metadata":"x","relations":[[],{"type":"memberOf","targetRef":"group:"}]}`, `{"kind":{"a":[]}}`,
		`[{"kind":"User","metadata":{"name":"jane","labels":{"x":[1,null,{"y":true}]}}},`, strings.Repeat("[", 20_000),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		synctest.Test(t, func(t *testing.T) {
			s := catalogtest.New(t, "")
			s.Fail(catalogtest.Answer(http.StatusOK, answer))
			r := newREST(s, catalog.RESTConfig{Timeout: time.Second})
			byName := providers.Lookup{Filter: map[string]string{"metadata.name": "jane"}}
			for _, l := range []providers.Lookup{byRef("jane"), byName} {
				u, err := r.FindUser(t.Context(), l)
				if (err == nil) != strings.HasSuffix(u.Ref, "/jane") {
					t.Errorf("found %v, error %v", u, err)
				}
			}
		})
	})
}
