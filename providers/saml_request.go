package providers

import (
	"bytes"
	"cmp"
	"compress/flate"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // what samlSignatures names
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"
)

const (
	samlPasswordTransport = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
	samlEmailFormat       = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
)

// authnRequest asks for a bearer assertion by POST, with the parameters that the Node backend's library sends
// (contract/providers.md section 4).
func (p *samlProvider) authnRequest(id, destination string) *etree.Element {
	create, format := true, cmp.Or(p.config.NameIDFormat, samlEmailFormat)
	r := saml.AuthnRequest{
		ID: id, Version: "2.0", IssueInstant: p.now().UTC(), Destination: destination,
		AssertionConsumerServiceURL: p.acs, ProtocolBinding: saml.HTTPPostBinding,
		Issuer:       &saml.Issuer{Value: p.config.Issuer},
		NameIDPolicy: &saml.NameIDPolicy{AllowCreate: &create, Format: &format},
	}
	el := r.Element()
	classes := []string{samlPasswordTransport}
	if p.config.AuthnContext != nil {
		classes = *p.config.AuthnContext
	}
	if len(classes) > 0 {
		context := el.CreateElement("samlp:RequestedAuthnContext")
		context.CreateAttr("Comparison", "exact")
		for _, class := range classes {
			context.CreateElement("saml:AuthnContextClassRef").SetText(class)
		}
	}
	return el
}

// logoutRequest names the session that ends as the provider named it.
func (p *samlProvider) logoutRequest(idp *samlParty, claims map[string]any, name string) *etree.Element {
	r := saml.LogoutRequest{
		ID: "_" + rand.Text(), Version: "2.0", IssueInstant: p.now().UTC(), Destination: idp.logout,
		Issuer: &saml.Issuer{Value: p.config.Issuer},
		NameID: &saml.NameID{Value: name, Format: member(claims, samlNameIDFormat), NameQualifier: member(claims, samlNameQualifier)},
	}
	if index := member(claims, samlSessionIndex); index != "" {
		r.SessionIndex = &saml.SessionIndex{Value: index}
	}
	return r.Element()
}

// samlSigner signs requests; without a key it sends them as they are.
type samlSigner struct {
	key  *rsa.PrivateKey
	hash crypto.Hash
}

// samlSignatures are the names of what a samlSigner can do.
var samlSignatures = map[crypto.Hash]string{
	crypto.SHA256: dsig.RSASHA256SignatureMethod, crypto.SHA512: dsig.RSASHA512SignatureMethod,
}

func newSAMLSigner(key, algorithm string) (*samlSigner, error) {
	s := &samlSigner{hash: crypto.SHA256}
	if algorithm == "sha512" {
		s.hash = crypto.SHA512
	}
	if key == "" {
		return s, nil
	}
	var err error
	s.key, err = readRSAKey("privateKey", key)
	return s, err
}

// readRSAKey reads a PEM key that is long enough. The error does not quote it.
func readRSAKey(name, text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", name)
	}
	parsed, err := parsePrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s is not a private key", name)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok || key.N.BitLen() < shortestRSA {
		return nil, fmt.Errorf("%s is not an RSA key of %d bits or more", name, shortestRSA)
	}
	return key, nil
}

// redirect puts a request into an address (SAML Bindings section 3.4.4.1). A query that the address has is kept. The signature
// covers the parameters in the order in which they stand.
func (s *samlSigner) redirect(address string, request *etree.Element, relayState string) (string, error) {
	deflated, err := samlDeflate(request)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", errors.New("the identity provider's address is unusable")
	}
	query := "SAMLRequest=" + url.QueryEscape(base64.StdEncoding.EncodeToString(deflated))
	if relayState != "" {
		query += "&RelayState=" + url.QueryEscape(relayState)
	}
	if s.key != nil {
		query += "&SigAlg=" + url.QueryEscape(samlSignatures[s.hash])
		signature, err := s.sign(query)
		if err != nil {
			return "", err
		}
		query += "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(signature))
	}
	if u.RawQuery != "" {
		query = u.RawQuery + "&" + query
	}
	u.RawQuery = query
	return u.String(), nil
}

func (s *samlSigner) sign(text string) ([]byte, error) {
	digest := s.hash.New()
	digest.Write([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, s.key, s.hash, digest.Sum(nil))
	if err != nil {
		return nil, fmt.Errorf("sign SAML request: %w", err)
	}
	return signature, nil
}

func samlDeflate(el *etree.Element) ([]byte, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("deflate SAML request: %w", err)
	}
	doc := etree.NewDocument()
	doc.SetRoot(el)
	if _, err := doc.WriteTo(w); err != nil {
		return nil, fmt.Errorf("write SAML request: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("deflate SAML request: %w", err)
	}
	return b.Bytes(), nil
}
