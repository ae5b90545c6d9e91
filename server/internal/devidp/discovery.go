package devidp

import (
	"net/http"

	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

var (
	scopes = []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail, oidc.ScopeOfflineAccess}
	claims = []string{
		"sub", "aud", "azp", "exp", "iat", "iss", "auth_time", "nonce", "at_hash", "c_hash",
		"name", "given_name", "family_name", "preferred_username", "picture", "email", "email_verified",
	}
)

// metadata is the discovery document (OpenID Connect Discovery 1.0 §3), with the member of RFC 9207 §3 that the library's
// type lacks.
type metadata struct {
	*oidc.DiscoveryConfiguration
	IssuerInResponse bool `json:"authorization_response_iss_parameter_supported"`
}

// discovery announces what works here, and takes back what op announces beyond that.
func (p *Provider) discovery(w http.ResponseWriter, r *http.Request) {
	doc := op.CreateDiscoveryConfig(r.Context(), p.op, p.store)
	doc.IntrospectionEndpoint, doc.DeviceAuthorizationEndpoint = "", ""
	doc.IntrospectionEndpointAuthMethodsSupported, doc.IntrospectionEndpointAuthSigningAlgValuesSupported = nil, nil
	doc.RevocationEndpointAuthSigningAlgValuesSupported = nil
	doc.ResponseTypesSupported = []string{string(oidc.ResponseTypeCode)}
	doc.ResponseModesSupported = []string{string(oidc.ResponseModeQuery)}
	doc.GrantTypesSupported = grantTypes
	httphelper.MarshalJSON(w, metadata{doc, true})
}
