package samltest

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
)

// The namespaces and names that documents are made of.
const (
	protocolNS      = "urn:oasis:names:tc:SAML:2.0:protocol"
	assertionNS     = "urn:oasis:names:tc:SAML:2.0:assertion"
	metadataNS      = "urn:oasis:names:tc:SAML:2.0:metadata"
	dsigNS          = "http://www.w3.org/2000/09/xmldsig#"
	encryptionNS    = "http://www.w3.org/2001/04/xmlenc#"
	encryption11NS  = "http://www.w3.org/2009/xmlenc11#"
	redirectBinding = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
	timeForm        = "2006-01-02T15:04:05.000Z"
)

// The IDs of every answer that says nothing else.
const (
	ResponseID  = "_response"
	AssertionID = "_assertion"
)

// Answer is a Response to build. Its zero value is a good one to a request that nobody made; the edits are steps, in this order.
type Answer struct {
	InResponseTo string
	// ACS, Audience and NameID replace the provider's, Attributes as a whole.
	ACS, Audience, NameID string
	Attributes            map[string][]string
	// ResponseID and AssertionID replace the constants of those names.
	ResponseID, AssertionID string
	// Status replaces success.
	Status string
	// Class becomes AuthnContextClassRef; empty is PasswordProtectedTransport.
	Class string
	// SessionEnds becomes SessionNotOnOrAfter, unless it is zero.
	SessionEnds time.Time

	// EditAssertion comes before the assertion is signed, EditSigned after that.
	EditAssertion, EditSigned func(assertion *etree.Element)
	// EditResponse comes before the Response is signed, Edit after that.
	EditResponse, Edit func(response *etree.Element)
	// EditText comes at last.
	EditText func(string) string

	// UnsignedAssertion and UnsignedResponse leave a signature out.
	UnsignedAssertion, UnsignedResponse bool
	// AssertionSigner and ResponseSigner replace the provider's.
	AssertionSigner, ResponseSigner *Signer
	// Encrypt encrypts the assertion, if not nil.
	Encrypt *Encryption
}

// Respond returns the SAMLResponse field of a form.
func (p *IdP) Respond(t testing.TB, a Answer) string {
	t.Helper()
	text, err := p.Encode(a)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Encode is Respond outside of a test's goroutine.
func (p *IdP) Encode(a Answer) (string, error) {
	text, err := p.Document(a)
	return base64.StdEncoding.EncodeToString([]byte(text)), err
}

// Document is the XML of the answer.
func (p *IdP) Document(a Answer) (string, error) {
	response, err := p.build(a)
	if err != nil {
		return "", err
	}
	edit(a.Edit, response)
	doc := etree.NewDocument()
	doc.SetRoot(response)
	text, err := doc.WriteToString()
	if err == nil && a.EditText != nil {
		text = a.EditText(text)
	}
	return text, err
}

// build is the Response as it is signed.
func (p *IdP) build(a Answer) (*etree.Element, error) {
	response, err := Parse(p.responseXML(a))
	if err != nil {
		return nil, err
	}
	assertion := response.FindElement("./saml:Assertion")
	edit(a.EditAssertion, assertion)
	if !a.UnsignedAssertion {
		if err := p.signer(a.AssertionSigner).Sign(assertion); err != nil {
			return nil, err
		}
	}
	edit(a.EditSigned, assertion)
	if a.Encrypt != nil {
		if err := a.Encrypt.replace(assertion); err != nil {
			return nil, err
		}
	}
	edit(a.EditResponse, response)
	if !a.UnsignedResponse {
		return response, p.signer(a.ResponseSigner).Sign(response)
	}
	return response, nil
}

func (p *IdP) signer(own *Signer) Signer {
	if own != nil {
		return *own
	}
	return p.Signer
}

func edit(f func(*etree.Element), el *etree.Element) {
	if f != nil {
		f(el)
	}
}

// Parse returns the root of a document.
func Parse(text string) (*etree.Element, error) {
	doc := etree.NewDocument()
	if err := doc.ReadFromString(text); err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	root := doc.Root()
	if root == nil {
		return nil, fmt.Errorf("parse: no root")
	}
	return root, nil
}

func (p *IdP) responseXML(a Answer) string {
	inResponseTo := ""
	if a.InResponseTo != "" {
		inResponseTo = fmt.Sprintf(` InResponseTo=%q`, escape(a.InResponseTo))
	}
	now, acs := p.time(0), escape(cmp.Or(a.ACS, p.ACS))
	return fmt.Sprintf(`<samlp:Response xmlns:samlp="%s" ID="%s" Version="2.0" IssueInstant="%s" Destination="%s"%s>`+
		`<saml:Issuer xmlns:saml="%s">%s</saml:Issuer><samlp:Status><samlp:StatusCode Value="%s"/></samlp:Status>%s</samlp:Response>`,
		protocolNS, cmp.Or(a.ResponseID, ResponseID), now, acs, inResponseTo, assertionNS, escape(p.EntityID),
		cmp.Or(a.Status, "urn:oasis:names:tc:SAML:2.0:status:Success"), p.assertionXML(a, inResponseTo, acs))
}

func (p *IdP) assertionXML(a Answer, inResponseTo, acs string) string {
	session := ""
	if !a.SessionEnds.IsZero() {
		session = fmt.Sprintf(` SessionNotOnOrAfter="%s"`, a.SessionEnds.UTC().Format(timeForm))
	}
	return fmt.Sprintf(`<saml:Assertion xmlns:saml="%s" ID="%s" Version="2.0" IssueInstant="%s"><saml:Issuer>%s</saml:Issuer>`+
		`<saml:Subject><saml:NameID Format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress">%s</saml:NameID>`+
		`<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">`+
		`<saml:SubjectConfirmationData Recipient="%s" NotOnOrAfter="%s"%s/></saml:SubjectConfirmation></saml:Subject>`+
		`<saml:Conditions NotBefore="%s" NotOnOrAfter="%s"><saml:AudienceRestriction><saml:Audience>%s</saml:Audience>`+
		`</saml:AudienceRestriction></saml:Conditions><saml:AuthnStatement AuthnInstant="%s" SessionIndex="_session"%s>`+
		`<saml:AuthnContext><saml:AuthnContextClassRef>%s</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>%s</saml:Assertion>`,
		assertionNS, cmp.Or(a.AssertionID, AssertionID), p.time(0), escape(p.EntityID), escape(cmp.Or(a.NameID, p.NameID)),
		acs, p.time(5*time.Minute), inResponseTo, p.time(-time.Minute), p.time(5*time.Minute),
		escape(cmp.Or(a.Audience, p.Audience)), p.time(0), session,
		escape(cmp.Or(a.Class, "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport")), p.attributesXML(a))
}

func (p *IdP) attributesXML(a Answer) string {
	attributes := p.Attributes
	if a.Attributes != nil {
		attributes = a.Attributes
	}
	if len(attributes) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(`<saml:AttributeStatement xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">`)
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		fmt.Fprintf(&b, `<saml:Attribute Name="%s">`, escape(name))
		for _, value := range attributes[name] {
			fmt.Fprintf(&b, `<saml:AttributeValue xsi:type="xs:string">%s</saml:AttributeValue>`, escape(value))
		}
		b.WriteString(`</saml:Attribute>`)
	}
	b.WriteString(`</saml:AttributeStatement>`)
	return b.String()
}

// time is d from now.
func (p *IdP) time(d time.Duration) string { return p.Now().Add(d).UTC().Format(timeForm) }

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace
