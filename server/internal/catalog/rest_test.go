package catalog_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"stagedoor/providers"
	"stagedoor/server/internal/catalog"
	"stagedoor/server/internal/catalog/catalogtest"
)

func byRef(ref string) providers.Lookup { return providers.Lookup{EntityRef: ref} }

func byEmail(address string) providers.Lookup {
	return providers.Lookup{Filter: map[string]string{"spec.profile.email": address}}
}

// TestRequests pins what goes over the wire, byte for byte (contract/core.md S7, S8).
func TestRequests(t *testing.T) {
	for _, tt := range []struct {
		name   string
		lookup providers.Lookup
		want   string
	}{
		{"name alone", byRef("jane"), "/entities/by-name/User/default/jane"},
		{"reserved characters", byRef("jane@x.y"), "/entities/by-name/User/default/jane%40x.y"},
		{"kind and case as given", byRef("user:Default/Jane"), "/entities/by-name/user/Default/Jane"},
		{"every part is encoded", byRef("a b:c+d/e/f?g#h%é"), "/entities/by-name/a%20b/c%2Bd/e%2Ff%3Fg%23h%25%C3%A9"},
		{"colon behind the slash", byRef("ext/a:b"), "/entities/by-name/User/ext/a%3Ab"},
		{"unreserved characters stay", byRef("a-b_c.d~e!'()*"), "/entities/by-name/User/default/a-b_c.d~e%21%27%28%29%2A"},
		{
			"annotation",
			providers.Lookup{Annotations: map[string]string{"google.com/email": "jane@x.y"}},
			"/entities?filter=kind%3Duser%2Cmetadata.annotations.google.com%2Femail%3Djane%40x.y",
		},
		{
			"annotations in a stable order",
			providers.Lookup{Annotations: map[string]string{"b": "2", "a": "1", "c": "3"}},
			"/entities?filter=kind%3Duser%2Cmetadata.annotations.a%3D1%2Cmetadata.annotations.b%3D2%2Cmetadata.annotations.c%3D3",
		},
		{"filter", byEmail("jane+tag@x.y"), "/entities?filter=spec.profile.email%3Djane%2Btag%40x.y%2Ckind%3Duser"},
		{
			"filter that names the kind",
			providers.Lookup{Filter: map[string]string{"spec.x": "a=b", "Kind": "User"}},
			"/entities?filter=Kind%3DUser%2Cspec.x%3Da%3Db",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := catalogtest.Start(t, "")
			if _, err := newREST(s, catalog.RESTConfig{}).FindUser(t.Context(), tt.lookup); !errors.Is(err, catalog.ErrNotFound) {
				t.Fatal(err)
			}
			want := []catalogtest.Call{{Method: "GET", URI: "/api/catalog" + tt.want, Authorization: "Bearer a-token"}}
			if diff := cmp.Diff(want, s.Calls()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestUnsendable shows that a value which no request can carry is sent nowhere, and that the operator learns why.
func TestUnsendable(t *testing.T) {
	for _, tt := range []struct {
		name   string
		lookup providers.Lookup
		noted  bool
	}{
		{"comma", byEmail("sesame@x.y,kind=user"), true},
		{"space before", byEmail(" sesame@x.y"), true},
		{"byte order mark behind", byEmail("sesame@x.y\ufeff"), true},
		{"control character", byEmail("sesame@x.y\x00"), true},
		{"longer than what is indexed", byEmail(strings.Repeat("sesame", 40)), true},
		{"comma in a path", providers.Lookup{Filter: map[string]string{"sesame,kind": "user"}}, true},
		{"equals sign in a path", providers.Lookup{Annotations: map[string]string{"sesame=x": "user"}}, true},
		{"path walk", byRef("sesame/.."), true},
		{"control character in a name", byRef("sesame\r\n"), true},
		{"no value", byEmail(""), false},
		{"not UTF-8", byEmail("sesame\xff"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			s := catalogtest.New(t, catalogtest.People)
			r := newREST(s, catalog.RESTConfig{Log: slog.New(slog.NewTextHandler(&log, nil))})
			_, err := r.FindUser(t.Context(), tt.lookup)
			if !errors.Is(err, catalog.ErrNotFound) {
				t.Errorf("error %v", err)
			}
			if calls := s.Calls(); len(calls) > 0 {
				t.Errorf("sent %v", calls)
			}
			if noted := strings.Contains(log.String(), "level=WARN"); noted != tt.noted {
				t.Errorf("log: %s", &log)
			}
			if strings.Contains(log.String()+err.Error(), "sesame") {
				t.Errorf("value shown: %v, log: %s", err, &log)
			}
		})
	}
}

// TestFaults shows which error every kind of trouble is, and how often the catalog is asked (security.md D08).
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault catalogtest.Fault
		once  bool
		// one and list are the errors of a look-up by name and of one by address.
		one, list error
		status    int
		calls     int
	}{
		{"no trouble", nil, false, nil, nil, 0, 1},
		{"down", catalogtest.Down(), false, catalog.ErrUnavailable, catalog.ErrUnavailable, 0, 2},
		{"down once", catalogtest.Down(), true, nil, nil, 0, 2},
		{"hangs", catalogtest.Hang(nil), false, catalog.ErrUnavailable, catalog.ErrUnavailable, 0, 1},
		{"token refused", catalogtest.Status(401), false, catalog.ErrRefused, catalog.ErrRefused, 401, 1},
		{"not allowed", catalogtest.Status(403), false, catalog.ErrRefused, catalog.ErrRefused, 403, 1},
		{"too many requests", catalogtest.Status(429), false, catalog.ErrUnavailable, catalog.ErrUnavailable, 429, 1},
		{"broken", catalogtest.Status(500), false, catalog.ErrUnavailable, catalog.ErrUnavailable, 500, 1},
		{"bad gateway", catalogtest.Status(502), false, catalog.ErrUnavailable, catalog.ErrUnavailable, 502, 2},
		{"unavailable once", catalogtest.Status(503), true, nil, nil, 0, 2},
		{"gateway timeout", catalogtest.Status(504), false, catalog.ErrUnavailable, catalog.ErrUnavailable, 504, 2},
		{"calls the request malformed", catalogtest.Status(400), false, catalog.ErrLookup, catalog.ErrLookup, 400, 1},
		{"a proxy calls it malformed", catalogtest.Answer(400, "Bad Request"), false, catalog.ErrUnavailable, catalog.ErrUnavailable, 400, 1},
		{"a proxy knows no such path", catalogtest.Answer(404, "default backend - 404"), false, catalog.ErrUnavailable, catalog.ErrUnavailable, 404, 1},
		{"a backend without a catalog", catalogtest.Answer(404, ""), false, catalog.ErrUnavailable, catalog.ErrUnavailable, 404, 1},
		{"says that there is none", catalogtest.Status(404), false, catalog.ErrNotFound, catalog.ErrNotFound, 404, 1},
		{"no content", catalogtest.Answer(204, ""), false, catalog.ErrUnavailable, catalog.ErrUnavailable, 204, 1},
		{"garbage", catalogtest.Garbage(), false, catalog.ErrUnavailable, catalog.ErrUnavailable, 0, 1},
		{"huge", catalogtest.Huge(), false, catalog.ErrUnavailable, catalog.ErrUnavailable, 0, 1},
		{"wrong shape", catalogtest.Answer(200, `"jane"`), false, catalog.ErrUnavailable, catalog.ErrUnavailable, 0, 1},
		{"list of texts", catalogtest.Answer(200, `["jane"]`), false, catalog.ErrUnavailable, catalog.ErrUnavailable, 0, 1},
		{"null", catalogtest.Answer(200, `null`), false, catalog.ErrNotFound, catalog.ErrUnavailable, 0, 1},
		{"two hits", catalogtest.Twins(), false, nil, catalog.ErrAmbiguous, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for lookup, want := range map[string]error{"one": tt.one, "list": tt.list} {
				synctest.Test(t, func(t *testing.T) {
					s := catalogtest.New(t, catalogtest.People)
					s.Fail(tt.fault)
					if tt.once {
						s.Fail(catalogtest.Once(tt.fault))
					}
					var log bytes.Buffer
					r := newREST(s, catalog.RESTConfig{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
					l := map[string]providers.Lookup{"one": byRef("jane.doe"), "list": byEmail("jane@example.com")}[lookup]
					u, err := r.FindUser(t.Context(), l)
					checkOutcome(t, u, err, want, tt.status)
					if n := len(s.Calls()); n != tt.calls {
						t.Errorf("%s: asked %d times, want %d", lookup, n, tt.calls)
					}
					checkSecrecy(t, err, log.String())
				})
			}
		})
	}
}

func checkOutcome(t *testing.T, u catalog.User, err, want error, status int) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
	if want == nil && u.Ref != "user:default/jane.doe" || want != nil && u.Ref != "" {
		t.Errorf("found %v", u)
	}
	got := 0
	if e, ok := errors.AsType[*catalog.ResponseError](err); ok {
		got = e.Status
	}
	if got != status {
		t.Errorf("status %d, want %d", got, status)
	}
}

func checkSecrecy(t *testing.T, err error, log string) {
	t.Helper()
	if err != nil {
		log += err.Error()
	}
	for _, secret := range []string{"a-token", "jane"} {
		if strings.Contains(log, secret) {
			t.Errorf("%q is shown: %s", secret, log)
		}
	}
}

// TestStrangers shows that an entity which was not asked for is nobody, whatever the catalog says.
func TestStrangers(t *testing.T) {
	const (
		group = `{"kind":"Group","metadata":{"name":"jane"},"spec":{"profile":{"email":"jane@x.y"}}}`
		other = `{"kind":"User","metadata":{"name":"eve"},"spec":{"profile":{"email":"eve@x.y"}}}`
		jane  = `{"kind":"User","metadata":{"name":"Jane","namespace":"default"},"spec":{"profile":{"email":"JANE@x.y"}},
			"relations":[{"type":"memberOf","targetRef":"group:default/a"}]}`
	)
	for _, tt := range []struct {
		name, answer string
		lookup       providers.Lookup
		want         error
		noted        bool
	}{
		{"herself by name", jane, byRef("jane"), nil, false},
		{"another name", other, byRef("jane"), catalog.ErrNotFound, true},
		{"another namespace", jane, byRef("ext/jane"), catalog.ErrNotFound, true},
		{"a group", group, byRef("jane"), catalog.ErrNotFound, true},
		{"a group that was asked for", group, byRef("group:jane"), catalog.ErrNotFound, true},
		{"no entity", `{}`, byRef("jane"), catalog.ErrNotFound, true},
		{"herself by address", "[" + jane + "]", byEmail("jane@x.y"), nil, false},
		{"herself among others", "[" + other + "," + jane + "," + group + ",{}]", byEmail("jane@x.y"), nil, true},
		{"others only", "[" + other + "," + group + ",{}]", byEmail("jane@x.y"), catalog.ErrNotFound, true},
		{
			"herself by membership", "[" + jane + "]",
			providers.Lookup{Filter: map[string]string{"relations.memberof": "group:default/A"}},
			nil, false,
		},
		{
			"relations are no fields", "[" + jane + "]",
			providers.Lookup{Filter: map[string]string{"relations.type": "memberOf"}},
			catalog.ErrNotFound, true,
		},
		{"twice, and the rest is not read", "[" + jane + "," + jane + ",]", byEmail("jane@x.y"), catalog.ErrAmbiguous, false},
		{"list that ends early", "[" + jane, byEmail("jane@x.y"), catalog.ErrUnavailable, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				s := catalogtest.New(t, "")
				s.Fail(catalogtest.Answer(http.StatusOK, tt.answer))
				r := newREST(s, catalog.RESTConfig{Log: slog.New(slog.NewTextHandler(&log, nil))})
				u, err := r.FindUser(t.Context(), tt.lookup)
				if !errors.Is(err, tt.want) || (err == nil) != (u.Ref == "user:default/jane") {
					t.Errorf("found %v, error %v, want %v", u, err, tt.want)
				}
				if noted := strings.Contains(log.String(), "not asked for"); noted != tt.noted {
					t.Errorf("log: %s", &log)
				}
			})
		})
	}
}

func TestOwnership(t *testing.T) {
	for _, tt := range []struct {
		name, relations string
		want            []string
	}{
		{"none", ``, nil},
		{"no list", `,"relations":{"type":"memberOf"}`, nil},
		{"empty", `,"relations":[]`, nil},
		{"lower case, once, in order", `,"relations":[
			{"type":"memberOf","targetRef":"group:default/b"},{"type":"memberOf","targetRef":"Group:Default/A"},
			{"type":"memberOf","targetRef":"group:default/B"}]`, []string{"group:default/b", "group:default/a"}},
		{"other relations and targets", `,"relations":[
			{"type":"ownerOf","targetRef":"group:default/b"},{"type":"memberOf","targetRef":"user:default/b"},
			{"type":"memberOf","targetRef":"default/b"},{"type":"memberOf"},{"type":"memberOf","targetRef":7},"x"]`, nil},
		{"target in parts", `,"relations":[
			{"type":"memberOf","target":{"kind":"group","namespace":"Default","name":"old"}},
			{"type":"memberOf","target":{"kind":"group","name":"half"}}]`, []string{"group:default/old"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := catalogtest.New(t, "")
			s.Fail(catalogtest.Answer(http.StatusOK, `{"kind":"User","metadata":{"name":"Jane"}`+tt.relations+`}`))
			got, err := newREST(s, catalog.RESTConfig{}).FindUser(t.Context(), byRef("jane"))
			if err != nil {
				t.Fatal(err)
			}
			want := catalog.User{Ref: "user:default/jane", Ownership: append([]string{"user:default/jane"}, tt.want...)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestBeforeTheCatalog is about what goes wrong before anything is sent.
func TestBeforeTheCatalog(t *testing.T) {
	noKeys := errors.New("no keys")
	for _, tt := range []struct {
		name string
		base string
		fail error
		want error
	}{
		{"no token", "http://catalog.test/api/catalog", noKeys, noKeys},
		{"address unknown", "", nil, catalog.ErrUnavailable},
		{"address malformed", "http://catalog.test:port", nil, catalog.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := catalogtest.New(t, catalogtest.People)
			r := newREST(s, catalog.RESTConfig{
				HTTP:  http.DefaultClient,
				Token: func(context.Context) (string, error) { return "a-token", tt.fail },
			})
			s.URL = tt.base
			_, err := r.FindUser(t.Context(), byEmail("jane@example.com"))
			if !errors.Is(err, catalog.ErrUnavailable) || !errors.Is(err, tt.want) {
				t.Errorf("error %v", err)
			}
			checkSecrecy(t, err, "")
		})
	}
}

// TestRedirect shows that a login page in front of the catalog never sees our token.
func TestRedirect(t *testing.T) {
	var seen []string
	login := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = append(seen, r.RequestURI) }))
	defer login.Close()
	front := httptest.NewServer(http.RedirectHandler(login.URL+"/login", http.StatusFound))
	defer front.Close()
	s := catalogtest.New(t, "")
	s.URL = front.URL
	_, err := newREST(s, catalog.RESTConfig{HTTP: front.Client()}).FindUser(t.Context(), byRef("jane"))
	if e, ok := errors.AsType[*catalog.ResponseError](err); !ok || e.Status != http.StatusFound || !errors.Is(err, catalog.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	if len(seen) > 0 {
		t.Errorf("followed to %v", seen)
	}
}

// TestPluginToken lets the catalog check what it gets.
func TestPluginToken(t *testing.T) {
	s := catalogtest.New(t, catalogtest.People)
	s.CheckTokens(func(_ context.Context, token string) error {
		if token != "good" {
			return errors.New("unknown token")
		}
		return nil
	})
	tokens := []string{"bad", "good"}
	r := newREST(s, catalog.RESTConfig{Token: func(context.Context) (string, error) {
		token := tokens[0]
		tokens = tokens[1:]
		return token, nil
	}})
	if _, err := r.FindUser(t.Context(), byRef("jane.doe")); !errors.Is(err, catalog.ErrRefused) {
		t.Errorf("bad token: %v", err)
	}
	if _, err := r.FindUser(t.Context(), byRef("jane.doe")); err != nil {
		t.Errorf("good token: %v", err)
	}
}
