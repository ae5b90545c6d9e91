package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"stagedoor/server/internal/config"
	"stagedoor/server/internal/devidp"
	"stagedoor/server/internal/playground/browsertest"
	"stagedoor/server/internal/signin"
)

// newcomer starts the server as `go run ./server` does on a machine without any configuration: the built-in one, with the address
// replaced by a free one through the environment.
func newcomer(t *testing.T) *deployment {
	t.Helper()
	d := &deployment{t: t, dir: t.TempDir(), logs: &logBuffer{}}
	ln := d.listen("127.0.0.1:0")
	address := ln.Addr().String()
	// The portal of the page is the server itself, under the one name that all of it uses.
	d.base = "http://localhost:" + address[strings.LastIndex(address, ":")+1:]
	cfg, err := config.Load(config.LoadInput{Dir: d.dir, Environ: []string{
		"APP_CONFIG_app_baseUrl=" + d.base, "APP_CONFIG_backend_baseUrl=" + d.base, "APP_CONFIG_backend_listen=" + address,
		"APP_CONFIG_backend_database_connection_directory=" + filepath.Join(d.dir, "data"),
		"APP_CONFIG_auth_providers_dev_development_metadataUrl=" + d.base + "/dev-idp/.well-known/openid-configuration",
	}})
	if err != nil {
		t.Fatal(err)
	}
	d.run(ln, reading{cfg: cfg, files: &fileSet{}})
	t.Cleanup(d.shutdown)
	return d
}

// popupAs signs in through the popup as the person.
func popupAs(t *testing.T, tab *browsertest.Tab, button string) {
	t.Helper()
	tab.WaitText("#status", "Nobody is signed in.")
	popup := tab.Popup(func() { tab.Click("#provider-dev-popup") })
	popup.Click(button)
	popup.WaitClosed()
}

// clean fails for what the page should not have said on its console, answers that the test provoked aside.
func clean(t *testing.T, tab *browsertest.Tab, provoked ...string) {
	t.Helper()
problems:
	for _, p := range tab.Problems() {
		for _, text := range provoked {
			if strings.Contains(p.Text+p.URL, text) {
				continue problems
			}
		}
		t.Errorf("the page complains: %+v", p)
	}
}

// TestNewcomer is the whole promise in a real browser: sign in through OpenID Connect, reload, second tab, sign out.
func TestNewcomer(t *testing.T) {
	d := newcomer(t)
	b := browsertest.Start(t)
	tab := b.Open(d.base + "/")
	popupAs(t, tab, `button[value="jane-doe"]`)
	tab.WaitText("#status", "Signed in with")
	tab.WaitText("#who-name", "Jane Doe")
	tab.WaitText("#who-entity", "user:default/jane.doe")
	tab.WaitText("#who-ownership", "group:default/team-a")
	tab.WaitAttribute("#signature", "data-state", "valid")
	var s session
	if err := json.Unmarshal([]byte(tab.Text("#session")), &s); err != nil || s.BackstageIdentity == nil || s.ProviderInfo.AccessToken == "" {
		t.Errorf("session on the page: %v, %s", err, tab.Text("#session"))
	}
	if !strings.Contains(tab.Text("#token-claims"), d.base+"/api/auth") {
		t.Errorf("claims %s", tab.Text("#token-claims"))
	}
	tab.Screenshot("signed-in")

	tab.Reload() // no popup opens: the page would have to be clicked for one
	tab.WaitText("#who-entity", "user:default/jane.doe")
	second := b.Open(d.base + "/")
	second.WaitText("#who-entity", "user:default/jane.doe")
	tab.Click("#refresh")
	tab.WaitText("#status", "Signed in with")

	tab.Click("#signout")
	tab.WaitText("#status", "Nobody is signed in.")
	second.Reload()
	second.WaitText("#status", "Nobody is signed in.")
	for _, c := range b.Cookies(d.base + "/api/auth/dev/refresh") {
		if c.Name == signin.SessionCookie {
			t.Errorf("the session's cookie is still there")
		}
	}
	clean(t, tab)
	clean(t, second)
}

func TestNewcomerRedirectFlow(t *testing.T) {
	d := newcomer(t)
	tab := browsertest.Start(t).Open(d.base + "/")
	tab.WaitText("#status", "Nobody is signed in.")
	tab.Click("#provider-dev-redirect")
	tab.Click(`button[value="john-roe"]`)
	tab.WaitText("#who-entity", "user:default/john.roe")
	if strings.Contains(tab.URL(), "code") || strings.Contains(tab.URL(), "token") {
		t.Errorf("the address holds a credential: %s", tab.URL())
	}
	tab.Click("#signout")
	tab.WaitText("#status", "Nobody is signed in.")
	tab.Click("#provider-dev-redirect")
	tab.Click(`button[value="mary-moe"]`)
	tab.WaitText("#error-code", "idp_access_denied")
	tab.WaitText("#error-message", "Authentication rejected, access_denied")
	clean(t, tab)
}

// TestNewcomerFailures: declined, not in the catalog, not verified, closed by hand: each is a sentence that a person can read.
func TestNewcomerFailures(t *testing.T) {
	d := newcomer(t)
	tab := browsertest.Start(t).Open(d.base + "/")
	for _, tt := range []struct{ button, code, message string }{
		{`button[value="mary-moe"]`, "idp_access_denied", "Authentication rejected, access_denied"},
		{`button[name="deny"]`, "idp_access_denied", "Authentication rejected, access_denied"},
		{`button[value="unknown"]`, "no_catalog_user", "unable to resolve user identity"},
		{`button[value="sam-poe"]`, "email_missing", "user profile does not contain an email"},
	} {
		tab.Reload()
		popupAs(t, tab, tt.button)
		tab.WaitText("#error-code", tt.code)
		tab.WaitText("#error-message", tt.message)
		if attempt := tab.Text("#error-attempt"); attempt == "" || !strings.Contains(d.logs.String(), attempt) {
			t.Errorf("%s: attempt %q is not in the log", tt.code, attempt)
		}
	}
	tab.Screenshot("failed")
	tab.Reload()
	tab.WaitText("#status", "Nobody is signed in.")
	tab.Popup(func() { tab.Click("#provider-dev-popup") }).Close()
	tab.WaitText("#error-message", "closed")
	clean(t, tab)
}

// TestNewcomerTwoTabs: popups of two tabs at the same time both succeed.
func TestNewcomerTwoTabs(t *testing.T) {
	d := newcomer(t)
	b := browsertest.Start(t)
	one, two := b.Open(d.base+"/"), b.Open(d.base+"/")
	one.WaitText("#status", "Nobody is signed in.")
	two.WaitText("#status", "Nobody is signed in.")
	first := one.Popup(func() { one.Click("#provider-dev-popup") })
	second := two.Popup(func() { two.Click("#provider-dev-popup") })
	second.Click(`button[value="jane-doe"]`)
	two.WaitText("#who-entity", "user:default/jane.doe")
	first.Click(`button[value="jane-doe"]`)
	one.WaitText("#who-entity", "user:default/jane.doe")
	for _, tab := range []*browsertest.Tab{one, two} {
		tab.Reload()
		tab.WaitText("#who-entity", "user:default/jane.doe")
		clean(t, tab)
	}
}

// TestGuestInBrowser signs in without any provider.
func TestGuestInBrowser(t *testing.T) {
	d := newcomer(t)
	tab := browsertest.Start(t).Open(d.base + "/")
	tab.WaitText("#status", "Nobody is signed in.")
	tab.Click("#provider-guest-signin")
	tab.WaitText("#who-entity", "user:development/guest")
	tab.WaitAttribute("#signature", "data-state", "valid")
	clean(t, tab)
}

// TestForeignOpener is security B04: a page of another origin that opens the sign-in gets no session, only the word where it would
// have gone.
func TestForeignOpener(t *testing.T) {
	d := deploy(t, settings{}) // its portal is appOrigin, which the opener is not
	foreign := newcomer(t)     // some page on another origin
	tab := browsertest.Start(t).Open(foreign.base + "/")
	tab.WaitText("#status", "Nobody is signed in.")
	browsertest.Eval[bool](tab, `(window.heard = [], addEventListener('message', e => heard.push(e.data)), true)`)
	start := d.base + startPath()
	browsertest.Eval[bool](tab, `(() => { const a = document.createElement('button'); a.id = 'open'; a.textContent = 'open';
		a.addEventListener('click', () => open('`+start+`', 'p', 'width=450,height=730')); document.body.prepend(a); return true })()`)
	popup := tab.Popup(func() { tab.Click("#open") })
	popup.Click(`button[value="jane-doe"]`)
	tab.Wait(`heard.length > 0`)
	popup.WaitClosed()
	heard := browsertest.Eval[string](tab, `JSON.stringify(heard)`)
	if strings.Contains(heard, "authorization_response") || strings.Contains(heard, "oken") || !strings.Contains(heard, appOrigin) {
		t.Errorf("a foreign page heard %s", heard)
	}
	if d.idp.Calls().Endpoint[devidp.TokenEndpoint] != 1 {
		t.Error("the sign-in did not come to its end")
	}
}
