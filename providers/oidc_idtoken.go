package providers

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// clockSkew is how far the provider's clock and ours may be apart, in either direction.
//
// Differs from Backstage: it tolerates nothing, and so turns users away while a clock is being set.
const clockSkew = time.Minute

// latestDate bounds NumericDate values: the end of the year 9999 in seconds. Larger ones overflow somewhere.
const latestDate = 253402300799

// idTokenCheck is what an id_token must be about.
type idTokenCheck struct {
	issuer   oidcIssuer
	clientID string
	alg      jose.SignatureAlgorithm
	keys     signatureVerifier
	now      time.Time
	// nonce must be in the token, unless it is empty: a refresh has none, and some Kinds send none.
	nonce string
	// subject must be the token's, unless it is empty.
	subject string
	// accessToken and code are what at_hash and c_hash are compared with.
	accessToken, code string
}

// verify returns the claims of a good id_token (OpenID Connect Core sections 3.1.3.7, 3.1.3.8 and 12.2). The error is an
// *Error, and does not repeat a claim.
//
// rp.VerifyIDToken is not used: it reads the real clock, applies the skew to exp in the wrong direction, ignores nbf,
// takes dates that are strings, and panics on an aud that holds a number.
func (c idTokenCheck) verify(ctx context.Context, raw string) (map[string]any, error) {
	claims, err := verifyJWT(ctx, raw, c.alg, c.keys, "id_token")
	if err != nil {
		return nil, err
	}
	for _, check := range []func(map[string]any) error{c.checkIssuer, c.checkAudience, c.checkTimes, c.checkSubject, c.checkNonce, c.checkHashes} {
		if err := check(claims); err != nil {
			return nil, err
		}
	}
	return claims, nil
}

// verifyJWT returns the claims of a compact JWS signed with alg; what is the token's name in messages. Nothing of the token is read
// before its signature is checked, except for the header.
func verifyJWT(ctx context.Context, raw string, alg jose.SignatureAlgorithm, keys signatureVerifier, what string) (map[string]any, error) {
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{alg})
	if unexpected, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
		return nil, fail(CodeIDTokenAlg, fmt.Sprintf("unexpected JWT alg of the %s, expected %s", what, alg),
			fmt.Errorf("algorithm %s", printable(string(unexpected.Got), 20)))
	}
	if err != nil {
		return nil, fail(CodeIDTokenMalformed, "the "+what+" is not a signed JWT", nil)
	}
	payload, err := keys.verify(ctx, jws)
	if errors.Is(err, errUnverified) {
		return nil, fail(CodeIDTokenSignature, "failed to validate the signature of the "+what, nil)
	}
	if err != nil {
		return nil, err
	}
	claims, err := jsonObject(payload)
	if err != nil {
		return nil, fail(CodeIDTokenMalformed, "the claims of the "+what+" are malformed", err)
	}
	return claims, nil
}

func (c idTokenCheck) checkIssuer(claims map[string]any) error {
	iss, err := text(claims, "iss")
	if err != nil {
		return malformed(err)
	}
	// tid is Entra's; whatever another provider keeps under that name does not matter.
	tenant, _ := claims["tid"].(string)
	if !c.issuer.matches(iss, tenant) {
		return fail(CodeIDTokenIssuer, "unexpected iss value in the id_token", nil)
	}
	return nil
}

func (c idTokenCheck) checkAudience(claims map[string]any) error {
	audience, err := audienceOf(claims)
	if err != nil {
		return malformed(err)
	}
	azp, err := text(claims, "azp")
	if err != nil {
		return malformed(err)
	}
	wrongParty := azp != c.clientID && (azp != "" || len(audience) > 1)
	if wrongParty || !slices.Contains(audience, c.clientID) {
		return fail(CodeIDTokenAudience, "the id_token is not meant for this client", nil)
	}
	return nil
}

// audienceOf reads aud, a string or a list of strings (RFC 7519 section 4.1.3).
func audienceOf(claims map[string]any) ([]string, error) {
	switch aud := claims["aud"].(type) {
	case nil:
		return nil, nil
	case string:
		return []string{aud}, nil
	case []any:
		var all []string
		for _, v := range aud {
			s, ok := v.(string)
			if !ok {
				return nil, errors.New("aud holds something else than strings")
			}
			all = append(all, s)
		}
		return all, nil
	}
	return nil, errors.New("aud is neither a string nor a list")
}

func (c idTokenCheck) checkTimes(claims map[string]any) error {
	exp, iat, nbf := time.Time{}, time.Time{}, time.Time{}
	for _, date := range []struct {
		key      string
		into     *time.Time
		required bool
	}{{"exp", &exp, true}, {"iat", &iat, true}, {"nbf", &nbf, false}} {
		t, err := dateOf(claims, date.key)
		if err != nil || date.required && t.IsZero() {
			return malformed(fmt.Errorf("%s is not a date in seconds", date.key))
		}
		*date.into = t
	}
	switch late, early := c.now.Add(-clockSkew), c.now.Add(clockSkew); {
	case !exp.After(late):
		return fail(CodeIDTokenClock, "the id_token has expired; compare the clocks", nil)
	case iat.After(early), nbf.After(early):
		return fail(CodeIDTokenClock, "the id_token is not valid yet; compare the clocks", nil)
	}
	return nil
}

// dateOf reads a NumericDate (RFC 7519 section 2). It is the zero time if absent.
func dateOf(claims map[string]any, key string) (time.Time, error) {
	v, ok := claims[key]
	if !ok {
		return time.Time{}, nil
	}
	seconds, ok := v.(float64)
	if !ok || seconds < 1 || seconds > latestDate {
		return time.Time{}, fmt.Errorf("%s out of range", key)
	}
	return time.Unix(int64(seconds), 0), nil
}

func (c idTokenCheck) checkSubject(claims map[string]any) error {
	sub, err := text(claims, "sub")
	switch {
	case err != nil:
		return malformed(err)
	case sub == "":
		return malformed(errors.New("sub is missing"))
	case c.subject != "" && sub != c.subject:
		return fail(CodeSubject, "the id_token is about another user", nil)
	}
	return nil
}

func (c idTokenCheck) checkNonce(claims map[string]any) error {
	if c.nonce == "" {
		return nil
	}
	nonce, err := text(claims, "nonce")
	if err != nil {
		return malformed(err)
	}
	if subtle.ConstantTimeCompare([]byte(nonce), []byte(c.nonce)) != 1 {
		return fail(CodeIDTokenNonce, "nonce mismatch", nil)
	}
	return nil
}

func (c idTokenCheck) checkHashes(claims map[string]any) error {
	for key, value := range map[string]string{"at_hash": c.accessToken, "c_hash": c.code} {
		claim, err := text(claims, key)
		if err != nil {
			return malformed(err)
		}
		if _, there := claims[key]; there && value != "" && claim != leftHash(c.alg, value) {
			return fail(CodeIDTokenHash, key+" mismatch", nil)
		}
	}
	return nil
}

// leftHash is the base64url of the left half of value's hash, by the algorithm of the signature (OpenID Connect Core
// section 3.1.3.6). Ed25519 signs with SHA-512.
func leftHash(alg jose.SignatureAlgorithm, value string) string {
	var h hash.Hash
	switch {
	case strings.HasSuffix(string(alg), "256"):
		h = sha256.New()
	case strings.HasSuffix(string(alg), "384"):
		h = sha512.New384()
	default:
		h = sha512.New()
	}
	h.Write([]byte(value))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:h.Size()/2])
}

func malformed(err error) *Error {
	return fail(CodeIDTokenMalformed, "the id_token is malformed", err)
}
