package providers

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/crewjam/saml"
)

// Describe returns our metadata (SAML Metadata section 2.4.4), for the provider to read. It changes only with the config.
func (p *samlProvider) Describe() ([]byte, error) {
	signs, wants, def := p.signer.key != nil, p.config.wantsAssertion(), true
	role := saml.SPSSODescriptor{
		AuthnRequestsSigned: &signs, WantAssertionsSigned: &wants,
		AssertionConsumerServices: []saml.IndexedEndpoint{{Binding: saml.HTTPPostBinding, Location: p.acs, Index: 1, IsDefault: &def}},
	}
	role.ProtocolSupportEnumeration = samlProtocolNS
	role.NameIDFormats = []saml.NameIDFormat{saml.NameIDFormat(cmp.Or(p.config.NameIDFormat, samlEmailFormat))}
	if p.config.LogoutURL != "" || p.config.Metadata != "" || p.config.MetadataURL != "" {
		role.SingleLogoutServices = []saml.Endpoint{{Binding: saml.HTTPRedirectBinding, Location: p.slo, ResponseLocation: p.slo}}
	}
	for _, k := range []struct {
		use string
		key *rsa.PrivateKey
	}{{"signing", p.signer.key}, {"encryption", p.opener.key}} {
		if k.key == nil {
			continue
		}
		d, err := samlKeyDescriptor(k.use, k.key, p.config.Issuer)
		if err != nil {
			return nil, err
		}
		role.KeyDescriptors = append(role.KeyDescriptors, d)
	}
	b, err := xml.MarshalIndent(samlEntity{ID: p.config.Issuer, Role: role}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode SAML metadata: %w", err)
	}
	return append([]byte(xml.Header), b...), nil
}

// samlEntity is an EntityDescriptor that does not end; the library's always has a date.
type samlEntity struct {
	XMLName xml.Name             `xml:"urn:oasis:names:tc:SAML:2.0:metadata EntityDescriptor"`
	ID      string               `xml:"entityID,attr"`
	Role    saml.SPSSODescriptor `xml:"SPSSODescriptor"`
}

func samlKeyDescriptor(use string, key *rsa.PrivateKey, name string) (saml.KeyDescriptor, error) {
	der, err := samlCertificate(key, name)
	if err != nil {
		return saml.KeyDescriptor{}, err
	}
	d := saml.KeyDescriptor{Use: use}
	d.KeyInfo.X509Data.X509Certificates = []saml.X509Certificate{{Data: base64.StdEncoding.EncodeToString(der)}}
	if use == "encryption" {
		d.EncryptionMethods = []saml.EncryptionMethod{{Algorithm: samlOAEP}}
		for _, c := range samlCiphers {
			d.EncryptionMethods = append(d.EncryptionMethods, saml.EncryptionMethod{Algorithm: c.name})
		}
	}
	return d, nil
}

// samlCertificate is the key in the form in which providers want it. It is made of the key alone, so that every replica and every
// start show the same one; its dates say nothing, as with every certificate in SAML metadata.
func samlCertificate(key *rsa.PrivateKey, name string) ([]byte, error) {
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), SignatureAlgorithm: x509.SHA256WithRSA,
		Subject:   pkix.Name{CommonName: strings.ToValidUTF8(name[:min(len(name), 64)], "")},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(nil, &template, &template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make SAML certificate: %w", err)
	}
	return der, nil
}
