package providers_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/beevik/etree"

	"stagedoor/providers"
	"stagedoor/providers/samltest"
)

// badSAMLSignatures: what stands where a signature should.
func badSAMLSignatures(t testing.TB) []badSAML {
	foreign := samltest.NewRSA(t, 2048)
	trusted := samltest.New(t, samlNow).Signer
	posing := foreign
	posing.Certificate = trusted.Certificate
	on := func(path string, change func(signature *etree.Element)) func(*etree.Element) {
		return func(el *etree.Element) { change(el.FindElement(path + "/Signature")) }
	}
	remove := func(s *etree.Element) { s.Parent().RemoveChild(s) }
	other := func(s *etree.Element) {
		s.FindElement("./SignatureValue").SetText(base64.StdEncoding.EncodeToString(make([]byte, 256)))
	}
	tampered := func(s string) string { return strings.Replace(s, ">alice@example.com<", ">mallory<", 1) }
	unsigned, misplaced, invalid := providers.CodeSAMLUnsigned, providers.CodeSAMLMisplaced, providers.CodeSAMLSignature
	return []badSAML{
		{name: "unsigned", want: unsigned, answer: samltest.Answer{UnsignedAssertion: true, UnsignedResponse: true}},
		{name: "unsigned, Response demanded", config: samlResponseOnly, want: unsigned, answer: samltest.Answer{UnsignedAssertion: true, UnsignedResponse: true}},
		{name: "unsigned, Assertion demanded", config: samlAssertionOnly, want: unsigned, answer: samltest.Answer{UnsignedAssertion: true, UnsignedResponse: true}},
		{name: "Response unsigned", want: unsigned, answer: samltest.Answer{UnsignedResponse: true}},
		{name: "Assertion unsigned", want: unsigned, answer: samltest.Answer{UnsignedAssertion: true}},
		{name: "Response unsigned where it alone is demanded", config: samlResponseOnly, want: unsigned, answer: samltest.Answer{UnsignedResponse: true}},
		{name: "Assertion unsigned where it alone is demanded", config: samlAssertionOnly, want: unsigned, answer: samltest.Answer{UnsignedAssertion: true}},
		{name: "foreign key", want: invalid, answer: samltest.Answer{AssertionSigner: &foreign, ResponseSigner: &foreign}},
		{name: "foreign key of the Response", want: invalid, answer: samltest.Answer{ResponseSigner: &foreign}},
		{name: "foreign key of the Assertion", want: invalid, answer: samltest.Answer{AssertionSigner: &foreign}},
		{name: "foreign key of the Assertion that need not be signed", config: samlResponseOnly, want: invalid, answer: samltest.Answer{AssertionSigner: &foreign}},
		{name: "foreign key of the Response that need not be signed", config: samlAssertionOnly, want: invalid, answer: samltest.Answer{ResponseSigner: &foreign}},
		{name: "foreign key with our certificate in the message", want: invalid, answer: samltest.Answer{AssertionSigner: &posing, ResponseSigner: &posing}},
		{name: "tampered name", want: invalid, answer: samltest.Answer{EditText: tampered}},
		{name: "tampered name, Assertion demanded", config: samlAssertionOnly, want: invalid, answer: samltest.Answer{UnsignedResponse: true, EditText: tampered}},
		{name: "tampered name, Response demanded", config: samlResponseOnly, want: invalid, answer: samltest.Answer{UnsignedAssertion: true, EditText: tampered}},
		{name: "tampered before the Response was signed", want: invalid, answer: samltest.Answer{EditSigned: func(a *etree.Element) { a.FindElement(".//NameID").SetText("mallory") }}},
		{name: "SignatureValue of nothing", want: invalid, answer: samltest.Answer{Edit: on(".", other)}},
		{name: "SignatureValue empty", want: invalid, answer: samltest.Answer{Edit: on(".", func(s *etree.Element) { s.FindElement("./SignatureValue").SetText("") })}},
		{name: "SignatureValue that is not base64", want: invalid, answer: samltest.Answer{Edit: on(".", func(s *etree.Element) { s.FindElement("./SignatureValue").SetText("%") })}},
		{name: "SignatureValue missing", want: misplaced, answer: samltest.Answer{Edit: on(".", func(s *etree.Element) { remove(s.FindElement("./SignatureValue")) })}},
		{name: "SignedInfo missing", want: misplaced, answer: samltest.Answer{Edit: on(".", func(s *etree.Element) { remove(s.FindElement("./SignedInfo")) })}},
		{name: "SignedInfo twice", want: misplaced, answer: samltest.Answer{Edit: on(".", func(s *etree.Element) { s.AddChild(s.FindElement("./SignedInfo").Copy()) })}},
		{name: "SignedInfo of another namespace before", want: invalid, answer: samltest.Answer{Edit: on(".", func(s *etree.Element) {
			c := s.FindElement("./SignedInfo").Copy()
			c.Space = "samlp"
			s.InsertChildAt(0, c)
		})}},
		{name: "empty Signature", want: misplaced, answer: samltest.Answer{Edit: on(".", func(s *etree.Element) { s.Child = nil })}},
		{name: "Object in the Signature", want: misplaced, answer: samltest.Answer{Edit: on(".", func(s *etree.Element) { s.CreateElement("ds:Object") })}},
		{name: "Signature moved into Status", want: misplaced, answer: samltest.Answer{Edit: on(".", func(s *etree.Element) { s.Parent().FindElement("./Status").AddChild(s) })}},
		{name: "Signature of the Assertion moved into the Response", want: misplaced, answer: samltest.Answer{
			UnsignedResponse: true, Edit: on("./Assertion", func(s *etree.Element) { s.Parent().Parent().InsertChildAt(1, s) }),
		}},
		{name: "Signature of the Response moved into the Assertion", want: misplaced, answer: samltest.Answer{
			UnsignedAssertion: true, Edit: on(".", func(s *etree.Element) { s.Parent().FindElement("./Assertion").InsertChildAt(1, s) }),
		}},
		{name: "Signature twice", want: misplaced, answer: samltest.Answer{Edit: on(".", func(s *etree.Element) { s.Parent().AddChild(s.Copy()) })}},
		{name: "Signature of another namespace", want: misplaced, answer: samltest.Answer{Edit: func(r *etree.Element) { r.CreateElement("samlp:Signature") }}},
		{name: "Signature in the Subject", want: misplaced, answer: samltest.Answer{EditAssertion: func(a *etree.Element) {
			a.FindElement("./Subject").CreateElement("ds:Signature").CreateAttr("xmlns:ds", "http://www.w3.org/2000/09/xmldsig#")
		}}},
		{name: "signatures exchanged", want: misplaced, answer: samltest.Answer{Edit: func(r *etree.Element) {
			a := r.FindElement("./Assertion")
			first, second := r.FindElement("./Signature"), a.FindElement("./Signature")
			r.InsertChildAt(1, second)
			a.InsertChildAt(1, first)
		}}},
	}
}

// badSAMLAlgorithms are signed by the trusted key, with what must not be trusted.
func badSAMLAlgorithms(t testing.TB) []badSAML {
	trusted := samltest.New(t, samlNow).Signer
	signed := func(name, want string, change func(*samltest.Signer)) []badSAML {
		s := trusted
		change(&s)
		return []badSAML{
			{name: name + " of the Response", want: want, answer: samltest.Answer{ResponseSigner: &s}},
			{name: name + " of the Assertion", want: want, answer: samltest.Answer{AssertionSigner: &s}},
			{name: name + " of the Response alone", config: samlResponseOnly, want: want, answer: samltest.Answer{ResponseSigner: &s, UnsignedAssertion: true}},
			{name: name + " of the Assertion alone", config: samlAssertionOnly, want: want, answer: samltest.Answer{AssertionSigner: &s, UnsignedResponse: true}},
		}
	}
	edit := func(f func(info *etree.Element)) func(*samltest.Signer) {
		return func(s *samltest.Signer) { s.Edit = func(el *etree.Element) { f(el.FindElement("./SignedInfo")) } }
	}
	named := func(path, algorithm string) func(*samltest.Signer) {
		return edit(func(info *etree.Element) { info.FindElement(path).CreateAttr("Algorithm", algorithm) })
	}
	hidden := func(path, algorithm string) func(*samltest.Signer) {
		return edit(func(info *etree.Element) { info.FindElement(path).CreateAttr("ds:Algorithm", algorithm) })
	}
	algorithm, misplaced := providers.CodeSAMLAlgorithm, providers.CodeSAMLMisplaced
	const method, digest, c14n = "./SignatureMethod", "./Reference/DigestMethod", "./CanonicalizationMethod"
	var all []badSAML
	for _, group := range [][]badSAML{
		signed("SHA-1 signature", algorithm, func(s *samltest.Signer) { s.Method = samltest.RSASHA1 }),
		signed("SHA-1 digest", algorithm, func(s *samltest.Signer) { s.Digest = samltest.SHA1 }),
		signed("HMAC with the certificate", algorithm, func(s *samltest.Signer) { s.Method = samltest.HMACSHA256 }),
		signed("SHA-1 in a second attribute", providers.CodeSAMLXML, hidden(method, samltest.RSASHA1)),
		signed("SHA-1 digest in a second attribute", providers.CodeSAMLXML, hidden(digest, samltest.SHA1)),
		signed("no digest method", algorithm, edit(func(i *etree.Element) { i.FindElement("./Reference").RemoveChild(i.FindElement(digest)) })),
		signed("two digest methods", algorithm, edit(func(i *etree.Element) { i.FindElement("./Reference").AddChild(i.FindElement(digest).Copy()) })),
		signed("inclusive canonicalization", algorithm, named(c14n, "http://www.w3.org/TR/2001/REC-xml-c14n-20010315")),
		signed("canonicalization with comments", algorithm, named(c14n, samltest.Exclusive+"WithComments")),
		signed("transformation with comments", algorithm, named("./Reference/Transforms/Transform[2]", samltest.Exclusive+"WithComments")),
		signed("XSLT", algorithm, named("./Reference/Transforms/Transform[2]", "http://www.w3.org/TR/1999/REC-xslt-19991116")),
		signed("XPath", algorithm, named("./Reference/Transforms/Transform[1]", "http://www.w3.org/TR/1999/REC-xpath-19991116")),
		signed("no transformations", algorithm, edit(func(i *etree.Element) {
			i.FindElement("./Reference").RemoveChild(i.FindElement("./Reference/Transforms"))
		})),
		signed("three transformations", algorithm, edit(func(i *etree.Element) {
			ts := i.FindElement("./Reference/Transforms")
			ts.AddChild(ts.FindElement("./Transform[2]").Copy())
		})),
		signed("transformation of another namespace", algorithm, edit(func(i *etree.Element) {
			el := i.FindElement("./Reference/Transforms/Transform[2]")
			el.Space = "x"
			el.CreateAttr("xmlns:x", "urn:x")
		})),
		signed("empty URI", misplaced, edit(func(i *etree.Element) { i.FindElement("./Reference").CreateAttr("URI", "") })),
		signed("no URI", misplaced, edit(func(i *etree.Element) { i.FindElement("./Reference").RemoveAttr("URI") })),
		signed("URI of something else", misplaced, edit(func(i *etree.Element) { i.FindElement("./Reference").CreateAttr("URI", "#_x") })),
		signed("XPointer", misplaced, edit(func(i *etree.Element) {
			r := i.FindElement("./Reference")
			r.CreateAttr("URI", "#xpointer(id('"+r.SelectAttrValue("URI", "#")[1:]+"'))")
		})),
		signed("second URI", providers.CodeSAMLXML, edit(func(i *etree.Element) { i.FindElement("./Reference").CreateAttr("ds:URI", "") })),
		signed("two References", misplaced, edit(func(i *etree.Element) { i.AddChild(i.FindElement("./Reference").Copy()) })),
		signed("no Reference", misplaced, edit(func(i *etree.Element) { i.RemoveChild(i.FindElement("./Reference")) })),
	} {
		all = append(all, group...)
	}
	return append(all, badSAML{
		// The library takes the first signature that refers to the Response, wherever it stands.
		name: "signature of the Assertion that refers to the Response", want: misplaced,
		answer: samltest.Answer{
			UnsignedAssertion: true, Edit: func(r *etree.Element) {
				own := r.FindElement("./Signature")
				inner := own.Copy()
				r.FindElement("./Assertion").InsertChildAt(1, inner)
				r.RemoveChild(own)
				own.FindElement("./SignatureValue").SetText("AAAA")
				r.AddChild(own)
			},
		},
	})
}
