package providers

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/beevik/etree"
)

// The names of XML Encryption 1.1.
const (
	samlEncryptionNS   = "http://www.w3.org/2001/04/xmlenc#"
	samlEncryption11NS = "http://www.w3.org/2009/xmlenc11#"
	samlOAEP           = samlEncryptionNS + "rsa-oaep-mgf1p"
	samlOAEP11         = samlEncryption11NS + "rsa-oaep"
)

// samlCipher is a way to encrypt an assertion. CBC is not authenticated and gives the plain text away to whoever may try often
// enough, so it is opened inside of a verified signature alone.
type samlCipher struct {
	name          string
	size          int
	authenticated bool
}

var (
	samlCiphers = []samlCipher{
		{samlEncryption11NS + "aes256-gcm", 32, true},
		{samlEncryption11NS + "aes192-gcm", 24, true},
		{samlEncryption11NS + "aes128-gcm", 16, true},
		{samlEncryptionNS + "aes256-cbc", 32, false},
		{samlEncryptionNS + "aes192-cbc", 24, false},
		{samlEncryptionNS + "aes128-cbc", 16, false},
	}
	samlHashes = map[string]crypto.Hash{
		"": crypto.SHA1, samlDsigNS + "sha1": crypto.SHA1, samlEncryptionNS + "sha256": crypto.SHA256,
		"http://www.w3.org/2001/04/xmldsig-more#sha384": crypto.SHA384, samlEncryptionNS + "sha512": crypto.SHA512,
	}
	samlMasks = map[string]crypto.Hash{
		"": crypto.SHA1, samlEncryption11NS + "mgf1sha1": crypto.SHA1, samlEncryption11NS + "mgf1sha256": crypto.SHA256,
		samlEncryption11NS + "mgf1sha384": crypto.SHA384, samlEncryption11NS + "mgf1sha512": crypto.SHA512,
	}
)

// samlOpener opens encrypted assertions.
type samlOpener struct{ key *rsa.PrivateKey }

func newSAMLOpener(key string) (*samlOpener, error) {
	if key == "" {
		return &samlOpener{}, nil
	}
	k, err := readRSAKey("decryptionPvk", key)
	return &samlOpener{k}, err
}

// open returns the assertion in el. Whatever goes wrong with the ciphertext is one and the same error.
func (o *samlOpener) open(el *etree.Element, signed bool, ids map[string]bool) (*etree.Element, error) {
	if o.key == nil {
		return nil, fail(CodeSAMLEncrypted, "the SAML Assertion is encrypted, and no decryptionPvk is configured", nil)
	}
	data := samlChild(el, samlEncryptionNS, "EncryptedData")
	name := samlAlgorithm(data)
	at := slices.IndexFunc(samlCiphers, func(c samlCipher) bool { return c.name == name && (c.authenticated || signed) })
	if at < 0 {
		return nil, fail(CodeSAMLEncryption, "the SAML Assertion is encrypted in a way that is not accepted", nil)
	}
	key, err := o.sessionKey(el, data)
	if err != nil {
		return nil, err
	}
	sealed, err := samlCipherValue(data)
	if err != nil {
		return nil, errUndecryptable
	}
	plain, err := samlCiphers[at].open(key, sealed)
	if err != nil {
		return nil, errUndecryptable
	}
	return samlPlainAssertion(plain, ids)
}

// open decrypts (XML Encryption 1.1 section 5.2). The library's function finds the algorithm by a name in any namespace, and panics if
// the text is too short.
func (c samlCipher) open(key, sealed []byte) ([]byte, error) {
	if len(key) != c.size {
		return nil, errors.New("key of another length")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if c.authenticated {
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		return aead.Open(nil, nil, sealed, nil)
	}
	if len(sealed) < 2*aes.BlockSize || len(sealed)%aes.BlockSize != 0 {
		return nil, errors.New("text of another length")
	}
	iv, text := sealed[:aes.BlockSize], sealed[aes.BlockSize:]
	plain := make([]byte, len(text))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, text)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize {
		return nil, errors.New("no padding")
	}
	return plain[:len(plain)-pad], nil
}

var errUndecryptable = fail(CodeSAMLEncrypted, "the SAML Assertion cannot be decrypted; does the provider use our certificate?", nil)

// samlPlainAssertion reads what was encrypted as strictly as what was not.
func samlPlainAssertion(plain []byte, ids map[string]bool) (*etree.Element, error) {
	doc, err := readSAML(plain)
	if err != nil {
		return nil, err
	}
	for id := range doc.ids {
		if ids[id] {
			return nil, fail(CodeSAMLShape, "the SAML document uses an ID twice", nil)
		}
	}
	placed := len(samlChildren(doc.root, samlDsigNS, "Signature"))
	if doc.assertions != 1 || doc.encrypted+doc.responses > 0 || placed != doc.signatures {
		return nil, misplacedSAML("more than one assertion inside an encrypted one")
	}
	return doc.root, nil
}

// sessionKey opens the key, which stands beside the data or in its KeyInfo (XML Encryption 1.1 section 5.5). PKCS #1 v1.5 is not
// accepted: its padding tells too much.
func (o *samlOpener) sessionKey(el, data *etree.Element) ([]byte, error) {
	places := samlChildren(el, samlEncryptionNS, "EncryptedKey")
	if info := samlChild(data, samlDsigNS, "KeyInfo"); info != nil {
		places = append(places, samlChildren(info, samlEncryptionNS, "EncryptedKey")...)
	}
	if len(places) != 1 {
		return nil, fail(CodeSAMLShape, "the encrypted SAML Assertion does not have exactly one key", nil)
	}
	options, ok := samlPadding(places[0])
	if !ok {
		return nil, fail(CodeSAMLEncryption, "the key of the SAML Assertion is encrypted in a way that is not accepted", nil)
	}
	sealed, err := samlCipherValue(places[0])
	if err != nil {
		return nil, errUndecryptable
	}
	key, err := o.key.Decrypt(nil, sealed, options)
	if err != nil {
		return nil, errUndecryptable
	}
	return key, nil
}

func samlPadding(key *etree.Element) (*rsa.OAEPOptions, bool) {
	method := samlChild(key, samlEncryptionNS, "EncryptionMethod")
	algorithm := samlAlgorithm(key)
	if algorithm != samlOAEP && algorithm != samlOAEP11 {
		return nil, false
	}
	hash, known := samlHashes[samlNamed(method, samlDsigNS, "DigestMethod")]
	mask, knownMask := samlMasks[samlNamed(method, samlEncryption11NS, "MGF")]
	return &rsa.OAEPOptions{Hash: hash, MGFHash: mask}, known && knownMask
}

// samlAlgorithm is the algorithm of el's EncryptionMethod, empty if el is nil or has none.
func samlAlgorithm(el *etree.Element) string {
	return samlNamed(el, samlEncryptionNS, "EncryptionMethod")
}

// samlNamed is the Algorithm of el's child of that name, empty if there is none.
func samlNamed(el *etree.Element, namespace, tag string) string {
	if el == nil {
		return ""
	}
	child := samlChild(el, namespace, tag)
	if child == nil {
		return ""
	}
	return child.SelectAttrValue("Algorithm", "")
}

func samlCipherValue(el *etree.Element) ([]byte, error) {
	data := samlChild(el, samlEncryptionNS, "CipherData")
	if data == nil {
		return nil, errors.New("no CipherData")
	}
	value := samlChild(data, samlEncryptionNS, "CipherValue")
	if value == nil {
		return nil, errors.New("no CipherValue")
	}
	return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value.Text()), ""))
}
