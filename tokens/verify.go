package tokens

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Verify says whom a user token or limited user token of ours speaks for.
//
// Accepted is what one of our keys signed under a header that we write, with sub, iat and an exp in the future; there is
// no tolerance for clocks (contract/core.md T11, T12, T14). The error is ErrUnrecognised if raw is not shaped like such a
// token, ErrInvalid if it is and does not hold, and the store's if the key is unknown and the store does not answer.
//
// Differs from Backstage: tokens without its typ (contract/core.md T13) are not accepted, because we issue none.
func (i *Issuer) Verify(ctx context.Context, raw string) (Principal, error) {
	t, err := splitCompact(raw)
	if err != nil {
		return Principal{}, err
	}
	key, err := i.keyOf(ctx, t.header)
	if err != nil {
		return Principal{}, err
	}
	if err := key.verify(t); err != nil {
		return Principal{}, err
	}
	c, err := t.claims()
	if err != nil {
		return Principal{}, err
	}
	if i.now().Unix() >= c.exp {
		return Principal{}, fmt.Errorf("%w: expired", ErrInvalid)
	}
	return Principal{Subject: c.subject, Limited: t.header == key.limited, ExpiresAt: time.Unix(c.exp, 0).UTC()}, nil
}

// keyOf finds the key by the encoded header, byte for byte. No member of a header that somebody else wrote has a say in
// how a token is verified: not its alg, not a key in it, not a second kid.
func (i *Issuer) keyOf(ctx context.Context, encoded string) (*signingKey, error) {
	s, err := i.ring.keys(ctx, i.now())
	if err != nil {
		return nil, fmt.Errorf("verify token: %w", err)
	}
	if key := s.byHeader[encoded]; key != nil {
		return key, nil
	}
	h, err := decodeHeader(encoded)
	if err != nil {
		return nil, err
	}
	if h.Typ != typUser && h.Typ != typLimited {
		return nil, ErrUnrecognised
	}
	if s.byID[h.Kid] != nil {
		return nil, fmt.Errorf("%w: header is not ours", ErrInvalid)
	}
	if s, err = i.ring.renewed(ctx); err != nil {
		return nil, fmt.Errorf("verify token: %w", err)
	}
	if key := s.byHeader[encoded]; key != nil {
		return key, nil
	}
	return nil, fmt.Errorf("%w: unknown key", ErrInvalid)
}

// verify checks the signature. Its text must be the only one for its bytes: Go's decoder skips line breaks.
func (s *signingKey) verify(t compact) error {
	signature, err := encoding.DecodeString(t.signature)
	if err != nil || encoding.EncodedLen(len(signature)) != len(t.signature) {
		return fmt.Errorf("%w: malformed signature", ErrInvalid)
	}
	if err := s.verifier.Verify([]byte(t.signed), signature, s.public); err != nil {
		return fmt.Errorf("%w: wrong signature", ErrInvalid)
	}
	return nil
}

// compact is the parts of a compact JWS, still encoded; signed is header and payload with the dot between.
type compact struct{ header, payload, signature, signed string }

func splitCompact(raw string) (compact, error) {
	if len(raw) > maxTokenLength {
		return compact{}, ErrUnrecognised
	}
	header, rest, _ := strings.Cut(raw, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(signature, ".") {
		return compact{}, ErrUnrecognised
	}
	return compact{header, payload, signature, raw[:len(header)+1+len(payload)]}, nil
}

// header is the members of a JOSE header that our tokens have.
type header struct{ Typ, Alg, Kid string }

func decodeHeader(encoded string) (header, error) {
	text, err := encoding.DecodeString(encoded)
	if err != nil {
		return header{}, ErrUnrecognised
	}
	var h header
	if json.Unmarshal(text, &h) != nil {
		return header{}, ErrUnrecognised
	}
	return h, nil
}

// claims are those that every token of ours has; uip is empty in a limited one.
type claims struct {
	subject, uip string
	period
}

// claims reads the payload. Names match exactly, unlike those of struct tags: "Sub" may be an additional claim.
func (t compact) claims() (claims, error) {
	malformed := fmt.Errorf("%w: malformed claims", ErrInvalid)
	text, err := encoding.DecodeString(t.payload)
	if err != nil {
		return claims{}, malformed
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil {
		return claims{}, malformed
	}
	var c claims
	for name, into := range map[string]any{"sub": &c.subject, "iat": &c.iat, "exp": &c.exp} {
		if value, ok := members[name]; !ok || string(value) == "null" || json.Unmarshal(value, into) != nil {
			return claims{}, malformed
		}
	}
	if c.subject == "" {
		return claims{}, malformed
	}
	if uip, ok := members["uip"]; ok && json.Unmarshal(uip, &c.uip) != nil {
		return claims{}, malformed
	}
	return c, nil
}
