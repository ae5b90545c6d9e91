package providers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
)

// oidcParty is us at one discovered OpenID Provider.
type oidcParty struct {
	meta oidcMetadata
	// issuer is what id_tokens must come from.
	issuer oidcIssuer
	// rp builds the authorization request.
	rp rp.RelyingParty
	// auth is how we prove who we are.
	auth *clientAuth
	keys signatureVerifier
}

// oidcMetadata is the discovery document (OpenID Connect Discovery 1.0 section 3) as far as it is used.
type oidcMetadata struct {
	oidc.DiscoveryConfiguration
	// IssParameter announces the iss parameter in every redirect (RFC 9207 section 3).
	IssParameter bool `json:"authorization_response_iss_parameter_supported"`
}

// oidcDiscovery finds the provider.
//
// rp.NewRelyingPartyOIDC is not used to discover: it wants the issuer beforehand, compares it literally (which Entra's
// multi-tenant issuers never survive) and does not check where the endpoints lead.
type oidcDiscovery struct {
	spec     oidcSpec
	config   oidcConfig
	auth     *clientAuth
	upstream *upstream
	redirect string
	now      func() time.Time
}

func (d *oidcDiscovery) discover(ctx context.Context) (*oidcParty, error) {
	a, err := d.upstream.get(ctx, d.config.metadataAddress(), http.Header{"Accept": {"application/json"}})
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, unavailable(CodeDiscovery, "the metadata of the identity provider cannot be read",
			fmt.Errorf("status %d", a.status))
	}
	var m oidcMetadata
	if err := json.Unmarshal(a.body, &m); err != nil {
		return nil, unavailable(CodeMetadata, "the metadata of the identity provider is malformed", errors.New("not a discovery document"))
	}
	return d.accept(m)
}

// accept checks the document and makes the relying party of it.
func (d *oidcDiscovery) accept(m oidcMetadata) (*oidcParty, error) {
	issuer, err := d.config.expectIssuer(m.Issuer)
	if err == nil {
		err = m.check(d.config, d.spec)
	}
	if err != nil {
		return nil, unavailable(CodeMetadata, "the metadata of the identity provider is refused: "+err.Error(), nil)
	}
	if methods := m.CodeChallengeMethodsSupported; len(methods) > 0 && !slices.Contains(methods, oidc.CodeChallengeMethodS256) {
		// Differs from Backstage: it falls back to the method "plain", which protects nothing (RFC 9700 section 2.1.1).
		return nil, unavailable(CodePKCE, "the identity provider does not offer PKCE with S256", nil)
	}
	party, err := rp.NewRelyingPartyOAuth(&oauth2.Config{
		ClientID: d.config.ID, RedirectURL: d.redirect,
		Endpoint: oauth2.Endpoint{AuthURL: m.AuthorizationEndpoint, TokenURL: m.TokenEndpoint},
	})
	if err != nil {
		return nil, unavailable(CodeMetadata, "the metadata of the identity provider is refused", err)
	}
	auth := d.auth
	if d.spec.authOffered {
		auth = auth.among(m.TokenEndpointAuthMethodsSupported)
	}
	return &oidcParty{meta: m, issuer: issuer, rp: party, auth: auth, keys: d.verifier(m.JwksURI)}, nil
}

// verifier checks signatures of the configured algorithm: with the client's secret for HS*, else with published keys.
func (d *oidcDiscovery) verifier(jwksURI string) signatureVerifier {
	if strings.HasPrefix(d.config.Alg, "HS") {
		return secretKey(d.config.Secret)
	}
	return newKeySet(d.upstream, jwksURI, jose.SignatureAlgorithm(d.config.Alg), d.now)
}

// check holds the endpoints against each other. A redirect to plain http would hand codes and secrets to the network.
func (m oidcMetadata) check(c oidcConfig, v oidcSpec) error {
	secure := strings.HasPrefix(m.Issuer, "https:") || strings.HasPrefix(c.MetadataURL, "https:")
	needsKeys := !strings.HasPrefix(c.Alg, "HS")
	for _, e := range []struct {
		name, address string
		required      bool
	}{
		{"authorization_endpoint", m.AuthorizationEndpoint, true},
		{"token_endpoint", m.TokenEndpoint, true},
		{"userinfo_endpoint", m.UserinfoEndpoint, v.userInfo},
		{"jwks_uri", m.JwksURI, needsKeys},
		{"revocation_endpoint", m.RevocationEndpoint, false},
		{"end_session_endpoint", m.EndSessionEndpoint, false},
	} {
		switch {
		case e.address == "" && e.required:
			return fmt.Errorf("it has no %s", e.name)
		case e.address != "" && !isEndpoint(e.address, secure):
			return fmt.Errorf("its %s is not a safe address", e.name)
		}
	}
	return nil
}

// isEndpoint accepts an absolute address without user info and fragment, https only if the issuer is.
func isEndpoint(address string, secure bool) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || strings.Contains(address, "#") {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && !secure
}
