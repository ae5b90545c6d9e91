package providers

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"math/big"
	"slices"
	"strings"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

// What a signature may be made with. SHA-1, HMAC and any other transformation are not among them.
var (
	samlSignatureMethods = append(samlCurveMethods,
		dsig.RSASHA256SignatureMethod, dsig.RSASHA384SignatureMethod, dsig.RSASHA512SignatureMethod,
	)
	samlCurveMethods = []string{
		dsig.ECDSASHA256SignatureMethod, dsig.ECDSASHA384SignatureMethod, dsig.ECDSASHA512SignatureMethod,
	}
	samlDigestMethods = []string{
		"http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmldsig-more#sha384",
		"http://www.w3.org/2001/04/xmlenc#sha512",
	}
	samlExclusive  = []string{string(dsig.CanonicalXML10ExclusiveAlgorithmId)}
	samlTransforms = append([]string{string(dsig.EnvelopedSignatureAltorithmId)}, samlExclusive...)
)

// verifySAML checks the enveloped signature of el and returns what it covers: a tree made of the signed bytes, and nothing else may
// be read afterwards. It is nil without an error if el is not signed. el stays as it is.
func verifySAML(el *etree.Element, trusted []*x509.Certificate) (*etree.Element, error) {
	signatures := samlChildren(el, samlDsigNS, "Signature")
	switch {
	case len(signatures) == 0:
		return nil, nil
	case len(signatures) > 1:
		return nil, misplacedSAML("two signatures of one element")
	}
	if err := checkSAMLSignature(signatures[0], el.SelectAttrValue("ID", "")); err != nil {
		return nil, err
	}
	detached, err := detachSAML(el)
	if err != nil {
		return nil, err
	}
	prepareSAMLSignature(samlChild(detached, samlDsigNS, "Signature"))
	for _, c := range trusted {
		// A certificate is trusted because it is configured: its dates are those of its issuer, and no reason to turn everybody away.
		context := dsig.ValidationContext{
			CertificateStore: &dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{c}},
			IdAttribute:      "ID", Clock: dsig.NewFakeClockAt(c.NotBefore),
		}
		if verified, err := context.Validate(detached); err == nil {
			return verified, nil
		}
	}
	return nil, fail(CodeSAMLSignature, "no trusted certificate verifies the signature of the SAML "+el.Tag, nil)
}

// prepareSAMLSignature makes a signature that was checked the one that the library checks. Nothing that it covers changes.
//
// The library takes the first one in the document that refers to the element, so it comes first. Which key signed is not the
// message's to say: its KeyInfo is removed, and every trusted certificate is tried.
func prepareSAMLSignature(s *etree.Element) {
	parent := s.Parent()
	parent.RemoveChild(s)
	parent.InsertChildAt(0, s)
	for _, key := range samlChildren(s, samlDsigNS, "KeyInfo") {
		s.RemoveChild(key)
	}
	value := samlChild(s, samlDsigNS, "SignatureValue")
	text := strings.Join(strings.Fields(value.Text()), "")
	method := samlNamed(samlChild(s, samlDsigNS, "SignedInfo"), samlDsigNS, "SignatureMethod")
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil && slices.Contains(samlCurveMethods, method) {
		text = base64.StdEncoding.EncodeToString(pairOfNumbers(raw))
	}
	value.SetText(text)
}

// pairOfNumbers turns an ECDSA signature from the form of XML Signature 1.1 section 6.4.3, one number after the other, into the ASN.1
// that the library hands to the standard one. What is as long as no such pair is left as it is: other users of the library sign in
// ASN.1.
func pairOfNumbers(raw []byte) []byte {
	if !slices.Contains([]int{2 * 32, 2 * 48, 2 * 66}, len(raw)) { // P-256, P-384, P-521
		return raw
	}
	half := len(raw) / 2
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])})
	if err != nil {
		return raw
	}
	return der
}

// detachSAML copies el with the namespaces that it inherits, which its signature may cover. The library's own function stops at a
// thousand elements.
func detachSAML(el *etree.Element) (*etree.Element, error) {
	context, err := etreeutils.NSBuildParentContext(el)
	if err != nil {
		return nil, fail(CodeSAMLXML, "the SAML document's namespaces are unreadable", nil)
	}
	detached := el.Copy()
	for prefix, namespace := range context.Prefixes() {
		declaration := etree.Attr{Space: "xmlns", Key: prefix, Value: namespace}
		if prefix == "" {
			declaration.Space, declaration.Key = "", "xmlns"
		}
		// The library's word for no namespace is that of xml.
		inherited := prefix != "xml" && prefix != "xmlns" && namespace != etreeutils.XMLNamespace
		if inherited && !slices.ContainsFunc(detached.Attr, func(a etree.Attr) bool {
			return a.Space == declaration.Space && a.Key == declaration.Key
		}) {
			detached.Attr = append(detached.Attr, declaration)
		}
	}
	return detached, nil
}

// checkSAMLSignature holds a signature to the one form that SAML Core section 5.4 knows: enveloped, with one reference to the
// element it stands in.
func checkSAMLSignature(s *etree.Element, id string) error {
	info, value := samlChild(s, samlDsigNS, "SignedInfo"), samlChild(s, samlDsigNS, "SignatureValue")
	if info == nil || value == nil || len(samlChildren(s, samlDsigNS, "Object")) > 0 {
		return misplacedSAML("a signature of another form")
	}
	reference := samlChild(info, samlDsigNS, "Reference")
	if reference == nil || id == "" || reference.SelectAttrValue("URI", "") != "#"+id {
		return misplacedSAML("a signature of something else than the element it stands in")
	}
	for _, check := range []struct {
		of      *etree.Element
		tag     string
		allowed []string
	}{
		{info, "CanonicalizationMethod", samlExclusive},
		{info, "SignatureMethod", samlSignatureMethods},
		{reference, "DigestMethod", samlDigestMethods},
	} {
		el := samlChild(check.of, samlDsigNS, check.tag)
		if el == nil || !slices.Contains(check.allowed, el.SelectAttrValue("Algorithm", "")) {
			return fail(CodeSAMLAlgorithm, "the SAML signature's "+check.tag+" is not accepted", nil)
		}
	}
	return checkSAMLTransforms(samlChild(reference, samlDsigNS, "Transforms"))
}

// checkSAMLTransforms wants the signature taken out and the rest canonical, in this order.
func checkSAMLTransforms(transforms *etree.Element) error {
	var got []string
	if transforms != nil {
		for _, t := range samlChildren(transforms, samlDsigNS, "Transform") {
			got = append(got, t.SelectAttrValue("Algorithm", ""))
		}
	}
	if !slices.Equal(got, samlTransforms) {
		return fail(CodeSAMLAlgorithm, "the SAML signature's Transforms are not accepted", nil)
	}
	return nil
}

func misplacedSAML(what string) *Error {
	return fail(CodeSAMLMisplaced, "the SAML document is not signed as it must be", errors.New("it has "+what))
}
