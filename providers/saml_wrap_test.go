package providers_test

import (
	"testing"

	"github.com/beevik/etree"

	"stagedoor/providers"
	"stagedoor/providers/samltest"
)

// evil is a copy of a signed element that says mallory, under an ID of its own, without the signature.
func evil(el *etree.Element) *etree.Element {
	c := el.Copy()
	c.CreateAttr("ID", "_evil")
	c.FindElement(".//NameID").SetText("mallory")
	if s := c.FindElement("./Signature"); s != nil {
		c.RemoveChild(s)
	}
	return c
}

// become makes root what other is.
func become(root, other *etree.Element) {
	root.Attr, root.Child = nil, nil
	for _, a := range other.Attr {
		name := a.Key
		if a.Space != "" {
			name = a.Space + ":" + a.Key
		}
		root.CreateAttr(name, a.Value)
	}
	for len(other.Child) > 0 {
		root.AddChild(other.Child[0])
	}
}

// bare is a copy without its signature.
func bare(el *etree.Element) *etree.Element {
	c := el.Copy()
	if s := c.FindElement("./Signature"); s != nil {
		c.RemoveChild(s)
	}
	return c
}

// signatureOf moves the signature of el, which need not have one, in front of to's second child.
func signatureOf(el, to *etree.Element) *etree.Element {
	s := el.FindElement("./Signature")
	if s == nil {
		return to
	}
	s = s.Copy()
	to.InsertChildAt(1, s)
	return s
}

// wrappings are the eight of Somorovsky et al., "On Breaking SAML: Be Whoever You Want to Be" (USENIX Security 2012), as SAML Raider
// numbers them, and some more. The first two move a signed Response, the others a signed Assertion.
var wrappings = []struct {
	name string
	wrap func(response *etree.Element)
}{
	{"XSW1", func(r *etree.Element) {
		e, original := evil(r), bare(r)
		signatureOf(r, e).AddChild(original)
		become(r, e)
	}},
	{"XSW2", func(r *etree.Element) {
		e, original := evil(r), bare(r)
		signatureOf(r, e)
		e.InsertChildAt(1, original)
		become(r, e)
	}},
	{"XSW3", func(r *etree.Element) {
		a := r.FindElement("./Assertion")
		r.InsertChildAt(a.Index(), evil(a))
	}},
	{"XSW4", func(r *etree.Element) {
		a := r.FindElement("./Assertion")
		e := evil(a)
		r.InsertChildAt(a.Index(), e)
		e.AddChild(a)
	}},
	{"XSW5", func(r *etree.Element) {
		a := r.FindElement("./Assertion")
		e := evil(a)
		signatureOf(a, e)
		r.InsertChildAt(a.Index(), e)
		r.AddChild(bare(a))
		r.RemoveChild(a)
	}},
	{"XSW6", func(r *etree.Element) {
		a := r.FindElement("./Assertion")
		e := evil(a)
		signatureOf(a, e).AddChild(bare(a))
		r.InsertChildAt(a.Index(), e)
		r.RemoveChild(a)
	}},
	{"XSW7", func(r *etree.Element) {
		a := r.FindElement("./Assertion")
		extensions := etree.NewElement("samlp:Extensions")
		extensions.AddChild(evil(a))
		r.InsertChildAt(a.Index(), extensions)
	}},
	{"XSW8", func(r *etree.Element) {
		a := r.FindElement("./Assertion")
		e := evil(a)
		signatureOf(a, e).CreateElement("ds:Object").AddChild(bare(a))
		r.InsertChildAt(a.Index(), e)
		r.RemoveChild(a)
	}},
	{"same ID", func(r *etree.Element) {
		a := r.FindElement("./Assertion")
		e := evil(a)
		e.CreateAttr("ID", samltest.AssertionID)
		r.InsertChildAt(a.Index(), e)
	}},
	{"ID in another case", func(r *etree.Element) {
		a := r.FindElement("./Assertion")
		e := evil(a)
		e.RemoveAttr("ID")
		e.CreateAttr("Id", samltest.AssertionID)
		r.InsertChildAt(a.Index(), e)
	}},
	{"original hidden in another namespace", func(r *etree.Element) {
		a := r.FindElement("./Assertion")
		e := evil(a)
		signatureOf(a, e)
		hidden := bare(a)
		hidden.Space = "samlp"
		e.FindElement(".//AttributeValue").AddChild(hidden)
		r.InsertChildAt(a.Index(), e)
		r.RemoveChild(a)
	}},
	{"original in an AttributeValue", func(r *etree.Element) {
		a := r.FindElement("./Assertion")
		e := evil(a)
		signatureOf(a, e)
		e.FindElement(".//AttributeValue").AddChild(bare(a))
		r.InsertChildAt(a.Index(), e)
		r.RemoveChild(a)
	}},
	{"original as an EncryptedAssertion", func(r *etree.Element) {
		a := r.FindElement("./Assertion")
		e := evil(a)
		signatureOf(a, e)
		r.InsertChildAt(a.Index(), e)
		r.CreateElement("saml:EncryptedAssertion").AddChild(a)
	}},
}

// TestSAMLWrapping: a signature over one thing never vouches for another, whichever of the two is demanded.
func TestSAMLWrapping(t *testing.T) {
	for _, w := range wrappings {
		for _, signed := range []struct {
			name, config string
			answer       samltest.Answer
		}{
			{"both", "", samltest.Answer{}},
			{"Response", samlResponseOnly, samltest.Answer{UnsignedAssertion: true}},
			{"Assertion", samlAssertionOnly, samltest.Answer{UnsignedResponse: true}},
		} {
			b := badSAML{name: w.name + " of what is signed: " + signed.name, config: signed.config, answer: signed.answer, want: providers.CodeSAMLShape}
			b.answer.Edit = w.wrap
			b.test(t)
		}
	}
}
