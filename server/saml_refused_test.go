package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/crewjam/saml"

	"stagedoor/server/internal/api/apitest"
)

// TestSAMLRefused goes through what may be wrong with a Response that came to the right browser (security S01, S04).
func TestSAMLRefused(t *testing.T) {
	w := deploySAML(t, "")
	confirmation := func(edit func(*saml.SubjectConfirmationData)) func(*saml.Assertion) {
		return func(a *saml.Assertion) { edit(a.Subject.SubjectConfirmations[0].SubjectConfirmationData) }
	}
	longAgo := time.Now().Add(-5 * time.Minute)
	for _, tt := range []struct {
		name  string
		spoil func(*saml.Assertion)
		forge func(*testing.T, samlForm) samlForm
		want  string
	}{
		{"another name", nil, replacing("jane.doe<", "john.roe<"), "saml_signature_invalid"},
		{"another audience in the text", nil, replacing("urn:portal<", "urn:other<"), "saml_signature_invalid"},
		{"another request in the text", nil, replacing(`InResponseTo="_`, `InResponseTo="_x`), "saml_signature_invalid"},
		{"no signature of the response", nil, unsigned, "saml_signature_misplaced"},
		{"not base64", nil, setting("SAMLResponse", "%%%"), "saml_response_encoding"},
		{"not XML", nil, setting("SAMLResponse", "bm90IFhNTA=="), "saml_response_xml"},
		{"expired", func(a *saml.Assertion) { a.Conditions.NotOnOrAfter = longAgo }, nil, "saml_clock"},
		{"expired confirmation", confirmation(func(d *saml.SubjectConfirmationData) { d.NotOnOrAfter = longAgo }), nil, "saml_clock"},
		{"from the future", func(a *saml.Assertion) { a.Conditions.NotBefore = time.Now().Add(5 * time.Minute) }, nil, "saml_clock"},
		{"for another audience", func(a *saml.Assertion) { a.Conditions.AudienceRestrictions[0].Audience.Value = "urn:other" }, nil, "saml_audience"},
		{"for everybody", func(a *saml.Assertion) { a.Conditions.AudienceRestrictions = nil }, nil, "saml_audience"},
		{"for another address", confirmation(func(d *saml.SubjectConfirmationData) { d.Recipient = "https://other.example" }), nil, "saml_recipient"},
		{"of another request", confirmation(func(d *saml.SubjectConfirmationData) { d.InResponseTo = "_other" }), nil, "saml_request"},
		{"of no request", confirmation(func(d *saml.SubjectConfirmationData) { d.InResponseTo = "" }), nil, "saml_request"},
		{"of another issuer", func(a *saml.Assertion) { a.Issuer.Value = "https://other.example" }, nil, "saml_issuer"},
		{"without a name", func(a *saml.Assertion) { a.Subject.NameID.Value = "" }, nil, "saml_subject"},
		{"who is not in the catalog", func(a *saml.Assertion) { a.Subject.NameID.Value = "nobody" }, nil, "no_catalog_user"},
		{"a name that is more than a name", func(a *saml.Assertion) { a.Subject.NameID.Value = "jane.doe,kind=group" }, nil, "resolver_value_invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.one.spoil(tt.spoil)
			v := w.visitor(t, "saml", "development", w.one)
			f := v.toForm()
			if tt.forge != nil {
				f = tt.forge(t, f)
			}
			v.refused(v.end(f), tt.want)
		})
	}
	w.one.spoil(nil)
	w.visitor(t, "saml", "development", w.one).signIn() // nothing of all that is left
}

func replacing(old, text string) func(*testing.T, samlForm) samlForm {
	return func(t *testing.T, f samlForm) samlForm { t.Helper(); return f.replaced(t, old, text) }
}

func setting(name, value string) func(*testing.T, samlForm) samlForm {
	return func(_ *testing.T, f samlForm) samlForm { return f.with(name, value) }
}

// unsigned moves the signature of the Response, which comes first, to where none belongs.
func unsigned(t *testing.T, f samlForm) samlForm {
	t.Helper()
	return f.replaced(t, "</samlp:Status>", "<x/></samlp:Status>").replaced(t, "<ds:Signature ", "<samlp:Extensions><ds:Signature ").
		replaced(t, "</ds:Signature>", "</ds:Signature></samlp:Extensions>")
}

// TestSAMLBinding: a Response is good for the sign-in, the browser, the provider and the environment that asked for it (security A01, S04).
func TestSAMLBinding(t *testing.T) {
	w := deploySAML(t, "")
	with := func(f, state samlForm) samlForm { return f.with("RelayState", state.fields.Get("RelayState")) }
	for _, tt := range []struct {
		name string
		run  func(*testing.T) (*visitor, apitest.Response)
		want string
	}{
		{"another browser", func(t *testing.T) (*visitor, apitest.Response) {
			v := w.visitor(t, "saml", "development", w.one)
			return v, v.end(w.visitor(t, "saml", "development", w.one).toForm())
		}, "nonce_missing"},
		{"another browser that has its own sign-in", func(t *testing.T) (*visitor, apitest.Response) {
			v := w.visitor(t, "saml", "development", w.one)
			own := v.toForm()
			return v, v.end(with(w.visitor(t, "saml", "development", w.one).toForm(), own))
		}, "saml_request"},
		{"another tab's request", func(t *testing.T) (*visitor, apitest.Response) {
			v := w.visitor(t, "saml", "development", w.one)
			own := v.toForm()
			return v, v.end(with(v.toForm(), own))
		}, "saml_request"},
		{"another provider at the same", func(t *testing.T) (*visitor, apitest.Response) {
			v := w.visitor(t, "saml", "development", w.one)
			own := v.toForm()
			return v, v.end(samlForm{own.action, with(w.visitor(t, "corp", "development", w.one).toForm(), own).fields})
		}, "saml_destination"},
		{"another provider, and its state", func(t *testing.T) (*visitor, apitest.Response) {
			v := w.visitor(t, "saml", "development", w.one)
			other := w.visitor(t, "corp", "development", w.one).toForm()
			return v, v.end(samlForm{v.toForm().action, other.fields})
		}, "nonce_missing"},
		{"another environment", func(t *testing.T) (*visitor, apitest.Response) {
			v := w.visitor(t, "corp", "production", w.two)
			own := v.toForm()
			return v, v.end(with(w.visitor(t, "corp", "development", w.one).toForm(), own))
		}, "saml_signature_invalid"},
		{"the callback of another environment", func(t *testing.T) (*visitor, apitest.Response) {
			v := w.visitor(t, "corp", "production", w.two)
			f := v.toForm()
			return v, v.end(samlForm{f.action + "?env=development", f.fields})
		}, "env_mismatch"},
		{"no state", func(t *testing.T) (*visitor, apitest.Response) {
			v := w.visitor(t, "saml", "development", w.one)
			return v, v.post(v.toForm().with("RelayState", ""))
		}, "saml_unsolicited"},
		{"an address for a state", func(t *testing.T) (*visitor, apitest.Response) {
			v := w.visitor(t, "saml", "development", w.one)
			return v, v.post(v.toForm().with("RelayState", "https://evil.example/"))
		}, "saml_unsolicited"},
		{"no response", func(t *testing.T) (*visitor, apitest.Response) {
			v := w.visitor(t, "saml", "development", w.one)
			return v, v.send(v.Client, v.toForm().with("SAMLResponse", ""), w.base)
		}, "saml_response_missing"},
		{"the provider began", func(t *testing.T) (*visitor, apitest.Response) {
			v := w.visitor(t, "saml", "development", w.one)
			return v, v.post(v.atProvider(w.one.base + "/begin?for=urn:portal"))
		}, "saml_unsolicited"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, res := tt.run(t)
			v.refused(res, tt.want)
		})
	}
}

// TestSAMLReplay is security S03: neither the same browser nor another nor the other replica takes a Response twice.
func TestSAMLReplay(t *testing.T) {
	w := deploySAML(t, "")
	v := w.visitor(t, "saml", "development", w.one)
	f := v.toForm()
	stolen := v.cookiesOf(f.action)
	v.end(f)
	v.logout()
	v.refused(v.end(f), "nonce_missing")
	w.visitor(t, "saml", "development", w.one).refused(w.visitor(t, "saml", "development", w.one).end(f), "nonce_missing")
	for _, base := range []string{w.base, w.replica().base} {
		other := w.visitor(t, "saml", "development", w.one)
		other.goTo(base)
		other.jar.SetCookies(f.address(t), stolen)
		other.refused(other.send(other.Client, f.with("again", "1"), w.base), "transaction_replayed")
	}
}

// TestSAMLBegunByProvider: what the config allows ends in the app, once, and only for what really was begun there.
func TestSAMLBegunByProvider(t *testing.T) {
	w := deploySAML(t, "      dangerouslyAllowIdpInitiated: true")
	replica := w.replica()
	v := w.visitor(t, "saml", "development", w.one)
	f := v.atProvider(w.one.base + "/begin?for=urn:portal&RelayState=https://evil.example/")
	if f.fields.Get("RelayState") == "" {
		t.Fatal("the provider sent no state")
	}
	res := v.send(v.Client, f, w.one.base) // cookies do not come along, but the answer's are taken
	if res.Status != http.StatusFound || res.Header.Get("Location") != appOrigin {
		t.Fatalf("got %d %s %s", res.Status, res.Header.Get("Location"), res.Body)
	}
	wantSAMLSession(t, v.refresh().Body, "jane.doe")
	for _, base := range []string{w.base, replica.base} {
		again := w.visitor(t, "saml", "development", w.one)
		again.goTo(base)
		res := again.post(f)
		if at := res.Header.Get("Location"); res.Status != http.StatusFound || !strings.HasPrefix(at, appOrigin+"?") || !strings.Contains(at, "error_code=saml_replayed") {
			t.Errorf("again: %d %s", res.Status, at)
		}
		again.nobody()
	}
	// An answer to a request is for who asked, also where a question is not needed.
	other := w.visitor(t, "saml", "development", w.one)
	asked := other.post(other.toForm().with("RelayState", ""))
	if at := asked.Header.Get("Location"); !strings.Contains(at, "error_code=saml_request") {
		t.Errorf("an answer without its question: %d %s", asked.Status, at)
	}
	other.nobody()
	other.signIn()
}

// TestSAMLSurface is security S06 and S07: what else may come to the callback.
func TestSAMLSurface(t *testing.T) {
	w := deploySAML(t, "")
	v := w.visitor(t, "saml", "development", w.one)
	f := v.toForm()
	const path, form = "/api/auth/saml/handler/frame", "application/x-www-form-urlencoded"
	huge := func(length int64) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Content-Type", form)
			r.Body, r.ContentLength = io.NopCloser(io.LimitReader(letters{}, 100<<20)), length
			r.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil } // what the document reads instead
		}
	}
	for _, tt := range []struct {
		name, method string
		edits        []func(*http.Request)
		status       int
		code         string
	}{
		{"GET", http.MethodGet, nil, http.StatusMethodNotAllowed, "method_not_allowed"},
		{"GET with a response", http.MethodGet, []func(*http.Request){func(r *http.Request) { r.URL.RawQuery = f.fields.Encode() }}, http.StatusMethodNotAllowed, "method_not_allowed"},
		{"PUT", http.MethodPut, nil, http.StatusMethodNotAllowed, "method_not_allowed"},
		{"JSON", http.MethodPost, []func(*http.Request){apitest.Body("application/json", `{"SAMLResponse":"x"}`)}, http.StatusUnsupportedMediaType, "media_type_unsupported"},
		{"XML", http.MethodPost, []func(*http.Request){apitest.Body("text/xml", `<Response/>`)}, http.StatusUnsupportedMediaType, "media_type_unsupported"},
		{"multipart", http.MethodPost, []func(*http.Request){apitest.Body("multipart/form-data; boundary=x", "--x--")}, http.StatusUnsupportedMediaType, "media_type_unsupported"},
		{"nothing", http.MethodPost, nil, http.StatusUnsupportedMediaType, "media_type_unsupported"},
		{"broken form", http.MethodPost, []func(*http.Request){apitest.Body(form, "SAMLResponse=%zz")}, http.StatusBadRequest, "request_invalid"},
		{"100 MB", http.MethodPost, []func(*http.Request){huge(100 << 20)}, http.StatusRequestEntityTooLarge, "body_too_large"},
		{"100 MB of unknown length", http.MethodPost, []func(*http.Request){huge(-1)}, http.StatusRequestEntityTooLarge, "body_too_large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := v.Send(tt.method, path, tt.edits...)
			if res.Status != tt.status || failure(t, res).Code != tt.code {
				t.Errorf("got %d %s, want %d %s", res.Status, res.Body, tt.status, tt.code)
			}
			if allow := res.Header.Get("Allow"); (tt.status == http.StatusMethodNotAllowed) != strings.Contains(allow, "POST") {
				t.Errorf("Allow %q", allow)
			}
		})
	}
	t.Run("300 KB of response", func(t *testing.T) {
		v.refused(v.end(f.with("SAMLResponse", strings.Repeat("A", 300<<10))), "saml_response_too_large")
	})
	w.visitor(t, "saml", "development", w.one).signIn()
}

// letters is an endless body.
type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

// TestSAMLProviderDown: metadata that cannot be read stops nobody else, and is told.
func TestSAMLProviderDown(t *testing.T) {
	w := deploySAML(t, "")
	w.one.close()
	v := w.visitor(t, "corp", "development", w.one)
	res := v.Get("/api/auth/corp/start?env=development")
	if res.Status != http.StatusServiceUnavailable || failure(t, res).Code != "idp_unreachable" {
		t.Errorf("got %d %s", res.Status, res.Body)
	}
	w.visitor(t, "corp", "production", w.two).signIn()
}
