package providers

import (
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// oidcIssuer is who id_tokens come from: an exact issuer, or Entra's template with a {tenantid} in it.
type oidcIssuer string

const tenantPlaceholder = "{tenantid}"

// tenantID is what Entra puts into the placeholder.
var tenantID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// matches compares the iss claim of a token that names tenant in its tid claim.
func (i oidcIssuer) matches(iss, tenant string) bool {
	template := string(i)
	if !strings.Contains(template, tenantPlaceholder) {
		return iss == template
	}
	return tenantID.MatchString(tenant) && iss == strings.Replace(template, tenantPlaceholder, tenant, 1)
}

// matchesAny compares an iss parameter, which comes without a tenant: any one will do, as the token is yet to say which.
func (i oidcIssuer) matchesAny(iss string) bool {
	before, after, templated := strings.Cut(string(i), tenantPlaceholder)
	tenant, ok := strings.CutPrefix(iss, before)
	if !templated || !ok {
		return iss == string(i)
	}
	tenant, ok = strings.CutSuffix(tenant, after)
	return ok && tenantID.MatchString(tenant)
}

// metadataAddress is metadataUrl, completed as contract/providers.md 2.1 says.
func (c oidcConfig) metadataAddress() string {
	u, err := url.Parse(c.MetadataURL)
	if err != nil || strings.Contains(u.Path, "/.well-known/") {
		return c.MetadataURL
	}
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/")+oidc.DiscoveryEndpoint, ""
	return u.String()
}

// expectIssuer decides whether a document from metadataUrl may be about issuer (OpenID Connect Discovery 1.0 section 4.3):
// it must be the one that is configured, or else the one that the address is made of. An address of another form, or a
// multi-tenant one of Entra, says nothing about the issuer.
//
// Differs from Backstage: it compares nothing here.
func (c oidcConfig) expectIssuer(issuer string) (oidcIssuer, error) {
	base, standard := strings.CutSuffix(c.metadataAddress(), oidc.DiscoveryEndpoint)
	switch {
	case issuer == "":
		return "", errors.New("it has no issuer")
	case c.Issuer != "" && issuer != c.Issuer:
		return "", errors.New("its issuer is not the configured one")
	case c.Issuer != "":
	case c.multiTenant():
	case strings.Contains(issuer, tenantPlaceholder):
		return "", errors.New("its issuer is a template, but metadataUrl is not multi-tenant")
	case !standard:
	case strings.TrimSuffix(issuer, "/") != strings.TrimSuffix(base, "/"):
		return "", errors.New("its issuer is not where metadataUrl leads (set issuer if it is the right one)")
	}
	return oidcIssuer(issuer), nil
}

// multiTenant is true for the addresses under which Entra answers for every tenant.
func (c oidcConfig) multiTenant() bool {
	u, err := url.Parse(c.MetadataURL)
	if err != nil || u.Scheme != "https" || u.Host != "login.microsoftonline.com" {
		return false
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	return slices.Contains([]string{"common", "organizations", "consumers"}, tenant)
}
