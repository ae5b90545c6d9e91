package providers_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
	"stagedoor/providers/samltest"
)

// TestSAMLConfig: what is missing, contradicts itself or is too weak is an error at start that names its key.
func TestSAMLConfig(t *testing.T) {
	idp := samltest.New(t, samlNow)
	weak, p224 := samltest.NewRSA(t, 1024), samltest.NewECDSA(t, elliptic.P224())
	cert := func(s samltest.Signer) string { return fmt.Sprintf("cert: [%q]", s.PEM()) }
	metadata := func(edit func(string) string) string {
		return fmt.Sprintf("issuer: us\nidpMetadata: %q", edit(idp.Metadata()))
	}
	entry := "entryPoint: https://idp.example/sso\n" + cert(idp.Signer)
	good := "issuer: us\n" + entry
	old := func(attribute string) func(string) string {
		return func(s string) string {
			return strings.Replace(s, attribute, ` validUntil="2020-01-01T00:00:00Z"`+attribute, 1)
		}
	}
	federation := func(s string) string {
		return `<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" Name="x">` + s + `</md:EntitiesDescriptor>`
	}
	replace := func(from, to string) func(string) string {
		return func(s string) string { return strings.ReplaceAll(s, from, to) }
	}
	tests := []struct{ name, entry, want string }{
		{"cert", good, ""},
		{"cert as base64 alone", "issuer: us\nentryPoint: https://idp.example/sso\ncert: [" + base64.StdEncoding.EncodeToString(idp.Signer.Certificate.Raw) + "]", ""},
		{"metadata", metadata(func(s string) string { return s }), ""},
		{"metadata of one provider among many", metadata(federation), ""},
		{"metadata by address", "issuer: us\nidpMetadataUrl: https://idp.example/metadata", ""},
		{"keys", good + fmt.Sprintf("\nprivateKey: %q\ndecryptionPvk: %[1]q\nsignatureAlgorithm: sha512\ndigestAlgorithm: sha256", rsaKeyPEM(t, idp.Signer.Key)), ""},
		{"skew", good + "\nacceptedClockSkewMs: 300000", ""},

		{"no issuer", entry, "issuer"},
		{"no source", "issuer: us", "entryPoint and cert are required"},
		{"no cert", "issuer: us\nentryPoint: https://idp.example/sso", "entryPoint and cert are required"},
		{"no entryPoint", "issuer: us\n" + cert(idp.Signer), "entryPoint and cert are required"},
		{"two sources", good + "\nidpMetadataUrl: https://idp.example", "exclude each other"},
		{"two kinds of metadata", metadata(func(s string) string { return s }) + "\nidpMetadataUrl: https://idp.example", "exclude each other"},
		{"nothing signed", good + samlResponseOnly + samlAssertionOnly, "wantAssertionsSigned cannot both be false"},
		{"no time checks", good + "\nacceptedClockSkewMs: -1", "acceptedClockSkewMs"},
		{"too much skew", good + "\nacceptedClockSkewMs: 300001", "acceptedClockSkewMs"},
		{"skew beyond all time", good + "\nacceptedClockSkewMs: 9223372036854775807", "acceptedClockSkewMs"},
		{"negative timeout", good + "\ntimeout: -1s", "timeout is negative"},
		{"SHA-1", good + "\nsignatureAlgorithm: sha1", "signatureAlgorithm is neither"},
		{"SHA-1 digest", good + "\ndigestAlgorithm: sha1", "digestAlgorithm is neither"},
		{"metadata in the open", "issuer: us\nidpMetadataUrl: http://idp.example/metadata", "idpMetadataUrl is not an https address"},
		{"metadata in a file", "issuer: us\nidpMetadataUrl: file:///etc/passwd", "idpMetadataUrl is not an https address"},
		{"entryPoint that is no address", "issuer: us\nentryPoint: nowhere\n" + cert(idp.Signer), "entryPoint"},
		{"entryPoint that is a script", "issuer: us\nentryPoint: javascript:alert(1)\n" + cert(idp.Signer), "entryPoint"},
		{"logoutUrl that is a script", good + "\nlogoutUrl: javascript:alert(1)", "logoutUrl"},
		{"weak certificate", "issuer: us\nentryPoint: https://idp.example/sso\n" + cert(weak), "RSA key of less than"},
		{"weak curve", "issuer: us\nentryPoint: https://idp.example/sso\n" + cert(p224), "curve"},
		{"cert that is not PEM", "issuer: us\nentryPoint: https://idp.example/sso\ncert: [\"%\"]", "neither PEM nor base64"},
		{"cert that is a key", "issuer: us\nentryPoint: https://idp.example/sso\n" + fmt.Sprintf("cert: [%q]", rsaKeyPEM(t, idp.Signer.Key)), "not an X.509 certificate"},
		{"nine certs", "issuer: us\nentryPoint: https://idp.example/sso\ncert: [" + strings.Repeat(fmt.Sprintf("%q, ", idp.Signer.PEM()), 9) + "]", "9 signing certificates"},
		{"weak privateKey", good + fmt.Sprintf("\nprivateKey: %q", rsaKeyPEM(t, weak.Key)), "privateKey is not an RSA key of"},
		{"weak decryptionPvk", good + fmt.Sprintf("\ndecryptionPvk: %q", rsaKeyPEM(t, weak.Key)), "decryptionPvk is not an RSA key of"},
		{"privateKey of ECDSA", good + fmt.Sprintf("\nprivateKey: %q", rsaKeyPEM(t, p224.Key.(*ecdsa.PrivateKey))), "privateKey is not an RSA key of"},
		{"privateKey that is not PEM", good + "\nprivateKey: secret words", "privateKey is not PEM"},
		{"privateKey that is a certificate", good + fmt.Sprintf("\nprivateKey: %q", idp.Signer.PEM()), "privateKey is not a private key"},
		{"metadata that is no XML", "issuer: us\nidpMetadata: x", "not a SAML metadata document"},
		{"metadata without a name", metadata(replace(`entityID="https://idp.example/metadata"`, "")), "set idpIssuer"},
		{"metadata of another", metadata(func(s string) string { return s }) + "\nidpIssuer: urn:other", "set idpIssuer"},
		{"metadata of two", metadata(func(s string) string { return federation(s + s) }), "2 identity providers"},
		{"metadata that has ended", metadata(old(" entityID=")), "no longer valid"},
		{"metadata whose role has ended", metadata(old(" protocolSupportEnumeration=")), "no longer valid"},
		{"metadata whose federation has ended", metadata(func(s string) string { return old(" Name=")(federation(s)) }), "no longer valid"},
		{"metadata without keys", metadata(replace(`use="signing"`, `use="encryption"`)), "0 signing certificates"},
		{"metadata with a broken key", metadata(replace("MII", "%")), "neither PEM nor base64"},
		{"metadata without an address", metadata(replace("SingleSignOnService", "ManageNameIDService")), "no safe address"},
		{"metadata with a script", metadata(replace("https://idp.example/sso", "javascript:alert(1)")), "not a SAML metadata document"},
		{"metadata with a script to log out", metadata(replace("https://idp.example/slo", "javascript:alert(1)")), "not a SAML metadata document"},
		{"metadata with an entity", metadata(func(s string) string { return strings.Replace(s, "https://idp.example/sso", "&x;", 1) }), "not a SAML metadata document"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := samlKind(t).New(providers.Setup{
				ID: "saml", CallbackURL: idp.ACS, Decode: providertest.Decode(tt.entry), HTTP: http.DefaultClient,
				Now: samlNow, Log: slog.New(slog.DiscardHandler),
			})
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want one with %q", err, tt.want)
			case err != nil && (strings.Contains(err.Error(), "secret words") || strings.Contains(err.Error(), "MII")):
				t.Errorf("the error quotes a key: %v", err)
			}
		})
	}
}

// TestSAMLWarns: what is trusted although it might not be meant is told of.
func TestSAMLWarns(t *testing.T) {
	idp := samltest.New(t, samlNow)
	if s := newSAML(t, idp, ""); s.log.Len() > 0 {
		t.Errorf("logged %s", s.log)
	}
	s := openSAML(t, idp, fmt.Sprintf("issuer: %s\nentryPoint: %s\ncert: [%q]", idp.Audience, idp.SSO, idp.Signer.PEM()), nil)
	if !strings.Contains(s.log.String(), "idpIssuer is not set") {
		t.Errorf("logged %s", s.log)
	}
	idp.EntityID = "urn:anybody"
	s.signsIn(t, samltest.Answer{})
}
