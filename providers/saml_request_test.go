package providers_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/crewjam/saml"
	"github.com/google/go-cmp/cmp"

	"stagedoor/providers"
	"stagedoor/providers/samltest"
)

// TestSAMLRequest: what we ask, and where.
func TestSAMLRequest(t *testing.T) {
	const password = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
	for config, classes := range map[string][]string{
		"": {password}, "\nauthnContext: []": nil, "\nauthnContext: [urn:a, urn:b]": {"urn:a", "urn:b"},
	} {
		s := newSAML(t, samltest.New(t, samlNow), config)
		want := samltest.Request{
			ID: s.request.ID, Destination: s.idp.SSO, ACS: s.idp.ACS, Issuer: s.idp.Audience, Classes: classes, Text: s.request.Text,
		}
		if diff := cmp.Diff(want, s.request); diff != "" {
			t.Errorf("%q: request (-want +got):\n%s", config, diff)
		}
		if s.query.Get("RelayState") != "opaque state" || s.query.Has("Signature") || len(s.request.ID) < 20 {
			t.Errorf("query is %v", s.query)
		}
		if classes != nil != strings.Contains(s.request.Text, `Comparison="exact"`) {
			t.Errorf("request is %s", s.request.Text)
		}
		for _, part := range []string{
			`ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"`, `AllowCreate="true"`,
			`Format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"`, `IssueInstant="2027-01-15T08:00:00Z"`,
		} {
			if !strings.Contains(s.request.Text, part) {
				t.Errorf("request lacks %s: %s", part, s.request.Text)
			}
		}
	}
}

// TestSAMLRequestSigned: both requests verify with the public key, over the very octets of the query.
func TestSAMLRequestSigned(t *testing.T) {
	key := samltest.NewRSA(t, 2048)
	private := fmt.Sprintf("\nprivateKey: %q", rsaKeyPEM(t, key.Key))
	for config, method := range map[string]string{"": samltest.RSASHA256, "\nsignatureAlgorithm: sha512": samltest.RSASHA512} {
		idp := samltest.New(t, samlNow)
		idp.SSO, idp.SLO = idp.SSO+"?tenant=a%20b", idp.SLO+"?x=y"
		s := newSAML(t, idp, private+config)
		redirect, err := s.Provider.(providers.Starter).Start(t.Context(), providers.StartInput{State: "a&b=c d"})
		if err != nil {
			t.Fatal(err)
		}
		verifyQuery(t, redirect.URL, "https://idp.example/sso?tenant=a%20b&", method, publicRSA(key.Key.Public()))
		after, err := s.Provider.(providers.Logouter).Logout(t.Context(), providers.LogoutInput{
			Claims: map[string]any{"nameID": "alice@example.com", "nameIDFormat": "urn:f", "nameQualifier": "urn:q", "sessionIndex": "_session"},
		})
		if err != nil {
			t.Fatal(err)
		}
		u := verifyQuery(t, after, "https://idp.example/slo?x=y&", method, publicRSA(key.Key.Public()))
		r, err := samltest.ReadRequest(u.Query())
		if err != nil {
			t.Fatal(err)
		}
		want := samltest.Request{
			ID: r.ID, Destination: idp.SLO, Issuer: idp.Audience, NameID: "alice@example.com", SessionIndex: "_session", Text: r.Text,
		}
		if diff := cmp.Diff(want, r); diff != "" || !strings.Contains(r.Text, `Format="urn:f"`) || !strings.Contains(r.Text, `NameQualifier="urn:q"`) {
			t.Errorf("logout request (-want +got):\n%s\n%s", diff, r.Text)
		}
	}
}

// verifyQuery checks a signed address (SAML Bindings section 3.4.4.1).
func verifyQuery(t *testing.T, address, start, method string, key *rsa.PublicKey) *url.URL {
	t.Helper()
	rest, ok := strings.CutPrefix(address, start)
	if !ok {
		t.Fatalf("address is %s, want one at %s", address, start)
	}
	signed, value, _ := strings.Cut(rest, "&Signature=")
	value, err := url.QueryUnescape(value)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(signed, "&SigAlg="+url.QueryEscape(method)) {
		t.Errorf("signed is %s", signed)
	}
	hash, sum := crypto.SHA256, sha256.Sum256([]byte(signed))
	digest := sum[:]
	if method == samltest.RSASHA512 {
		long := sha512.Sum512([]byte(signed))
		hash, digest = crypto.SHA512, long[:]
	}
	if err := rsa.VerifyPKCS1v15(key, hash, digest, signature); err != nil {
		t.Error(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestSAMLLogoutNowhere: without an address, or a name, there is nothing to visit.
func TestSAMLLogoutNowhere(t *testing.T) {
	idp := samltest.New(t, samlNow)
	s := newSAML(t, idp, "")
	for claims, want := range map[string]bool{"nameID": true, "other": false} {
		after, err := s.Provider.(providers.Logouter).Logout(t.Context(), providers.LogoutInput{Claims: map[string]any{claims: "alice"}})
		if err != nil || (after != "") != want {
			t.Errorf("%s: %q, %v", claims, after, err)
		}
	}
	idp.SLO = "\"\""
	after, err := newSAML(t, idp, "").Provider.(providers.Logouter).Logout(t.Context(), providers.LogoutInput{Claims: map[string]any{"nameID": "alice"}})
	if err != nil || after != "" {
		t.Errorf("%q, %v", after, err)
	}
}

// oneSP is a registry of service providers with one.
type oneSP struct{ *saml.EntityDescriptor }

func (o oneSP) GetServiceProvider(*http.Request, string) (*saml.EntityDescriptor, error) {
	return o.EntityDescriptor, nil
}

// TestSAMLMetadata: an identity provider of another make reads our metadata, accepts our request and asks for what we offer.
func TestSAMLMetadata(t *testing.T) {
	config, _ := samlDecryption(t)
	idp := samltest.New(t, samlNow)
	s := newSAML(t, idp, config+fmt.Sprintf("\nprivateKey: %q", rsaKeyPEM(t, idp.Signer.Key)))
	text, err := s.Provider.(providers.Describer).Describe()
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Provider.(providers.Describer).Describe()
	if err != nil || string(again) != string(text) {
		t.Errorf("metadata changes: %v", err)
	}
	var entity saml.EntityDescriptor
	if err := xml.Unmarshal(text, &entity); err != nil {
		t.Fatal(err)
	}
	role := entity.SPSSODescriptors[0]
	if entity.EntityID != idp.Audience || !*role.WantAssertionsSigned || !*role.AuthnRequestsSigned || len(role.KeyDescriptors) != 2 ||
		role.SingleLogoutServices[0].Location != "https://sp.example/api/auth/saml/handler/logout" {
		t.Errorf("metadata is %s", text)
	}
	sso, err := url.Parse(idp.SSO)
	if err != nil {
		t.Fatal(err)
	}
	foreign := &saml.IdentityProvider{
		Key: idp.Signer.Key, Certificate: idp.Signer.Certificate, SSOURL: *sso, ServiceProviderProvider: oneSP{&entity},
	}
	r, err := saml.NewIdpAuthnRequest(foreign, httptest.NewRequest("GET", idp.SSO+"?"+s.query.Encode(), nil))
	if err != nil {
		t.Fatal(err)
	}
	r.Now = samlNow()
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	if r.ACSEndpoint.Location != idp.ACS || r.Request.ID != s.request.ID {
		t.Errorf("request is %+v for %+v", r.Request, r.ACSEndpoint)
	}
}

// TestSAMLMetadataName: a name that no certificate holds as it is does not make the document unreadable.
func TestSAMLMetadataName(t *testing.T) {
	idp := samltest.New(t, samlNow)
	idp.Audience = strings.Repeat("é", 40) + strings.Repeat("x", 30)
	for _, name := range []string{idp.Audience, "x" + idp.Audience} {
		idp.Audience = name
		config, _ := samlDecryption(t)
		if _, err := newSAML(t, idp, config).Provider.(providers.Describer).Describe(); err != nil {
			t.Error(err)
		}
	}
}

// TestSAMLHandler: the provider for tests answers our request in a browser.
func TestSAMLHandler(t *testing.T) {
	s := newSAML(t, samltest.New(t, samlNow), "")
	w := httptest.NewRecorder()
	s.idp.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/sso?"+s.query.Encode(), nil))
	fields := map[string]string{}
	for _, name := range []string{"SAMLResponse", "RelayState"} {
		_, rest, _ := strings.Cut(w.Body.String(), `name="`+name+`" value="`)
		value, _, _ := strings.Cut(rest, `"`)
		fields[name] = html.UnescapeString(value)
	}
	if !strings.Contains(w.Body.String(), `action="`+s.idp.ACS+`"`) || fields["RelayState"] != "opaque state" {
		t.Errorf("page is %s", w.Body)
	}
	if _, err := s.post(t, fields["SAMLResponse"]); err != nil {
		t.Error(describeError(err))
	}
}
