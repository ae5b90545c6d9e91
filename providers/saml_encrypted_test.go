package providers_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/beevik/etree"

	"stagedoor/providers"
	"stagedoor/providers/samltest"
)

// TestSAMLEncrypted: every cipher and padding that is accepted, with the key in either place.
func TestSAMLEncrypted(t *testing.T) {
	config, key := samlDecryption(t)
	for _, e := range []samltest.Encryption{
		{Cipher: samltest.AES128GCM},
		{Cipher: samltest.AES192GCM},
		{Cipher: samltest.AES256GCM, Padding: samltest.OAEP11, Digest: samltest.SHA256, Mask: samltest.MGF1SHA256},
		{Cipher: samltest.AES128CBC, Digest: samltest.SHA1},
		{Cipher: samltest.AES192CBC, Digest: samltest.SHA256},
		{Cipher: samltest.AES256CBC, Digest: samltest.SHA512},
		{Padding: samltest.OAEP11, Digest: samltest.SHA384},
		{Beside: true},
	} {
		e.Key = key
		name := strings.Join([]string{e.Cipher, e.Padding, e.Digest, e.Mask}, " ")
		t.Run(name, func(t *testing.T) {
			idp := samltest.New(t, samlNow)
			newSAML(t, idp, config).signsIn(t, samltest.Answer{Encrypt: &e})
			newSAML(t, idp, config+samlResponseOnly).signsIn(t, samltest.Answer{Encrypt: &e, UnsignedAssertion: true})
			s := newSAML(t, idp, config+samlAssertionOnly)
			if a := (samltest.Answer{Encrypt: &e, UnsignedResponse: true}); strings.HasSuffix(e.Cipher, "-cbc") {
				_, err := s.answer(t, a)
				refuses(t, err, providers.CodeSAMLEncryption)
			} else {
				s.signsIn(t, a)
			}
		})
	}
}

// sealedSAML are the settings in which ciphertexts are opened: inside of a signed Response, and as an attacker may make them.
var sealedSAML = []struct {
	name, config string
	unsigned     bool
}{
	{name: "signed"},
	{name: "unsigned", config: samlAssertionOnly, unsigned: true},
}

// TestSAMLRefusesEncrypted: what is encrypted is read as strictly as what is not, and the ciphertext tells nothing.
func TestSAMLRefusesEncrypted(t *testing.T) {
	config, key := samlDecryption(t)
	plain := func(edit func(string) string) func([]byte) []byte {
		return func(b []byte) []byte { return []byte(edit(string(b))) }
	}
	before := func(text string) func([]byte) []byte {
		return func(b []byte) []byte { return append([]byte(text), b...) }
	}
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { c := bytes.Clone(b); c[(at+len(c))%len(c)] ^= 1; return c }
	}
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:min(n, len(b))] } }
	undecryptable, encryption := providers.CodeSAMLEncrypted, providers.CodeSAMLEncryption
	shape, misplaced, unsafe := providers.CodeSAMLShape, providers.CodeSAMLMisplaced, providers.CodeSAMLUnsafe
	other := samltest.NewRSA(t, 2048).Key.Public()
	for _, tt := range []struct {
		name string
		with samltest.Encryption
		want string
	}{
		{"PKCS #1 v1.5", samltest.Encryption{Padding: samltest.PKCS1}, encryption},
		{"unknown padding", samltest.Encryption{Edit: rename("EncryptedKey", "urn:x")}, encryption},
		{"unknown cipher", samltest.Encryption{Edit: rename("EncryptedData", "urn:x")}, encryption},
		{"triple DES", samltest.Encryption{Edit: rename("EncryptedData", "http://www.w3.org/2001/04/xmlenc#tripledes-cbc")}, encryption},
		{"unknown digest", samltest.Encryption{Digest: samltest.SHA1, Edit: func(e *etree.Element) {
			e.FindElement(".//DigestMethod").CreateAttr("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#md5")
		}}, encryption},
		{"no method", samltest.Encryption{Edit: func(e *etree.Element) {
			d := e.FindElement("./EncryptedData")
			d.RemoveChild(d.FindElement("./EncryptionMethod"))
		}}, encryption},
		{"no data", samltest.Encryption{Edit: func(e *etree.Element) { e.Child = nil }}, encryption},
		{"two keys", samltest.Encryption{Edit: func(e *etree.Element) { e.AddChild(e.FindElement(".//EncryptedKey").Copy()) }}, shape},
		{"no key", samltest.Encryption{Edit: func(e *etree.Element) {
			d := e.FindElement("./EncryptedData")
			d.RemoveChild(d.FindElement("./KeyInfo"))
		}}, shape},
		{"signature beside the data", samltest.Encryption{Edit: func(e *etree.Element) {
			e.CreateElement("ds:Signature").CreateAttr("xmlns:ds", "http://www.w3.org/2000/09/xmldsig#")
		}}, misplaced},

		{"another key", samltest.Encryption{Key: publicRSA(other)}, undecryptable},
		{"flipped tag", samltest.Encryption{EditSealed: flip(-1)}, undecryptable},
		{"flipped text", samltest.Encryption{EditSealed: flip(40)}, undecryptable},
		{"flipped nonce", samltest.Encryption{EditSealed: flip(0)}, undecryptable},
		{"flipped key", samltest.Encryption{EditKey: flip(7)}, undecryptable},
		{"no text", samltest.Encryption{EditSealed: cut(0)}, undecryptable},
		{"text shorter than its nonce", samltest.Encryption{EditSealed: cut(5)}, undecryptable},
		{"text shorter than its tag", samltest.Encryption{EditSealed: cut(20)}, undecryptable},
		{"no encrypted key", samltest.Encryption{EditKey: cut(0)}, undecryptable},
		{"cut key", samltest.Encryption{EditKey: cut(255)}, undecryptable},
		{"cipher with a longer key", samltest.Encryption{Edit: rename("EncryptedData", samltest.AES256GCM)}, undecryptable},
		{"text that is not base64", samltest.Encryption{Edit: func(e *etree.Element) {
			e.FindElement("./EncryptedData/CipherData/CipherValue").SetText("%")
		}}, undecryptable},
		{"no CipherData", samltest.Encryption{Edit: func(e *etree.Element) {
			d := e.FindElement("./EncryptedData")
			d.RemoveChild(d.FindElement("./CipherData"))
		}}, undecryptable},

		{"two assertions", samltest.Encryption{EditPlain: plain(func(s string) string { return "<x>" + s + strings.ReplaceAll(s, `"_`, `"_2`) + "</x>" })}, misplaced},
		{"two roots", samltest.Encryption{EditPlain: plain(func(s string) string { return s + s })}, unsafe},
		{"assertion inside of another element", samltest.Encryption{EditPlain: plain(func(s string) string { return "<x>" + s + "</x>" })}, misplaced},
		{"Response", samltest.Encryption{EditPlain: plain(func(s string) string { return "<Response>" + s + "</Response>" })}, misplaced},
		{"encrypted once more", samltest.Encryption{EditPlain: plain(func(string) string { return "<EncryptedAssertion/>" })}, misplaced},
		{"document type", samltest.Encryption{EditPlain: before("<!DOCTYPE x>")}, unsafe},
		{"entity expansion", samltest.Encryption{EditPlain: before(`<!DOCTYPE x [<!ENTITY a "aa">]>`)}, unsafe},
		{"comment", samltest.Encryption{EditPlain: plain(func(s string) string { return strings.Replace(s, ">alice@", ">alice@<!---->", 1) })}, unsafe},
		{"processing instruction", samltest.Encryption{EditPlain: plain(func(s string) string { return s + "<?x?>" })}, unsafe},
		{"text that is no XML", samltest.Encryption{EditPlain: plain(func(string) string { return "x" })}, providers.CodeSAMLXML},
		{"nothing inside", samltest.Encryption{EditPlain: plain(func(string) string { return "" })}, providers.CodeSAMLXML},
		{"ID of the Response", samltest.Encryption{EditPlain: plain(func(s string) string {
			return strings.ReplaceAll(s, samltest.AssertionID, samltest.ResponseID)
		})}, shape},
		{"another name", samltest.Encryption{EditPlain: plain(func(s string) string { return strings.Replace(s, ">alice@example.com<", ">mallory<", 1) })}, providers.CodeSAMLSignature},
	} {
		for _, in := range sealedSAML {
			if tt.with.Key == nil {
				tt.with.Key = key
			}
			b := badSAML{name: tt.name + ", " + in.name, config: config + in.config, want: tt.want}
			b.answer = samltest.Answer{Encrypt: &tt.with, UnsignedResponse: in.unsigned}
			b.test(t)
		}
	}
	(badSAML{name: "no decryptionPvk", want: undecryptable, answer: samltest.Answer{Encrypt: &samltest.Encryption{Key: key}}}).test(t)
	unsigned := samltest.Answer{Encrypt: &samltest.Encryption{Key: key}, UnsignedAssertion: true, UnsignedResponse: true}
	(badSAML{name: "signed by nobody", config: config + samlAssertionOnly, want: providers.CodeSAMLUnsigned, answer: unsigned}).test(t)
	unsigned.UnsignedResponse = false
	(badSAML{name: "unsigned inside", config: config, want: providers.CodeSAMLUnsigned, answer: unsigned}).test(t)
}

// TestSAMLRefusesCBC: whoever cannot sign gets no CBC opened, under whatever name; whoever can, gets one error for all that is wrong.
func TestSAMLRefusesCBC(t *testing.T) {
	config, key := samlDecryption(t)
	bare := func(name string, edit func(*etree.Element)) {
		e := &samltest.Encryption{Key: key, Cipher: samltest.AES128CBC, Edit: edit}
		(badSAML{
			name: name, config: config + samlAssertionOnly, want: providers.CodeSAMLEncryption,
			answer: samltest.Answer{Encrypt: e, UnsignedResponse: true},
		}).test(t)
	}
	bare("CBC without a signature", nil)
	for name, n := range map[string]int{"nothing": 0, "a start": 16, "half a block": 40} {
		cut := func(b []byte) []byte { return b[:n] }
		e := &samltest.Encryption{Key: key, Cipher: samltest.AES128CBC, EditSealed: cut}
		(badSAML{name: "CBC of " + name, config: config, want: providers.CodeSAMLEncrypted, answer: samltest.Answer{Encrypt: e}}).test(t)
	}
	e := &samltest.Encryption{Key: key, Cipher: samltest.AES128CBC, EditSealed: func(b []byte) []byte { b[len(b)-17] ^= 0x80; return b }}
	(badSAML{name: "CBC with a broken padding", config: config, want: providers.CodeSAMLEncrypted, answer: samltest.Answer{Encrypt: e}}).test(t)
}

// TestSAMLCipherHasOneName: a method of another namespace does not smuggle CBC past the rule for what is authenticated.
func TestSAMLCipherHasOneName(t *testing.T) {
	config, key := samlDecryption(t)
	e := &samltest.Encryption{Key: key, Cipher: samltest.AES128CBC, Edit: func(e *etree.Element) {
		d := e.FindElement("./EncryptedData")
		first := d.FindElement("./EncryptionMethod").Copy()
		first.Space = "x"
		first.CreateAttr("xmlns:x", "urn:x")
		d.FindElement("./EncryptionMethod").CreateAttr("Algorithm", samltest.AES128GCM)
		d.InsertChildAt(0, first)
	}}
	(badSAML{
		name: "cipher", config: config + samlAssertionOnly, want: providers.CodeSAMLEncrypted, answer: samltest.Answer{Encrypt: e, UnsignedResponse: true},
	}).test(t)
}

// rename gives the method of that element another name.
func rename(tag, algorithm string) func(*etree.Element) {
	return func(e *etree.Element) {
		e.FindElement(".//"+tag+"/EncryptionMethod").CreateAttr("Algorithm", algorithm)
	}
}
