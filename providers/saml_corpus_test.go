package providers_test

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"github.com/beevik/etree"

	"stagedoor/providers"
	"stagedoor/providers/samltest"
)

// badSAML is a document that must be refused, made of a good one.
type badSAML struct {
	name   string
	config string
	answer samltest.Answer
	// field replaces the form's field, if not nil.
	field func(good string) string
	want  string
}

// make is the form's field.
func (b badSAML) make(t testing.TB, s *samlSP) string {
	t.Helper()
	if b.answer.InResponseTo == "" {
		b.answer.InResponseTo = s.request.ID
	}
	field := s.idp.Respond(t, b.answer)
	if b.field != nil {
		field = b.field(field)
	}
	return field
}

// run makes the document and hands it in.
func (b badSAML) run(t testing.TB, idp *samltest.IdP) error {
	t.Helper()
	s := newSAML(t, idp, b.config)
	r, err := s.post(t, b.make(t, s))
	if err != nil && (r.Session.Subject != "" || r.Claims != nil || r.Once != nil) {
		t.Errorf("a result beside the error: %+v", r)
	}
	return err
}

func (b badSAML) test(t *testing.T) {
	t.Run(b.name, func(t *testing.T) { refuses(t, b.run(t, samltest.New(t, samlNow)), b.want) })
}

// TestSAMLRefuses is the corpus; TestSAMLWrapping and TestSAMLRefusesEncrypted continue it.
func TestSAMLRefuses(t *testing.T) {
	for _, group := range [][]badSAML{
		badSAMLFields(), badSAMLText(), badSAMLShapes(), badSAMLSignatures(t), badSAMLAlgorithms(t), badSAMLContexts(), badSAMLNamespaces(),
	} {
		for _, b := range group {
			b.test(t)
		}
	}
}

// TestSAMLMissing: one field, and in the form.
func TestSAMLMissing(t *testing.T) {
	s := newSAML(t, samltest.New(t, samlNow), "")
	good := s.idp.Respond(t, samltest.Answer{InResponseTo: s.request.ID})
	for name, r := range map[string]providers.Request{
		"nothing": {}, "empty": {Form: map[string][]string{"SAMLResponse": {""}}},
		"twice":    {Form: map[string][]string{"SAMLResponse": {good, good}}},
		"in query": {Query: map[string][]string{"SAMLResponse": {good}}},
		"artifact": {Form: map[string][]string{"SAMLart": {good}}},
	} {
		t.Run(name, func(t *testing.T) {
			r.Memo = s.memo
			_, err := s.Handle(t.Context(), r)
			refuses(t, err, providers.CodeSAMLMissing)
		})
	}
	for name, memo := range map[string]string{"no JSON": "x", "no request": "{}", "empty request": `{"r":""}`} {
		t.Run("memo with "+name, func(t *testing.T) {
			_, err := s.Handle(t.Context(), providers.Request{Form: map[string][]string{"SAMLResponse": {good}}, Memo: []byte(memo)})
			refuses(t, err, providers.CodeTransaction)
		})
	}
}

func deflated(text string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// deflateBombs are made once: one whose field is small, and one whose field is too large as well.
var deflateBombs = sync.OnceValues(func() (small, large string) {
	return deflated(strings.Repeat(" ", 64<<20)), deflated(strings.Repeat(" ", 256<<20))
})

func badSAMLFields() []badSAML {
	small, large := deflateBombs()
	return []badSAML{
		{name: "not base64", field: func(string) string { return "%%%" }, want: providers.CodeSAMLEncoding},
		{name: "cut base64", field: func(s string) string { return strings.TrimRight(s, "=")[:len(s)-5] }, want: providers.CodeSAMLEncoding},
		{name: "base64 for addresses", field: func(s string) string { return "-_" + s[2:] }, want: providers.CodeSAMLEncoding},
		{name: "base64 with loose bits", field: func(string) string { return "PGEvPh==" }, want: providers.CodeSAMLEncoding},
		{name: "XML as it is", field: func(string) string { return "<Response/>" }, want: providers.CodeSAMLEncoding},
		{name: "whitespace", field: func(string) string { return " \n" }, want: providers.CodeSAMLXML},
		{name: "deflated", field: func(s string) string {
			plain, _ := base64.StdEncoding.DecodeString(s)
			return deflated(string(plain))
		}, want: providers.CodeSAMLXML},
		{name: "deflate bomb", field: func(string) string { return small }, want: providers.CodeSAMLXML},
		{name: "deflate bomb that is large itself", field: func(string) string { return large }, want: providers.CodeSAMLSize},
		{name: "100 MB", field: func(s string) string { return s + strings.Repeat("A", 100<<20) }, want: providers.CodeSAMLSize},
		{name: "one byte too many", field: func(s string) string { return s + strings.Repeat("\n", 256<<10-len(s)+1) }, want: providers.CodeSAMLSize},
		{name: "JSON", field: func(string) string { return base64.StdEncoding.EncodeToString([]byte(`{"nameID":"mallory"}`)) }, want: providers.CodeSAMLXML},
	}
}

// badSAMLText are documents whose bytes are refused before anything is believed of them.
func badSAMLText() []badSAML {
	text := func(name, want string, edit func(string) string) badSAML {
		return badSAML{name: name, want: want, answer: samltest.Answer{EditText: edit}}
	}
	inName := func(insert string) func(string) string {
		return func(s string) string { return strings.Replace(s, ">alice@", ">alice@"+insert, 1) }
	}
	before := func(insert string) func(string) string { return func(s string) string { return insert + s } }
	inRoot := func(insert string) func(string) string {
		return func(s string) string { return strings.Replace(s, "<samlp:Status>", insert+"<samlp:Status>", 1) }
	}
	unsafe, broken, shape := providers.CodeSAMLUnsafe, providers.CodeSAMLXML, providers.CodeSAMLShape
	return []badSAML{
		text("document type", unsafe, before("<!DOCTYPE r>")),
		text("document type after the declaration", unsafe, before(`<?xml version="1.0"?><!DOCTYPE r SYSTEM "http://127.0.0.1/x.dtd">`)),
		text("entity expansion", unsafe, before(`<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>`)),
		text("external entity", unsafe, before(`<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>`)),
		text("parameter entity", unsafe, before(`<!DOCTYPE r [<!ENTITY % x SYSTEM "http://127.0.0.1/"> %x;]>`)),
		text("document type inside", unsafe, inRoot("<!DOCTYPE r>")),
		text("entity without a type", broken, inName("&x;")),
		text("HTML entity", broken, inName("&nbsp;")),
		text("comment inside NameID", unsafe, inName("<!---->")),
		text("comment", unsafe, inRoot("<!-- -->")),
		text("comment before", unsafe, before("<!-- -->")),
		text("comment after", unsafe, func(s string) string { return s + "<!-- -->" }),
		text("processing instruction", unsafe, inRoot("<?php x?>")),
		text("processing instruction inside NameID", unsafe, inName("<?x y?>")),
		text("stylesheet", unsafe, before(`<?xml version="1.0"?><?xml-stylesheet href="x"?>`)),
		text("declaration inside", unsafe, inRoot(`<?xml version="1.0"?>`)),
		text("declaration after a space", unsafe, before(` <?xml version="1.0"?>`)),
		text("XML 1.1", broken, before(`<?xml version="1.1"?>`)),
		text("UTF-16", broken, func(s string) string { return utf16Text(s, binary.BigEndian) }),
		text("UTF-16, low byte first", broken, func(s string) string { return utf16Text(s, binary.LittleEndian) }),
		text("UTF-16 as declared only", broken, before(`<?xml version="1.0" encoding="UTF-16"?>`)),
		text("UTF-7", broken, before(`<?xml version="1.0" encoding="UTF-7"?>`)),
		text("Latin-1", broken, before(`<?xml version="1.0" encoding="ISO-8859-1"?>`)),
		text("byte order mark", broken, before("\ufeff")),
		text("broken UTF-8", broken, inName("\xc0\xaf")),
		text("zero byte", broken, inName("\x00")),
		text("reference to a zero byte", broken, inName("&#0;")),
		text("reference to a half", providers.CodeSAMLSignature, inName("&#xD800;")),
		text("text before", broken, before("x")),
		text("text after", broken, func(s string) string { return s + "x" }),
		text("two roots", unsafe, func(s string) string { return s + "<a/>" }),
		text("cut", broken, func(s string) string { return s[:len(s)-3] }),
		text("closed by another name", broken, func(s string) string { return strings.Replace(s, "</saml:NameID>", "</saml:NameId>", 1) }),
		text("closed by another prefix", broken, func(s string) string { return strings.Replace(s, "</saml:NameID>", "</samlp:NameID>", 1) }),
		text("attribute twice", broken, func(s string) string {
			return strings.Replace(s, " Destination=", ` Destination="https://evil" Destination=`, 1)
		}),
		text("attribute twice in two namespaces", broken, func(s string) string {
			return strings.Replace(s, " Destination=", ` samlp:Destination="https://evil" Destination=`, 1)
		}),
		text("attribute without a value", broken, func(s string) string { return strings.Replace(s, " Destination=", " x Destination=", 1) }),
		text("attribute with two colons", broken, func(s string) string { return strings.Replace(s, " Destination=", ` a:b:c="" Destination=`, 1) }),
		text("attribute with an unknown prefix", providers.CodeSAMLSignature, func(s string) string { return strings.Replace(s, " Destination=", ` x:y="" Destination=`, 1) }),
		text("element with an unknown prefix", providers.CodeSAMLSignature, inRoot("<x:y/>")),
		text("element without a prefix", broken, inRoot("<:y/>")),
		text("attribute without a prefix", broken, inRoot(`<a :y=""/>`)),
		text("element without a name", broken, inRoot("<x:/>")),
		text("deep nesting", unsafe, inRoot(strings.Repeat("<a>", 10_000)+strings.Repeat("</a>", 10_000))),
		text("deep nesting that never ends", unsafe, inRoot(strings.Repeat("<a>", 50_000))),
		text("very many elements", unsafe, inRoot(strings.Repeat("<a/>", 40_000))),
		text("very many attributes", unsafe, inRoot("<a"+manyAttributes(`a%d=""`, 10_000)+"/>")),
		text("very many prefixes", unsafe, inRoot(manyPrefixes())),

		text("element only", shape, func(string) string { return "<a/>" }),
	}
}

func utf16Text(s string, order binary.AppendByteOrder) string {
	var b []byte
	for _, u := range utf16.Encode([]rune("\ufeff" + s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

func manyAttributes(form string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " "+form, i)
	}
	return b.String()
}

// manyPrefixes keeps every limit but that of the prefixes: each reader copies all of them for each element.
func manyPrefixes() string {
	var b strings.Builder
	for i := range 25 {
		b.WriteString("<a")
		for j := range 32 {
			fmt.Fprintf(&b, ` xmlns:p%d="u"`, i*32+j)
		}
		b.WriteString(">")
	}
	return b.String() + strings.Repeat("<a/>", 6_000) + strings.Repeat("</a>", 25)
}

// badSAMLShapes are signed as they are: a provider that makes such a document, or is made to, is not believed.
func badSAMLShapes() []badSAML {
	assertion := func(name, want string, edit func(*etree.Element)) badSAML {
		return badSAML{name: name, want: want, answer: samltest.Answer{EditAssertion: edit}}
	}
	response := func(name, want string, edit func(*etree.Element)) badSAML {
		return badSAML{name: name, want: want, answer: samltest.Answer{EditResponse: edit}}
	}
	remove := func(path string) func(*etree.Element) {
		return func(el *etree.Element) { found := el.FindElement(path); found.Parent().RemoveChild(found) }
	}
	twice := func(path string) func(*etree.Element) {
		return func(el *etree.Element) { found := el.FindElement(path); found.Parent().AddChild(found.Copy()) }
	}
	set := func(path, name, value string) func(*etree.Element) {
		return func(el *etree.Element) { el.FindElement(path).CreateAttr(name, value) }
	}
	text := func(path, value string) func(*etree.Element) {
		return func(el *etree.Element) { el.FindElement(path).SetText(value) }
	}
	add := func(path, tag string) func(*etree.Element) {
		return func(el *etree.Element) { el.FindElement(path).CreateElement(tag) }
	}
	shape, broken, subject, audience := providers.CodeSAMLShape, providers.CodeSAMLXML, providers.CodeSAMLSubject, providers.CodeSAMLAudience
	return []badSAML{
		response("another message", shape, func(el *etree.Element) { el.Tag = "LogoutResponse" }),
		response("Response of SAML 1.1", shape, set(".", "Version", "1.1")),
		response("Response inside", shape, add(".", "samlp:Response")),
		response("no Status", shape, remove("./Status")),
		response("two Statuses", shape, twice("./Status")),
		response("no StatusCode", shape, remove("./Status/StatusCode")),
		response("two Issuers", shape, twice("./Issuer")),
		response("no assertion", shape, remove("./Assertion")),
		response("two assertions", shape, twice("./Assertion")),
		response("assertion in another place", shape, func(el *etree.Element) { el.CreateElement("samlp:Extensions").AddChild(el.FindElement("./Assertion")) }),
		response("assertion of another namespace beside", shape, func(el *etree.Element) { el.CreateElement("samlp:Assertion") }),
		response("encrypted assertion beside", shape, func(el *etree.Element) { el.FindElement("./Assertion").CreateElement("saml:EncryptedAssertion") }),
		response("no IssueInstant", shape, func(el *etree.Element) { el.RemoveAttr("IssueInstant") }),
		response("IssueInstant that is no time", shape, set(".", "IssueInstant", "now")),
		response("same ID on both", shape, set(".", "ID", samltest.AssertionID)),
		response("same ID in another case", shape, func(el *etree.Element) { el.FindElement("./Status").CreateAttr("Id", samltest.ResponseID) }),
		response("same ID as xml:id", broken, func(el *etree.Element) { el.FindElement("./Status").CreateAttr("xml:id", samltest.ResponseID) }),
		response("two IDs", providers.CodeSAMLXML, func(el *etree.Element) { el.CreateAttr("id", "_x") }),
		response("ID with a prefix", providers.CodeSAMLXML, func(el *etree.Element) { el.FindElement("./Status").CreateAttr("samlp:ID", "_x") }),
		response("xml:id", providers.CodeSAMLXML, func(el *etree.Element) { el.FindElement("./Status").CreateAttr("xml:id", "_x") }),
		assertion("Assertion of SAML 1.1", shape, set(".", "Version", "1.1")),
		assertion("no Issuer", shape, remove("./Issuer")),
		assertion("two Issuers in the Assertion", shape, twice("./Issuer")),
		assertion("no Subject", shape, remove("./Subject")),
		assertion("two Subjects", shape, twice("./Subject")),
		assertion("no Conditions", shape, remove("./Conditions")),
		assertion("two Conditions", shape, twice("./Conditions")),
		assertion("no AuthnStatement", shape, remove("./AuthnStatement")),
		assertion("unknown condition", shape, add("./Conditions", "saml:Condition")),
		assertion("unknown condition of another namespace", shape, func(el *etree.Element) {
			el.FindElement("./Conditions").CreateElement("x:OneTimeUse").CreateAttr("xmlns:x", "urn:x")
		}),
		assertion("IssueInstant of the Assertion that is no time", shape, set(".", "IssueInstant", "now")),
		assertion("no IssueInstant of the Assertion", providers.CodeSAMLClock, func(el *etree.Element) { el.RemoveAttr("IssueInstant") }),
		assertion("year ten thousand", shape, set("./Conditions", "NotOnOrAfter", "10000-01-01T00:00:00Z")),
		assertion("no NameID", subject, remove("./Subject/NameID")),
		assertion("empty NameID", subject, text("./Subject/NameID", "")),
		assertion("NameID of spaces", subject, text("./Subject/NameID", " \n ")),
		assertion("two NameIDs", subject, twice("./Subject/NameID")),
		assertion("element inside NameID", subject, add("./Subject/NameID", "saml:x")),
		assertion("EncryptedID", subject, func(el *etree.Element) {
			el.FindElement("./Subject/NameID").Tag = "EncryptedID"
		}),
		assertion("BaseID", subject, func(el *etree.Element) { el.FindElement("./Subject/NameID").Tag = "BaseID" }),
		assertion("no confirmation", providers.CodeSAMLConfirmation, remove("./Subject/SubjectConfirmation")),
		assertion("confirmation without data", providers.CodeSAMLConfirmation, remove(".//SubjectConfirmationData")),
		assertion("confirmation without an end", providers.CodeSAMLConfirmation, func(el *etree.Element) {
			el.FindElement(".//SubjectConfirmationData").RemoveAttr("NotOnOrAfter")
		}),
		assertion("holder of key", providers.CodeSAMLConfirmation, set(".//SubjectConfirmation", "Method", "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key")),
		assertion("no audience restriction", audience, remove(".//AudienceRestriction")),
		assertion("restriction without an audience", audience, remove(".//Audience")),
		assertion("several restrictions, one for others", audience, func(el *etree.Element) {
			c := el.FindElement("./Conditions")
			c.AddChild(c.FindElement("./AudienceRestriction").Copy())
			c.FindElement("./AudienceRestriction[2]/Audience").SetText("https://other.example")
		}),
		assertion("audience that begins like ours", audience, text(".//Audience", "https://sp.example.evil")),
		assertion("audience in another case", audience, text(".//Audience", "https://SP.example")),
	}
}
