package main

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"encoding/xml"
	"html"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"
)

// samlIDP is somebody else's SAML identity provider, where everybody who comes is signed in already.
type samlIDP struct {
	t     *testing.T
	base  string
	idp   *saml.IdentityProvider
	logs  *logBuffer
	close func()

	mu      sync.Mutex
	who     saml.Session
	edit    func(*saml.Assertion)
	parties map[string]*saml.EntityDescriptor
}

var _ interface {
	saml.SessionProvider
	saml.ServiceProviderProvider
	saml.AssertionMaker
} = (*samlIDP)(nil)

// startSAML starts a provider with a key of its own, at which jane.doe is.
func startSAML(t *testing.T) *samlIDP {
	t.Helper()
	p := &samlIDP{t: t, logs: &logBuffer{}, parties: map[string]*saml.EntityDescriptor{}}
	p.is("jane.doe", "Jane Doe")
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	p.base, p.close = srv.URL, srv.Close
	key, certificate := newSAMLKey(t)
	p.idp = &saml.IdentityProvider{
		Key: key, Certificate: certificate, SignatureMethod: dsig.RSASHA256SignatureMethod, Logger: log.New(p.logs, "", 0),
		MetadataURL: p.at("/metadata"), SSOURL: p.at("/sso"), LogoutURL: url.URL{Scheme: "https", Host: "idp.example", Path: "/slo"},
		SessionProvider: p, ServiceProviderProvider: p, AssertionMaker: p,
	}
	mux.HandleFunc("/metadata", p.idp.ServeMetadata)
	mux.HandleFunc("/sso", p.idp.ServeSSO)
	mux.HandleFunc("/begin", func(w http.ResponseWriter, r *http.Request) {
		p.idp.ServeIDPInitiated(w, r, r.FormValue("for"), r.FormValue("RelayState"))
	})
	return p
}

func newSAMLKey(t *testing.T) (*rsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, certificate
}

// pemKey is a new RSA key as the config has it.
func pemKey(t *testing.T) string {
	t.Helper()
	key, _ := newSAMLKey(t)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func (p *samlIDP) at(path string) url.URL {
	u, err := url.Parse(p.base + path)
	if err != nil {
		p.t.Fatal(err)
	}
	return *u
}

func (p *samlIDP) certificate() string {
	return base64.StdEncoding.EncodeToString(p.idp.Certificate.Raw)
}

// is lets another person come from now on.
func (p *samlIDP) is(name, displayName string) {
	attribute := func(name string, values ...string) saml.Attribute {
		a := saml.Attribute{Name: name}
		for _, v := range values {
			a.Values = append(a.Values, saml.AttributeValue{Type: "xs:string", Value: v})
		}
		return a
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.who = saml.Session{
		NameID: name, NameIDFormat: "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress", Index: "index of " + name,
		CreateTime: time.Now(), CustomAttributes: []saml.Attribute{
			attribute("email", name+"@example.com"), attribute("displayName", displayName),
			attribute("uid", name), attribute("groups", "staff", "dev"),
		},
	}
}

// spoil changes assertions before they are signed, until it is called with nil.
func (p *samlIDP) spoil(edit func(*saml.Assertion)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.edit = edit
}

// registers does what an administrator does with our metadata, and returns it.
func (p *samlIDP) registers(metadata []byte) *saml.EntityDescriptor {
	p.t.Helper()
	d := &saml.EntityDescriptor{}
	if err := xml.Unmarshal(metadata, d); err != nil {
		p.t.Fatalf("the metadata %s: %v", metadata, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parties[d.EntityID] = d
	return d
}

// GetServiceProvider knows those that were registered.
func (p *samlIDP) GetServiceProvider(_ *http.Request, id string) (*saml.EntityDescriptor, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.parties[id]; d != nil {
		return d, nil
	}
	return nil, os.ErrNotExist
}

// GetSession asks nobody.
func (p *samlIDP) GetSession(http.ResponseWriter, *http.Request, *saml.IdpAuthnRequest) *saml.Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.who
	return &who
}

// MakeAssertion is the library's own, spoiled.
func (p *samlIDP) MakeAssertion(req *saml.IdpAuthnRequest, s *saml.Session) error {
	if err := (saml.DefaultAssertionMaker{}).MakeAssertion(req, s); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.edit != nil {
		p.edit(req.Assertion)
	}
	return nil
}

// samlForm is a form that a page posts by itself.
type samlForm struct {
	action string
	fields url.Values
}

var (
	formAction = regexp.MustCompile(`<form method="post"(?: action="([^"]*)")?`)
	formField  = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// readForm reads the form of a page at that address.
func readForm(t *testing.T, address, page string) samlForm {
	t.Helper()
	found := formAction.FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("no form at %s: %s", address, page)
	}
	f := samlForm{cmp.Or(html.UnescapeString(found[1]), address), url.Values{}}
	for _, field := range formField.FindAllStringSubmatch(page, -1) {
		f.fields.Add(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	return f
}

func (f samlForm) address(t *testing.T) *url.URL {
	t.Helper()
	u, err := url.Parse(f.action)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// with is the same form with another field; an empty value takes it away.
func (f samlForm) with(name, value string) samlForm {
	fields := url.Values{}
	for k, v := range f.fields {
		fields[k] = v
	}
	if fields.Set(name, value); value == "" {
		fields.Del(name)
	}
	return samlForm{f.action, fields}
}

// replaced is the same form with another text in the document.
func (f samlForm) replaced(t *testing.T, old, text string) samlForm {
	t.Helper()
	document, err := base64.StdEncoding.DecodeString(f.fields.Get("SAMLResponse"))
	if err != nil || !strings.Contains(string(document), old) {
		t.Fatalf("no %q in %s: %v", old, document, err)
	}
	return f.with("SAMLResponse", base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(document), old, text, 1))))
}
