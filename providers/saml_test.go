package providers_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/google/go-cmp/cmp"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
	"stagedoor/providers/samltest"
)

// samlNow is the clock of both sides.
func samlNow() time.Time { return time.Unix(1_800_000_000, 0).UTC() }

// Both settings of which signature is demanded, beside the default of both.
const (
	samlAssertionOnly = "\nwantAuthnResponseSigned: false"
	samlResponseOnly  = "\nwantAssertionsSigned: false"
	samlUnasked       = "\ndangerouslyAllowIdpInitiated: true"
)

// samlSP is a service provider and the sign-in that it has begun.
type samlSP struct {
	providers.Provider
	idp     *samltest.IdP
	request samltest.Request
	query   url.Values
	memo    []byte
	log     *bytes.Buffer
}

// newSAML opens a provider that trusts idp, with further lines of config, and starts a sign-in.
func newSAML(t testing.TB, idp *samltest.IdP, config string) *samlSP {
	t.Helper()
	entry := fmt.Sprintf("issuer: %s\nentryPoint: %s\nlogoutUrl: %s\ncert: [%q]\nidpIssuer: %s",
		idp.Audience, idp.SSO, idp.SLO, idp.Signer.PEM(), idp.EntityID)
	return openSAML(t, idp, entry+config, nil)
}

func openSAML(t testing.TB, idp *samltest.IdP, entry string, client *http.Client) *samlSP {
	t.Helper()
	s := &samlSP{idp: idp, log: &bytes.Buffer{}}
	p, err := samlKind(t).New(providers.Setup{
		ID: "saml", CallbackURL: idp.ACS, Decode: providertest.Decode(entry), HTTP: client,
		Now: idp.Now, Log: s.logger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Provider = p
	redirect, err := p.(providers.Starter).Start(t.Context(), providers.StartInput{State: "opaque state"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(redirect.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.query, s.memo = u.Query(), redirect.Memo
	if s.request, err = samltest.ReadRequest(s.query); err != nil {
		t.Fatal(err)
	}
	return s
}

// logger writes to s.log, or nowhere.
func (s *samlSP) logger() *slog.Logger {
	if s.log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(s.log, nil))
}

func samlKind(t testing.TB) providers.Kind {
	t.Helper()
	k, err := providers.KindOf("saml", "saml", nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// post hands one field in.
func (s *samlSP) post(t testing.TB, field string) (providers.Result, error) {
	t.Helper()
	return s.Handle(t.Context(), providers.Request{Form: url.Values{"SAMLResponse": {field}}, Memo: s.memo})
}

// answer hands a in, as the answer to the request unless it says otherwise.
func (s *samlSP) answer(t testing.TB, a samltest.Answer) (providers.Result, error) {
	t.Helper()
	if a.InResponseTo == "" {
		a.InResponseTo = s.request.ID
	}
	return s.post(t, s.idp.Respond(t, a))
}

// signsIn fails the test unless a signs alice in.
func (s *samlSP) signsIn(t testing.TB, a samltest.Answer) providers.Result {
	t.Helper()
	r, err := s.answer(t, a)
	if err != nil {
		t.Fatalf("refused: %v", describeError(err))
	}
	if r.Session.Subject != "alice@example.com" || r.Once == nil {
		t.Fatalf("result is %+v", r)
	}
	return r
}

// refuses fails the test unless err has the code, which is documented, and repeats nothing of the document.
func refuses(t testing.TB, err error, code string) {
	t.Helper()
	if got := providertest.Code(err); got != code {
		t.Errorf("code %q, want %q (%s)", got, code, describeError(err))
	}
	if providers.Codes()[code] == "" {
		t.Errorf("code %q is not documented", code)
	}
	if text := describeError(err); strings.Contains(text, "example.com") || strings.Contains(text, "mallory") {
		t.Errorf("the error tells of the document: %s", text)
	}
}

// describeError is all that an error says, its cause included.
func describeError(err error) string {
	e, ok := err.(*providers.Error)
	if !ok {
		return fmt.Sprint(err)
	}
	return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
}

func TestSAMLResult(t *testing.T) {
	idp := samltest.New(t, samlNow)
	for ends, want := range map[time.Time]time.Duration{{}: 8 * time.Hour, samlNow().Add(20 * time.Hour): 20 * time.Hour} {
		if r := newSAML(t, idp, "").signsIn(t, samltest.Answer{SessionEnds: ends}); r.Session.ExpiresIn != want {
			t.Errorf("session that ends at %v lasts %v", ends, r.Session.ExpiresIn)
		}
	}
	r := newSAML(t, idp, "").signsIn(t, samltest.Answer{SessionEnds: samlNow().Add(time.Hour)})
	want := providers.Result{
		Session: providers.Session{Subject: "alice@example.com", ExpiresIn: time.Hour},
		Profile: providers.Profile{Email: "alice@example.com", DisplayName: "Alice"},
		Claims: map[string]any{
			"email": "alice@example.com", "displayName": "Alice", "groups": []any{"staff", "admins"},
			"nameID": "alice@example.com", "nameIDFormat": "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
			"issuer": idp.EntityID, "sessionIndex": "_session",
		},
		Info: map[string]any{},
		Once: &providers.Once{ID: r.Once.ID, Until: samlNow().Add(6 * time.Minute)},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

// TestSAMLOnce: the proof is the assertion, in whatever Response it comes, and another assertion is another proof.
func TestSAMLOnce(t *testing.T) {
	s := newSAML(t, samltest.New(t, samlNow), "")
	first := s.signsIn(t, samltest.Answer{})
	same := s.signsIn(t, samltest.Answer{ResponseID: "_other"})
	other := s.signsIn(t, samltest.Answer{AssertionID: "_other"})
	if first.Once.ID != same.Once.ID || first.Once.ID == other.Once.ID {
		t.Errorf("proofs are %q, %q, %q", first.Once.ID, same.Once.ID, other.Once.ID)
	}
}

// TestSAMLClaimsAreNotAttributes: an attribute cannot pass for what the provider itself says of the sign-in.
func TestSAMLClaimsAreNotAttributes(t *testing.T) {
	s := newSAML(t, samltest.New(t, samlNow), "")
	r := s.signsIn(t, samltest.Answer{
		Attributes: map[string][]string{
			"nameID": {"mallory"}, "nameIDFormat": {"mallory"}, "nameQualifier": {"mallory"}, "issuer": {"mallory"}, "sessionIndex": {"mallory"},
		},
		EditAssertion: func(a *etree.Element) { a.FindElement("./AuthnStatement").RemoveAttr("SessionIndex") },
	})
	for name, value := range r.Claims {
		if value == "mallory" {
			t.Errorf("the attribute %s became a claim", name)
		}
	}
}

// TestSAMLAccepts are the documents of correct providers.
func TestSAMLAccepts(t *testing.T) {
	p256, p384, p521 := samltest.NewECDSA(t, elliptic.P256()), samltest.NewECDSA(t, elliptic.P384()), samltest.NewECDSA(t, elliptic.P521())
	p384.Method, p384.Digest = samltest.ECDSASHA384, samltest.SHA384
	p521.Method, p521.Digest = samltest.ECDSASHA512, samltest.SHA512
	der := p256
	der.ASN1 = true
	shared := samltest.New(t, samlNow).Signer
	with := func(change func(*samltest.Signer)) *samltest.Signer { s := shared; change(&s); return &s }
	xs := with(func(s *samltest.Signer) { s.Prefixes = "xs" })
	pretty := with(func(s *samltest.Signer) {})
	tests := []struct {
		name, config string
		signer       *samltest.Signer
		answer       samltest.Answer
	}{
		{name: "RSA with SHA-256"},
		{name: "RSA with SHA-384", signer: with(func(s *samltest.Signer) { s.Method, s.Digest = samltest.RSASHA384, samltest.SHA384 })},
		{name: "RSA with SHA-512", signer: with(func(s *samltest.Signer) { s.Method, s.Digest = samltest.RSASHA512, samltest.SHA512 })},
		{name: "ECDSA with P-256", signer: &p256},
		{name: "ECDSA with P-384", signer: &p384},
		{name: "ECDSA with P-521", signer: &p521},
		{name: "ECDSA in ASN.1", signer: &der},
		{name: "Response alone signed", config: samlResponseOnly, answer: samltest.Answer{UnsignedAssertion: true}},
		{name: "Assertion alone signed", config: samlAssertionOnly, answer: samltest.Answer{UnsignedResponse: true}},
		{name: "both signed, Response demanded", config: samlResponseOnly},
		{name: "both signed, Assertion demanded", config: samlAssertionOnly},
		{
			name: "Assertion alone signed, no Destination", config: samlAssertionOnly,
			answer: samltest.Answer{UnsignedResponse: true, Edit: func(r *etree.Element) { r.RemoveAttr("Destination") }},
		},
		{name: "prefixes that only values use, in both signatures", answer: samltest.Answer{AssertionSigner: xs, ResponseSigner: xs}},
		{name: "prefixes that only values use, in the Assertion's signature", answer: samltest.Answer{
			AssertionSigner: xs, ResponseSigner: pretty,
			EditAssertion: func(a *etree.Element) { a.CreateAttr("xmlns:xs", "http://www.w3.org/2001/XMLSchema") },
		}},
		{name: "indented SignatureValue", config: samlAssertionOnly, answer: samltest.Answer{UnsignedResponse: true, EditText: func(s string) string {
			return strings.ReplaceAll(s, "<ds:SignatureValue>", "<ds:SignatureValue>\n    \t")
		}}},
		{name: "XML declaration", answer: samltest.Answer{EditText: func(s string) string { return `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + s }}},
		{name: "no KeyInfo", config: samlAssertionOnly, answer: samltest.Answer{
			UnsignedResponse: true, Edit: func(r *etree.Element) { s := r.FindElement(".//Signature"); s.RemoveChild(s.FindElement("./KeyInfo")) },
		}},
		{name: "CDATA", config: samlAssertionOnly, answer: samltest.Answer{
			UnsignedResponse: true, EditText: func(s string) string { return strings.Replace(s, ">alice@", "><![CDATA[alice]]>@", 1) },
		}},
		{name: "character references", config: samlAssertionOnly, answer: samltest.Answer{
			UnsignedResponse: true, EditText: func(s string) string { return strings.Replace(s, ">alice@", ">&#x61;lice&#64;", 1) },
		}},
		{name: "several AudienceRestrictions that name us", answer: samltest.Answer{EditAssertion: func(a *etree.Element) {
			c := a.FindElement("./Conditions")
			c.AddChild(c.FindElement("./AudienceRestriction").Copy())
		}}},
		{name: "OneTimeUse", answer: samltest.Answer{EditAssertion: func(a *etree.Element) {
			a.FindElement("./Conditions").CreateElement("saml:OneTimeUse")
		}}},
		{name: "another confirmation first", answer: samltest.Answer{EditAssertion: func(a *etree.Element) {
			c := a.FindElement("./Subject/SubjectConfirmation").Copy()
			c.CreateAttr("Method", "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches")
			a.FindElement("./Subject").InsertChildAt(1, c)
		}}},
		{name: "2000 groups", answer: samltest.Answer{Attributes: map[string][]string{"groups": make([]string, 2000)}}},
		{name: "audience of its own", config: "\naudience: urn:us", answer: samltest.Answer{Audience: "urn:us"}},
		{name: "times of .NET", answer: samltest.Answer{EditAssertion: func(a *etree.Element) {
			a.FindElement("./Conditions").CreateAttr("NotOnOrAfter", samlNow().Add(time.Minute).Format("2006-01-02T15:04:05.0000000Z"))
		}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			idp := samltest.New(t, samlNow)
			if tt.signer != nil {
				idp.Signer = *tt.signer
			}
			newSAML(t, idp, tt.config).signsIn(t, tt.answer)
		})
	}
}

// TestSAMLUnsolicited: with the switch, an answer that nobody asked for signs in, and one to somebody's question does not.
func TestSAMLUnsolicited(t *testing.T) {
	idp := samltest.New(t, samlNow)
	handle := func(config, inResponseTo string) error {
		s := newSAML(t, idp, config)
		s.memo = nil
		_, err := s.post(t, idp.Respond(t, samltest.Answer{InResponseTo: inResponseTo}))
		return err
	}
	if err := handle(samlUnasked, ""); err != nil {
		t.Error(err)
	}
	refuses(t, handle(samlUnasked, "_somebody"), providers.CodeSAMLRequest)
	refuses(t, handle("", ""), providers.CodeSAMLUnsolicited)
	asked := newSAML(t, idp, samlUnasked)
	_, err := asked.post(t, idp.Respond(t, samltest.Answer{}))
	refuses(t, err, providers.CodeSAMLRequest)
}

// TestSAMLSkew: every time is checked, to the second, with the tolerance that is configured.
func TestSAMLSkew(t *testing.T) {
	set := func(path, attribute string, by time.Duration) func(*etree.Element) {
		return func(el *etree.Element) {
			at := samlNow().Add(by).Format(time.RFC3339)
			el.FindElement(path).CreateAttr(attribute, at)
		}
	}
	const ms = "\nacceptedClockSkewMs: "
	for _, tt := range []struct {
		name, path, attribute string
		// good is the last second that is accepted without any tolerance, bad the first that is not.
		good, bad, later time.Duration
	}{
		{"Conditions start", "./Conditions", "NotBefore", 0, time.Second, time.Second},
		{"Conditions end", "./Conditions", "NotOnOrAfter", time.Second, 0, -time.Second},
		{"confirmation starts", ".//SubjectConfirmationData", "NotBefore", 0, time.Second, time.Second},
		{"confirmation ends", ".//SubjectConfirmationData", "NotOnOrAfter", time.Second, 0, -time.Second},
		{"session ends", "./AuthnStatement", "SessionNotOnOrAfter", time.Second, 0, -time.Second},
		{"Assertion issued", ".", "IssueInstant", 0, time.Second, time.Second},
		{"Assertion aged", ".", "IssueInstant", -10 * time.Minute, -10*time.Minute - time.Second, -time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			idp := samltest.New(t, samlNow)
			try := func(config string, by time.Duration) error {
				_, err := newSAML(t, idp, config).answer(t, samltest.Answer{EditAssertion: set(tt.path, tt.attribute, by)})
				return err
			}
			for config, tolerance := range map[string]time.Duration{ms + "0": 0, "": time.Minute, ms + "5000": 5 * time.Second} {
				shift := tolerance * (tt.later / time.Second)
				if err := try(config, tt.good+shift); err != nil {
					t.Errorf("%q: %s", config, describeError(err))
				}
				refuses(t, try(config, tt.bad+shift), providers.CodeSAMLClock)
			}
		})
	}
	idp := samltest.New(t, samlNow)
	for by, want := range map[time.Duration]string{time.Minute: "", 61 * time.Second: providers.CodeSAMLClock, -11 * time.Minute: "", -12 * time.Minute: providers.CodeSAMLClock} {
		_, err := newSAML(t, idp, "").answer(t, samltest.Answer{EditResponse: set(".", "IssueInstant", by)})
		if got := providertest.Code(err); got != want {
			t.Errorf("Response issued %v from now: code %q, want %q", by, got, want)
		}
	}
}

// rsaKeyPEM is a key for the config, in PEM.
func rsaKeyPEM(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// samlDecryption is the config of a key that opens assertions, and the key.
func samlDecryption(t testing.TB) (string, *rsa.PublicKey) {
	t.Helper()
	key, err := providertest.RSAKey("")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("\ndecryptionPvk: %q", rsaKeyPEM(t, key.Private)), key.Private.Public().(*rsa.PublicKey)
}

// answers is a transport that serves text, and counts.
type answers struct {
	text  func() string
	calls int
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.calls++
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(a.text())), Request: r}, nil
}

func publicRSA(key any) *rsa.PublicKey { return key.(*rsa.PublicKey) }

// TestSAMLAuthnContext: classes that the config names are demanded of the answer, and the default is only a wish.
func TestSAMLAuthnContext(t *testing.T) {
	const strong, weak = "urn:example:two-factors", "urn:oasis:names:tc:SAML:2.0:ac:classes:Password"
	for _, tt := range []struct{ name, config, class, want string }{
		{"default", "", weak, ""},
		{"none", "\nauthnContext: []", weak, ""},
		{"named", "\nauthnContext: [" + strong + "]", strong, ""},
		{"one of several", "\nauthnContext: [" + weak + ", " + strong + "]", strong, ""},
		{"another", "\nauthnContext: [" + strong + "]", weak, providers.CodeSAMLContext},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newSAML(t, samltest.New(t, samlNow), tt.config).answer(t, samltest.Answer{Class: tt.class})
			if tt.want == "" && err != nil {
				t.Error(describeError(err))
			}
			if tt.want != "" {
				refuses(t, err, tt.want)
			}
		})
	}
}

// TestSAMLTwoIssuers: where nobody says what the issuer is, the two that a document names are at least one.
func TestSAMLTwoIssuers(t *testing.T) {
	idp := samltest.New(t, samlNow)
	s := openSAML(t, idp, fmt.Sprintf("issuer: %s\nentryPoint: %s\ncert: [%q]", idp.Audience, idp.SSO, idp.Signer.PEM()), nil)
	s.signsIn(t, samltest.Answer{})
	_, err := s.answer(t, samltest.Answer{EditResponse: func(r *etree.Element) { r.FindElement("./Issuer").SetText("urn:x") }})
	refuses(t, err, providers.CodeSAMLIssuer)
}
