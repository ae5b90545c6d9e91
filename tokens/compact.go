package tokens

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jws"
)

// encoding is that of all parts of a JWS (RFC 7515 section 2), with only one accepted spelling.
var encoding = base64.RawURLEncoding.Strict()

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

// signatureBytes decodes the signature. Its text must be the only one for its bytes: Go's decoder skips line breaks.
func (t compact) signatureBytes() ([]byte, error) {
	signature, err := encoding.DecodeString(t.signature)
	if err != nil || encoding.EncodedLen(len(signature)) != len(t.signature) {
		return nil, fmt.Errorf("%w: malformed signature", ErrInvalid)
	}
	return signature, nil
}

// verify checks the signature with a public key.
func (t compact) verify(v jws.Verifier, public crypto.PublicKey) error {
	signature, err := t.signatureBytes()
	if err != nil {
		return err
	}
	if err := v.Verify([]byte(t.signed), signature, public); err != nil {
		return errSigned
	}
	return nil
}

// errSigned does not carry what the library says, which may quote the token.
var errSigned = fmt.Errorf("%w: wrong signature", ErrInvalid)

// members is a JSON object. Names match exactly, unlike those of struct tags: "Sub" is another claim than "sub".
type members map[string]json.RawMessage

// decodeMembers reads a header or payload; ok is false unless it is a JSON object.
func decodeMembers(encoded string) (m members, ok bool) {
	text, err := encoding.DecodeString(encoded)
	if err != nil || json.Unmarshal(text, &m) != nil {
		return nil, false
	}
	return m, m != nil
}

// read decodes a member that must be there and must not be null.
func (m members) read(name string, into any) bool {
	value, ok := m[name]
	return ok && string(value) != "null" && json.Unmarshal(value, into) == nil
}

// readOptional decodes a member that may be missing, but has its type if it is there.
func (m members) readOptional(name string, into any) bool {
	value, ok := m[name]
	return !ok || json.Unmarshal(value, into) == nil
}

// header is the members of a JOSE header that have a say here (RFC 7515 section 4.1); a missing one is empty.
type header struct {
	typ, alg, kid string
	// critical is true if the header demands that its reader understands more than that.
	critical bool
}

func decodeHeader(encoded string) (header, error) {
	m, ok := decodeMembers(encoded)
	if !ok {
		return header{}, ErrUnrecognised
	}
	var h header
	if !m.readOptional("typ", &h.typ) || !m.readOptional("alg", &h.alg) || !m.readOptional("kid", &h.kid) {
		return header{}, ErrUnrecognised
	}
	_, h.critical = m["crit"]
	return h, nil
}

// claims are those that every user token of ours has; uip is empty in a limited one.
type claims struct {
	subject, uip string
	period
}

var errClaims = fmt.Errorf("%w: malformed claims", ErrInvalid)

// claims reads the payload.
func (t compact) claims() (claims, error) {
	m, ok := decodeMembers(t.payload)
	if !ok {
		return claims{}, errClaims
	}
	var c claims
	if !m.read("sub", &c.subject) || !m.read("iat", &c.iat) || !m.read("exp", &c.exp) || !m.readOptional("uip", &c.uip) {
		return claims{}, errClaims
	}
	if c.subject == "" {
		return claims{}, errClaims
	}
	return c, nil
}
