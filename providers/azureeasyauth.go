package providers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// azureeasyauth.go: behind the built-in authentication of Azure App Service. Docs: contract/providers.md 3.2.
//
// Deviations: with tenantId and clientId, which Backstage does not have, the id_token is verified. Without them it is only
// decoded, as Backstage does, and then both the environment that App Service sets and trustedProxies are demanded. This is
// the one provider that reads the process environment, at start: App Service tells by it, and by nothing else, that it
// takes these headers away from what users send. An id_token of another version is a 401, where Backstage answers 500.

func init() {
	register(Kind{ID: "azureEasyAuth", Title: "Azure EasyAuth", Flat: true, New: newAzureEasyAuth, Resolvers: resolversFor("azureEasyAuth")})
}

var _ Provider = (*azureEasyAuth)(nil)

// azureEasyAuthConfig are the keys of auth.providers.azureEasyAuth. All but signIn are ours.
type azureEasyAuthConfig struct {
	proxyConfig
	// TenantID and ClientID are whom the id_token must be from and for; both or neither.
	TenantID string `config:"tenantId"`
	ClientID string `config:"clientId"`
	// TrustedProxies are the addresses and CIDR blocks from which an unverified id_token is believed.
	TrustedProxies []string `config:"trustedProxies"`
}

const azureEasyAuthFailure = "The id_token of Azure EasyAuth is not valid"

type azureEasyAuth struct {
	// keys are nil if the id_token is not verified; trusted is nil if it is.
	keys    assertionKeys
	check   assertionCheck
	trusted trustedPeers
	now     func() time.Time
}

func newAzureEasyAuth(s Setup) (Provider, error) {
	var c azureEasyAuthConfig
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	if c.TenantID == "" && c.ClientID == "" {
		return newUnverifiedEasyAuth(s, c)
	}
	if !tenantID.MatchString(c.TenantID) || c.ClientID == "" {
		return nil, errors.New("tenantId and clientId must both be set to verify the id_token, tenantId as a UUID")
	}
	authority := "https://login.microsoftonline.com/" + strings.ToLower(c.TenantID)
	keys := newKeySet(newUpstream(s.HTTP, proxyTimeout), authority+"/discovery/v2.0/keys", jose.RS256, s.Now)
	return &azureEasyAuth{
		keys: assertionKeys{jose.RS256: keys}, now: s.Now,
		check: assertionCheck{
			message: azureEasyAuthFailure, issuer: authority + "/v2.0", audience: c.ClientID, skew: clockSkew, needed: []string{"oid"},
		},
	}, nil
}

func newUnverifiedEasyAuth(s Setup, c azureEasyAuthConfig) (Provider, error) {
	trusted, err := readTrustedPeers(s, c.TrustedProxies, ", or set tenantId and clientId to have the id_token verified")
	if !s.Development {
		err = errors.Join(err, checkAppService())
	}
	return &azureEasyAuth{trusted: trusted, now: s.Now}, err
}

// checkAppService finds out whether App Service guards the headers.
func checkAppService() error {
	var wrong []error
	if os.Getenv("WEBSITE_SKU") == "" {
		wrong = append(wrong, errors.New("the environment lacks WEBSITE_SKU: this is not Azure App Service (tenantId and clientId work elsewhere)"))
	}
	for _, v := range []struct{ name, want string }{
		{"WEBSITE_AUTH_ENABLED", "true"},
		{"WEBSITE_AUTH_DEFAULT_PROVIDER", "AzureActiveDirectory"},
		{"WEBSITE_AUTH_TOKEN_STORE", "true"},
	} {
		if !strings.EqualFold(os.Getenv(v.name), v.want) {
			wrong = append(wrong, fmt.Errorf("the environment variable %s is not %s: set up App Service authentication", v.name, v.want))
		}
	}
	return errors.Join(wrong...)
}

// Handle signs in whom the id_token names. Without verification its Claims are what a trusted peer vouches for.
func (a *azureEasyAuth) Handle(ctx context.Context, r Request) (Result, error) {
	if a.keys == nil {
		if err := a.trusted.check(r.Peer); err != nil {
			return Result{}, err
		}
	}
	raw, err := neededHeader(r.Header, "x-ms-token-aad-id-token", "Missing x-ms-token-aad-id-token header")
	if err != nil {
		return Result{}, err
	}
	access, err := soleHeader(r.Header, "x-ms-token-aad-access-token")
	if err != nil {
		return Result{}, err
	}
	claims, err := a.open(ctx, raw)
	if err != nil {
		return Result{}, err
	}
	return azureEasyAuthResult(claims, access), nil
}

func (a *azureEasyAuth) open(ctx context.Context, raw string) (claims map[string]any, err error) {
	if a.keys == nil {
		claims, err = decodeJWT(raw, azureEasyAuthFailure)
	} else if claims, err = a.keys.open(ctx, raw, azureEasyAuthFailure); err == nil {
		err = a.check.check(claims, a.now())
	}
	if err == nil && claims["ver"] != "2.0" {
		err = unauthenticated(CodeAssertionClaim, "id_token is not version 2.0", nil)
	}
	return claims, err
}

func azureEasyAuthResult(claims map[string]any, access string) Result {
	info := map[string]any{}
	if access != "" {
		info["accessToken"] = access
	}
	return Result{
		Session: Session{Subject: member(claims, "oid")},
		Profile: Profile{
			Email: member(claims, "email"), DisplayName: member(claims, "name"), Username: member(claims, "preferred_username"),
		},
		Claims: claims, Info: info,
	}
}
