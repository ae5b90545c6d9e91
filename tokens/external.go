package tokens

import (
	"crypto/hmac"
	"crypto/sha256"
	"slices"
	"time"
)

// RemoteRules are what the tokens of an external caller must say, beyond being signed by its keys. Of each, an empty list
// allows anything.
type RemoteRules struct {
	// Issuers and Audiences are the values of which iss must be one and aud must hold one.
	Issuers, Audiences []string
	// Algorithms are the JWS algorithms that alg must be one of. Symmetric ones and "none" are never accepted.
	Algorithms []string
}

// ExternalPrincipal is whom a verified token of an external caller speaks for.
type ExternalPrincipal struct {
	// Subject is the token's sub, never empty.
	Subject string
	// ExpiresAt is the end of the token, in UTC; zero if it has none, which Backstage allows.
	ExpiresAt time.Time
}

// VerifyRemote says whom a token speaks for that an external caller signed with one of its own keys (contract/core.md
// T29, type jwks).
//
// The error is ErrUnrecognised if raw is no JWS, ErrUnknownKey if no key fits its header, and ErrInvalid if it does not
// hold for another reason.
func VerifyRemote(raw string, keys *KeySet, rules RemoteRules, now time.Time) (ExternalPrincipal, error) {
	t, err := splitCompact(raw)
	if err != nil {
		return ExternalPrincipal{}, err
	}
	h, err := t.foreignHeader("")
	if err != nil {
		return ExternalPrincipal{}, err
	}
	if !allowed(rules.Algorithms, h.alg) {
		return ExternalPrincipal{}, errAlgorithm
	}
	if err := keys.verify(t, h); err != nil {
		return ExternalPrincipal{}, err
	}
	c, err := t.registered(now)
	switch {
	case err != nil:
		return ExternalPrincipal{}, err
	case c.subject == "":
		return ExternalPrincipal{}, errClaims
	case !allowed(rules.Issuers, c.issuer):
		return ExternalPrincipal{}, errIssuer
	case !allowed(rules.Audiences, c.audience...):
		return ExternalPrincipal{}, errAudience
	}
	return ExternalPrincipal{Subject: c.subject, ExpiresAt: c.expiresAt}, nil
}

// allowed says whether one of values is in list, or list is empty.
func allowed(list []string, values ...string) bool {
	return len(list) == 0 || slices.ContainsFunc(values, func(v string) bool { return slices.Contains(list, v) })
}

// legacySubject is the sub of every legacy token (contract/core.md T29).
const legacySubject = "backstage-server"

// VerifyLegacy verifies a legacy token, which a caller signed with a secret that it shares with us (contract/core.md T29,
// type legacy): HS256, the sub "backstage-server", no aud. It returns the token's end in UTC, or the zero time if it has
// none, which Backstage allows.
//
// The error is ErrUnrecognised if raw is not shaped like such a token, whatever the secret, and ErrInvalid if it was
// signed with another secret or has expired. An empty secret signs nothing.
func VerifyLegacy(raw string, secret []byte, now time.Time) (expiresAt time.Time, err error) {
	t, err := splitCompact(raw)
	if err != nil {
		return time.Time{}, err
	}
	if !t.legacy() {
		return time.Time{}, ErrUnrecognised
	}
	if _, err := t.foreignHeader(""); err != nil {
		return time.Time{}, err
	}
	signature, err := t.signatureBytes()
	if err != nil {
		return time.Time{}, err
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t.signed))
	if len(secret) == 0 || !hmac.Equal(signature, mac.Sum(nil)) {
		return time.Time{}, errSigned
	}
	c, err := t.registered(now)
	return c.expiresAt, err
}

// legacy says whether the token looks like a legacy one. Backstage takes an empty aud for none.
func (t compact) legacy() bool {
	h, err := decodeHeader(t.header)
	m, ok := decodeMembers(t.payload)
	if err != nil || !ok || h.alg != "HS256" {
		return false
	}
	var subject, audience string
	return m.read("sub", &subject) && subject == legacySubject && m.readOptional("aud", &audience) && audience == ""
}
