package playground_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stagedoor/server/internal/playground"
	"stagedoor/server/internal/playground/browsertest"
)

func TestMain(m *testing.M) { os.Exit(browsertest.Run(m)) }

// visit opens the page and sees to it that the browser has no complaint about it in the end. That the network answered
// with an error is not the page's fault.
func visit(t *testing.T, b *browsertest.Browser, url string) *browsertest.Tab {
	t.Helper()
	tab := b.Open(url)
	t.Cleanup(func() {
		for _, problem := range tab.Problems() {
			if problem.Source != "network" {
				t.Errorf("console: %+v", problem)
			}
		}
	})
	return tab
}

func signIn(t *testing.T, s *stub, b *browsertest.Browser) *browsertest.Tab {
	t.Helper()
	tab := visit(t, b, s.URL)
	tab.Click("#provider-dev-popup")
	tab.WaitText("#who-name", "Ada Lovelace")
	tab.WaitText("#status", "Signed in with Development IdP.")
	return tab
}

func TestPopupShowsSession(t *testing.T) {
	s := newStub(t)
	tab := signIn(t, s, browsertest.Start(t))
	tab.WaitAttribute("#signature", "data-state", "valid")
	tab.WaitText("#signature", "Signature valid: ES256 by key first")

	texts := map[string]string{
		"#who-email": "ada@example.com", "#who-entity": "user:default/ada", "#who-provider": "dev (development)",
		"#who-ownership code:last-child": "group:default/engines",
		"#token-header":                  `"typ": "vnd.backstage.user"`,
		"#token-claims":                  `"aud": "backstage"`,
		"#identity-expiry":               " min ", "#provider-expiry": " s left",
	}
	for selector, want := range texts {
		tab.WaitText(selector, want)
	}
	tab.Wait("document.querySelector('#who-picture img').complete")
	if got := browsertest.Eval[int](tab, "document.querySelectorAll('#checks .ok').length"); got != 5 {
		t.Errorf("%d checks passed, want 5: %s", got, tab.Text("#checks"))
	}
	wantCalls := []string{"/dev/start?scope=&origin=" + url.QueryEscape(s.URL) + "&env=development&flow=popup"}
	if diff := cmp.Diff(wantCalls, s.asked("start")); diff != "" {
		t.Errorf("starts (-want +got):\n%s", diff)
	}
}

func TestSessionIsShownWhole(t *testing.T) {
	s := newStub(t)
	tab := signIn(t, s, browsertest.Start(t))
	var got object
	if err := json.Unmarshal([]byte(tab.Text("#session")), &got); err != nil {
		t.Fatalf("session is no JSON: %v", err)
	}
	if diff := cmp.Diff([]string{"backstageIdentity", "profile", "providerInfo"}, sortedKeys(got)); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

func sortedKeys(o object) []string {
	keys := make([]string, 0, len(o))
	for key := range o {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func TestNoTokenIsKept(t *testing.T) {
	tab := signIn(t, newStub(t), browsertest.Start(t))
	kept := browsertest.Eval[string](tab, "JSON.stringify([location.href, document.cookie, {...localStorage}, {...sessionStorage}])")
	if strings.Contains(kept, "eyJ") || strings.Contains(kept, "opaque") {
		t.Errorf("a token outlives the page: %s", kept)
	}
}

func TestReloadAndSecondTabKeepTheSession(t *testing.T) {
	s, b := newStub(t), browsertest.Start(t)
	tab := signIn(t, s, b)
	tab.Reload()
	tab.WaitText("#who-name", "Ada Lovelace")
	visit(t, b, s.URL).WaitText("#who-name", "Ada Lovelace")

	if got := s.asked("start"); len(got) != 1 {
		t.Errorf("starts = %q, want the first only", got)
	}
	if got, want := s.asked("refresh"), "/dev/refresh?optional&scope=&env=development"; got[len(got)-1] != want {
		t.Errorf("last refresh = %q, want %q", got[len(got)-1], want)
	}
}

func TestSessionOfAnotherProviderIsFound(t *testing.T) {
	s, b := newStub(t), browsertest.Start(t)
	tab := signIn(t, s, b)
	browsertest.Eval[bool](tab, "(localStorage.clear(), true)")
	tab.Reload()
	tab.WaitText("#who-provider", "dev (development)")
	if got := slices.ContainsFunc(s.asked("refresh"), func(call string) bool { return strings.HasPrefix(call, "/guest/") }); got {
		t.Error("the guest was signed in without being asked")
	}
}

func TestRedirectComesBackToTheSamePlace(t *testing.T) {
	s := newStub(t)
	tab := visit(t, browsertest.Start(t), s.URL+"/?view=1#here")
	tab.Click("#provider-dev-redirect")
	tab.WaitText("#who-name", "Ada Lovelace")
	tab.WaitAttribute("#signature", "data-state", "valid")
	if got, want := tab.URL(), s.URL+"/?view=1#here"; got != want {
		t.Errorf("URL = %q, want %q", got, want)
	}
}

func TestEnvironmentIsChosen(t *testing.T) {
	s := newStub(t)
	tab := visit(t, browsertest.Start(t), s.URL)
	tab.WaitHidden("#provider-dev-env")
	tab.Select("#provider-corp-env", "staging")
	tab.Click("#provider-corp-popup")
	tab.WaitText("#who-provider", "corp (staging)")
	if got := s.asked("start"); len(got) != 1 || !strings.Contains(got[0], "&env=staging&") {
		t.Errorf("starts = %q, want one with env=staging", got)
	}
}

func TestProxiedSignIn(t *testing.T) {
	s := newStub(t)
	tab := visit(t, browsertest.Start(t), s.URL)
	tab.Click("#provider-guest-signin")
	tab.WaitText("#who-provider", "guest")
	tab.Reload()
	tab.WaitText("#who-provider", "guest")
	tab.Click("#signout")
	tab.WaitText("#empty", "Sign in to see")
	tab.Reload()
	tab.WaitText("#status", "Nobody is signed in.")
	if got := s.asked("logout"); len(got) != 0 {
		t.Errorf("logouts = %q, want none for a proxied provider", got)
	}
	if got := s.asked("refresh"); !slices.Contains(got, "/guest/refresh?") {
		t.Errorf("refreshes = %q, want one of the guest without a query", got)
	}
}

func TestSignOut(t *testing.T) {
	s := newStub(t)
	tab := signIn(t, s, browsertest.Start(t))
	tab.Click("#signout")
	tab.WaitText("#empty", "Sign in to see")
	tab.WaitText("#status", "Nobody is signed in.")
	tab.WaitHidden("#session")
	tab.Wait("document.activeElement.id === 'empty-title'")
	tab.Reload()
	tab.WaitText("#status", "Nobody is signed in.")
	if diff := cmp.Diff([]string{"/dev/logout?env=development"}, s.asked("logout")); diff != "" {
		t.Errorf("logouts (-want +got):\n%s", diff)
	}
	s.change(func() {
		if len(s.signedIn) != 0 {
			t.Errorf("%d sessions left", len(s.signedIn))
		}
	})
}

func TestSignOutGoesOnToTheProvider(t *testing.T) {
	tests := []struct{ name, url, want string }{
		{name: "localhost", url: "http://localhost:%s/?bye", want: "http://localhost:%s/?bye"},
		{name: "neither https nor localhost", url: "http://127.0.0.1:%s/?bye", want: "http://127.0.0.1:%s/"},
		{name: "script", url: "javascript:alert(%s)", want: "http://127.0.0.1:%s/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(t)
			u, err := url.Parse(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			s.logout = object{"logoutUrl": fmt.Sprintf(tt.url, u.Port())}
			want := fmt.Sprintf(tt.want, u.Port())
			tab := signIn(t, s, browsertest.Start(t))
			tab.Click("#signout")
			tab.Wait(fmt.Sprintf("location.href === %q && document.querySelector('#status').textContent !== 'Signing out…'", want))
		})
	}
}

func TestRefreshesAreCollapsed(t *testing.T) {
	s := newStub(t)
	tab := signIn(t, s, browsertest.Start(t))
	before := len(s.asked("refresh"))
	s.change(func() { s.profile = object{"displayName": "Augusta King"} })
	browsertest.Eval[bool](tab, "(refresh.click(), refresh.click(), refresh.click(), true)")
	tab.WaitText("#who-name", "Augusta King")
	if got := len(s.asked("refresh")) - before; got != 1 {
		t.Errorf("%d refreshes, want 1", got)
	}
}

// TestSignOutDuringRefresh: an answer that comes after the sign-out brings nobody back.
func TestSignOutDuringRefresh(t *testing.T) {
	s := newStub(t)
	tab := signIn(t, s, browsertest.Start(t))
	gate := make(chan struct{})
	release := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	s.change(func() {
		s.refresh = func(w http.ResponseWriter, _ *http.Request) {
			<-gate
			s.change(func() { reply(w, http.StatusOK, s.session()) })
		}
	})
	// Every action says what it does when it begins and how things stand when it ends.
	browsertest.Eval[bool](tab, "(window.news = [], new MutationObserver(() => news.push(document.querySelector('#status').textContent))"+
		".observe(document.querySelector('#status'), {childList: true}), true)")
	tab.Click("#refresh")
	tab.Click("#signout")
	tab.WaitText("#empty", "Sign in to see")
	tab.Wait("news.length === 3")
	release()
	tab.Wait("news.length === 4")
	got := browsertest.Eval[string](tab, "news.join(' ')")
	if want := "Refreshing… Signing out… Nobody is signed in. Nobody is signed in."; got != want {
		t.Errorf("status in turn: %s, want %s", got, want)
	}
}

func TestRemainingTime(t *testing.T) {
	tests := []struct {
		name  string
		left  float64
		want  string
		state string
	}{
		{name: "plenty", left: 9000, want: "2 h 29 min ", state: ""},
		{name: "stale", left: 170, want: "time to refresh", state: "stale"},
		{name: "expired", left: 0, want: "expired", state: "expired"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(t)
			s.ends = tt.left
			tab := signIn(t, s, browsertest.Start(t))
			tab.WaitText("#identity-expiry", tt.want)
			tab.WaitAttribute("#identity-expiry", "data-state", tt.state)
		})
	}
}

func TestPageOnAnotherOrigin(t *testing.T) {
	elsewhere := newServer(t, playground.Handler("http://localhost:1/api/auth"))
	tab := visit(t, browsertest.Start(t), elsewhere)
	tab.WaitText("#status a", "http://localhost:1")
}

func TestKeyboard(t *testing.T) {
	s := newStub(t)
	tab := visit(t, browsertest.Start(t), s.URL)
	tab.WaitText("#status", "Nobody is signed in.")
	// Three links stand before the first button.
	tab.Press("\t\t\t\t")
	tab.Wait("document.activeElement.id === 'provider-dev-popup' && document.activeElement.matches(':focus-visible')")
	tab.Press("\r")
	tab.WaitText("#who-name", "Ada Lovelace")
}

func TestLooks(t *testing.T) {
	s, b := newStub(t), browsertest.Start(t)
	s.provider["expiresInSeconds"] = 170
	tab := visit(t, b, s.URL)
	tab.WaitText("#status", "Nobody is signed in.")
	shoot(t, tab, "signed-out")
	signIn(t, s, b)
	tab.Reload()
	tab.WaitAttribute("#signature", "data-state", "valid")
	shoot(t, tab, "signed-in")
	s.change(func() {
		s.refresh = func(w http.ResponseWriter, _ *http.Request) {
			fail(w, http.StatusUnauthorized, "AuthenticationError", "Refresh failed; the identity provider did not answer in time")
		}
	})
	tab.Click("#refresh")
	tab.WaitText("#error", "attempt-7")
	shoot(t, tab, "error")
}

// shoot pictures the page as it is on a desk and on a phone, by day and by night, and demands that it never scrolls sideways.
func shoot(t *testing.T, tab *browsertest.Tab, name string) {
	t.Helper()
	for size, width := range map[string]int{"desk": 1280, "phone": 360} {
		tab.Resize(width, 800)
		for _, scheme := range []string{"light", "dark"} {
			tab.PreferColors(scheme)
			tab.Wait(fmt.Sprintf("innerWidth === %d && matchMedia('(prefers-color-scheme: %s)').matches", width, scheme))
			tab.Screenshot(name + "-" + size + "-" + scheme)
		}
		if got := browsertest.Eval[int](tab, "document.documentElement.scrollWidth"); got > width {
			t.Errorf("%s: the page is %d px wide in a window of %d px", name, got, width)
		}
	}
}
