package providers

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// assertionKeys verify the signatures of a proxy, by the algorithms that it may use.
type assertionKeys map[jose.SignatureAlgorithm]signatureVerifier

// open returns the claims of a compact JWS whose signature is good; message is what the user is told if it is not. The
// error is an *Error.
func (k assertionKeys) open(ctx context.Context, raw, message string) (map[string]any, error) {
	jws, err := jose.ParseSignedCompact(raw, slices.Collect(maps.Keys(k)))
	if unexpected, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
		return nil, unauthenticated(CodeAssertionAlg, message, fmt.Errorf("algorithm %s", printable(string(unexpected.Got), 20)))
	}
	if err != nil {
		return nil, unauthenticated(CodeAssertionMalformed, message, errors.New("not a signed JWT"))
	}
	payload, err := k[jose.SignatureAlgorithm(jws.Signatures[0].Header.Algorithm)].verify(ctx, jws)
	if errors.Is(err, errUnverified) {
		return nil, unauthenticated(CodeAssertionSignature, message, err)
	}
	if err != nil {
		return nil, err
	}
	return assertionClaims(payload, message)
}

func assertionClaims(payload []byte, message string) (map[string]any, error) {
	claims, err := jsonObject(payload)
	if err != nil {
		return nil, unauthenticated(CodeAssertionMalformed, message, err)
	}
	return claims, nil
}

// assertionCheck is what the claims of a proxy's token must be.
type assertionCheck struct {
	// message is what the user is told of any fault.
	message string
	// issuer and audience are compared exactly, unless empty.
	issuer, audience string
	// skew is how far the proxy's clock and ours may be apart, in either direction.
	skew time.Duration
	// longest is how far ahead exp may be, skew included; 0 means any time.
	longest time.Duration
	// issuedAt says that the date iat must be there.
	issuedAt bool
	// needed are strings that must be there and not be empty.
	needed []string
}

// check holds the claims against all of it. The error is an *Error, and does not repeat a claim.
func (c assertionCheck) check(claims map[string]any, now time.Time) error {
	for _, check := range []func() error{
		func() error { return c.checkIssuer(claims) },
		func() error { return c.checkAudience(claims) },
		func() error { return c.checkTimes(claims, now) },
		func() error { return c.checkNeeded(claims) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c assertionCheck) checkIssuer(claims map[string]any) error {
	iss, err := text(claims, "iss")
	if err != nil {
		return c.malformed(err)
	}
	if c.issuer != "" && iss != c.issuer {
		return unauthenticated(CodeAssertionIssuer, c.message, errors.New("unexpected iss"))
	}
	return nil
}

func (c assertionCheck) checkAudience(claims map[string]any) error {
	audience, err := audienceOf(claims)
	if err != nil {
		return c.malformed(err)
	}
	if c.audience != "" && !slices.Contains(audience, c.audience) {
		return unauthenticated(CodeAssertionAudience, c.message, errors.New("unexpected aud"))
	}
	return nil
}

func (c assertionCheck) checkTimes(claims map[string]any, now time.Time) error {
	dates := map[string]time.Time{}
	for _, key := range []string{"exp", "iat", "nbf"} {
		t, err := dateOf(claims, key)
		if err != nil {
			return c.malformed(err)
		}
		dates[key] = t
	}
	late, early := now.Add(-c.skew), now.Add(c.skew)
	switch exp := dates["exp"]; {
	case exp.IsZero(), c.issuedAt && dates["iat"].IsZero():
		return c.malformed(errors.New("exp or iat is missing"))
	case !exp.After(late):
		return unauthenticated(CodeAssertionClock, c.message, errors.New("expired"))
	case dates["iat"].After(early), dates["nbf"].After(early):
		return unauthenticated(CodeAssertionClock, c.message, errors.New("not valid yet"))
	case c.longest > 0 && !exp.Before(now.Add(c.longest)):
		return unauthenticated(CodeAssertionClock, c.message, errors.New("valid for too long"))
	}
	return nil
}

func (c assertionCheck) checkNeeded(claims map[string]any) error {
	for _, key := range c.needed {
		s, err := text(claims, key)
		if err != nil {
			return c.malformed(err)
		}
		if s == "" {
			return unauthenticated(CodeAssertionClaim, c.message, fmt.Errorf("%s is missing", key))
		}
	}
	return nil
}

func (c assertionCheck) malformed(err error) *Error {
	return unauthenticated(CodeAssertionMalformed, c.message, err)
}

// decodeJWT returns the claims of a token from a trusted peer without looking at its signature; message is what the user
// is told if it is none.
func decodeJWT(raw, message string) (map[string]any, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, unauthenticated(CodeAssertionMalformed, message, errors.New("not three segments"))
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return nil, unauthenticated(CodeAssertionMalformed, message, errors.New("the payload is not base64url"))
	}
	return assertionClaims(payload, message)
}
