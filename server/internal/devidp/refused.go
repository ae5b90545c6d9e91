package devidp

import (
	"context"
	"errors"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// refused.go: what op's storage interface demands for features that this provider neither announces nor routes. All of it
// answers no.

var errNotOffered = errors.New("not offered by this provider")

// GetPrivateClaimsFromScopes refuses: access tokens are opaque.
func (s *storage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, errNotOffered
}

// SetIntrospectionFromToken refuses: there is no introspection endpoint.
func (s *storage) SetIntrospectionFromToken(
	context.Context, *oidc.IntrospectionResponse, string, string, string,
) error {
	return errNotOffered
}

// GetKeyByIDAndClientID refuses: clients have secrets or nothing, no keys.
func (s *storage) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errNotOffered
}

// ValidateJWTProfileScopes refuses: there is no JWT bearer grant.
func (s *storage) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errNotOffered
}
