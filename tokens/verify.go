package tokens

import (
	"context"
	"time"
)

// Verify says whom a user token or limited user token of ours speaks for.
//
// Accepted is what one of our keys signed under a header that we write, or a key of the Neighbour under one of the same
// meaning, with sub, iat and an exp in the future; there is
// no tolerance for clocks (contract/core.md T11, T12, T14). The error is ErrUnrecognised if raw is not shaped like such a
// token, ErrInvalid if it is and does not hold, and the store's if the key is unknown and the store does not answer.
//
// Differs from Backstage: tokens without its typ (contract/core.md T13) are not accepted, because we issue none.
func (i *Issuer) Verify(ctx context.Context, raw string) (Principal, error) {
	t, err := splitCompact(raw)
	if err != nil {
		return Principal{}, err
	}
	key, err := i.ring.verifier(ctx, t.header)
	if err != nil {
		return Principal{}, err
	}
	if err := t.verify(key.verifier, key.public); err != nil {
		return Principal{}, err
	}
	c, err := t.claims()
	if err != nil {
		return Principal{}, err
	}
	if i.ring.now().Unix() >= c.exp {
		return Principal{}, errExpired
	}
	return Principal{Subject: c.subject, Limited: key.limited(t.header), ExpiresAt: time.Unix(c.exp, 0).UTC()}, nil
}

// limited says whether a header of this key's tokens is that of a limited one.
func (s *signingKey) limited(encoded string) bool {
	if s.foreign {
		h, err := decodeHeader(encoded)
		return err == nil && h.typ == typLimited
	}
	return encoded == s.headers[typLimited]
}
