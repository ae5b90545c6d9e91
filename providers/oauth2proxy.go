package providers

import (
	"cmp"
	"context"
	"errors"
	"strings"
)

// oauth2proxy.go: behind oauth2-proxy. Docs: contract/providers.md 3.5.
//
// Deviations: nothing that oauth2-proxy sends is signed, so that it counts only from a peer in trustedProxies; Backstage
// believes it from everybody. The id_token's claims count only with trustIdToken: oauth2-proxy neither sets nor removes that header
// unless it is told to, and then whoever is signed in may write any claims into it. A request without any of the headers is a 401, where Backstage goes on with an empty user.

func init() {
	register(Kind{ID: "oauth2Proxy", Title: "oauth2-proxy", Flat: true, New: newOAuth2Proxy, Resolvers: resolversFor("oauth2Proxy")})
}

var _ Provider = (*oauth2Proxy)(nil)

// oauth2ProxyConfig are the keys of auth.providers.oauth2Proxy.
type oauth2ProxyConfig struct {
	proxyConfig
	// TrustedProxies are the addresses and CIDR blocks of oauth2-proxy.
	TrustedProxies []string `config:"trustedProxies"`
	// TrustIDToken says that oauth2-proxy sets x-oauth2-proxy-id-token itself, so that what its users send under that name is lost.
	TrustIDToken bool `config:"trustIdToken"`
}

type oauth2Proxy struct {
	trusted trustedPeers
	claims  bool
}

const (
	oauth2ProxyToken    = "x-oauth2-proxy-id-token"
	oauth2ProxyUser     = "x-forwarded-user"
	oauth2ProxyUsername = "x-forwarded-preferred-username"
	oauth2ProxyEmail    = "x-forwarded-email"
)

func newOAuth2Proxy(s Setup) (Provider, error) {
	var c oauth2ProxyConfig
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	trusted, err := readTrustedPeers(s, c.TrustedProxies, "")
	return &oauth2Proxy{trusted, c.TrustIDToken}, err
}

// Handle signs in whom the headers name. Its Claims, if there are any, are those of a token that a trusted peer vouches for, not a
// signature.
func (o *oauth2Proxy) Handle(_ context.Context, r Request) (Result, error) {
	if err := o.trusted.check(r.Peer); err != nil {
		return Result{}, err
	}
	h := map[string]string{}
	for _, name := range []string{oauth2ProxyToken, oauth2ProxyUser, oauth2ProxyUsername, oauth2ProxyEmail, "x-forwarded-groups"} {
		value, err := soleHeader(r.Header, name)
		if err != nil {
			return Result{}, err
		}
		if value != "" {
			h[name] = value
		}
	}
	if len(h) == 0 {
		return Result{}, unauthenticated(CodeProxyHeader, "Missing the headers of oauth2-proxy", nil)
	}
	result, err := oauth2ProxyResult(h)
	if !o.claims {
		result.Claims, result.Session.Subject = nil, ""
	}
	return result, err
}

func oauth2ProxyResult(h map[string]string) (Result, error) {
	token, err := oauth2ProxyBearer(h[oauth2ProxyToken])
	if err != nil {
		return Result{}, unauthenticated(CodeAssertionMalformed, "Authentication failed", err)
	}
	var claims map[string]any
	if token != "" {
		if claims, err = decodeJWT(token, "Authentication failed"); err != nil {
			return Result{}, err
		}
	}
	delete(h, oauth2ProxyToken)
	name := cmp.Or(h[oauth2ProxyUsername], h[oauth2ProxyUser])
	return Result{
		Session: Session{Subject: member(claims, "sub")},
		Profile: Profile{Email: h[oauth2ProxyEmail], DisplayName: name, Username: name},
		Claims:  claims, Headers: h, Info: map[string]any{"accessToken": token},
	}, nil
}

// oauth2ProxyBearer is the token in the header, which may be absent.
func oauth2ProxyBearer(header string) (string, error) {
	if header == "" {
		return "", nil
	}
	scheme, token, _ := strings.Cut(header, " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", errors.New("not a bearer token")
	}
	return token, nil
}
