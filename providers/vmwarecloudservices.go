package providers

import (
	"cmp"
	"context"
	"errors"
	"strings"
)

// vmwarecloudservices.go: sign-in through VMware Cloud Services, as a public client in one organization. Docs:
// https://developer.broadcom.com/xapis/identity-and-access-management-cloud-services-platform/latest/; contract/providers.md 1.13.
//
// Deviations: the id_token is verified, with the keys that the console publishes; an email that it disowns is left out; a client that
// has a secret sends it.

func init() {
	register(Kind{
		ID: "vmwareCloudServices", Title: "VMware Cloud Services", New: newVMware,
		Scopes: Scopes{Required: []string{"openid", "offline_access"}}, Resolvers: resolversFor("vmwareCloudServices"),
	})
}

// vmwareConfig are the keys of auth.providers.<id>.<env>.
type vmwareConfig struct {
	oauth2Client
	// OrganizationID is the one that users must belong to.
	OrganizationID string `config:"organizationId,required"`
	// ConsoleEndpoint is the console's address; empty means that of production.
	ConsoleEndpoint string `config:"consoleEndpoint"`
	// Issuer is who id_tokens come from; empty means the one of a console that is known.
	Issuer string `config:"issuer"`
}

const vmwareConsole = "https://console.cloud.vmware.com"

// vmwareIssuers are the issuers of the known consoles, which have hosts of their own.
var vmwareIssuers = map[string]string{
	vmwareConsole:                          "https://gaz.csp-vidm-prod.com",
	"https://console-stg.cloud.vmware.com": "https://gaz-preview.csp-vidm-prod.com",
}

// vmwareOrganization is the id of one.
type vmwareOrganization string

func newVMware(s Setup) (Provider, error) {
	var c vmwareConfig
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	if err := c.refuseScope(s, "vmwareCloudServices"); err != nil {
		return nil, err
	}
	console, err := checkBase("consoleEndpoint", cmp.Or(c.ConsoleEndpoint, vmwareConsole))
	if err != nil {
		return nil, err
	}
	issuer := cmp.Or(c.Issuer, vmwareIssuers[console])
	if issuer == "" {
		return nil, errors.New("issuer is missing: it is known of VMware's own consoles alone")
	}
	const auth = "/csp/gateway/am/api/auth/"
	return oauth2Spec{
		authorize: console + "/csp/gateway/discovery", token: console + auth + "token", credentials: credentialsEmpty, pkce: true,
		params: map[string]string{"orgId": c.OrganizationID}, user: vmwareOrganization(c.OrganizationID).user, read: vmwareOrganization(c.OrganizationID).read,
		issuer: oidcIssuer(issuer), keys: console + auth + "token-public-key?format=jwks",
	}.open(s, c.oauth2Client)
}

// user reads the id_token: VMware has nothing else that tells about the user.
func (o vmwareOrganization) user(_ context.Context, api oauth2API) (oauth2User, error) {
	if api.claims == nil {
		return oauth2User{}, fail(CodeIDTokenMissing, "Failed to parse id token and get profile info, missing token from session", nil)
	}
	return o.read(api.claims, nil)
}

func (o vmwareOrganization) read(claims map[string]any, err error) (oauth2User, error) {
	if err == nil {
		err = o.check(claims)
	}
	if err != nil {
		return oauth2User{}, err
	}
	p := Profile{DisplayName: member(claims, "given_name") + " " + member(claims, "family_name")}
	if !disowned(claims) {
		p.Email = member(claims, "email")
	}
	return oauth2User{profile: p}, nil
}

// check names what is wrong in the words of the Node backend.
func (o vmwareOrganization) check(claims map[string]any) error {
	var missing, mistyped []string
	for _, name := range []string{"email", "given_name", "family_name", "context_name"} {
		value, there := claims[name]
		_, isText := value.(string)
		switch {
		case !there:
			missing = append(missing, name)
		case !isText:
			mistyped = append(mistyped, name)
		}
	}
	switch {
	case missing != nil:
		return fail(CodeIDTokenMalformed, "ID token missing required claims: "+strings.Join(missing, ", "), nil)
	case mistyped != nil:
		return fail(CodeIDTokenMalformed, "ID token claims type mismatch: "+strings.Join(mistyped, ", "), nil)
	case claims["context_name"] != string(o):
		return fail(CodeIDTokenOrg, "ID token organizationId mismatch", nil)
	}
	return nil
}
