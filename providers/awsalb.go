package providers

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"time"
)

// awsalb.go: behind an AWS Application Load Balancer that authenticates users. Docs: contract/providers.md 3.1.
//
// Deviations: tokens carry "=" in their segments, and are signed with it, so that no JOSE library reads them; expiresInSeconds
// is the time itself, as in Backstage; the access token, which nobody signed for us, is passed on and never read, where
// Backstage decodes it for a picture and fails with 500 on an opaque one.

func init() {
	register(Kind{ID: "awsalb", Title: "AWS ALB", Flat: true, New: newAWSALB, Resolvers: resolversFor("awsalb")})
}

var _ Provider = (*awsalb)(nil)

// awsalbConfig are the keys of auth.providers.awsalb.
type awsalbConfig struct {
	proxyConfig
	// Issuer is the iss of the tokens: the issuer of the identity provider that the load balancer asks.
	Issuer string `config:"issuer,required"`
	// Region is the load balancer's, such as eu-west-1.
	Region string `config:"region,required"`
	// Signer is the load balancer's ARN.
	Signer string `config:"signer"`
}

type awsalb struct {
	config awsalbConfig
	keys   *pemKeys
	check  assertionCheck
	now    func() time.Time
}

const (
	awsalbData    = "x-amzn-oidc-data"
	awsalbAccess  = "x-amzn-oidc-accesstoken"
	awsalbFailure = "Exception occurred during JWT processing"
)

var (
	awsalbRegion = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+$`)
	// awsalbKID is a UUID today. What could lead to another address of the key host is none.
	awsalbKID = regexp.MustCompile(`^[A-Za-z0-9-]{1,128}$`)
)

func newAWSALB(s Setup) (Provider, error) {
	var c awsalbConfig
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Signer == "" {
		s.Log.Warn("any load balancer of the region that names the issuer is believed; set signer", "provider", s.ID)
	}
	u := newUpstream(s.HTTP, proxyTimeout)
	return &awsalb{
		config: c, now: s.Now,
		keys: newPEMKeys(s.Now, func(ctx context.Context, kid string) (map[string]*ecdsa.PublicKey, error) {
			return awsalbKey(ctx, u, awsalbKeys(c.Region), kid)
		}),
		check: assertionCheck{message: awsalbFailure, skew: clockSkew, needed: []string{"email"}},
	}, nil
}

func (c awsalbConfig) check() error {
	errs := []error{checkAddress("issuer", c.Issuer)}
	if !awsalbRegion.MatchString(c.Region) {
		errs = append(errs, errors.New("region is not an AWS region such as eu-west-1"))
	}
	if c.Signer != "" && !strings.HasPrefix(c.Signer, "arn:") {
		errs = append(errs, errors.New("signer is not the ARN of a load balancer"))
	}
	return errors.Join(errs...)
}

// awsalbKeys is where a region publishes its keys.
func awsalbKeys(region string) string {
	if strings.HasPrefix(region, "us-gov") {
		return "https://s3-" + region + ".amazonaws.com/aws-elb-public-keys-prod-" + region + "/"
	}
	return "https://public-keys.auth.elb." + region + ".amazonaws.com/"
}

func awsalbKey(ctx context.Context, u *upstream, base, kid string) (map[string]*ecdsa.PublicKey, error) {
	body, err := fetchPublished(ctx, u, base+kid)
	if err != nil || body == nil {
		return nil, err
	}
	key, err := readPEMKey(body)
	return map[string]*ecdsa.PublicKey{kid: key}, err
}

// Handle signs in whom the load balancer's token names.
func (a *awsalb) Handle(ctx context.Context, r Request) (Result, error) {
	data, err := neededHeader(r.Header, awsalbData, "Missing ALB OIDC header: "+awsalbData)
	if err != nil {
		return Result{}, err
	}
	access, err := neededHeader(r.Header, awsalbAccess, "Missing ALB OIDC header: "+awsalbAccess)
	if err != nil {
		return Result{}, err
	}
	claims, err := a.open(ctx, data)
	if err != nil {
		return Result{}, err
	}
	return awsalbResult(claims, access), nil
}

func awsalbResult(claims map[string]any, access string) Result {
	email := member(claims, "email")
	p := Profile{Email: email, DisplayName: member(claims, "name"), Picture: member(claims, "picture")}
	if p.DisplayName == "" {
		p.DisplayName, _, _ = strings.Cut(email, "@")
	}
	return Result{
		Session: Session{Subject: member(claims, "sub")}, Profile: p, Claims: claims,
		Info: map[string]any{"accessToken": access, "expiresInSeconds": claims["exp"]},
	}
}

// open returns the claims of a good token.
func (a *awsalb) open(ctx context.Context, raw string) (map[string]any, error) {
	t, err := readAWSALBToken(raw)
	if err != nil {
		return nil, unauthenticated(CodeAssertionMalformed, awsalbFailure, err)
	}
	if alg := member(t.header, "alg"); alg != "ES256" {
		return nil, unauthenticated(CodeAssertionAlg, awsalbFailure, fmt.Errorf("algorithm %s", printable(alg, 20)))
	}
	if err := a.verify(ctx, t); err != nil {
		return nil, err
	}
	if a.config.Signer != "" && t.header["signer"] != a.config.Signer {
		return nil, unauthenticated(CodeAssertionSigner, "Signer mismatch on JWT token", nil)
	}
	claims, err := assertionClaims(t.payload, awsalbFailure)
	if err != nil {
		return nil, err
	}
	if claims["iss"] != a.config.Issuer {
		return nil, unauthenticated(CodeAssertionIssuer, "Issuer mismatch on JWT token", nil)
	}
	return claims, a.check.check(claims, a.now())
}

func (a *awsalb) verify(ctx context.Context, t awsalbToken) error {
	key, err := a.keys.key(ctx, member(t.header, "kid"))
	if err != nil && !errors.Is(err, errUnverified) {
		return err
	}
	if err != nil || !t.signedBy(key) {
		return unauthenticated(CodeAssertionSignature, awsalbFailure, errUnverified)
	}
	return nil
}

// awsalbToken is a token before its signature is checked.
type awsalbToken struct {
	header             map[string]any
	payload, signature []byte
	// signed is the text that the signature is over, padding included.
	signed string
}

func readAWSALBToken(raw string) (awsalbToken, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return awsalbToken{}, errors.New("not three segments")
	}
	var decoded [3][]byte
	for i, part := range parts {
		b, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(part, "="))
		if err != nil {
			return awsalbToken{}, errors.New("a segment is not base64url")
		}
		decoded[i] = b
	}
	header, err := jsonObject(decoded[0])
	if err != nil {
		return awsalbToken{}, fmt.Errorf("read header: %w", err)
	}
	if _, critical := header["crit"]; critical || !awsalbKID.MatchString(member(header, "kid")) {
		return awsalbToken{}, errors.New("the kid is not a key's, or crit asks for an extension")
	}
	return awsalbToken{header, decoded[1], decoded[2], parts[0] + "." + parts[1]}, nil
}

// signedBy checks an ES256 signature (RFC 7518 section 3.4).
func (t awsalbToken) signedBy(key *ecdsa.PublicKey) bool {
	const half = 32
	if len(t.signature) != 2*half {
		return false
	}
	hash := sha256.Sum256([]byte(t.signed))
	r, s := new(big.Int).SetBytes(t.signature[:half]), new(big.Int).SetBytes(t.signature[half:])
	return ecdsa.Verify(key, hash[:], r, s)
}
