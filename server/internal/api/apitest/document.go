package apitest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"stagedoor/gen"
)

// mount is where the document's operations are, unless a path says otherwise.
const mount = "/api/auth"

// options are the strictest that kin-openapi has. Credentials are the server's question: most operations answer without.
var options = &openapi3filter.Options{
	IncludeResponseStatus: true,
	AuthenticationFunc:    func(context.Context, *openapi3filter.AuthenticationInput) error { return nil },
}

// mayBeEmpty are operations whose body may be left out, which the document can say in words only.
var mayBeEmpty = map[string]bool{"logoutProvider": true}

// document is the 3.1 document with its operations by path.
type document struct {
	doc *openapi3.T
	// byPath is sorted: literal segments come before parameters.
	byPath []pathEntry
}

type pathEntry struct {
	segments []string
	template string
	item     *openapi3.PathItem
}

// load reads the document once per process; it is never changed afterwards.
var load = sync.OnceValues(func() (*document, error) {
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("application/samlmetadata+xml", openapi3filter.PlainBodyDecoder)
	doc, err := gen.GetSpec()
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	d := &document{doc: doc}
	for template, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			// The generator's copy of the document has its own idea of an id's first letter.
			op.OperationID = strings.ToLower(op.OperationID[:1]) + op.OperationID[1:]
		}
		at := mount + template
		if len(item.Servers) > 0 {
			at = strings.TrimRight(item.Servers[0].URL, "/") + template
		}
		d.byPath = append(d.byPath, pathEntry{strings.Split(at, "/"), template, item})
	}
	slices.SortFunc(d.byPath, func(a, b pathEntry) int {
		return strings.Compare(strings.ReplaceAll(a.template, "{", "\xff"), strings.ReplaceAll(b.template, "{", "\xff"))
	})
	return d, nil
})

// find returns the operation of an escaped path; HEAD is that of GET. Case does not matter, nor does one slash too many at
// the end (contract/core.md R3).
func (d *document) find(method, escaped string) (*routers.Route, map[string]string, bool) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	segments := strings.Split(strings.TrimSuffix(escaped, "/"), "/")
	for _, p := range d.byPath {
		params, ok := p.match(segments)
		if !ok {
			continue
		}
		if op := p.item.GetOperation(method); op != nil {
			return &routers.Route{Spec: d.doc, Path: p.template, PathItem: p.item, Method: method, Operation: op}, params, true
		}
	}
	return nil, nil, false
}

func (p pathEntry) match(segments []string) (map[string]string, bool) {
	if len(segments) != len(p.segments) {
		return nil, false
	}
	params := map[string]string{}
	for i, want := range p.segments {
		name, isParam := strings.CutPrefix(want, "{")
		if !isParam && !strings.EqualFold(segments[i], want) {
			return nil, false
		}
		if isParam {
			value, err := url.PathUnescape(segments[i])
			if err != nil {
				return nil, false
			}
			params[strings.TrimSuffix(name, "}")] = value
		}
	}
	return params, true
}

// errNotRefused says that the server took what the document refuses.
type errNotRefused struct {
	status int
	reason error
}

// Error names both sides.
func (e errNotRefused) Error() string {
	return fmt.Sprintf("answered %d to a request that the document refuses: %v", e.status, e.reason)
}

// Unwrap returns the document's reason.
func (e errNotRefused) Unwrap() error { return e.reason }

// undeclared judges an exchange that the document knows nothing of: it must fail, but for OPTIONS, and a JSON body must be
// that of an error.
func undeclared(d *document, method string, out Response) error {
	if out.Status < http.StatusBadRequest && method != http.MethodOptions {
		return fmt.Errorf("answered %d to an operation that the document does not have", out.Status)
	}
	if !strings.HasPrefix(out.Header.Get("Content-Type"), "application/json") || method == http.MethodHead {
		return nil
	}
	var body any
	if err := json.Unmarshal(out.Body, &body); err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	schema := d.doc.Components.Schemas["ErrorResponse"].Value
	if err := schema.VisitJSON(body, openapi3.EnableJSONSchema2020()); err != nil {
		return fmt.Errorf("check error body: %w", err)
	}
	return nil
}
