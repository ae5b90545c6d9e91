package samltest

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/beevik/etree"
)

// The algorithms that an Encryption knows.
const (
	AES128GCM = encryption11NS + "aes128-gcm"
	AES192GCM = encryption11NS + "aes192-gcm"
	AES256GCM = encryption11NS + "aes256-gcm"
	AES128CBC = encryptionNS + "aes128-cbc"
	AES192CBC = encryptionNS + "aes192-cbc"
	AES256CBC = encryptionNS + "aes256-cbc"

	OAEP   = encryptionNS + "rsa-oaep-mgf1p"
	OAEP11 = encryption11NS + "rsa-oaep"
	PKCS1  = encryptionNS + "rsa-1_5"

	MGF1SHA256 = encryption11NS + "mgf1sha256"
)

var (
	keySizes = map[string]int{AES128GCM: 16, AES192GCM: 24, AES256GCM: 32, AES128CBC: 16, AES192CBC: 24, AES256CBC: 32}
	gcm      = []string{AES128GCM, AES192GCM, AES256GCM}
	masks    = map[string]crypto.Hash{"": crypto.SHA1, MGF1SHA256: crypto.SHA256}
)

// Encryption encrypts assertions (XML Encryption 1.1).
type Encryption struct {
	Key *rsa.PublicKey
	// Cipher is AES128GCM, and Padding OAEP with SHA-1 twice, unless they are set. Digest and Mask are those of OAEP.
	Cipher, Padding, Digest, Mask string
	// Beside puts the key beside the data and not into its KeyInfo.
	Beside bool
	// EditPlain changes what is encrypted, EditSealed and EditKey what comes out.
	EditPlain, EditSealed, EditKey func([]byte) []byte
	// Edit changes the EncryptedAssertion.
	Edit func(encrypted *etree.Element)
}

// replace puts an EncryptedAssertion in the assertion's place.
func (e *Encryption) replace(assertion *etree.Element) error {
	copied, err := detach(assertion)
	if err != nil {
		return err
	}
	sealed, key, err := e.seal(change(e.EditPlain, []byte(Text(copied))))
	if err != nil {
		return err
	}
	encrypted, err := Parse(e.xml(change(e.EditSealed, sealed), change(e.EditKey, key)))
	if err != nil {
		return err
	}
	edit(e.Edit, encrypted)
	parent, at := assertion.Parent(), assertion.Index()
	parent.RemoveChildAt(at)
	parent.InsertChildAt(at, encrypted)
	return nil
}

func change(f func([]byte) []byte, b []byte) []byte {
	if f == nil {
		return b
	}
	return f(b)
}

func (e *Encryption) xml(sealed, key []byte) string {
	method := ""
	if e.Digest != "" {
		method += fmt.Sprintf(`<ds:DigestMethod xmlns:ds="%s" Algorithm="%s"/>`, dsigNS, e.Digest)
	}
	if e.Mask != "" {
		method += fmt.Sprintf(`<xenc11:MGF xmlns:xenc11="%s" Algorithm="%s"/>`, encryption11NS, e.Mask)
	}
	encryptedKey := fmt.Sprintf(`<xenc:EncryptedKey xmlns:xenc="%s"><xenc:EncryptionMethod Algorithm="%s">%s</xenc:EncryptionMethod>`+
		`<xenc:CipherData><xenc:CipherValue>%s</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey>`,
		encryptionNS, cmp.Or(e.Padding, OAEP), method, base64.StdEncoding.EncodeToString(key))
	inside, beside := fmt.Sprintf(`<ds:KeyInfo xmlns:ds="%s">%s</ds:KeyInfo>`, dsigNS, encryptedKey), ""
	if e.Beside {
		inside, beside = "", encryptedKey
	}
	return fmt.Sprintf(`<saml:EncryptedAssertion xmlns:saml="%s"><xenc:EncryptedData xmlns:xenc="%s" Type="%sElement">`+
		`<xenc:EncryptionMethod Algorithm="%s"/>%s<xenc:CipherData><xenc:CipherValue>%s</xenc:CipherValue></xenc:CipherData>`+
		`</xenc:EncryptedData>%s</saml:EncryptedAssertion>`,
		assertionNS, encryptionNS, encryptionNS, cmp.Or(e.Cipher, AES128GCM), inside, base64.StdEncoding.EncodeToString(sealed), beside)
}

// seal returns the encrypted text and the encrypted key.
func (e *Encryption) seal(plain []byte) (sealed, key []byte, err error) {
	name := cmp.Or(e.Cipher, AES128GCM)
	session := make([]byte, keySizes[name])
	_, _ = rand.Read(session)
	block, err := aes.NewCipher(session)
	if err != nil {
		return nil, nil, fmt.Errorf("make cipher: %w", err)
	}
	if slices.Contains(gcm, name) {
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, nil, fmt.Errorf("make cipher: %w", err)
		}
		sealed = aead.Seal(nil, nil, plain, nil)
	} else {
		sealed = sealCBC(block, plain)
	}
	key, err = e.sealKey(session)
	return sealed, key, err
}

func sealCBC(block cipher.Block, plain []byte) []byte {
	pad := block.BlockSize() - len(plain)%block.BlockSize()
	padded := slices.Concat(plain, bytes.Repeat([]byte{0}, pad-1), []byte{byte(pad)})
	sealed := make([]byte, block.BlockSize()+len(padded))
	_, _ = rand.Read(sealed[:block.BlockSize()])
	cipher.NewCBCEncrypter(block, sealed[:block.BlockSize()]).CryptBlocks(sealed[block.BlockSize():], padded)
	return sealed
}

func (e *Encryption) sealKey(session []byte) ([]byte, error) {
	if e.Padding == PKCS1 {
		//lint:ignore SA1019 what must be refused has to be made first
		return rsa.EncryptPKCS1v15(rand.Reader, e.Key, session)
	}
	digest := crypto.SHA1
	if e.Digest != "" {
		digest = hashes[e.Digest]
	}
	return rsa.EncryptOAEPWithOptions(rand.Reader, e.Key, session, &rsa.OAEPOptions{Hash: digest, MGFHash: masks[e.Mask]})
}
