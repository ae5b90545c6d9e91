package main

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/crewjam/saml"
)

// TestSAML is the way of a portal's user through the whole server and a real identity provider.
func TestSAML(t *testing.T) {
	w := deploySAML(t, "")
	for _, tt := range []struct {
		name, id, env string
		idp           *samlIDP
		logout        string
	}{
		{"flat, by name ID", "saml", "development", w.one, ""},
		{"flat, of whatever environment", "saml", "production", w.one, ""},
		{"metadata, signed, encrypted, by email", "corp", "development", w.one, "https://idp.example/slo"},
		{"by a rule", "corp", "production", w.two, "https://idp.example/leave"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := w.visitor(t, tt.id, tt.env, tt.idp)
			v.nobody()
			res := v.end(v.toForm())
			if m := posted(t, res); m.Error.Name != "" || m.origin != appOrigin {
				t.Fatalf("got %+v for %q", m.Error, m.origin)
			}
			wantSAMLSession(t, responseIn(t, res), "jane.doe")
			again := v.refresh()
			wantSAMLSession(t, again.Body, "jane.doe")
			wantLogout(t, v, tt.logout)
			v.nobody()
		})
	}
}

// wantLogout demands that the answer leads to that address with a LogoutRequest of the session, or nowhere.
func wantLogout(t *testing.T, v *visitor, address string) {
	t.Helper()
	res := v.logout()
	if address == "" {
		if res.Status != http.StatusOK || len(res.Body) > 0 {
			t.Errorf("logout: %d %s", res.Status, res.Body)
		}
		return
	}
	found := regexp.MustCompile(`^\{"logoutUrl":"([^"]*)"\}`).FindSubmatch(res.Body)
	if res.Status != http.StatusOK || found == nil {
		t.Fatalf("logout: %d %s", res.Status, res.Body)
	}
	to, err := url.Parse(string(found[1]))
	if err != nil || !strings.HasPrefix(to.String(), address+"?") {
		t.Fatalf("logout leads to %s: %v", to, err)
	}
	var r saml.LogoutRequest
	inflate(t, to, &r)
	if r.NameID == nil || r.NameID.Value != "jane.doe" || r.SessionIndex == nil || r.SessionIndex.Value != "index of jane.doe" ||
		!strings.HasPrefix(r.Destination, address) ||
		!strings.HasPrefix(r.Issuer.Value, "urn:portal:corp") {
		t.Errorf("logout request %+v", r)
	}
	if back := v.Get("/api/auth/" + v.id + "/handler/logout?SAMLResponse=x"); back.Status != http.StatusFound || back.Header.Get("Location") != appOrigin {
		t.Errorf("back from there: %d %s", back.Status, back.Header.Get("Location"))
	}
}

// inflate reads a request out of an address (SAML Bindings section 3.4.4.1).
func inflate(t *testing.T, u *url.URL, into any) {
	t.Helper()
	packed, err := base64.StdEncoding.DecodeString(u.Query().Get("SAMLRequest"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	if err == nil {
		err = xml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("request %s: %v", text, err)
	}
}

// TestSAMLRequest: what goes out, and that the key in our metadata verifies it.
func TestSAMLRequest(t *testing.T) {
	w := deploySAML(t, "")
	v := w.visitor(t, "corp", "development", w.one)
	one, two := v.start(), v.start()
	var r, other saml.AuthnRequest
	inflate(t, one, &r)
	inflate(t, two, &other)
	if r.ID == "" || r.ID == other.ID || r.Destination != w.one.base+"/sso" || r.Issuer.Value != "urn:portal:corp" ||
		r.AssertionConsumerServiceURL != w.base+"/api/auth/corp/handler/frame" || r.ProtocolBinding != saml.HTTPPostBinding ||
		r.ForceAuthn != nil {
		t.Errorf("request %+v", r)
	}
	if state := one.Query().Get("RelayState"); len(state) != 43 || state == two.Query().Get("RelayState") {
		t.Errorf("relay state %q", state)
	}
	ours := w.one.registers(v.Get("/api/auth/corp/metadata").Body)
	signed, signature, _ := strings.Cut(one.RawQuery, "&Signature=")
	if err := verifyQuery(t, ours, signed, signature); err != nil {
		t.Errorf("signature: %v", err)
	}
}

// verifyQuery checks the signature of an address with the key in the metadata.
func verifyQuery(t *testing.T, ours *saml.EntityDescriptor, signed, signature string) error {
	t.Helper()
	raw, err := url.QueryUnescape(signature)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(signed))
	value, err := base64.StdEncoding.DecodeString(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range ours.SPSSODescriptors[0].KeyDescriptors {
		if k.Use != "signing" {
			continue
		}
		der, err := base64.StdEncoding.DecodeString(k.KeyInfo.X509Data.X509Certificates[0].Data)
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return rsa.VerifyPKCS1v15(certificate.PublicKey.(*rsa.PublicKey), crypto.SHA256, sum[:], value)
	}
	t.Fatal("no signing key in the metadata")
	return nil
}

func TestSAMLMetadata(t *testing.T) {
	w := deploySAML(t, "")
	b := w.browser()
	for _, tt := range []struct {
		name, target, entity string
		keys, logout         int
	}{
		{"flat", "/api/auth/saml/metadata", "urn:portal", 0, 0},
		{"the environment that is usual", "/api/auth/corp/metadata", "urn:portal:corp", 2, 1},
		{"another environment", "/api/auth/corp/metadata?env=production", "urn:portal:corp:production", 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := b.Get(tt.target)
			if kind := res.Header.Get("Content-Type"); res.Status != http.StatusOK || kind != "application/samlmetadata+xml" {
				t.Fatalf("got %d %q %s", res.Status, kind, res.Body)
			}
			d := w.one.registers(res.Body)
			role := d.SPSSODescriptors[0]
			id := strings.Split(tt.target, "/")[3]
			if d.EntityID != tt.entity || len(role.KeyDescriptors) != tt.keys || len(role.SingleLogoutServices) != tt.logout ||
				role.AssertionConsumerServices[0].Location != w.base+"/api/auth/"+id+"/handler/frame" {
				t.Errorf("metadata %s", res.Body)
			}
			if again := b.Get(tt.target); !bytes.Equal(again.Body, res.Body) {
				t.Error("it changes from one reading to the next")
			}
		})
	}
	for target, code := range map[string]string{
		"/api/auth/idp/metadata": "metadata_unknown", "/api/auth/corp/metadata?env=staging": "env_unknown",
		"/api/auth/nope/metadata": "provider_unknown", "/api/auth/nope/handler/logout": "provider_unknown",
	} {
		if res := b.Get(target); res.Status != http.StatusNotFound || failure(t, res).Code != code {
			t.Errorf("%s: %d %s, want %s", target, res.Status, res.Body, code)
		}
	}
}

// TestSAMLProviders: the playground and portals learn from this list what they may start.
func TestSAMLProviders(t *testing.T) {
	res := deploySAML(t, "").browser().Get("/api/auth/v1/providers")
	for _, want := range []string{
		`{"environments":[],"flows":["popup","redirect"],"id":"saml","title":"SAML","type":"saml"}`,
		`{"environments":["development","production"],"flows":["popup","redirect"],"id":"corp","title":"corp","type":"saml"}`,
	} {
		if !strings.Contains(string(res.Body), want) {
			t.Errorf("%s is not in %s", want, res.Body)
		}
	}
}

// TestSAMLRedirectFlow ends in the app, and errors do too.
func TestSAMLRedirectFlow(t *testing.T) {
	w := deploySAML(t, "")
	v := w.visitor(t, "saml", "development", w.one)
	to := appOrigin + "/after?x=1"
	flow := []string{"flow", "redirect", "redirectUrl", to}
	if res := v.end(v.toForm(flow...)); res.Status != http.StatusFound || res.Header.Get("Location") != to {
		t.Errorf("got %d %s", res.Status, res.Header.Get("Location"))
	}
	wantSAMLSession(t, v.refresh().Body, "jane.doe")
	w.one.is("nobody", "Nobody")
	other := w.visitor(t, "saml", "development", w.one)
	res := other.end(other.toForm(flow...))
	if at := res.Header.Get("Location"); res.Status != http.StatusFound || !strings.HasPrefix(at, to+"&") || !strings.Contains(at, "error_code=no_catalog_user") {
		t.Errorf("got %d %s", res.Status, at)
	}
	other.nobody()
}

// TestSAMLTwoTabs: two sign-ins under way in one browser both succeed, in any order.
func TestSAMLTwoTabs(t *testing.T) {
	w := deploySAML(t, "")
	v := w.visitor(t, "saml", "development", w.one)
	one, two := v.toForm(), v.toForm()
	for _, f := range []samlForm{two, one} {
		if m := posted(t, v.end(f)); m.Error.Name != "" {
			t.Errorf("got %+v", m.Error)
		}
	}
}

// TestSAMLPage is the page that posts the form again: it holds what came, as text, and runs one script.
func TestSAMLPage(t *testing.T) {
	w := deploySAML(t, "")
	v := w.visitor(t, "saml", "development", w.one)
	f := v.toForm()
	const evil = `"><script>alert(1)</script>'`
	page := v.post(f.with("SAMLResponse", evil))
	h := page.Header
	if page.Status != http.StatusOK || strings.Contains(string(page.Body), "<script>alert") || len(page.Cookies) > 0 ||
		h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" ||
		!strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'; script-src 'sha256-") {
		t.Errorf("got %d %v %s", page.Status, h, page.Body)
	}
	again := readForm(t, f.action, string(page.Body))
	want := url.Values{"SAMLResponse": {evil}, "RelayState": {f.fields.Get("RelayState")}, "again": {"1"}}
	if again.fields.Encode() != want.Encode() {
		t.Errorf("fields %v, want %v", again.fields, want)
	}
	if h := v.Send(http.MethodHead, "/api/auth/saml/handler/frame"); h.Status != http.StatusMethodNotAllowed {
		t.Errorf("HEAD: %d", h.Status)
	}
}
