package devidp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

var errCompact = errors.New("token is not three parts of base64url")

// idToken is an id_token in pieces, to be put together again wrongly (RFC 7515 §7.1).
type idToken struct{ header, claims map[string]any }

func parseIDToken(compact string) (idToken, error) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return idToken{}, errCompact
	}
	header, err := decodePart(parts[0])
	if err != nil {
		return idToken{}, err
	}
	claims, err := decodePart(parts[1])
	if err != nil {
		return idToken{}, err
	}
	return idToken{header, claims}, nil
}

func decodePart(part string) (map[string]any, error) {
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, fmt.Errorf("decode part: %w", errCompact)
	}
	return decodeObject(data)
}

// sign puts the token together again with key, spoiled by fault; other is a key that nobody published.
func (t idToken) sign(fault SignatureFault, key, other signingKey) (string, error) {
	sign := func(input string) ([]byte, error) { return signInput(key.private, input) }
	switch fault {
	case SignatureNone:
		t.header["alg"] = "none"
		sign = func(string) ([]byte, error) { return nil, nil }
	case SignatureFlipped:
		sign = func(input string) ([]byte, error) { return signFlipped(key.private, input) }
	case SignatureOtherKey:
		sign = func(input string) ([]byte, error) { return signInput(other.private, input) }
	case SignatureSymmetric:
		t.header["alg"] = "HS256"
		sign = func(input string) ([]byte, error) { return signWithPublicKey(key.private.Public(), input) }
	case KeyIDAbsent:
		delete(t.header, "kid")
	case KeyIDUnknown:
		t.header["kid"] = rand.Text()
	}
	return t.compact(sign)
}

func (t idToken) compact(sign func(input string) ([]byte, error)) (string, error) {
	header, err := json.Marshal(t.header)
	if err != nil {
		return "", fmt.Errorf("encode header: %w", err)
	}
	claims, err := json.Marshal(t.claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	signature, err := sign(input)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// signInput is RS256 or ES256 (RFC 7518 §3.3, §3.4), after the type of key.
func signInput(key crypto.Signer, input string) ([]byte, error) {
	sum := sha256.Sum256([]byte(input))
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return key.Sign(rand.Reader, sum[:], crypto.SHA256)
	}
	r, s, err := ecdsa.Sign(rand.Reader, ec, sum[:])
	if err != nil {
		return nil, err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signature, nil
}

func signFlipped(key crypto.Signer, input string) ([]byte, error) {
	signature, err := signInput(key, input)
	if err != nil {
		return nil, err
	}
	signature[len(signature)/2] ^= 1
	return signature, nil
}

// signWithPublicKey is the attack on verifiers that take the algorithm from the token (RFC 8725 §2.1).
func signWithPublicKey(key crypto.PublicKey, input string) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	mac.Write([]byte(input))
	return mac.Sum(nil), nil
}

var _ crypto.Signer = (*rsa.PrivateKey)(nil) // signInput relies on its PKCS #1 v1.5 default.
