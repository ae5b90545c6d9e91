package providers_test

import (
	"strings"
	"time"

	"github.com/beevik/etree"

	"stagedoor/providers"
	"stagedoor/providers/samltest"
)

// badSAMLContexts are good documents for somebody else, or for another time.
func badSAMLContexts() []badSAML {
	assertion := func(name, want string, edit func(*etree.Element)) badSAML {
		return badSAML{name: name, want: want, answer: samltest.Answer{EditAssertion: edit}}
	}
	set := func(path, name, value string) func(*etree.Element) {
		return func(el *etree.Element) { el.FindElement(path).CreateAttr(name, value) }
	}
	ago := func(path, name string, by time.Duration) func(*etree.Element) {
		return set(path, name, samlNow().Add(by).Format(time.RFC3339))
	}
	const data = ".//SubjectConfirmationData"
	status := func(name, code string) badSAML {
		return badSAML{name: name, want: providers.CodeSAMLStatus, answer: samltest.Answer{Status: "urn:oasis:names:tc:SAML:2.0:status:" + code}}
	}
	responder := status("second status", "Responder")
	responder.answer.EditResponse = func(r *etree.Element) {
		r.FindElement("./Status/StatusCode").CreateElement("samlp:StatusCode").CreateAttr("Value", "urn:oasis:names:tc:SAML:2.0:status:AuthnFailed")
	}
	empty := status("no status value", "")
	empty.answer.EditResponse = set("./Status/StatusCode", "Value", "")
	return []badSAML{
		status("failure with an assertion", "Responder"), status("status in another case", "success"), responder, empty,
		{name: "success below a failure", want: providers.CodeSAMLStatus, answer: samltest.Answer{EditResponse: func(r *etree.Element) {
			code := r.FindElement("./Status/StatusCode")
			outer := r.FindElement("./Status").CreateElement("samlp:StatusCode")
			outer.CreateAttr("Value", "urn:oasis:names:tc:SAML:2.0:status:Requester")
			outer.AddChild(code)
		}}},
		{name: "another address", want: providers.CodeSAMLDestination, answer: samltest.Answer{ACS: "https://other.example/acs"}},
		{name: "another Destination", want: providers.CodeSAMLDestination, answer: samltest.Answer{EditResponse: set(".", "Destination", "https://sp.example/")}},
		{name: "no Destination", want: providers.CodeSAMLDestination, answer: samltest.Answer{EditResponse: func(r *etree.Element) { r.RemoveAttr("Destination") }}},
		{name: "empty Destination", want: providers.CodeSAMLDestination, answer: samltest.Answer{EditResponse: set(".", "Destination", "")}},
		{name: "another Destination, unsigned", config: samlAssertionOnly, want: providers.CodeSAMLDestination, answer: samltest.Answer{
			UnsignedResponse: true, EditResponse: set(".", "Destination", "https://other.example"),
		}},
		assertion("another Recipient", providers.CodeSAMLRecipient, set(data, "Recipient", "https://other.example/acs")),
		assertion("no Recipient", providers.CodeSAMLRecipient, func(a *etree.Element) { a.FindElement(data).RemoveAttr("Recipient") }),
		{name: "another audience", want: providers.CodeSAMLAudience, answer: samltest.Answer{Audience: "https://other.example"}},
		{name: "answer to somebody else", want: providers.CodeSAMLRequest, answer: samltest.Answer{InResponseTo: "_other"}},
		{name: "Response to nobody", want: providers.CodeSAMLRequest, answer: samltest.Answer{EditResponse: func(r *etree.Element) { r.RemoveAttr("InResponseTo") }}},
		{name: "Response to somebody else", want: providers.CodeSAMLRequest, answer: samltest.Answer{EditResponse: set(".", "InResponseTo", "_other")}},
		assertion("Assertion to nobody", providers.CodeSAMLRequest, func(a *etree.Element) { a.FindElement(data).RemoveAttr("InResponseTo") }),
		assertion("Assertion to somebody else", providers.CodeSAMLRequest, set(data, "InResponseTo", "_other")),
		{name: "another issuer of the Response", want: providers.CodeSAMLIssuer, answer: samltest.Answer{EditResponse: func(r *etree.Element) { r.FindElement("./Issuer").SetText("urn:x") }}},
		assertion("another issuer", providers.CodeSAMLIssuer, func(a *etree.Element) { a.FindElement("./Issuer").SetText("urn:x") }),
		{name: "Response expired", want: providers.CodeSAMLClock, answer: samltest.Answer{EditResponse: ago(".", "IssueInstant", -time.Hour)}},
		{name: "Response from the future", want: providers.CodeSAMLClock, answer: samltest.Answer{EditResponse: ago(".", "IssueInstant", time.Hour)}},
		assertion("expired", providers.CodeSAMLClock, ago("./Conditions", "NotOnOrAfter", -time.Hour)),
		assertion("confirmation expired", providers.CodeSAMLClock, ago(data, "NotOnOrAfter", -time.Hour)),
		assertion("from the future", providers.CodeSAMLClock, ago("./Conditions", "NotBefore", time.Hour)),
		assertion("issued in the future", providers.CodeSAMLClock, ago(".", "IssueInstant", time.Hour)),
		assertion("issued long ago", providers.CodeSAMLClock, ago(".", "IssueInstant", -time.Hour)),
		assertion("session ended", providers.CodeSAMLClock, ago("./AuthnStatement", "SessionNotOnOrAfter", -time.Hour)),
		assertion("one of two sessions ended", providers.CodeSAMLClock, func(a *etree.Element) {
			s := a.FindElement("./AuthnStatement").Copy()
			s.CreateAttr("SessionNotOnOrAfter", samlNow().Add(-time.Hour).Format(time.RFC3339))
			a.AddChild(s)
		}),
		assertion("expired in the year one", providers.CodeSAMLClock, set("./Conditions", "NotOnOrAfter", "0001-01-01T00:00:00Z")),
		assertion("session ended in the year one", providers.CodeSAMLClock, set("./AuthnStatement", "SessionNotOnOrAfter", "0001-01-01T00:00:00Z")),
	}
}

// badSAMLNamespaces are documents that a reader who looks at names alone, or at the last of two, reads differently.
func badSAMLNamespaces() []badSAML {
	foreign := func(name, parent, tag string, change func(*etree.Element)) badSAML {
		return badSAML{name: "foreign " + name, want: providers.CodeSAMLShape, answer: samltest.Answer{EditAssertion: func(a *etree.Element) {
			el := a.FindElement(parent + "/" + tag).Copy()
			el.Space = "x"
			el.CreateAttr("xmlns:x", "urn:x")
			change(el)
			a.FindElement(parent).AddChild(el)
		}}}
	}
	nothing := func(*etree.Element) {}
	text := func(name, want, old, with string) badSAML {
		return badSAML{name: name, want: want, answer: samltest.Answer{EditText: func(s string) string { return strings.Replace(s, old, with, 1) }}}
	}
	subject := foreign("NameID", "./Subject", "NameID", func(el *etree.Element) { el.SetText("mallory") })
	return []badSAML{
		subject,
		foreign("Issuer", ".", "Issuer", nothing), foreign("Subject", ".", "Subject", nothing), foreign("Conditions", ".", "Conditions", nothing),
		foreign("SubjectConfirmation", "./Subject", "SubjectConfirmation", nothing),
		foreign("SubjectConfirmationData", "./Subject/SubjectConfirmation", "SubjectConfirmationData", nothing),
		foreign("AuthnStatement", ".", "AuthnStatement", nothing),
		foreign("AttributeStatement", ".", "AttributeStatement", nothing),
		foreign("Attribute", "./AttributeStatement", "Attribute", nothing),
		foreign("AttributeValue", "./AttributeStatement/Attribute", "AttributeValue", nothing),
		{name: "confirmation with data twice", want: providers.CodeSAMLShape, answer: samltest.Answer{EditAssertion: func(a *etree.Element) {
			c := a.FindElement("./Subject/SubjectConfirmation")
			c.AddChild(c.FindElement("./SubjectConfirmationData").Copy())
		}}},
		text("protocol namespace of its own", providers.CodeSAMLShape, `xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"`, `xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol#"`),
		text("assertion namespace redefined", providers.CodeSAMLShape, `<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"`, `<saml:Assertion xmlns:saml="urn:x"`),
		text("namespace redefined below", providers.CodeSAMLSignature, `<saml:NameID `, `<saml:NameID xmlns:saml="urn:x" `),
		text("prefix declared twice", providers.CodeSAMLXML, `<samlp:Response `, `<samlp:Response xmlns:samlp="urn:x" `),
		text("xml prefix redefined", providers.CodeSAMLXML, `<samlp:Status>`, `<samlp:Status xmlns:xml="urn:x">`),
		text("xmlns prefix redefined", providers.CodeSAMLXML, `<samlp:Status>`, `<samlp:Status xmlns:xmlns="urn:x">`),
		text("namespace called xmlns", providers.CodeSAMLXML, `<samlp:Status>`, `<samlp:Status xmlns:x="xmlns" x:ID="`+samltest.ResponseID+`">`),
		text("prefix of nothing", providers.CodeSAMLXML, `<samlp:Status>`, `<samlp:Status xmlns:x="">`),
	}
}
