package tokens

import "fmt"

// LimitedToken makes the limited user token out of a full one, as every consumer does (contract/core.md T20): it names
// the user and nothing else, and ends when the full one does. The signature is the full token's uip claim.
//
// It does not verify raw. The error is ErrUnrecognised if raw is not a full user token, and ErrInvalid if it lacks a
// claim that the limited one needs.
func LimitedToken(raw string) (string, error) {
	t, err := splitCompact(raw)
	if err != nil {
		return "", err
	}
	h, err := decodeHeader(t.header)
	if err != nil {
		return "", err
	}
	if h.typ != typUser {
		return "", ErrUnrecognised
	}
	c, err := t.claims()
	if err != nil {
		return "", err
	}
	if c.uip == "" {
		return "", fmt.Errorf("%w: no user identity proof", ErrInvalid)
	}
	head, err := encodeHeader(typLimited, h.alg, h.kid)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	payload, err := limitedClaims(c.subject, c.period)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return head + "." + encoding.EncodeToString(payload) + "." + c.uip, nil
}
