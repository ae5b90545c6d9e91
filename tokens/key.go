package tokens

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// The typ headers of the three kinds of token (contract/core.md T1, T12, T26).
const (
	typUser    = "vnd.backstage.user"
	typLimited = "vnd.backstage.limited-user"
	typPlugin  = "vnd.backstage.plugin"
)

// purpose is what the keys of one store are for. A key serves one purpose: it is sealed for it, and signs and verifies
// under its headers only, so that no token can be passed off as one of another kind.
type purpose struct {
	// name is the beginning of what private keys are bound to when they are sealed.
	name string
	typs []string
	// staticUse publishes static keys with "use":"sig" (contract/core.md K5, T28).
	staticUse bool
}

var (
	forUsers   = purpose{name: "signing key", typs: []string{typUser, typLimited}, staticUse: true}
	forPlugins = purpose{name: "plugin key", typs: []string{typPlugin}}
)

// signingKey is a Key ready for use. Of a Key whose public form cannot be read only Key is set: it takes part in the
// counting of generations and nothing else.
type signingKey struct {
	Key
	algorithm *algorithm
	jwk       jwk.Key
	public    crypto.PublicKey
	verifier  jws.Verifier
	// private is nil if the stored form does not open: the key verifies, but does not sign.
	private crypto.Signer
	// headers are the encoded headers by their typ. They never change, so they are made once, and a token is recognised by
	// them without reading a header that a stranger wrote.
	headers map[string]string
	// foreign marks the key of a Neighbour, which never has a private half.
	foreign bool
}

// generateKey makes a new key pair in its stored form.
func (p purpose) generateKey(alg *algorithm, sealer Sealer) (Key, error) {
	private, err := alg.keys.generate()
	if err != nil {
		return Key{}, fmt.Errorf("generate %s key: %w", alg.name, err)
	}
	k := Key{ID: newKeyID(), Algorithm: string(alg.name)}
	public, err := publicJWK(k.ID, alg, private.Public())
	if err != nil {
		return Key{}, err
	}
	if k.Public, err = json.Marshal(public); err != nil {
		return Key{}, fmt.Errorf("encode public key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Key{}, fmt.Errorf("encode private key: %w", err)
	}
	k.Private = sealer.Seal(der, p.sealContext(k))
	return k, nil
}

// newKeyID returns a random UUID (RFC 9562 section 5.4), which is what Backstage names its keys by.
func newKeyID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand, since Go 1.24)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// sealContext binds a private key to its purpose and row, so that one cannot be passed off as another's.
func (p purpose) sealContext(k Key) []byte { return []byte(p.name + " " + k.Algorithm + " " + k.ID) }

func publicJWK(id string, alg *algorithm, public crypto.PublicKey) (jwk.Key, error) {
	key, err := jwk.FromRaw(public)
	if err != nil {
		return nil, fmt.Errorf("make public key: %w", err)
	}
	if err := errors.Join(key.Set(jwk.KeyIDKey, id), key.Set(jwk.AlgorithmKey, alg.name)); err != nil {
		return nil, fmt.Errorf("name public key: %w", err)
	}
	return key, nil
}

// openKey makes a stored key usable as far as possible; the error says what is missing. The key is never nil.
func (p purpose) openKey(k Key, sealer Sealer) (*signingKey, error) {
	s, err := p.readPublic(k)
	if err != nil {
		return &signingKey{Key: k}, err
	}
	return s, s.unseal(sealer, p.sealContext(k))
}

// readPublic makes the verifying half of a stored key. What is published is made from the bare public key, so no other
// member of a stored document, a private one least of all, can get out.
func (p purpose) readPublic(k Key) (*signingKey, error) {
	alg, err := algorithmByName(k.Algorithm)
	if err != nil {
		return nil, err
	}
	stored, err := jwk.ParseKey(k.Public)
	if err != nil {
		return nil, fmt.Errorf("parse public key: %w", err)
	}
	raw, err := jwk.PublicRawKeyOf(stored)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	return p.newSigningKey(k, alg, raw)
}

// newSigningKey makes a key that verifies with public.
func (p purpose) newSigningKey(k Key, alg *algorithm, public crypto.PublicKey) (*signingKey, error) {
	if err := alg.keys.check(public); err != nil {
		return nil, err
	}
	published, err := publicJWK(k.ID, alg, public)
	if err != nil {
		return nil, err
	}
	verifier, err := jws.NewVerifier(alg.name)
	if err != nil {
		return nil, fmt.Errorf("make verifier: %w", err)
	}
	headers, err := p.headersOf(k)
	return &signingKey{Key: k, algorithm: alg, jwk: published, public: public, verifier: verifier, headers: headers}, err
}

func (p purpose) headersOf(k Key) (map[string]string, error) {
	headers := make(map[string]string, len(p.typs))
	for _, typ := range p.typs {
		encoded, err := encodeHeader(typ, k.Algorithm, k.ID)
		if err != nil {
			return nil, err
		}
		headers[typ] = encoded
	}
	return headers, nil
}

// encodeHeader writes a JOSE header with its members in the order that consumers rebuild (contract/core.md T1, T19).
func encodeHeader(typ, alg, kid string) (string, error) {
	h := []byte(`{"typ":`)
	var err error
	for i, member := range []string{typ, alg, kid} {
		h = append(h, [...]string{"", `,"alg":`, `,"kid":`}[i]...)
		if h, err = appendString(h, member); err != nil {
			return "", fmt.Errorf("encode header: %w", err)
		}
	}
	return base64.RawURLEncoding.EncodeToString(append(h, '}')), nil
}

// equaler is what every public key of the standard library can do.
type equaler interface{ Equal(crypto.PublicKey) bool }

// pair gives the key its private half.
func (s *signingKey) pair(private any) error {
	signer, ok := private.(crypto.Signer)
	if !ok {
		return errors.New("private key cannot sign")
	}
	if public, ok := s.public.(equaler); !ok || !public.Equal(signer.Public()) {
		return errors.New("private and public key are not a pair")
	}
	s.private = signer
	return nil
}

// unseal opens the private half.
func (s *signingKey) unseal(sealer Sealer, context []byte) error {
	der, err := sealer.Open(s.Private, context)
	if err != nil {
		return fmt.Errorf("open private key: %w", err)
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return fmt.Errorf("parse private key: %w", err)
	}
	return s.pair(private)
}

// lasts says whether a token signed now with that lifetime ends before the key's publication does.
func (s *signingKey) lasts(now time.Time, lifetime time.Duration) bool {
	return s.RetireAt.IsZero() || !now.Add(lifetime).After(s.RetireAt)
}

// expired says whether the last token that the key may have signed has ended.
func (s *signingKey) expired(now time.Time) bool {
	return !s.RetireAt.IsZero() && !s.RetireAt.After(now)
}

// compact signs claims under one of the key's encoded headers (RFC 7515 section 7.1).
func (s *signingKey) compact(header string, claims []byte) ([]byte, error) {
	text := make([]byte, 0, s.compactLength(header, claims))
	text = append(text, header...)
	text = append(text, '.')
	text = encoding.AppendEncode(text, claims)
	signature, err := s.algorithm.sign(s.private, text)
	if err != nil {
		return nil, err
	}
	text = append(text, '.')
	return encoding.AppendEncode(text, signature), nil
}

func (s *signingKey) compactLength(header string, claims []byte) int {
	return len(header) + 1 + encoding.EncodedLen(len(claims)) + 1 + s.signatureLength()
}

// signatureLength is the number of characters of the key's signatures.
func (s *signingKey) signatureLength() int {
	return encoding.EncodedLen(s.algorithm.keys.signatureSize(s.public))
}
