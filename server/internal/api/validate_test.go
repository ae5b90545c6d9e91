package api

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/go-cmp/cmp"

	"stagedoor/gen"
	"stagedoor/server/internal/fault"
)

// TestDocumentIsValid replaces the check that the server leaves out at start.
func TestDocumentIsValid(t *testing.T) {
	doc, err := gen.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if !doc.IsOpenAPI31OrLater() {
		t.Errorf("document is %s, want 3.1: the server alone reads it otherwise", doc.OpenAPI)
	}
}

// ignoredKeywords are those that kin-openapi's fast checker skips without a word.
var ignoredKeywords = []string{
	"Const", "PrefixItems", "Contains", "MinContains", "MaxContains", "PatternProperties", "DependentSchemas", "PropertyNames",
	"UnevaluatedItems", "UnevaluatedProperties", "If", "Then", "Else", "DependentRequired", "Always", "DynamicRef", "ContentSchema",
}

func ignoredIn(s *openapi3.Schema) (found []string) {
	v := reflect.ValueOf(s).Elem()
	for _, name := range ignoredKeywords {
		if !v.FieldByName(name).IsZero() {
			found = append(found, name)
		}
	}
	return found
}

func TestDocumentUsesOnlyWhatTheFastCheckerKnows(t *testing.T) {
	c, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = c.doc.WalkSchemas(func(at string, ref *openapi3.SchemaRef) error {
		seen++
		for _, keyword := range ignoredIn(ref.Value) {
			t.Errorf("%s uses %s, which the server would not check", at, keyword)
		}
		return nil
	})
	if err != nil || seen < 50 {
		t.Errorf("walked %d schemas: %v", seen, err)
	}
}

func TestIgnoredKeywordsAreFound(t *testing.T) {
	got := ignoredIn(&openapi3.Schema{Const: "x", DependentRequired: map[string][]string{"a": {"b"}}})
	if diff := cmp.Diff([]string{"Const", "DependentRequired"}, got); diff != "" {
		t.Errorf("keywords (-want +got):\n%s", diff)
	}
}

func TestContractKnowsFlagsAndRoutes(t *testing.T) {
	c, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{"optional": true}, c.flags()); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
	if _, err := c.operation("PUT", "/:provider/start"); err == nil {
		t.Error("an operation that the document does not have is found")
	}
	if _, err := c.operation("GET", "/:other/start"); err == nil {
		t.Error("a path that the document does not have is found")
	}
}

// refusing is a document of one operation that needs credentials, a small number and a short word.
const refusing = `
openapi: 3.0.3
info: {title: t, version: v}
paths:
  /x:
    post:
      operationId: x
      security: [{cookie: []}, {bearer: []}]
      parameters:
        - {name: n, in: query, schema: {type: integer, maximum: 5}}
        - {name: w, in: header, required: true, schema: {type: string, pattern: '^a+$'}}
      requestBody: {content: {text/plain: {schema: {type: string}}}}
      responses: {default: {description: d}}
components:
  securitySchemes:
    cookie: {type: apiKey, in: cookie, name: c}
    bearer: {type: http, scheme: bearer}
`

func TestValidationFaults(t *testing.T) {
	tests := []struct {
		name, query string
		header      http.Header
		want        *fault.Error
	}{
		{"no credentials", "", http.Header{"W": {"a"}}, fault.New(fault.Authentication, "credentials_missing", "Missing credentials", nil)},
		{"a cookie of any name", "", http.Header{"W": {"a"}, "Cookie": {"y=z"}}, nil},
		{"a bearer", "", http.Header{"W": {"a"}, "Authorization": {"Bearer x"}}, nil},
		{"unreadable", "n=hidden", http.Header{"W": {"a"}, "Cookie": {"y=z"}}, fault.New(fault.Input, "parameter_invalid", "Invalid query parameter 'n': an invalid integer", nil)},
		{"too large", "n=6789", http.Header{"W": {"a"}, "Cookie": {"y=z"}}, fault.New(fault.Input, "parameter_invalid", "Invalid query parameter 'n': violates maximum", nil)},
		{"against the pattern", "", http.Header{"W": {"hidden"}, "Cookie": {"y=z"}}, fault.New(fault.Input, "parameter_invalid", "Invalid header parameter 'w': violates pattern", nil)},
		{"missing", "", http.Header{"Cookie": {"y=z"}}, fault.New(fault.Input, "parameter_invalid", "Invalid header parameter 'w': value is required but missing", nil)},
	}
	doc, err := openapi3.NewLoader().LoadFromData([]byte(refusing))
	if err != nil {
		t.Fatal(err)
	}
	item := doc.Paths.Value("/x")
	route := &routers.Route{Spec: doc, Path: "/x", PathItem: item, Method: "POST", Operation: item.Post}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), "POST", "http://localhost/x?"+tt.query, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = tt.header
			err = openapi3filter.ValidateRequest(t.Context(), &openapi3filter.RequestValidationInput{
				Request: r, Route: route, Options: &openapi3filter.Options{AuthenticationFunc: credentialsPresent},
			})
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("error = %v", err)
			}
			if err == nil {
				return
			}
			if diff := cmp.Diff(tt.want, validationFault(err)); diff != "" || strings.Contains(validationFault(err).Error(), "hidden") {
				t.Errorf("fault (-want +got):\n%s", diff)
			}
		})
	}
}

func TestValidationFaultOfABody(t *testing.T) {
	tooLarge := &openapi3filter.RequestError{RequestBody: &openapi3.RequestBody{}, Err: &http.MaxBytesError{Limit: 1}}
	if f := validationFault(tooLarge); f.Kind != payloadTooLarge {
		t.Errorf("fault = %v", f)
	}
	if f := validationFault(errors.New("hidden")); f.Kind != fault.Input || strings.Contains(f.Error(), "hidden") {
		t.Errorf("fault = %v", f)
	}
}
