package providers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// clientAuth proves to the token, revocation and introspection endpoints who we are (OpenID Connect Core section 9).
type clientAuth struct {
	id, secret string
	method     oidc.AuthMethod
	// signer makes the assertions of the two JWT methods; nil for the others.
	signer jose.Signer
	now    func() time.Time
}

// clientCredentials are the config keys that clientAuth is made from.
type clientCredentials struct {
	ID         string `config:"clientId,required"`
	Secret     string `config:"clientSecret"`
	AuthMethod string `config:"tokenEndpointAuthMethod"`
	// PrivateKey is a PEM or JWK, KeyID its kid at the provider.
	PrivateKey string `config:"privateKey"`
	KeyID      string `config:"keyId"`
}

// authSecretJWT is the one method of OpenID Connect Core section 9 that package oidc has no name for.
const authSecretJWT oidc.AuthMethod = "client_secret_jwt"

const (
	// assertionType is RFC 7523 section 2.2's client_assertion_type.
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// assertionLife is how long an assertion may be used; it is used at once.
	assertionLife = time.Minute
)

// newClientAuth checks the keys against each other. Without a method it is client_secret_basic, or none for a client
// without a secret: a public one, which PKCE protects (contract/providers.md 2.2).
func newClientAuth(c clientCredentials, now func() time.Time) (*clientAuth, error) {
	a := &clientAuth{id: c.ID, secret: c.Secret, method: oidc.AuthMethod(c.AuthMethod), now: now}
	if a.method == "" {
		a.method = oidc.AuthMethodBasic
		if c.Secret == "" {
			a.method = oidc.AuthMethodNone
		}
	}
	if c.PrivateKey != "" && a.method != oidc.AuthMethodPrivateKeyJWT {
		return nil, fmt.Errorf("privateKey needs tokenEndpointAuthMethod %q", oidc.AuthMethodPrivateKeyJWT)
	}
	return a, a.check(c)
}

func (a *clientAuth) check(c clientCredentials) (err error) {
	switch a.method {
	case oidc.AuthMethodNone:
		return nil
	case oidc.AuthMethodPrivateKeyJWT:
		a.signer, err = keySigner(c.PrivateKey, c.KeyID)
		return err
	case oidc.AuthMethodBasic, oidc.AuthMethodPost, authSecretJWT:
		if a.secret == "" {
			return fmt.Errorf("clientSecret is required by tokenEndpointAuthMethod %q", a.method)
		}
	default:
		return fmt.Errorf("tokenEndpointAuthMethod %q is not supported", a.method)
	}
	if a.method == authSecretJWT {
		a.signer, err = newSigner(jose.HS256, []byte(a.secret), "")
	}
	return err
}

// among is the same client with its secret in the body, at a provider that offers that and not the header. A provider that
// does not say what it offers takes the header (OpenID Connect Discovery 1.0 section 3).
func (a *clientAuth) among(offered []oidc.AuthMethod) *clientAuth {
	if a.method != oidc.AuthMethodBasic || slices.Contains(offered, oidc.AuthMethodBasic) || !slices.Contains(offered, oidc.AuthMethodPost) {
		return a
	}
	own := *a
	own.method = oidc.AuthMethodPost
	return &own
}

// apply adds the proof to a request's header and form, and nothing of any other method.
func (a *clientAuth) apply(header http.Header, form url.Values, audience ...string) error {
	if a.method == oidc.AuthMethodBasic {
		// RFC 6749 section 2.3.1: both are form-encoded before they are joined.
		pair := url.QueryEscape(a.id) + ":" + url.QueryEscape(a.secret)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
		return nil
	}
	form.Set("client_id", a.id)
	switch {
	case a.method == oidc.AuthMethodPost:
		form.Set("client_secret", a.secret)
	case a.signer != nil:
		assertion, err := a.assertion(audience)
		if err != nil {
			return err
		}
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
	}
	return nil
}

// assertion is a JWT about ourselves (RFC 7523 section 3), good for one use. Its audience is what Node sends, issuer and
// token endpoint, because providers differ in which of them they look for.
func (a *clientAuth) assertion(audience []string) (string, error) {
	now := a.now()
	claims, err := json.Marshal(map[string]any{
		"iss": a.id, "sub": a.id, "aud": audience, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("encode client assertion: %w", err)
	}
	jws, err := a.signer.Sign(claims)
	if err != nil {
		return "", fmt.Errorf("sign client assertion: %w", err)
	}
	return jws.CompactSerialize()
}

// newSigner proves that the key works before anybody depends on it.
func newSigner(alg jose.SignatureAlgorithm, key any, kid string) (jose.Signer, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("use client key for %s: %w", alg, err)
	}
	if _, err := signer.Sign(nil); err != nil {
		return nil, fmt.Errorf("use client key for %s: %w", alg, err)
	}
	return signer, nil
}

func keySigner(text, kid string) (jose.Signer, error) {
	if text == "" {
		return nil, fmt.Errorf("privateKey is required by tokenEndpointAuthMethod %q", oidc.AuthMethodPrivateKeyJWT)
	}
	key, err := readPrivateKey(text)
	if err != nil {
		// The cause is dropped: it could quote the key.
		return nil, errors.New("privateKey is neither a PEM private key nor a private JWK")
	}
	if kid != "" {
		key.KeyID = kid
	}
	alg := jose.SignatureAlgorithm(key.Algorithm)
	if alg == "" {
		if alg, err = algorithmOf(key.Key); err != nil {
			return nil, err
		}
	}
	return newSigner(alg, key.Key, key.KeyID)
}

func readPrivateKey(text string) (jose.JSONWebKey, error) {
	var key jose.JSONWebKey
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		if err := key.UnmarshalJSON([]byte(text)); err != nil {
			return key, err
		}
		if _, private := key.Key.(crypto.Signer); !private {
			return key, errors.New("not a private key")
		}
		return key, nil
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return key, errors.New("not PEM")
	}
	var err error
	key.Key, err = parsePrivateKey(block.Bytes)
	return key, err
}

func parsePrivateKey(der []byte) (any, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	return x509.ParseECPrivateKey(der)
}

// algorithmOf is the algorithm that providers expect of a key that does not name one.
func algorithmOf(key any) (jose.SignatureAlgorithm, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return jose.RS256, nil
	case ed25519.PrivateKey:
		return jose.EdDSA, nil
	case *ecdsa.PrivateKey:
		byBits := map[int]jose.SignatureAlgorithm{256: jose.ES256, 384: jose.ES384, 521: jose.ES512}
		if alg, ok := byBits[k.Params().BitSize]; ok {
			return alg, nil
		}
	}
	return "", fmt.Errorf("privateKey of type %T cannot sign", key)
}
