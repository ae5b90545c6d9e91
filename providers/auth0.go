package providers

import (
	"cmp"
	"context"
	"net/url"
	"strings"
)

// auth0.go: sign-in through an Auth0 tenant. Docs: https://auth0.com/docs/api/authentication; contract/providers.md 1.7.
//
// Deviations: the id_token is verified, and an organization that is configured must be the one in it; the access token travels in a
// header; a refresh needs no id_token, as the userinfo tells who it is about; nothing is told about the software that asks.

func init() {
	register(Kind{ID: "auth0", Title: "Auth0", New: newAuth0, Resolvers: resolversFor("auth0")})
}

// auth0Config are the keys of auth.providers.<id>.<env>.
type auth0Config struct {
	oauth2Client
	// Domain is the tenant's host, or a custom one.
	Domain string `config:"domain,required"`
	// Audience is the API that access tokens are for.
	Audience string `config:"audience"`
	// Connection is the identity provider that Auth0 sends the user to, ConnectionScope what it is asked for.
	Connection      string `config:"connection"`
	ConnectionScope string `config:"connectionScope"`
	// Organization is the id (org_…) or name of the one that users must belong to; empty means any, or none.
	Organization string `config:"organization"`
	// Prompt is sent as it is, except for auto; empty means consent.
	Prompt string `config:"prompt"`
	// FederatedLogout also ends the session at the identity provider behind Auth0.
	FederatedLogout bool `config:"federatedLogout"`
	// Alg is the algorithm of id_tokens; empty means RS256.
	Alg string `config:"tokenSignedResponseAlg,oneof=RS256|HS256"`
}

func newAuth0(s Setup) (Provider, error) {
	var c auth0Config
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	if err := checkHost("domain", c.Domain); err != nil {
		return nil, err
	}
	base := c.base()
	return oauth2Spec{
		authorize: base + "/authorize", token: base + "/oauth/token",
		params: c.params(), start: c.start, emptyScope: true, nonce: true,
		issuer: oidcIssuer(base + "/"), keys: base + "/.well-known/jwks.json", alg: c.Alg,
		user: c.user, logout: c.logout,
	}.open(s, c.oauth2Client)
}

func (c auth0Config) base() string { return "https://" + c.Domain }

// params are those of every sign-in. accessType is none of Auth0's, but the Node backend sends it.
func (c auth0Config) params() map[string]string {
	params := map[string]string{"accessType": "offline"}
	set := func(name, value string) {
		if value != "" {
			params[name] = value
		}
	}
	if prompt := cmp.Or(c.Prompt, "consent"); prompt != promptAuto {
		set("prompt", prompt)
	}
	set("audience", c.Audience)
	set("organization", c.Organization)
	set("connection", c.Connection)
	if c.Connection != "" {
		set("connection_scope", c.ConnectionScope)
	}
	return params
}

// start passes on what an invitation or a login page adds to the address of our start route.
func (c auth0Config) start(query url.Values) (map[string]string, error) {
	if asked := query.Get("organization"); c.Organization != "" && asked != "" && asked != c.Organization {
		return nil, &Error{Kind: ErrInput, Code: CodeOrganization, Message: "Organization mismatch. " +
			"The organization provided in the request does not match the organization configured in the strategy."}
	}
	params := map[string]string{}
	for _, name := range []string{"organization", "invitation", "screen_hint", "login_hint"} {
		if value := query.Get(name); value != "" {
			params[name] = value
		}
	}
	return params, nil
}

func (c auth0Config) user(ctx context.Context, api oauth2API) (oauth2User, error) {
	if err := c.checkOrganization(api.claims); err != nil {
		return oauth2User{}, err
	}
	return standardUserOf(api.object(ctx, c.base()+"/userinfo"))
}

// checkOrganization keeps out who rewrote the authorization request to another organization. There are no claims at a refresh without
// an id_token: the refresh token is bound to the organization.
func (c auth0Config) checkOrganization(claims map[string]any) error {
	if c.Organization == "" || claims == nil {
		return nil
	}
	claim, want := "org_name", strings.ToLower(c.Organization) // Auth0 has names in lower case alone
	if strings.HasPrefix(c.Organization, "org_") {
		claim, want = "org_id", c.Organization
	}
	if member(claims, claim) != want {
		return fail(CodeIDTokenOrg, "the id_token is about another organization", nil)
	}
	return nil
}

// logout revokes nothing: the page that it leads to ends the session at Auth0.
func (c auth0Config) logout(_ context.Context, _ *upstream, in LogoutInput) (string, error) {
	q := url.Values{"client_id": {c.ID}}
	if in.ReturnTo != "" {
		q.Set("returnTo", in.ReturnTo)
	}
	if c.FederatedLogout {
		q.Set("federated", "")
	}
	return c.base() + "/v2/logout?" + q.Encode(), nil
}
