package providers

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// pinniped.go: sign-in through the Supervisor of Pinniped, for tokens that a Kubernetes cluster accepts. Docs:
// https://pinniped.dev/docs/howto/configure-auth-for-webapps/, RFC 8693; contract/providers.md 2.3.
//
// Deviations: federationDomain must be the issuer that the metadata names; an audience that is repeated, too long or not printable
// is refused.

func init() {
	register(Kind{
		ID: "pinniped", Title: "Pinniped", New: newPinniped,
		Scopes:    Scopes{Required: []string{"openid", "pinniped:request-audience", "username", "offline_access"}},
		Resolvers: resolversFor("pinniped"),
	})
}

// pinnipedConfig are the keys of auth.providers.<id>.<env>. Timeout is ours.
type pinnipedConfig struct {
	Common
	ID     string `config:"clientId,required"`
	Secret string `config:"clientSecret,required"`
	// FederationDomain is the issuer of a FederationDomain at the Supervisor.
	FederationDomain string `config:"federationDomain,required"`
	// Timeout bounds each call; 0 means 10 seconds.
	Timeout time.Duration `config:"timeout"`
}

func newPinniped(s Setup) (Provider, error) {
	var c pinnipedConfig
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	issuer, err := checkBase("federationDomain", c.FederationDomain)
	if err = errors.Join(c.refuseScope(s, "pinniped"), err); err != nil {
		return nil, err
	}
	return oidcSpec{
		authOffered: true, metadataLife: time.Hour, remember: pinnipedAudience, afterExchange: pinnipedClusterToken,
	}.open(s, oidcConfig{
		Common: c.Common, clientCredentials: clientCredentials{ID: c.ID, Secret: c.Secret, AuthMethod: string(oidc.AuthMethodBasic)},
		MetadataURL: issuer + oidc.DiscoveryEndpoint, Issuer: issuer, Alg: string(jose.ES256), Prompt: promptAuto, Timeout: c.Timeout,
	})
}

// longestAudience bounds what travels in a cookie; clusters are named by a host or a random text.
const longestAudience = 256

// pinnipedAudience is the cluster that the front end wants a token for, empty for none. It is sent as it is, and repeated in an
// error, hence printable.
//
// Differs from Backstage: it takes whatever is there.
func pinnipedAudience(query url.Values) (string, error) {
	audience := query.Get("audience")
	if len(query["audience"]) > 1 || printable(audience, longestAudience) != audience {
		return "", &Error{Kind: ErrInput, Code: CodeAudience, Message: "The audience is repeated, too long or not printable"}
	}
	return audience, nil
}

// pinnipedClusterToken trades the access token for one that the cluster accepts (RFC 8693 section 2.1), and shows that as the
// id_token. Its claims are the cluster's to verify: nobody signs in by them here.
func pinnipedClusterToken(ctx context.Context, call oidcGrant, audience string, s *Session) error {
	if audience == "" {
		return nil
	}
	t, err := call(ctx, url.Values{
		"grant_type":           {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":        {s.AccessToken},
		"subject_token_type":   {"urn:ietf:params:oauth:token-type:access_token"},
		"requested_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
		"audience":             {audience},
	}, &Error{})
	if e, ok := errors.AsType[*Error](err); ok {
		return &Error{
			Kind: e.Kind, Code: CodeTokenExchange, Err: e.Err,
			Message: `Failed to get cluster specific ID token for "` + audience + `", RFC8693 token exchange failed with error: ` + e.Message,
		}
	}
	s.IDToken = t.AccessToken
	return err
}
