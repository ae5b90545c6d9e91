package providers

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	// promptAuto leaves the prompt to the provider; any other value is sent (contract/core.md F60).
	promptAuto  = "auto"
	promptNone  = "none"
	defaultAlg  = "RS256"
	oidcTimeout = 10 * time.Second
)

// fixedParams of the authorization request cannot be configured: a sign-in would break, or lose what protects it.
var fixedParams = []string{"client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method"}

// oidcConfig are the keys of auth.providers.<id>.<env> (contract/providers.md 2.1). Issuer, EndSession,
// TrustUnverifiedEmail, PrivateKey and KeyID are ours.
type oidcConfig struct {
	Common
	clientCredentials
	MetadataURL string `config:"metadataUrl,required"`
	// Issuer is the issuer that the metadata must name, where metadataUrl does not tell (Entra v1, Azure AD B2C).
	Issuer string `config:"issuer"`
	// Alg is the one algorithm that id_tokens may be signed with. HS* uses the client's secret.
	Alg string `config:"tokenSignedResponseAlg,oneof=RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512|EdDSA|HS256|HS384|HS512"`
	// Prompt is sent as it is; empty means "none".
	Prompt string `config:"prompt"`
	// Timeout bounds each call.
	Timeout     time.Duration     `config:"timeout"`
	StartParams map[string]string `config:"startUrlSearchParams"`
	// EndSession makes the logout visit the provider's end_session_endpoint.
	EndSession bool `config:"endSession"`
	// TrustUnverifiedEmail takes the email whether or not the provider vouches for it.
	TrustUnverifiedEmail bool `config:"trustUnverifiedEmail"`
}

func readOIDCConfig(s Setup) (oidcConfig, error) {
	var c oidcConfig
	if err := s.Decode(&c); err != nil {
		return c, err
	}
	c.Alg, c.Prompt = cmp.Or(c.Alg, defaultAlg), cmp.Or(c.Prompt, promptNone)
	return c, nil
}

func (c oidcConfig) check(s Setup) error {
	errs := []error{checkAddress("metadataUrl", c.MetadataURL), checkSecretLength(c.Alg, c.Secret), c.refuseScope(s, "oidc")}
	if c.Issuer != "" {
		errs = append(errs, checkAddress("issuer", c.Issuer))
	}
	if c.Timeout < 0 {
		errs = append(errs, errors.New("timeout is negative"))
	}
	return errors.Join(errs...)
}

// checkSecretLength is about algorithms that sign with the client's secret (RFC 7518 section 3.2): a shorter one can be guessed from
// one token.
func checkSecretLength(alg, secret string) error {
	if least := map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}[alg]; len(secret) < least {
		return fmt.Errorf("tokenSignedResponseAlg %s needs a clientSecret of at least %d bytes", alg, least)
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
