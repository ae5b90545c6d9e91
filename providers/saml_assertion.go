package providers

import (
	"cmp"
	"encoding/xml"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
)

// maxSAMLAge is how old a message may be when it comes in: it travels through a browser at once.
const maxSAMLAge = 10 * time.Minute

// samlAssertion is a verified assertion.
type samlAssertion struct {
	saml.Assertion
	// until is when nobody accepts it any more.
	until time.Time
}

// samlCheck is what one Response must be about.
type samlCheck struct {
	*samlProvider
	idp *samlParty
	// request is the ID of the AuthnRequest, empty if there was none.
	request string
	now     time.Time
}

// response returns the verified assertion (SAML Profiles section 4.1.4.3). The error is an *Error, and repeats nothing of the
// document.
//
// What stands outside of a verified signature only ever leads to a refusal.
func (c samlCheck) response(doc *samlDocument) (*samlAssertion, error) {
	if err := doc.checkResponse(); err != nil {
		return nil, err
	}
	if err := c.checkStatus(doc.root); err != nil {
		return nil, err
	}
	el, encrypted, err := doc.assertion()
	if err != nil {
		return nil, err
	}
	if err := doc.checkSignatures(el); err != nil {
		return nil, err
	}
	verified, err := verifySAML(doc.root, c.idp.certificates)
	switch {
	case err != nil:
		return nil, err
	case verified == nil && c.config.wantsResponse():
		return nil, fail(CodeSAMLUnsigned, "the SAML Response is not signed", nil)
	}
	root, covered := doc.root, el
	if verified != nil {
		if root = verified; len(samlAssertions(root)) != 1 {
			return nil, misplacedSAML("an assertion outside of what is signed")
		}
		covered = samlAssertions(root)[0]
	}
	if err := c.checkMessage(root, verified != nil); err != nil {
		return nil, err
	}
	if encrypted {
		if covered, err = c.opener.open(covered, verified != nil, doc.ids); err != nil {
			return nil, err
		}
		el = covered
	}
	a, err := c.assertion(el, covered, verified != nil)
	if err != nil {
		return nil, err
	}
	if issuer := samlChild(root, samlAssertionNS, "Issuer"); issuer != nil && issuer.Text() != a.Issuer.Value {
		return nil, fail(CodeSAMLIssuer, "the SAML Response and its Assertion are from two issuers", nil)
	}
	return a, nil
}

// samlAssertions are the assertions of a Response, encrypted or not.
func samlAssertions(root *etree.Element) []*etree.Element {
	return slices.Concat(samlChildren(root, samlAssertionNS, "Assertion"), samlChildren(root, samlAssertionNS, "EncryptedAssertion"))
}

// checkSignatures finds signatures that stand anywhere else than in the Response and its assertion, or that sign something else.
func (d *samlDocument) checkSignatures(assertion *etree.Element) error {
	placed := len(samlChildren(d.root, samlDsigNS, "Signature")) + len(samlChildren(assertion, samlDsigNS, "Signature"))
	if placed != d.signatures {
		return misplacedSAML("a signature in another place")
	}
	for _, s := range samlChildren(assertion, samlDsigNS, "Signature") {
		if err := checkSAMLSignature(s, assertion.SelectAttrValue("ID", "")); err != nil {
			return err
		}
	}
	return nil
}

// checkStatus reads the answer of a provider that refuses. Whether it is signed does not matter: anybody may end their own sign-in.
func (c samlCheck) checkStatus(root *etree.Element) error {
	status := samlChild(samlChild(root, samlProtocolNS, "Status"), samlProtocolNS, "StatusCode")
	if status == nil {
		return fail(CodeSAMLShape, "the SAML Response has no status code", nil)
	}
	if status.SelectAttrValue("Value", "") == saml.StatusSuccess {
		return nil
	}
	second := ""
	if inner := samlChild(status, samlProtocolNS, "StatusCode"); inner != nil {
		second = inner.SelectAttrValue("Value", "")
	}
	return &Error{
		Kind: ErrDenied, Code: CodeSAMLStatus, Message: "the identity provider did not sign the user in",
		Err: errors.New("status " + printable(cmp.Or(second, status.SelectAttrValue("Value", "")), 100)),
	}
}

// checkMessage checks what the Response says of itself. Destination may only be missing where there is no signature (SAML Bindings
// section 3.5.5.2).
func (c samlCheck) checkMessage(root *etree.Element, signed bool) error {
	if err := c.checkStatus(root); err != nil {
		return err
	}
	destination := root.SelectAttrValue("Destination", "")
	if destination != c.acs && (signed || destination != "") {
		return fail(CodeSAMLDestination, "the SAML Response was sent to another address", nil)
	}
	if issuer := samlChild(root, samlAssertionNS, "Issuer"); issuer != nil {
		if err := c.checkIssuer(issuer.Text()); err != nil {
			return err
		}
	}
	if err := c.checkRequest(root.SelectAttrValue("InResponseTo", "")); err != nil {
		return err
	}
	issued, err := time.Parse(time.RFC3339Nano, root.SelectAttrValue("IssueInstant", ""))
	if err != nil {
		return fail(CodeSAMLShape, "the SAML Response has no IssueInstant", nil)
	}
	return c.checkIssued(issued)
}

func (c samlCheck) checkIssuer(issuer string) error {
	if c.idp.issuer != "" && issuer != c.idp.issuer {
		return fail(CodeSAMLIssuer, "the SAML document is from another issuer", nil)
	}
	return nil
}

// checkRequest binds the answer to the question. A question that was never asked has no answer, unless the config says otherwise.
func (c samlCheck) checkRequest(inResponseTo string) error {
	if inResponseTo != c.request {
		return fail(CodeSAMLRequest, "the SAML document answers another request", nil)
	}
	return nil
}

func (c samlCheck) checkIssued(issued time.Time) error {
	switch skew := c.config.skew(); {
	case issued.After(c.now.Add(skew)):
		return fail(CodeSAMLClock, "the SAML document is from the future; compare the clocks", nil)
	case issued.Before(c.now.Add(-maxSAMLAge - skew)):
		return fail(CodeSAMLClock, "the SAML document is too old; compare the clocks", nil)
	}
	return nil
}

// assertion verifies the signature of el if it has one, and checks all that it says. Covered is the same assertion as the Response's
// signature covers it, if inSigned: the signature of the assertion itself is over what came in, since making the Response canonical
// drops declarations that the assertion's signature may count.
func (c samlCheck) assertion(el, covered *etree.Element, inSigned bool) (*samlAssertion, error) {
	verified, err := verifySAML(el, c.idp.certificates)
	switch {
	case err != nil:
		return nil, err
	case verified == nil && (c.config.wantsAssertion() || !inSigned):
		return nil, fail(CodeSAMLUnsigned, "the SAML Assertion is not signed", nil)
	case verified == nil:
		el = covered
	default:
		el = verified
	}
	if err := cmp.Or(checkSAMLAssertion(el), checkSAMLEnds(el)); err != nil {
		return nil, err
	}
	a := &samlAssertion{}
	if err := unmarshalSAML(el, &a.Assertion); err != nil {
		return nil, err
	}
	for _, check := range []func(*etree.Element, *samlAssertion) error{c.checkOrigin, c.checkSubject, c.checkConditions, c.checkAuthn} {
		if err := check(el, a); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// checkSAMLAssertion demands the elements of a Web Browser SSO assertion, each once where one is meant.
func checkSAMLAssertion(el *etree.Element) error {
	if !isSAML(el, samlAssertionNS, "Assertion") || el.SelectAttrValue("Version", "") != "2.0" || el.SelectAttrValue("ID", "") == "" {
		return fail(CodeSAMLShape, "the SAML Assertion is not of version 2.0", nil)
	}
	for _, tag := range []string{"Issuer", "Subject", "Conditions"} {
		if samlChild(el, samlAssertionNS, tag) == nil {
			return fail(CodeSAMLShape, "the SAML Assertion does not have exactly one "+tag, nil)
		}
	}
	subject := samlChild(el, samlAssertionNS, "Subject")
	name := samlChild(subject, samlAssertionNS, "NameID")
	if name == nil || strings.TrimSpace(name.Text()) == "" || len(name.ChildElements()) > 0 {
		return fail(CodeSAMLSubject, "the SAML Assertion does not have exactly one NameID", nil)
	}
	return checkSAMLNames(el)
}

// samlForeign are the elements of an assertion that may hold those of other namespaces.
var samlForeign = []string{"Signature", "Conditions", "Advice", "SubjectConfirmationData", "AuthnContext", "AttributeValue"}

// checkSAMLNames refuses what is called like an element of SAML and is none: the library looks at no namespaces, and takes the last.
func checkSAMLNames(el *etree.Element) error {
	for _, child := range el.ChildElements() {
		signature := isSAML(child, samlDsigNS, "Signature")
		if child.NamespaceURI() != samlAssertionNS && !signature {
			return fail(CodeSAMLShape, "the SAML Assertion has an element of another namespace", nil)
		}
		if slices.Contains(samlForeign, child.Tag) {
			continue
		}
		if child.Tag == "SubjectConfirmation" && len(samlChildren(child, samlAssertionNS, "SubjectConfirmationData")) > 1 {
			return fail(CodeSAMLShape, "the SAML Assertion has a confirmation with data twice", nil)
		}
		if err := checkSAMLNames(child); err != nil {
			return err
		}
	}
	return nil
}

// checkSAMLEnds refuses an end that is there and is the zero time, which further down means that there is none.
func checkSAMLEnds(el *etree.Element) error {
	for _, path := range []string{".", "./Conditions", "./AuthnStatement"} {
		for _, part := range el.FindElements(path) {
			for _, a := range part.Attr {
				var end saml.RelaxedTime
				if strings.HasSuffix(a.Key, "NotOnOrAfter") && end.UnmarshalText([]byte(a.Value)) == nil && time.Time(end).IsZero() {
					return fail(CodeSAMLClock, "the SAML Assertion has expired; compare the clocks", nil)
				}
			}
		}
	}
	return nil
}

// unmarshalSAML reads the serialization of a tree whose bytes were verified.
func unmarshalSAML(el *etree.Element, into any) error {
	detached, err := detachSAML(el)
	if err != nil {
		return err
	}
	doc := etree.NewDocument()
	doc.SetRoot(detached)
	b, err := doc.WriteToBytes()
	if err == nil {
		err = xml.Unmarshal(b, into)
	}
	if err != nil {
		return fail(CodeSAMLShape, "the SAML Assertion is malformed", nil)
	}
	return nil
}

func (c samlCheck) checkOrigin(_ *etree.Element, a *samlAssertion) error {
	if err := c.checkIssuer(a.Issuer.Value); err != nil {
		return err
	}
	return c.checkIssued(a.IssueInstant)
}

// checkSubject wants a bearer confirmation that is meant for us, now, and for this request (SAML Profiles section 4.1.4.2).
func (c samlCheck) checkSubject(_ *etree.Element, a *samlAssertion) error {
	none := fail(CodeSAMLConfirmation, "the SAML Assertion has no bearer confirmation", nil)
	for _, s := range a.Subject.SubjectConfirmations {
		if s.Method != "urn:oasis:names:tc:SAML:2.0:cm:bearer" || s.SubjectConfirmationData == nil {
			continue
		}
		err := c.checkConfirmation(s.SubjectConfirmationData)
		if err == nil {
			a.until = s.SubjectConfirmationData.NotOnOrAfter
			return nil
		}
		none = err
	}
	return none
}

func (c samlCheck) checkConfirmation(d *saml.SubjectConfirmationData) *Error {
	if d.Recipient != c.acs {
		return fail(CodeSAMLRecipient, "the SAML Assertion is meant for another recipient", nil)
	}
	// An answer that nobody asked for may leave it out; any other may not.
	if d.InResponseTo != c.request {
		return fail(CodeSAMLRequest, "the SAML document answers another request", nil)
	}
	if d.NotOnOrAfter.IsZero() {
		return fail(CodeSAMLConfirmation, "the SAML Assertion's confirmation has no end", nil)
	}
	return c.checkWindow(d.NotBefore, d.NotOnOrAfter)
}

// checkWindow leaves out what is zero.
func (c samlCheck) checkWindow(notBefore, notOnOrAfter time.Time) *Error {
	switch skew := c.config.skew(); {
	case !notBefore.IsZero() && notBefore.After(c.now.Add(skew)):
		return fail(CodeSAMLClock, "the SAML Assertion is not valid yet; compare the clocks", nil)
	case !notOnOrAfter.IsZero() && !notOnOrAfter.After(c.now.Add(-skew)):
		return fail(CodeSAMLClock, "the SAML Assertion has expired; compare the clocks", nil)
	}
	return nil
}

// checkConditions wants every audience restriction, of which there must be one, to name us, and no condition that is not understood
// (SAML Core section 2.5.1).
func (c samlCheck) checkConditions(el *etree.Element, a *samlAssertion) error {
	if err := c.checkWindow(a.Conditions.NotBefore, a.Conditions.NotOnOrAfter); err != nil {
		return err
	}
	restricted := false
	for _, condition := range samlChild(el, samlAssertionNS, "Conditions").ChildElements() {
		switch {
		case isSAML(condition, samlAssertionNS, "OneTimeUse"), isSAML(condition, samlAssertionNS, "ProxyRestriction"):
		case !isSAML(condition, samlAssertionNS, "AudienceRestriction"):
			return fail(CodeSAMLShape, "the SAML Assertion has a condition that is not understood", nil)
		case !c.isAudience(condition):
			return fail(CodeSAMLAudience, "the SAML Assertion is meant for another audience", nil)
		default:
			restricted = true
		}
	}
	if !restricted {
		return fail(CodeSAMLAudience, "the SAML Assertion is not restricted to an audience", nil)
	}
	return nil
}

func (c samlCheck) isAudience(restriction *etree.Element) bool {
	return slices.ContainsFunc(samlChildren(restriction, samlAssertionNS, "Audience"), func(el *etree.Element) bool {
		return el.Text() == c.config.audience()
	})
}

// checkAuthn wants to be told of an authentication, and of a session that has not ended.
func (c samlCheck) checkAuthn(_ *etree.Element, a *samlAssertion) error {
	if len(a.AuthnStatements) == 0 {
		return fail(CodeSAMLShape, "the SAML Assertion has no AuthnStatement", nil)
	}
	for _, s := range a.AuthnStatements {
		if s.SessionNotOnOrAfter != nil && !s.SessionNotOnOrAfter.IsZero() {
			if err := c.checkWindow(time.Time{}, *s.SessionNotOnOrAfter); err != nil {
				return err
			}
		}
	}
	return c.checkContext(a)
}

// checkContext holds the provider to the classes that the config names: the request says them, too, and the user can change a request
// that is not signed. The class that is asked for without the key only ever was a wish.
func (c samlCheck) checkContext(a *samlAssertion) error {
	if c.config.AuthnContext == nil || len(*c.config.AuthnContext) == 0 {
		return nil
	}
	for _, s := range a.AuthnStatements {
		if class := s.AuthnContext.AuthnContextClassRef; class != nil && slices.Contains(*c.config.AuthnContext, strings.TrimSpace(class.Value)) {
			return nil
		}
	}
	return fail(CodeSAMLContext, "the user did not sign in in one of the ways that are asked for", nil)
}
