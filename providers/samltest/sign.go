package samltest

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	_ "crypto/sha1" // what must be refused has to be made first
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

// The algorithms that a Signer knows.
const (
	RSASHA1     = dsigNS + "rsa-sha1"
	RSASHA256   = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	RSASHA384   = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384"
	RSASHA512   = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512"
	ECDSASHA256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
	ECDSASHA384 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"
	ECDSASHA512 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512"
	HMACSHA256  = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"

	SHA1   = dsigNS + "sha1"
	SHA256 = encryptionNS + "sha256"
	SHA384 = "http://www.w3.org/2001/04/xmldsig-more#sha384"
	SHA512 = encryptionNS + "sha512"

	Enveloped = dsigNS + "enveloped-signature"
	Exclusive = "http://www.w3.org/2001/10/xml-exc-c14n#"
)

var hashes = map[string]crypto.Hash{
	RSASHA1: crypto.SHA1, RSASHA256: crypto.SHA256, RSASHA384: crypto.SHA384, RSASHA512: crypto.SHA512,
	ECDSASHA256: crypto.SHA256, ECDSASHA384: crypto.SHA384, ECDSASHA512: crypto.SHA512,
	SHA1: crypto.SHA1, SHA256: crypto.SHA256, SHA384: crypto.SHA384, SHA512: crypto.SHA512,
}

// Signer signs elements. Its zero fields are replaced by what most providers do.
type Signer struct {
	Key crypto.Signer
	// Certificate goes into KeyInfo.
	Certificate *x509.Certificate
	// Method and Digest are the algorithms: SHA-256 with the key's kind.
	Method, Digest string
	// Prefixes is the PrefixList of the exclusive canonicalization.
	Prefixes string
	// ASN1 is how goxmldsig signs with ECDSA, against the standard.
	ASN1 bool
	// Edit changes the Signature before its SignedInfo is signed.
	Edit func(signature *etree.Element)
}

// Sign puts an enveloped signature after el's Issuer, where the schema has it, or at its end.
func (s Signer) Sign(el *etree.Element) error {
	signature, err := s.signature(el)
	if err != nil {
		return err
	}
	edit(s.Edit, signature)
	info := signature.FindElement("./ds:SignedInfo").Copy()
	info.CreateAttr("xmlns:ds", dsigNS)
	signed, err := canonical(info, "")
	if err != nil {
		return err
	}
	value, err := s.sign(signed, signature.FindElement("./ds:SignedInfo/ds:SignatureMethod").SelectAttrValue("Algorithm", ""))
	if err != nil {
		return err
	}
	signature.FindElement("./ds:SignatureValue").SetText(base64.StdEncoding.EncodeToString(value))
	at := len(el.Child)
	if issuer := el.FindElement("./Issuer"); issuer != nil {
		at = issuer.Index() + 1
	}
	el.InsertChildAt(at, signature)
	return nil
}

// signature is that of el, without its value.
func (s Signer) signature(el *etree.Element) (*etree.Element, error) {
	copied, err := detach(el)
	if err != nil {
		return nil, err
	}
	text, err := canonical(copied, s.Prefixes)
	if err != nil {
		return nil, err
	}
	digest := cmp.Or(s.Digest, SHA256)
	prefixes := ""
	if s.Prefixes != "" {
		prefixes = fmt.Sprintf(`<ec:InclusiveNamespaces xmlns:ec="%s" PrefixList="%s"/>`, Exclusive, s.Prefixes)
	}
	return Parse(fmt.Sprintf(`<ds:Signature xmlns:ds="%s"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="%s"/>`+
		`<ds:SignatureMethod Algorithm="%s"/><ds:Reference URI="#%s"><ds:Transforms><ds:Transform Algorithm="%s"/>`+
		`<ds:Transform Algorithm="%s">%s</ds:Transform></ds:Transforms><ds:DigestMethod Algorithm="%s"/>`+
		`<ds:DigestValue>%s</ds:DigestValue></ds:Reference></ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><ds:X509Data>`+
		`<ds:X509Certificate>%s</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>`,
		dsigNS, Exclusive, s.method(), el.SelectAttrValue("ID", ""), Enveloped, Exclusive, prefixes, digest,
		base64.StdEncoding.EncodeToString(sum(hashes[digest], text)), base64.StdEncoding.EncodeToString(s.Certificate.Raw)))
}

func (s Signer) method() string {
	if _, ok := s.Key.(*ecdsa.PrivateKey); ok {
		return cmp.Or(s.Method, ECDSASHA256)
	}
	return cmp.Or(s.Method, RSASHA256)
}

// sign makes the SignatureValue: of ECDSA the two numbers, one after the other (XML Signature 1.1 section 6.4.3); of HMAC with the
// certificate as the secret, which is the attack that this algorithm is known for.
func (s Signer) sign(text []byte, method string) ([]byte, error) {
	if method == HMACSHA256 {
		mac := hmac.New(crypto.SHA256.New, s.Certificate.Raw)
		_, _ = mac.Write(text)
		return mac.Sum(nil), nil
	}
	hash, ok := hashes[method]
	if !ok {
		return nil, errors.New("unknown signature method")
	}
	digest := sum(hash, text)
	key, ok := s.Key.(*ecdsa.PrivateKey)
	if !ok || s.ASN1 {
		return s.Key.Sign(rand.Reader, digest, hash)
	}
	r, v, err := ecdsa.Sign(rand.Reader, key, digest)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	size := (key.Curve.Params().BitSize + 7) / 8
	return slices.Concat(r.FillBytes(make([]byte, size)), v.FillBytes(make([]byte, size))), nil
}

func sum(h crypto.Hash, text []byte) []byte {
	hash := h.New()
	_, _ = hash.Write(text)
	return hash.Sum(nil)
}

func canonical(el *etree.Element, prefixes string) ([]byte, error) {
	return dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(prefixes).Canonicalize(el)
}

// detach copies el with the namespaces that it inherits.
func detach(el *etree.Element) (*etree.Element, error) {
	context, err := etreeutils.NSBuildParentContext(el)
	if err != nil {
		return nil, fmt.Errorf("read namespaces: %w", err)
	}
	copied := el.Copy()
	for prefix, namespace := range context.Prefixes() {
		if prefix == "" || prefix == "xml" || prefix == "xmlns" {
			continue
		}
		if copied.SelectAttr("xmlns:"+prefix) == nil {
			copied.CreateAttr("xmlns:"+prefix, namespace)
		}
	}
	return copied, nil
}

// Text is a document of el.
func Text(el *etree.Element) string {
	doc := etree.NewDocument()
	doc.SetRoot(el.Copy())
	var b bytes.Buffer
	_, _ = doc.WriteTo(&b)
	return strings.TrimSpace(b.String())
}
