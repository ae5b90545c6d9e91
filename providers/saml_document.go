package providers

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/beevik/etree"
)

// What a SAML document may be, before anything of it is believed. maxSAMLResponse is counted before decoding.
const (
	maxSAMLResponse = 256 << 10
	maxSAMLDepth    = 32
	// maxSAMLParts bounds the elements and attributes together: as many as there are in a maxSAMLResponse full of groups.
	maxSAMLParts      = 8_000
	maxSAMLAttributes = 32
	// maxSAMLPrefixes bounds the namespace prefixes of the whole document: whoever makes it canonical copies all that are in scope
	// for each element.
	maxSAMLPrefixes = 32
)

// The namespaces of SAML 2.0.
const (
	samlProtocolNS  = "urn:oasis:names:tc:SAML:2.0:protocol"
	samlAssertionNS = "urn:oasis:names:tc:SAML:2.0:assertion"
	samlDsigNS      = "http://www.w3.org/2000/09/xmldsig#"
)

// samlDocument is a document that is harmless to read. Nothing says yet who wrote it.
type samlDocument struct {
	root *etree.Element
	// ids are the values of all ID attributes, prefixes those that are declared anywhere.
	ids, prefixes map[string]bool
	// responses, assertions, encrypted and signatures count elements at any depth, parts all elements and attributes.
	responses, assertions, encrypted, signatures, parts int
}

// readSAMLResponse decodes the form's field (SAML Bindings section 3.5.4).
func readSAMLResponse(values []string) (*samlDocument, error) {
	if len(values) != 1 || values[0] == "" {
		return nil, fail(CodeSAMLMissing, "Unexpected redirect", nil)
	}
	if len(values[0]) > maxSAMLResponse {
		return nil, fail(CodeSAMLSize, "the SAML response is too large", nil)
	}
	plain, err := base64.StdEncoding.Strict().DecodeString(strings.Join(strings.Fields(values[0]), ""))
	if err != nil {
		return nil, fail(CodeSAMLEncoding, "the SAML response is not base64", nil)
	}
	return readSAML(plain)
}

// readSAML checks the document's tokens before a tree is made of them.
func readSAML(plain []byte) (*samlDocument, error) {
	doc := &samlDocument{ids: map[string]bool{}, prefixes: map[string]bool{}}
	if err := doc.scan(plain); err != nil {
		return nil, err
	}
	tree := etree.NewDocument()
	if err := tree.ReadFromBytes(plain); err != nil || tree.Root() == nil {
		return nil, fail(CodeSAMLXML, "the SAML document is not XML", nil)
	}
	doc.root = tree.Root()
	return doc, nil
}

// scan reads the document once, token by token: in bounded memory, and without expanding anything.
func (d *samlDocument) scan(plain []byte) error {
	tokens := xml.NewDecoder(bytes.NewReader(plain))
	depth, roots := 0, 0
	for first := true; ; first = false {
		token, err := tokens.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fail(CodeSAMLXML, "the SAML document is not XML", nil)
		}
		switch t := token.(type) {
		case xml.Directive:
			return unsafeSAML("a document type")
		case xml.Comment:
			return unsafeSAML("a comment")
		case xml.ProcInst:
			if !first || t.Target != "xml" {
				return unsafeSAML("a processing instruction")
			}
		case xml.EndElement:
			depth--
		case xml.StartElement:
			if depth++; depth == 1 {
				roots++
			}
			if depth > maxSAMLDepth || roots > 1 {
				return unsafeSAML("too deep a nesting, or two roots")
			}
			if err := d.note(t); err != nil {
				return err
			}
		case xml.CharData:
			if depth == 0 && len(bytes.TrimSpace(t)) > 0 {
				return fail(CodeSAMLXML, "the SAML document is not XML", nil)
			}
		}
	}
	if roots == 0 {
		return fail(CodeSAMLXML, "the SAML document is not XML", nil)
	}
	return nil
}

// checkNames refuses what two readers may read differently: a name with more than one colon, or one at an end, which the standard
// library would not write as it read it (CVE-2020-29509 and 29511), and two attributes of one name, be it in two namespaces or in
// another case: of the readers here one takes the first, one the last, and none looks at the namespace. For the same reason an ID has
// no prefix.
func (d *samlDocument) checkNames(t xml.StartElement) error {
	seen := make(map[string]bool, len(t.Attr))
	if strings.Contains(t.Name.Local, ":") {
		return errAmbiguousSAML
	}
	for _, a := range t.Attr {
		name := strings.ToLower(a.Name.Local)
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
			name = "xmlns:" + a.Name.Local
			if d.prefixes[a.Name.Local] = true; len(d.prefixes) > maxSAMLPrefixes {
				return unsafeSAML("too many namespace prefixes")
			}
			if !isSAMLDeclaration(a) {
				return errAmbiguousSAML
			}
		}
		if seen[name] || strings.Contains(a.Name.Local, ":") || name == "id" && a.Name.Space != "" {
			return errAmbiguousSAML
		}
		seen[name] = true
	}
	return nil
}

// isSAMLDeclaration reports whether a prefix may be declared like this (Namespaces in XML section 3). A namespace called xmlns is one
// that the standard library would take its attributes for declarations of.
func isSAMLDeclaration(a xml.Attr) bool {
	if a.Name.Space == "" {
		return a.Value != "xmlns"
	}
	return a.Name.Local != "xml" && a.Name.Local != "xmlns" && a.Value != "" && a.Value != "xmlns"
}

// note counts the elements that may stand once only, whatever their namespace, and keeps IDs apart.
func (d *samlDocument) note(t xml.StartElement) error {
	if d.parts += 1 + len(t.Attr); d.parts > maxSAMLParts || len(t.Attr) > maxSAMLAttributes {
		return unsafeSAML("too many elements or attributes")
	}
	if err := d.checkNames(t); err != nil {
		return err
	}
	switch t.Name.Local {
	case "Response":
		d.responses++
	case "Assertion":
		d.assertions++
	case "EncryptedAssertion":
		d.encrypted++
	case "Signature":
		d.signatures++
	}
	for _, a := range t.Attr {
		if !strings.EqualFold(a.Name.Local, "id") {
			continue
		}
		if d.ids[a.Value] {
			return fail(CodeSAMLShape, "the SAML document uses an ID twice", nil)
		}
		d.ids[a.Value] = true
	}
	return nil
}

// checkResponse demands one Response that holds one assertion, encrypted or not, and no other anywhere below: nothing to wrap.
func (d *samlDocument) checkResponse() error {
	switch {
	case !isSAML(d.root, samlProtocolNS, "Response") || d.responses != 1:
		return fail(CodeSAMLShape, "the SAML document is not one Response", nil)
	case d.root.SelectAttrValue("Version", "") != "2.0":
		return fail(CodeSAMLShape, "the SAML Response is not of version 2.0", nil)
	case len(samlChildren(d.root, samlProtocolNS, "Status")) != 1 || len(samlChildren(d.root, samlAssertionNS, "Issuer")) > 1:
		return fail(CodeSAMLShape, "the SAML Response has no Status, or repeats an element", nil)
	}
	return nil
}

// assertion returns the one assertion of the Response.
func (d *samlDocument) assertion() (el *etree.Element, encrypted bool, err error) {
	plain := samlChildren(d.root, samlAssertionNS, "Assertion")
	sealed := samlChildren(d.root, samlAssertionNS, "EncryptedAssertion")
	switch {
	case d.assertions+d.encrypted != 1 || len(plain)+len(sealed) != 1:
		return nil, false, fail(CodeSAMLShape, "the SAML Response does not hold exactly one assertion", nil)
	case len(sealed) == 1:
		return sealed[0], true, nil
	}
	return plain[0], false, nil
}

func isSAML(el *etree.Element, namespace, tag string) bool {
	return el != nil && el.Tag == tag && el.NamespaceURI() == namespace
}

// samlChildren are the direct children of that name.
func samlChildren(el *etree.Element, namespace, tag string) []*etree.Element {
	var found []*etree.Element
	for _, c := range el.ChildElements() {
		if isSAML(c, namespace, tag) {
			found = append(found, c)
		}
	}
	return found
}

// samlChild is the only child of that name; nil if there is none or several.
func samlChild(el *etree.Element, namespace, tag string) *etree.Element {
	if all := samlChildren(el, namespace, tag); len(all) == 1 {
		return all[0]
	}
	return nil
}

var errAmbiguousSAML = fail(CodeSAMLXML, "the SAML document is ambiguous XML", nil)

func unsafeSAML(what string) *Error {
	return fail(CodeSAMLUnsafe, "the SAML document holds what none of them needs", fmt.Errorf("it has %s", what))
}
