package catalogtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Call is one request as the catalog received it.
type Call struct {
	Method string
	// URI is path and query exactly as sent: "/api/catalog/entities/by-name/User/default/jane".
	URI string
	// Authorization is the header of that name.
	Authorization string
	Body          string
}

// Server is a catalog. It is safe for concurrent use.
type Server struct {
	// URL is the base address of its API, without a trailing slash.
	URL string

	client *http.Client
	routes http.Handler

	mu       sync.Mutex
	entities []document
	fault    Fault
	check    func(ctx context.Context, token string) error
	calls    []Call
}

const basePath = "/api/catalog"

// New is a catalog in memory: its Client answers any address without a network, as a testing/synctest bubble needs it.
// Entities is what Set takes.
func New(t testing.TB, entities string) *Server {
	t.Helper()
	s := &Server{URL: "http://catalog.test" + basePath}
	s.client = &http.Client{Transport: direct{s}}
	s.routes = s.mux()
	s.Set(t, entities)
	return s
}

// Start is a catalog on a loopback port until the test ends. Entities is what Set takes.
func Start(t testing.TB, entities string) *Server {
	t.Helper()
	s := New(t, entities)
	listener := httptest.NewServer(s)
	t.Cleanup(listener.Close)
	s.URL, s.client = listener.URL+basePath, listener.Client()
	return s
}

// Client reaches the server at URL.
func (s *Server) Client() *http.Client { return s.client }

// Set replaces the entities: YAML documents in the catalog's format, without relations. Those come from spec.memberOf of
// users and spec.members of groups.
func (s *Server) Set(t testing.TB, entities string) {
	t.Helper()
	all, err := readDocuments(entities)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entities = all
}

// Fail makes every further request meet the fault; nil ends that.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// CheckTokens makes the catalog answer 401 where check refuses the bearer token, "" if there is none. Without it every
// request is served.
func (s *Server) CheckTokens(check func(ctx context.Context, token string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.check = check
}

// Calls returns the requests so far, oldest first, failed ones included.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Count returns how many of the requests so far had that method and path: "GET", "/entities". Path follows URL and is
// without the query, escaped as sent.
func (s *Server) Count(method, path string) int {
	n := 0
	for _, c := range s.Calls() {
		if uri, _, _ := strings.Cut(c.URI, "?"); c.Method == method && uri == basePath+path {
			n++
		}
	}
	return n
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		writeError(w, http.StatusBadRequest, "InputError")
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mu.Lock()
	s.calls = append(s.calls, Call{r.Method, r.RequestURI, r.Header.Get("Authorization"), string(body)})
	fault, check := s.fault, s.check
	s.mu.Unlock()

	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	serve := s.routes
	if check != nil && check(r.Context(), token) != nil {
		serve = Status(http.StatusUnauthorized)(nil)
	} else if fault != nil {
		serve = fault(serve)
	}
	serve.ServeHTTP(w, r)
}

func (s *Server) mux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+basePath+"/entities/by-name/{kind}/{namespace}/{name}", s.byName)
	mux.HandleFunc("GET "+basePath+"/entities", s.list)
	mux.HandleFunc("POST "+basePath+"/entities/by-refs", s.byRefs)
	return mux
}

func (s *Server) all() []document {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entities
}

func (s *Server) byName(w http.ResponseWriter, r *http.Request) {
	e := find(s.all(), r.PathValue("kind")+":"+r.PathValue("namespace")+"/"+r.PathValue("name"))
	if e == nil {
		writeError(w, http.StatusNotFound, "NotFoundError")
		return
	}
	writeJSON(w, http.StatusOK, e)
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	query, err := parseFilters(r.URL.Query()["filter"])
	if err != nil {
		writeError(w, http.StatusBadRequest, "InputError")
		return
	}
	hits := []document{}
	for _, e := range s.all() {
		if query.fits(e) {
			hits = append(hits, e)
		}
	}
	writeJSON(w, http.StatusOK, hits)
}

func (s *Server) byRefs(w http.ResponseWriter, r *http.Request) {
	var asked struct{ EntityRefs []string }
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		writeError(w, http.StatusBadRequest, "InputError")
		return
	}
	items := make([]document, len(asked.EntityRefs))
	for i, ref := range asked.EntityRefs {
		items[i] = find(s.all(), ref)
	}
	writeJSON(w, http.StatusOK, map[string]any{"items": items})
}

// writeError answers with a Backstage error body.
func writeError(w http.ResponseWriter, status int, name string) {
	writeJSON(w, status, map[string]any{
		"error":    map[string]any{"name": name, "message": "refused by the test"},
		"response": map[string]any{"statusCode": status},
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that has left is none of the catalog's business
}

// direct brings a request to the server without a network.
type direct struct{ to http.Handler }

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		if recover() != nil { // http.ErrAbortHandler: the connection ends without an answer
			resp, err = nil, errors.Join(io.EOF, r.Context().Err())
		}
	}()
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	d.to.ServeHTTP(w, in)
	return w.Result(), nil
}
