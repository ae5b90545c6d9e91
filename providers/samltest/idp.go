package samltest

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// IdP is an identity provider with one user. Its fields may be changed before it is used; it is safe for concurrent use then.
type IdP struct {
	// EntityID is its name, SSO where requests go.
	EntityID, SSO string
	// SLO is where logout requests go; empty if it has no such place.
	SLO string
	// Audience and ACS are the service provider's name and address, for answers that say nothing else.
	Audience, ACS string
	// NameID and Attributes are the user.
	NameID     string
	Attributes map[string][]string
	Signer     Signer
	// Also are certificates that the metadata announces beside that of Signer.
	Also []*x509.Certificate
	Now  func() time.Time
	// Edit changes what Handler answers, if not nil.
	Edit func(*Answer)
}

// New returns a provider with an RSA key, which all of them share, and with a user called alice.
func New(t testing.TB, now func() time.Time) *IdP {
	t.Helper()
	signer, err := rsaSigner()
	if err != nil {
		t.Fatal(err)
	}
	return &IdP{
		EntityID: "https://idp.example/metadata", SSO: "https://idp.example/sso", SLO: "https://idp.example/slo",
		Audience: "https://sp.example", ACS: "https://sp.example/api/auth/saml/handler/frame",
		NameID: "alice@example.com",
		Attributes: map[string][]string{
			"email": {"alice@example.com"}, "displayName": {"Alice"}, "groups": {"staff", "admins"},
		},
		Signer: signer, Now: now,
	}
}

var rsaSigner = sync.OnceValues(func() (Signer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return Signer{}, err
	}
	return certify(key)
})

// NewRSA returns a signer with a key of its own.
func NewRSA(t testing.TB, bits int) Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	return must(t, key, err)
}

// NewECDSA returns a signer with a key of its own.
func NewECDSA(t testing.TB, curve elliptic.Curve) Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	return must(t, key, err)
}

// FixedECDSA returns a signer with the same key in every process, for inputs that outlive one.
func FixedECDSA(t testing.TB) Signer {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{1}, 32))
	return must(t, key, err)
}

func must(t testing.TB, key crypto.Signer, err error) Signer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	s, err := certify(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func certify(key crypto.Signer) (Signer, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp.example"},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Signer{}, fmt.Errorf("make certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	return Signer{Key: key, Certificate: certificate}, err
}

// PEM is the certificate of s.
func (s Signer) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate.Raw}))
}

// Metadata describes the provider (SAML Metadata section 2.4.3).
func (p *IdP) Metadata() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<md:EntityDescriptor xmlns:md="%s" entityID="%s"><md:IDPSSODescriptor protocolSupportEnumeration="%s">`,
		metadataNS, p.EntityID, protocolNS)
	for _, c := range append([]*x509.Certificate{p.Signer.Certificate}, p.Also...) {
		fmt.Fprintf(&b, `<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="%s"><ds:X509Data><ds:X509Certificate>%s`+
			`</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`, dsigNS, base64.StdEncoding.EncodeToString(c.Raw))
	}
	if p.SLO != "" {
		fmt.Fprintf(&b, `<md:SingleLogoutService Binding="%s" Location="%s"/>`, redirectBinding, p.SLO)
	}
	fmt.Fprintf(&b, `<md:SingleSignOnService Binding="%s" Location="%s"/></md:IDPSSODescriptor></md:EntityDescriptor>`,
		redirectBinding, p.SSO)
	return b.String()
}

// Request is what a service provider asked.
type Request struct {
	ID           string   `xml:"ID,attr"`
	Destination  string   `xml:"Destination,attr"`
	ACS          string   `xml:"AssertionConsumerServiceURL,attr"`
	Issuer       string   `xml:"urn:oasis:names:tc:SAML:2.0:assertion Issuer"`
	Classes      []string `xml:"RequestedAuthnContext>AuthnContextClassRef"`
	NameID       string   `xml:"urn:oasis:names:tc:SAML:2.0:assertion NameID"`
	SessionIndex string   `xml:"urn:oasis:names:tc:SAML:2.0:protocol SessionIndex"`
	// Text is the document.
	Text string `xml:"-"`
}

// ReadRequest reads the SAMLRequest of a query (SAML Bindings section 3.4.4.1). The signature is not checked.
func ReadRequest(query url.Values) (Request, error) {
	deflated, err := base64.StdEncoding.DecodeString(query.Get("SAMLRequest"))
	if err != nil {
		return Request{}, fmt.Errorf("decode SAMLRequest: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(deflated)), 1<<20))
	if err != nil {
		return Request{}, fmt.Errorf("inflate SAMLRequest: %w", err)
	}
	r := Request{Text: string(text)}
	if err := xml.Unmarshal(text, &r); err != nil {
		return Request{}, fmt.Errorf("read SAMLRequest: %w", err)
	}
	if r.ID == "" {
		return Request{}, errors.New("SAMLRequest has no ID")
	}
	return r, nil
}

// postPage sends an answer on (SAML Bindings section 3.5.4).
var postPage = template.Must(template.New("post").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Identity provider</title></head><body>
<form method="post" action="{{.ACS}}">
<input type="hidden" name="SAMLResponse" value="{{.Response}}">
<input type="hidden" name="RelayState" value="{{.RelayState}}">
<noscript><button>Continue</button></noscript>
</form>
<script>document.forms[0].submit();</script>
</body></html>
`))

// Handler serves the metadata at /metadata, and at /sso a page that posts the answer to a request at once.
func (p *IdP) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metadata", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/samlmetadata+xml")
		_, _ = io.WriteString(w, p.Metadata())
	})
	mux.HandleFunc("GET /sso", p.serveSSO)
	return mux
}

func (p *IdP) serveSSO(w http.ResponseWriter, r *http.Request) {
	request, err := ReadRequest(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a := Answer{InResponseTo: request.ID, ACS: request.ACS, Audience: request.Issuer}
	if p.Edit != nil {
		p.Edit(&a)
	}
	response, err := p.Encode(a)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	page := struct{ ACS, Response, RelayState string }{a.ACS, response, r.URL.Query().Get("RelayState")}
	if err := postPage.Execute(w, page); err != nil {
		panic(http.ErrAbortHandler)
	}
}
