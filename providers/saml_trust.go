package providers

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/crewjam/saml"
)

// shortestCurve is that of P-256, in bits.
const shortestCurve = 256

// maxSAMLCertificates bounds what each signature is tried with: two are a rollover, and some providers announce more.
const maxSAMLCertificates = 8

// samlParty is what is known of the identity provider.
type samlParty struct {
	// issuer is empty if nobody told.
	issuer, entryPoint, logout string
	certificates               []*x509.Certificate
}

// samlTrust knows the identity provider.
type samlTrust interface {
	party(ctx context.Context) (*samlParty, error)
	// reread reads again what is known if it is still seen, and reports whether there is something newer.
	reread(ctx context.Context, seen *samlParty) (*samlParty, bool)
}

// samlConfigured is an identity provider that the config describes.
type samlConfigured struct{ known *samlParty }

func (s samlConfigured) party(context.Context) (*samlParty, error) { return s.known, nil }

func (s samlConfigured) reread(context.Context, *samlParty) (*samlParty, bool) { return nil, false }

// samlPublished is an identity provider that publishes its metadata.
type samlPublished struct{ *published[samlParty] }

func (s samlPublished) party(ctx context.Context) (*samlParty, error) { return s.current(ctx) }

func (s samlPublished) reread(ctx context.Context, seen *samlParty) (*samlParty, bool) {
	newer, err := s.newer(ctx, seen)
	return newer, err == nil && newer != seen
}

// samlMetadataLife is how long metadata is believed before it is read again: a new key is announced longer than that beforehand.
const samlMetadataLife = time.Hour

// newTrust checks the source of what is known of the provider and, unless it is elsewhere, reads it.
func (c samlConfig) newTrust(s Setup) (samlTrust, error) {
	if err := c.checkSource(s.Development); err != nil {
		return nil, err
	}
	if c.MetadataURL != "" {
		up := newUpstream(s.HTTP, cmp.Or(c.Timeout, oidcTimeout))
		fetch := func(ctx context.Context) (*samlParty, error) { return c.fetchMetadata(ctx, up, s.Now, s.Log) }
		return samlPublished{newPublished(fetch, samlMetadataLife, s.Now, s.Log)}, nil
	}
	known, err := c.describe(s.Now())
	if err != nil {
		return nil, err
	}
	if known.issuer == "" {
		s.Log.Warn("idpIssuer is not set: whoever holds the key of a configured certificate may sign as any issuer")
	}
	warnOfAge(s.Log, known, s.Now())
	return samlConfigured{known}, nil
}

// describe is what the config alone tells.
func (c samlConfig) describe(now time.Time) (*samlParty, error) {
	if c.Metadata != "" {
		return c.readMetadata([]byte(c.Metadata), false, now)
	}
	p := &samlParty{issuer: c.IDPIssuer, entryPoint: c.EntryPoint, logout: c.LogoutURL}
	for _, text := range c.Certificates {
		read, err := readCertificates(text)
		if err != nil {
			return nil, fmt.Errorf("cert %w", err)
		}
		p.certificates = append(p.certificates, read...)
	}
	return p, checkCertificates(p.certificates)
}

// fetchMetadata reads what the provider publishes. The error is an *Error that may pass.
func (c samlConfig) fetchMetadata(ctx context.Context, up *upstream, now func() time.Time, log *slog.Logger) (*samlParty, error) {
	a, err := up.get(ctx, c.MetadataURL, http.Header{"Accept": {"application/samlmetadata+xml, application/xml, text/xml"}})
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, unavailable(CodeDiscovery, "the metadata of the identity provider cannot be read", fmt.Errorf("status %d", a.status))
	}
	p, err := c.readMetadata(a.body, strings.HasPrefix(c.MetadataURL, "https:"), now())
	if err != nil {
		return nil, unavailable(CodeMetadata, "the metadata of the identity provider is refused: "+err.Error(), nil)
	}
	warnOfAge(log, p, now())
	return p, nil
}

// readMetadata takes the one identity provider of a document (SAML Metadata section 2.4.3).
func (c samlConfig) readMetadata(text []byte, secure bool, now time.Time) (*samlParty, error) {
	entity, role, until, err := c.findEntity(text)
	if err != nil {
		return nil, err
	}
	for _, end := range []time.Time{until, entity.ValidUntil, deref(role.ValidUntil)} {
		if !end.IsZero() && now.After(end.Add(clockSkew)) {
			return nil, errors.New("it is no longer valid")
		}
	}
	p := &samlParty{issuer: entity.EntityID, logout: c.LogoutURL}
	for _, s := range role.SingleSignOnServices {
		if s.Binding == saml.HTTPRedirectBinding {
			p.entryPoint = cmp.Or(p.entryPoint, s.Location)
		}
	}
	for _, s := range role.SingleLogoutServices {
		if s.Binding == saml.HTTPRedirectBinding {
			p.logout = cmp.Or(p.logout, s.Location)
		}
	}
	if !isEndpoint(p.entryPoint, secure) || p.logout != "" && !isEndpoint(p.logout, secure) {
		return nil, errors.New("it has no safe address for the redirect binding")
	}
	if p.certificates, err = samlKeys(role.KeyDescriptors); err != nil {
		return nil, err
	}
	return p, checkCertificates(p.certificates)
}

// findEntity picks the identity provider that idpIssuer names, else the only one. Until is the end of what stands around it.
func (c samlConfig) findEntity(text []byte) (entity *saml.EntityDescriptor, role *saml.IDPSSODescriptor, until time.Time, err error) {
	var many saml.EntitiesDescriptor
	if err := xml.Unmarshal(text, &many); err != nil {
		var one saml.EntityDescriptor
		if err := xml.Unmarshal(text, &one); err != nil {
			return nil, nil, until, errors.New("it is not a SAML metadata document")
		}
		many.EntityDescriptors = []saml.EntityDescriptor{one}
	}
	var found []*saml.EntityDescriptor
	for i, e := range many.EntityDescriptors {
		if len(e.IDPSSODescriptors) == 1 && (c.IDPIssuer == "" || c.IDPIssuer == e.EntityID) {
			found = append(found, &many.EntityDescriptors[i])
		}
	}
	if len(found) != 1 || found[0].EntityID == "" {
		return nil, nil, until, fmt.Errorf("it describes %d identity providers that are meant; set idpIssuer", len(found))
	}
	return found[0], &found[0].IDPSSODescriptors[0], deref(many.ValidUntil), nil
}

// samlKeys are the certificates that the provider signs with.
func samlKeys(descriptors []saml.KeyDescriptor) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, d := range descriptors {
		if d.Use != "" && d.Use != "signing" {
			continue
		}
		for _, c := range d.KeyInfo.X509Data.X509Certificates {
			read, err := readCertificates(c.Data)
			if err != nil {
				return nil, fmt.Errorf("its certificate %w", err)
			}
			all = append(all, read...)
		}
	}
	return all, nil
}

// readCertificates reads PEM blocks, or the base64 of one certificate.
func readCertificates(text string) ([]*x509.Certificate, error) {
	var ders [][]byte
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		ders = append(ders, block.Bytes)
	}
	if len(ders) == 0 {
		der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return nil, errors.New("is neither PEM nor base64")
		}
		ders = [][]byte{der}
	}
	var all []*x509.Certificate
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, errors.New("is not an X.509 certificate")
		}
		all = append(all, c)
	}
	return all, nil
}

// checkCertificates wants keys that signatures may be made with.
func checkCertificates(all []*x509.Certificate) error {
	if len(all) == 0 || len(all) > maxSAMLCertificates {
		return fmt.Errorf("there are %d signing certificates, want 1 to %d", len(all), maxSAMLCertificates)
	}
	for _, c := range all {
		switch key := c.PublicKey.(type) {
		case *ecdsa.PublicKey:
			if key.Params().BitSize < shortestCurve {
				return fmt.Errorf("a signing certificate has a key on a curve of less than %d bits", shortestCurve)
			}
		case *rsa.PublicKey:
			if key.N.BitLen() < shortestRSA {
				return fmt.Errorf("a signing certificate has an RSA key of less than %d bits", shortestRSA)
			}
		default:
			return errors.New("a signing certificate has a key that is neither RSA nor ECDSA")
		}
	}
	return nil
}

// warnOfAge tells of certificates that have ended. They go on being trusted: to stop that, they are taken out of the config.
func warnOfAge(log *slog.Logger, p *samlParty, now time.Time) {
	for _, c := range p.certificates {
		if now.After(c.NotAfter) {
			log.Warn("a signing certificate of the identity provider has expired, and is still trusted", "not_after", c.NotAfter)
		}
	}
}

func deref(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
