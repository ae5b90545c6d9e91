package tokens

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// KeySet is the public keys of somebody else, never changed after it is made. It is safe for concurrent use; a nil one
// holds no key.
type KeySet struct{ keys []foreignKey }

// foreignKey is a public key with what its JWK says about its use: no algorithm, no id if they are missing there.
type foreignKey struct {
	id, algorithm string
	public        crypto.PublicKey
}

// ParseKeySet reads a JWK set (RFC 7517 section 5). Keys that cannot be read, or are not for signatures, are left out, as
// that section says, and so are symmetric ones; of private ones the public half is taken. The error says only that body
// is no JWK set.
func ParseKeySet(body []byte) (*KeySet, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(body, &document) != nil || document.Keys == nil {
		return nil, errors.New("parse key set: no list of keys in JSON")
	}
	set := &KeySet{}
	for _, text := range document.Keys {
		if key, ok := parseForeignKey(text); ok {
			set.keys = append(set.keys, key)
		}
	}
	return set, nil
}

func parseForeignKey(text []byte) (foreignKey, bool) {
	key, err := jwk.ParseKey(text)
	if err != nil || !forSignatures(key) {
		return foreignKey{}, false
	}
	public, err := jwk.PublicRawKeyOf(key)
	if err != nil {
		return foreignKey{}, false
	}
	return foreignKey{id: key.KeyID(), algorithm: key.Algorithm().String(), public: public}, true
}

// forSignatures holds a key's use and key_ops, if it has them, against RFC 7517 sections 4.2 and 4.3.
func forSignatures(key jwk.Key) bool {
	if use := key.KeyUsage(); use != "" && use != string(jwk.ForSignature) {
		return false
	}
	ops := key.KeyOps()
	if len(ops) == 0 {
		return true
	}
	for _, op := range ops {
		if op == jwk.KeyOpVerify {
			return true
		}
	}
	return false
}

// verify checks the signature of a token under the one key that fits its header, as contract/core.md T14 says: the
// algorithm is any that fits the key; without a kid there must be no choice.
func (s *KeySet) verify(t compact, h header) error {
	alg, err := algorithmByName(h.alg) // knows neither "none" nor symmetric ones
	if err != nil {
		return errAlgorithm
	}
	key, err := s.find(h, alg)
	if err != nil {
		return err
	}
	v, err := jws.NewVerifier(alg.name)
	if err != nil {
		return fmt.Errorf("make verifier: %w", err)
	}
	return t.verify(v, key)
}

var errAlgorithm = fmt.Errorf("%w: algorithm not accepted", ErrInvalid)

func (s *KeySet) find(h header, alg *algorithm) (found crypto.PublicKey, err error) {
	if s == nil {
		return nil, ErrUnknownKey
	}
	for _, k := range s.keys {
		switch {
		case !k.fits(h, alg):
		case found != nil:
			return nil, fmt.Errorf("%w: several keys fit", ErrInvalid)
		default:
			found = k.public
		}
	}
	if found == nil {
		return nil, ErrUnknownKey
	}
	return found, nil
}

func (k foreignKey) fits(h header, alg *algorithm) bool {
	return (h.kid == "" || h.kid == k.id) && (k.algorithm == "" || k.algorithm == h.alg) && alg.keys.check(k.public) == nil
}
