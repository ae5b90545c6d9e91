package providers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"
)

// jwtheader.go: behind any proxy that adds a signed token in a header. It has no counterpart in Backstage.

func init() {
	register(Kind{ID: "jwtHeader", Title: "Signed header", Flat: true, New: newJWTHeader, Resolvers: resolversFor("jwtHeader")})
}

var _ Provider = (*jwtHeader)(nil)

// jwtHeaderConfig are the keys of an entry with type jwtHeader.
type jwtHeaderConfig struct {
	proxyConfig
	// Header holds the token, with or without "Bearer ".
	Header string `config:"header,required"`
	// Issuer is the iss of the tokens. Without JWKSURL the keys are found through its discovery document.
	Issuer  string `config:"issuer"`
	JWKSURL string `config:"jwksUrl"`
	// Audience is what aud must contain.
	Audience string `config:"audience,required"`
	// Algorithms are those that tokens may be signed with; empty means RS256 and ES256.
	Algorithms []string        `config:"algorithms,words"`
	Claims     jwtHeaderClaims `config:"claims"`
}

// jwtHeaderClaims are the claims that make the profile; empty means the standard ones.
type jwtHeaderClaims struct {
	Email    string `config:"email"`
	Name     string `config:"name"`
	Picture  string `config:"picture"`
	Username string `config:"username"`
}

const jwtHeaderFailure = "The token of the proxy is not valid"

type jwtHeader struct {
	header string
	claims jwtHeaderClaims
	keys   assertionKeys
	check  assertionCheck
	now    func() time.Time
}

func newJWTHeader(s Setup) (Provider, error) {
	var c jwtHeaderConfig
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = []string{string(jose.RS256), string(jose.ES256)}
	}
	if err := errors.Join(checkHeaderName("header", c.Header), c.checkAddresses(), c.checkAlgorithms()); err != nil {
		return nil, err
	}
	u := newUpstream(s.HTTP, proxyTimeout)
	keys := assertionKeys{}
	for _, alg := range c.Algorithms {
		keys[jose.SignatureAlgorithm(alg)] = c.verifier(u, jose.SignatureAlgorithm(alg), s.Now)
	}
	return &jwtHeader{
		header: c.Header, keys: keys, now: s.Now,
		claims: jwtHeaderClaims{
			cmp.Or(c.Claims.Email, "email"), cmp.Or(c.Claims.Name, "name"), cmp.Or(c.Claims.Picture, "picture"),
			cmp.Or(c.Claims.Username, "preferred_username"),
		},
		check: assertionCheck{message: jwtHeaderFailure, issuer: c.Issuer, audience: c.Audience, skew: clockSkew, needed: []string{"sub"}},
	}, nil
}

func (c jwtHeaderConfig) checkAddresses() error {
	if c.Issuer == "" && c.JWKSURL == "" {
		return errors.New("issuer or jwksUrl is missing: whose tokens count?")
	}
	key, address := "jwksUrl", c.JWKSURL
	if address == "" {
		key, address = "issuer", c.Issuer
	}
	u, err := url.Parse(address)
	if err != nil || !isEndpoint(address, !isLoopback(u.Hostname())) {
		return fmt.Errorf("%s is not an https address", key)
	}
	return nil
}

// checkAlgorithms leaves out those with a shared secret: whoever can check such a token can make one.
func (c jwtHeaderConfig) checkAlgorithms() error {
	for _, alg := range c.Algorithms {
		switch jose.SignatureAlgorithm(alg) {
		case jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA:
		default:
			return errors.New("algorithms holds something else than RS256 to RS512, PS256 to PS512, ES256 to ES512 and EdDSA")
		}
	}
	return nil
}

func (c jwtHeaderConfig) verifier(u *upstream, alg jose.SignatureAlgorithm, now func() time.Time) signatureVerifier {
	if c.JWKSURL != "" {
		return newKeySet(u, c.JWKSURL, alg, now)
	}
	return &jwtHeaderIssuer{upstream: u, issuer: c.Issuer, alg: alg, now: now}
}

// jwtHeaderIssuer finds the keys of an issuer when they are first needed (OpenID Connect Discovery 1.0 section 4). It is
// safe for concurrent use.
type jwtHeaderIssuer struct {
	upstream *upstream
	issuer   string
	alg      jose.SignatureAlgorithm
	now      func() time.Time

	flight singleflight.Group
	keys   atomic.Pointer[keySet]
}

func (i *jwtHeaderIssuer) verify(ctx context.Context, jws *jose.JSONWebSignature) ([]byte, error) {
	keys, err := i.found(ctx)
	if err != nil {
		return nil, err
	}
	return keys.verify(ctx, jws)
}

// found asks once for all who need the keys at the same time. The call outlives the caller who began it.
func (i *jwtHeaderIssuer) found(ctx context.Context) (*keySet, error) {
	if keys := i.keys.Load(); keys != nil {
		return keys, nil
	}
	done := i.flight.DoChan("", contained(func() (any, error) { return i.discover(context.WithoutCancel(ctx)) }))
	return await[*keySet](ctx, done)
}

func (i *jwtHeaderIssuer) discover(ctx context.Context) (*keySet, error) {
	if keys := i.keys.Load(); keys != nil {
		return keys, nil
	}
	address := strings.TrimSuffix(i.issuer, "/") + "/.well-known/openid-configuration"
	a, err := i.upstream.get(ctx, address, http.Header{"Accept": {"application/json"}})
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, unavailable(CodeDiscovery, "the metadata of the proxy's issuer cannot be read", fmt.Errorf("status %d", a.status))
	}
	m, err := a.object()
	jwks := member(m, "jwks_uri")
	if err != nil || m["issuer"] != i.issuer || !isEndpoint(jwks, strings.HasPrefix(i.issuer, "https:")) {
		return nil, unavailable(CodeMetadata, "the metadata of the proxy's issuer is refused", err)
	}
	keys := newKeySet(i.upstream, jwks, i.alg, i.now)
	i.keys.Store(keys)
	return keys, nil
}

// Handle signs in whom the token names. An email that the token itself calls unverified is none.
func (j *jwtHeader) Handle(ctx context.Context, r Request) (Result, error) {
	raw, err := neededHeader(r.Header, j.header, "Missing header "+j.header)
	if err != nil {
		return Result{}, err
	}
	if scheme, token, ok := strings.Cut(raw, " "); ok && strings.EqualFold(scheme, "Bearer") {
		raw = strings.TrimSpace(token)
	}
	claims, err := j.keys.open(ctx, raw, jwtHeaderFailure)
	if err == nil {
		err = j.check.check(claims, j.now())
	}
	if err != nil {
		return Result{}, err
	}
	p := Profile{
		Email: member(claims, j.claims.Email), DisplayName: member(claims, j.claims.Name),
		Picture: member(claims, j.claims.Picture), Username: member(claims, j.claims.Username),
	}
	if verified, there := claims["email_verified"]; there && verified != true {
		p.Email = ""
	}
	return Result{
		Session: Session{Subject: member(claims, "sub")}, Profile: p, Claims: claims, Info: map[string]any{"claims": claims},
	}, nil
}
