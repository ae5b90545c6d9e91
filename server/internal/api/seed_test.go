package api

import (
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// seedOperations are the operations of the document that ours grows from, with their parameters and responses (design D1). They are
// never taken out or renamed.
var seedOperations = []struct {
	method, path, id string
	parameters       []string
	responses        []string
}{
	{"GET", "/{provider}/start", "startProviderAuth", []string{"path provider", "query flow", "query env"}, []string{"302", "404"}},
	{"GET", "/{provider}/handler/frame", "handleProviderFrame", []string{"path provider", "query code", "query state"}, []string{"200"}},
	{"GET", "/{provider}/refresh", "refreshProviderToken", []string{"path provider", "query optional"}, []string{"200", "401"}},
	{"POST", "/{provider}/logout", "logoutProvider", []string{"path provider"}, []string{"200", "401"}},
	{"GET", "/.well-known/backstage/auth/v1/jwks.json", "getJwks", nil, []string{"200"}},
}

// seedSchemas are its schemas: dotted paths to properties and their types; [] is an array's item.
var seedSchemas = map[string]map[string]string{
	"AuthResponse": {
		"backstageIdentity": "object", "backstageIdentity.token": "string", "backstageIdentity.identity": "object",
		"backstageIdentity.identity.type": "string", "backstageIdentity.identity.userEntityRef": "string",
		"backstageIdentity.identity.ownershipEntityRefs": "array", "profile": "object", "profile.email": "string",
		"profile.displayName": "string", "profile.picture": "string", "providerInfo": "object",
		"providerInfo.accessToken": "string", "providerInfo.expiresInSeconds": "number",
	},
	"JwksResponse": {
		"keys": "array", "keys.[].kty": "string", "keys.[].kid": "string", "keys.[].alg": "string", "keys.[].use": "string",
		"keys.[].n": "string", "keys.[].e": "string",
	},
}

func TestSeedOperations(t *testing.T) {
	doc := document(t)
	for _, want := range seedOperations {
		item := doc.Paths.Value(want.path)
		if item == nil || item.GetOperation(want.method) == nil {
			t.Errorf("%s %s is gone", want.method, want.path)
			continue
		}
		op := item.GetOperation(want.method)
		if op.OperationID != want.id {
			t.Errorf("%s %s is called %s, want %s", want.method, want.path, op.OperationID, want.id)
		}
		var have []string
		for _, p := range op.Parameters {
			have = append(have, p.Value.In+" "+p.Value.Name)
		}
		for _, p := range want.parameters {
			if !slices.Contains(have, p) {
				t.Errorf("%s: parameter %q is gone", want.id, p)
			}
		}
		for _, status := range want.responses {
			if op.Responses.Value(status) == nil {
				t.Errorf("%s: response %s is gone", want.id, status)
			}
		}
	}
	for _, name := range []string{"cookieAuth", "bearerAuth"} {
		if doc.Components.SecuritySchemes[name] == nil {
			t.Errorf("security scheme %s is gone", name)
		}
	}
	if doc.Components.SecuritySchemes["cookieAuth"].Value.Name != "backstage-auth" {
		t.Error("the cookie has another name")
	}
}

func TestSeedSchemas(t *testing.T) {
	doc := document(t)
	for name, properties := range seedSchemas {
		schema := doc.Components.Schemas[name]
		if schema == nil {
			t.Errorf("schema %s is gone", name)
			continue
		}
		have := map[string]string{}
		collect(schema.Value, "", have)
		for path, kind := range properties {
			if have[path] != kind {
				t.Errorf("%s: property %s is %q, want %q", name, path, have[path], kind)
			}
		}
	}
}

// collect lists the properties below a schema by their dotted paths.
func collect(s *openapi3.Schema, at string, into map[string]string) {
	if s.Items != nil {
		collect(s.Items.Value, at+"[].", into)
	}
	for name, p := range s.Properties {
		into[at+name] = p.Value.Type.Slice()[0]
		collect(p.Value, at+name+".", into)
	}
}

func document(t *testing.T) *openapi3.T {
	t.Helper()
	// The file and not the embedded copy: the generator writes operationIds its own way.
	doc, err := openapi3.NewLoader().LoadFromFile("../../../openapi/auth.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return doc
}
