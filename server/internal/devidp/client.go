package devidp

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Client is an application that may sign people in (RFC 6749 §2).
type Client struct {
	// ID is the client_id.
	ID string
	// Secret is accepted in the Authorization header and in the body. An empty one makes the client public: it must use
	// PKCE.
	Secret string
	// RedirectURIs are matched exactly, except that a loopback address may carry any port (RFC 8252 §7.3). Their origins
	// are also where end_session may send the browser.
	RedirectURIs []string
}

// idTokenLifetime is how long an id_token may be presented; a relying party uses it once, at once.
const idTokenLifetime = time.Hour

func checkClients(clients []Client) (map[string]Client, error) {
	if len(clients) == 0 {
		return nil, errors.New("check clients: want at least one")
	}
	byID := make(map[string]Client, len(clients))
	for i, c := range clients {
		if _, twice := byID[c.ID]; twice || c.ID == "" {
			return nil, fmt.Errorf("check client %d: id is missing or appears twice", i+1)
		}
		for _, uri := range c.RedirectURIs {
			if u, err := url.Parse(uri); err != nil || !u.IsAbs() || u.Fragment != "" {
				return nil, fmt.Errorf("check client %d: a redirect URI is not absolute or has a fragment", i+1)
			}
		}
		byID[c.ID] = c
	}
	return byID, nil
}

func (c Client) hasSecret(secret string) bool {
	return c.Secret != "" && subtle.ConstantTimeCompare([]byte(c.Secret), []byte(secret)) == 1
}

// ownsOrigin reports whether address lies on the origin of a redirect URI of c, any port for loopback.
func (c Client) ownsOrigin(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.User != nil {
		return false
	}
	for _, uri := range c.RedirectURIs {
		own, err := url.Parse(uri)
		if err == nil && sameOrigin(u, own) {
			return true
		}
	}
	return false
}

func sameOrigin(a, b *url.URL) bool {
	if a.Scheme != b.Scheme {
		return false
	}
	return a.Host == b.Host || a.Hostname() == b.Hostname() && isLoopback(a.Hostname())
}

// registration is a Client as zitadel's op asks for it. Every client counts as native: that is the kind which has loopback
// redirect URIs with any port; whether it has a secret is told apart by AuthMethod.
type registration struct {
	Client
	loginURL func(requestID string) string
}

var _ op.Client = registration{}

func (c registration) GetID() string                       { return c.ID }
func (c registration) RedirectURIs() []string              { return c.Client.RedirectURIs }
func (c registration) PostLogoutRedirectURIs() []string    { return nil } // Provider.endSession compares origins.
func (c registration) ApplicationType() op.ApplicationType { return op.ApplicationTypeNative }
func (c registration) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (c registration) LoginURL(requestID string) string          { return c.loginURL(requestID) }
func (c registration) AccessTokenType() op.AccessTokenType       { return op.AccessTokenTypeBearer }
func (c registration) IDTokenLifetime() time.Duration            { return idTokenLifetime }
func (c registration) DevMode() bool                             { return false }
func (c registration) IsScopeAllowed(string) bool                { return false } // The standard ones only.
func (c registration) IDTokenUserinfoClaimsAssertion() bool      { return false } // Profile claims come from userinfo.
func (c registration) ClockSkew() time.Duration                  { return 0 }
func (c registration) GrantTypes() []oidc.GrantType              { return grantTypes }
func (c registration) RestrictAdditionalIdTokenScopes() keep     { return keepScopes }
func (c registration) RestrictAdditionalAccessTokenScopes() keep { return keepScopes }

func (c registration) AuthMethod() oidc.AuthMethod {
	if c.Secret == "" {
		return oidc.AuthMethodNone
	}
	return oidc.AuthMethodBasic
}

type keep = func([]string) []string

func keepScopes(scopes []string) []string { return scopes }

var grantTypes = []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
