package providers

import (
	"cmp"
	"context"
	"net/url"
)

// okta.go: sign-in through an Okta organization, or one of its custom authorization servers. Docs:
// https://developer.okta.com/docs/reference/api/oidc/; contract/providers.md 1.6.
//
// Deviations: the id_token is verified; the Authorization header of the token requests is well-formed, for the refresh as well.

func init() {
	register(Kind{
		ID: "okta", Title: "Okta", New: newOkta,
		Scopes: Scopes{Required: []string{"openid", "email", "profile", "offline_access"}}, Resolvers: resolversFor("okta"),
	})
}

// oktaConfig are the keys of auth.providers.<id>.<env>.
type oktaConfig struct {
	oauth2Client
	// Audience is the address of the organization.
	Audience string `config:"audience"`
	// AuthServerID is a custom authorization server; empty means that of the organization.
	AuthServerID string `config:"authServerId"`
	// IDP is the identity provider that Okta sends the user to.
	IDP string `config:"idp"`
}

func newOkta(s Setup) (Provider, error) {
	var c oktaConfig
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	issuer, err := checkBase("audience", cmp.Or(c.Audience, "https://okta.com"))
	if err != nil {
		return nil, err
	}
	base := issuer + "/oauth2"
	if c.AuthServerID != "" {
		base += "/" + url.PathEscape(c.AuthServerID)
		issuer = base
	}
	v := oauth2Spec{
		authorize: base + "/v1/authorize", token: base + "/v1/token", credentials: credentialsInHeader,
		issuer: oidcIssuer(issuer), keys: base + "/v1/keys",
		user: func(ctx context.Context, api oauth2API) (oauth2User, error) {
			return standardUserOf(api.posted(ctx, base+"/v1/userinfo"))
		},
	}
	if c.IDP != "" {
		v.params = map[string]string{"idp": c.IDP}
	}
	return v.open(s, c.oauth2Client)
}
