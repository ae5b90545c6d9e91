package providers_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
	"stagedoor/providers/samltest"
)

// openPublished is a provider that reads idp's metadata from its address.
func openPublished(t testing.TB, idp *samltest.IdP, config string) (*samlSP, *answers) {
	t.Helper()
	served := &answers{text: idp.Metadata}
	entry := fmt.Sprintf("issuer: %s\nidpMetadataUrl: %s%s", idp.Audience, idp.EntityID, config)
	return openSAML(t, idp, entry, &http.Client{Transport: served}), served
}

// TestSAMLRollover: while two keys are announced both sign, one that was is refused.
func TestSAMLRollover(t *testing.T) {
	idp := samltest.New(t, samlNow)
	first, second, third := idp.Signer, samltest.NewRSA(t, 2048), samltest.NewRSA(t, 3072)
	idp.Also = []*x509.Certificate{second.Certificate}
	s, _ := openPublished(t, idp, "")
	for _, signer := range []samltest.Signer{first, second} {
		s.signsIn(t, samltest.Answer{ResponseSigner: &signer, AssertionSigner: &signer})
	}
	_, err := s.answer(t, samltest.Answer{ResponseSigner: &third, AssertionSigner: &third})
	refuses(t, err, providers.CodeSAMLSignature)

	entry := fmt.Sprintf("issuer: %s\nentryPoint: %s\nidpIssuer: %s\ncert: [%q, %q]", idp.Audience, idp.SSO, idp.EntityID, first.PEM(), second.PEM())
	configured := openSAML(t, idp, entry, nil)
	configured.signsIn(t, samltest.Answer{ResponseSigner: &first, AssertionSigner: &second})
}

// TestSAMLRotation: a key that is new makes us look once, in the midst of a sign-in, however the answer came.
func TestSAMLRotation(t *testing.T) {
	decryption, key := samlDecryption(t)
	for name, tt := range map[string]struct {
		config string
		answer samltest.Answer
	}{
		"both signed":         {},
		"Assertion signed":    {samlAssertionOnly, samltest.Answer{UnsignedResponse: true}},
		"Assertion encrypted": {decryption + samlAssertionOnly, samltest.Answer{UnsignedResponse: true, Encrypt: &samltest.Encryption{Key: key}}},
		"both, and encrypted": {decryption, samltest.Answer{Encrypt: &samltest.Encryption{Key: key}}},
	} {
		t.Run(name, func(t *testing.T) {
			idp := samltest.New(t, samlNow)
			s, served := openPublished(t, idp, tt.config)
			s.signsIn(t, tt.answer)
			if served.calls != 1 {
				t.Fatalf("%d calls", served.calls)
			}
			old := idp.Signer
			idp.Signer = samltest.NewRSA(t, 2048)
			s.signsIn(t, tt.answer)
			if served.calls != 2 {
				t.Errorf("%d calls after a rotation", served.calls)
			}
			tt.answer.AssertionSigner, tt.answer.ResponseSigner = &old, &old
			_, err := s.answer(t, tt.answer)
			refuses(t, err, providers.CodeSAMLSignature)
		})
	}
}

// TestSAMLRotationBounded: forged signatures do not turn us on the provider.
func TestSAMLRotationBounded(t *testing.T) {
	idp := samltest.New(t, samlNow)
	s, served := openPublished(t, idp, "")
	foreign := samltest.NewRSA(t, 2048)
	for range 50 {
		_, err := s.answer(t, samltest.Answer{ResponseSigner: &foreign})
		refuses(t, err, providers.CodeSAMLSignature)
	}
	if served.calls != 5 {
		t.Errorf("%d calls, want the first and four more", served.calls)
	}
	unsigned := samltest.Answer{UnsignedResponse: true}
	_, err := s.answer(t, unsigned)
	refuses(t, err, providers.CodeSAMLUnsigned)
	s.signsIn(t, samltest.Answer{})
}

// TestSAMLMetadataOutage: what was read stays good while the provider is down; what never was is an error that may pass.
func TestSAMLMetadataOutage(t *testing.T) { synctest.Test(t, testSAMLMetadataOutage) }

func testSAMLMetadataOutage(t *testing.T) {
	now := samlNow()
	idp := samltest.New(t, func() time.Time { return now })
	s, served := openPublished(t, idp, "")
	served.text = func() string { return "down" }
	now = now.Add(2 * time.Hour)
	s.signsIn(t, samltest.Answer{})
	synctest.Wait() // it is read again in the background
	if served.calls != 2 {
		t.Errorf("%d calls", served.calls)
	}
	s.signsIn(t, samltest.Answer{})

	fresh := &answers{text: func() string { return "down" }}
	p, err := samlKind(t).New(providers.Setup{
		ID: "saml", CallbackURL: idp.ACS, Decode: providertest.Decode("issuer: us\nidpMetadataUrl: https://idp.example"),
		HTTP: &http.Client{Transport: fresh}, Now: idp.Now, Log: s.logger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, err = p.(providers.Starter).Start(t.Context(), providers.StartInput{})
		refuses(t, err, providers.CodeMetadata)
	}
	if e, ok := err.(*providers.Error); !ok || e.Kind != providers.ErrUnavailable {
		t.Errorf("error %v may not pass", err)
	}
	if fresh.calls != 1 {
		t.Errorf("%d calls to a provider that is down", fresh.calls)
	}
}

// TestSAMLMetadataTooLarge: the provider's answer has a limit as well.
func TestSAMLMetadataTooLarge(t *testing.T) {
	idp := samltest.New(t, samlNow)
	served := &answers{text: func() string { return idp.Metadata() + strings.Repeat(" ", 2<<20) }}
	p, err := samlKind(t).New(providers.Setup{
		ID: "saml", CallbackURL: idp.ACS, Decode: providertest.Decode("issuer: us\nidpMetadataUrl: https://idp.example"),
		HTTP: &http.Client{Transport: served}, Now: idp.Now, Log: (&samlSP{}).logger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.(providers.Starter).Start(t.Context(), providers.StartInput{})
	refuses(t, err, providers.CodeAnswerSize)
}
