package tokens

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// DefaultAlgorithm is the JWS algorithm of keys for which none is configured.
const DefaultAlgorithm = "ES256"

// rsaBits is the size of generated RSA keys and the least that RFC 7518 section 3.3 allows.
const rsaBits = 2048

// algorithm is one JWS signature algorithm (RFC 7518 section 3.1, RFC 8037 section 3.1).
type algorithm struct {
	name jwa.SignatureAlgorithm
	// opts is what crypto.Signer needs to know; without a hash the message itself is signed.
	opts crypto.SignerOpts
	keys family
}

// family is a kind of key pair.
type family interface {
	generate() (crypto.Signer, error)
	// check says why a public key is not of this family or too weak.
	check(crypto.PublicKey) error
	// signatureSize is the length of a JWS signature in bytes.
	signatureSize(crypto.PublicKey) int
	// jws turns what crypto.Signer returns into the form that JWS wants.
	jws(sig []byte) ([]byte, error)
}

var algorithms = []algorithm{
	{jwa.ES256, crypto.SHA256, ecKeys{elliptic.P256()}},
	{jwa.ES384, crypto.SHA384, ecKeys{elliptic.P384()}},
	{jwa.ES512, crypto.SHA512, ecKeys{elliptic.P521()}},
	{jwa.RS256, crypto.SHA256, rsaKeys{}},
	{jwa.RS384, crypto.SHA384, rsaKeys{}},
	{jwa.RS512, crypto.SHA512, rsaKeys{}},
	{jwa.PS256, pss(crypto.SHA256), rsaKeys{}},
	{jwa.PS384, pss(crypto.SHA384), rsaKeys{}},
	{jwa.PS512, pss(crypto.SHA512), rsaKeys{}},
	{jwa.EdDSA, crypto.Hash(0), edKeys{}},
}

// pss are the options of RFC 7518 section 3.5: a salt as long as the hash.
func pss(h crypto.Hash) *rsa.PSSOptions {
	return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: h}
}

func algorithmByName(name string) (*algorithm, error) {
	for i := range algorithms {
		if string(algorithms[i].name) == name {
			return &algorithms[i], nil
		}
	}
	return nil, fmt.Errorf("unknown token algorithm %q", name)
}

// sign returns the JWS signature of msg.
func (a *algorithm) sign(key crypto.Signer, msg []byte) ([]byte, error) {
	sig, err := a.signHashed(key, msg)
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", a.name, err)
	}
	return a.keys.jws(sig)
}

// signHashed spells out the three hashes, whose Sum functions need no heap, because this is the hot path.
func (a *algorithm) signHashed(key crypto.Signer, msg []byte) ([]byte, error) {
	switch a.opts.HashFunc() {
	case crypto.SHA256:
		digest := sha256.Sum256(msg)
		return key.Sign(rand.Reader, digest[:], a.opts)
	case crypto.SHA384:
		digest := sha512.Sum384(msg)
		return key.Sign(rand.Reader, digest[:], a.opts)
	case crypto.SHA512:
		digest := sha512.Sum512(msg)
		return key.Sign(rand.Reader, digest[:], a.opts)
	}
	return key.Sign(rand.Reader, msg, a.opts)
}

type ecKeys struct{ curve elliptic.Curve }

func (e ecKeys) generate() (crypto.Signer, error) { return ecdsa.GenerateKey(e.curve, rand.Reader) }

func (e ecKeys) check(pub crypto.PublicKey) error {
	key, ok := pub.(*ecdsa.PublicKey)
	if !ok || key.Curve != e.curve {
		return fmt.Errorf("not a key on curve %s", e.curve.Params().Name)
	}
	if _, err := key.Bytes(); err != nil {
		return fmt.Errorf("check point: %w", err)
	}
	return nil
}

// width is the length of one coordinate in bytes.
func (e ecKeys) width() int { return (e.curve.Params().BitSize + 7) / 8 }

func (e ecKeys) signatureSize(crypto.PublicKey) int { return 2 * e.width() }

var errSignature = errors.New("malformed ECDSA signature")

// jws turns the DER form into r ‖ s, both as wide as the curve's order (RFC 7518 section 3.4).
func (e ecKeys) jws(der []byte) ([]byte, error) {
	var r, s []byte
	var inner cryptobyte.String
	input := cryptobyte.String(der)
	if !input.ReadASN1(&inner, asn1.SEQUENCE) || !inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) {
		return nil, errSignature
	}
	size := e.width()
	if len(r) > size || len(s) > size {
		return nil, errSignature
	}
	raw := make([]byte, 2*size)
	copy(raw[size-len(r):], r)
	copy(raw[2*size-len(s):], s)
	return raw, nil
}

type rsaKeys struct{}

func (rsaKeys) generate() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, rsaBits) }

func (rsaKeys) check(pub crypto.PublicKey) error {
	key, ok := pub.(*rsa.PublicKey)
	if !ok {
		return errors.New("not an RSA key")
	}
	if bits := key.N.BitLen(); bits < rsaBits {
		return fmt.Errorf("RSA key of %d bits is weaker than %d", bits, rsaBits)
	}
	return nil
}

func (rsaKeys) signatureSize(pub crypto.PublicKey) int {
	key, _ := pub.(*rsa.PublicKey) // check has seen to it
	return key.Size()
}

func (rsaKeys) jws(sig []byte) ([]byte, error) { return sig, nil }

type edKeys struct{}

func (edKeys) generate() (crypto.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

func (edKeys) check(pub crypto.PublicKey) error {
	if key, ok := pub.(ed25519.PublicKey); !ok || len(key) != ed25519.PublicKeySize {
		return errors.New("not an Ed25519 key")
	}
	return nil
}

func (edKeys) signatureSize(crypto.PublicKey) int { return ed25519.SignatureSize }

func (edKeys) jws(sig []byte) ([]byte, error) { return sig, nil }
