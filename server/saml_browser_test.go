package main

import (
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"stagedoor/server/internal/devidp"
	"stagedoor/server/internal/playground/browsertest"
)

// wire stands before the server and notes how callbacks came in.
type wire struct {
	mu    sync.Mutex
	posts []string
}

func (w *wire) note(r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/handler/frame") {
		return
	}
	cookies := "without cookies"
	if slices.ContainsFunc(r.Cookies(), func(c *http.Cookie) bool { return strings.HasPrefix(c.Name, "saml-nonce-") }) {
		cookies = "with the sign-in's cookie"
	} else if len(r.Cookies()) > 0 {
		cookies = fmt.Sprintf("with %d other cookies", len(r.Cookies()))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.posts = append(w.posts, r.Header.Get("Sec-Fetch-Site")+" "+cookies)
}

// want demands the posts since the last time.
func (w *wire) want(t *testing.T, posts ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.posts, posts) {
		t.Errorf("posts %q, want %q", w.posts, posts)
	}
	w.posts = nil
}

// twice is how a browser posts the form: what comes from the provider's site brings no cookie with SameSite=Lax, what comes from
// ours does.
var twice = []string{"cross-site without cookies", "same-origin with the sign-in's cookie"}

// samlConfigInBrowser has the portal on the server itself, as the playground is, and another one elsewhere.
const samlConfigInBrowser = `
app: {baseUrl: %BASE%}
backend:
  baseUrl: %BASE%
  database: {client: better-sqlite3, connection: {directory: "%DIR%"}}
auth:
  catalog: {file: "%DIR%/people.yaml"}
  experimentalExtraAllowedOrigins: ["%PORTAL%"]
  providers:
    saml:
      entryPoint: %IDP%/sso
      issuer: urn:portal
      cert: %CERT%
      idpIssuer: %IDP%/metadata
      dangerouslyAllowIdpInitiated: true
      signIn: {resolvers: [{resolver: nameIdMatchingUserEntityName}]}
`

// samlInBrowser starts a server at localhost and a provider at 127.0.0.1: to a browser those are two sites. The provider's page waits
// for a click.
func samlInBrowser(t *testing.T, portal string) (*deployment, *samlIDP, *wire) {
	t.Helper()
	idp, w := startSAML(t), &wire{}
	idp.idp.ResponseFormTemplate = template.Must(template.New("").Parse(`<!doctype html><link rel="icon" href="data:,"><title>provider</title>
<form method="post" action="{{.URL}}"><input type="hidden" name="SAMLResponse" value="{{.SAMLResponse}}" />
<input type="hidden" name="RelayState" value="{{.RelayState}}" /><button id="go">Go on</button></form>`))
	d := &deployment{t: t, dir: t.TempDir(), logs: &logBuffer{}}
	ln := d.listen("127.0.0.1:0")
	behind := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: ln.Addr().String()})
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.note(r)
		behind.ServeHTTP(rw, r)
	}))
	t.Cleanup(front.Close)
	d.base = strings.Replace(front.URL, "127.0.0.1", "localhost", 1)
	d.write("people.yaml", string(devidp.Catalog()))
	d.write("app-config.yaml", strings.NewReplacer("%BASE%", d.base, "%DIR%", d.dir, "%PORTAL%", portal,
		"%IDP%", idp.base, "%CERT%", idp.certificate()).Replace(samlConfigInBrowser))
	d.start(ln, settings{})
	t.Cleanup(d.shutdown)
	idp.registers(d.browser().Get("/api/auth/saml/metadata").Body)
	return d, idp, w
}

// TestSAMLInBrowser is a sign-in over two sites: the page that posts the form again brings the cookies that the browser withheld.
func TestSAMLInBrowser(t *testing.T) {
	d, _, w := samlInBrowser(t, appOrigin)
	tab := browsertest.Start(t).Open(d.base + "/")
	tab.WaitText("#status", "Nobody is signed in.")
	popup := tab.Popup(func() { tab.Click("#provider-saml-popup") })
	popup.Click("#go")
	tab.WaitText("#who-entity", "user:default/jane.doe")
	popup.WaitClosed() // not before: the popup goes from site to site, and a question to it may get lost on the way
	tab.WaitText("#who-name", "Jane Doe")
	tab.WaitAttribute("#signature", "data-state", "valid")
	w.want(t, twice...)
	tab.Reload()
	tab.WaitText("#who-entity", "user:default/jane.doe")
	tab.Click("#signout")
	tab.WaitText("#status", "Nobody is signed in.")

	tab.Click("#provider-saml-redirect")
	tab.Click("#go")
	tab.WaitText("#who-entity", "user:default/jane.doe")
	w.want(t, twice...)
	clean(t, tab)
}

// TestSAMLInBrowserFails: a failure comes over the same two steps, and is told.
func TestSAMLInBrowserFails(t *testing.T) {
	d, idp, w := samlInBrowser(t, appOrigin)
	idp.is("nobody", "Nobody")
	tab := browsertest.Start(t).Open(d.base + "/")
	tab.WaitText("#status", "Nobody is signed in.")
	popup := tab.Popup(func() { tab.Click("#provider-saml-popup") })
	popup.Click("#go")
	tab.WaitText("#error-code", "no_catalog_user")
	popup.WaitClosed()
	w.want(t, twice...)
	clean(t, tab)
}

// TestSAMLPortalElsewhere: the redirect flow ends at a portal of another origin than the server's, although a form led there; so does
// a sign-in that the provider began.
func TestSAMLPortalElsewhere(t *testing.T) {
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`<!doctype html><link rel="icon" href="data:,"><title>portal</title><p id="here">the portal</p>`))
	}))
	defer portal.Close()
	d, idp, w := samlInBrowser(t, portal.URL)
	tab := browsertest.Start(t).Open(d.base + "/api/auth/saml/start?flow=redirect&redirectUrl=" + url.QueryEscape(portal.URL+"/after"))
	tab.Click("#go")
	tab.WaitText("#here", "the portal")
	if tab.URL() != portal.URL+"/after" {
		t.Errorf("the browser is at %s", tab.URL())
	}
	w.want(t, twice...)
	clean(t, tab)

	tab = browsertest.Start(t).Open(idp.base + "/begin?for=urn:portal")
	tab.Click("#go")
	tab.WaitText("#who-entity", "user:default/jane.doe")
	w.want(t, "cross-site without cookies")
	clean(t, tab)
}
