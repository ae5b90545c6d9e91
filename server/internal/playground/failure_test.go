package playground_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"stagedoor/server/internal/playground/browsertest"
)

func newServer(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// html answers with a document.
func html(document string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(`<!doctype html><link rel="icon" href="data:,">` + document))
	}
}

func TestErrorInPopup(t *testing.T) {
	s := newStub(t)
	s.signin = func(w http.ResponseWriter, _ *http.Request) {
		frame(w, s.URL, object{"type": "authorization_response", "error": object{
			"name": "NotAllowedError", "message": "Nobody of <b>that</b> name", "code": "no_catalog_user", "attemptId": "attempt-9",
		}})
	}
	tab := visit(t, browsertest.Start(t), s.URL)
	tab.Click("#provider-dev-popup")
	for selector, want := range map[string]string{
		"#error-message": "Nobody of <b>that</b> name", "#error-error": "NotAllowedError",
		"#error-code": "no_catalog_user", "#error-attempt": "attempt-9", "#status": "Nobody is signed in.",
	} {
		tab.WaitText(selector, want)
	}
	tab.WaitHidden("#who")
}

func TestPopupClosedByHand(t *testing.T) {
	s := newStub(t)
	s.signin = html("<h1>Log in</h1>")
	tab := visit(t, browsertest.Start(t), s.URL)
	popup := tab.Popup(func() { tab.Click("#provider-dev-popup") })
	popup.WaitText("h1", "Log in")
	tab.WaitText("#status", "Waiting for the popup…")
	popup.Close()
	tab.WaitText("#error-message", "Login failed, popup was closed")
	tab.WaitText("#error-error", "PopupClosedError")

	s.change(func() { s.signin = s.finish })
	tab.Click("#provider-dev-popup")
	tab.WaitText("#who-name", "Ada Lovelace")
	tab.WaitHidden("#error")
}

func TestPopupCancelled(t *testing.T) {
	s := newStub(t)
	s.signin = html("<h1>Log in</h1>")
	tab := visit(t, browsertest.Start(t), s.URL)
	popup := tab.Popup(func() { tab.Click("#provider-dev-popup") })
	popup.WaitText("h1", "Log in")
	tab.Click("#cancel")
	popup.WaitClosed()
	tab.WaitText("#error-error", "PopupClosedError")
	tab.WaitHidden("#cancel")
}

func TestPopupForAnotherOrigin(t *testing.T) {
	s := newStub(t)
	s.signin = html("<script>opener.postMessage({type: 'config_info', targetOrigin: 'https://app.example.com'}, '*'); window.close()</script>")
	tab := visit(t, browsertest.Start(t), s.URL)
	tab.Click("#provider-dev-popup")
	tab.WaitText("#error-message", "Login failed, Incorrect app origin, expected https://app.example.com")
}

func TestPopupBlocked(t *testing.T) {
	s := newStub(t)
	tab := visit(t, browsertest.Start(t), s.URL)
	tab.WaitText("#status", "Nobody is signed in.")
	// A click by a script is no gesture of the user, so the browser opens no window for it.
	browsertest.Eval[bool](tab, "(document.querySelector('#provider-dev-popup').click(), true)")
	tab.WaitText("#error-error", "PopupBlockedError")
	tab.Click("#provider-dev-redirect")
	tab.WaitText("#who-name", "Ada Lovelace")
}

// TestForeignMessages sends a result from every window but the popup's own origin, before the true one.
func TestForeignMessages(t *testing.T) {
	const forged = "{type: 'authorization_response', response: {profile: {displayName: 'Mallory'}}}"
	s := newStub(t)
	foreign := newServer(t, html("<script>opener.postMessage("+forged+", '*'); location.href = '"+s.base()+"/dev/handler/frame'</script>"))
	s.signin = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, foreign, http.StatusFound) }
	tab := visit(t, browsertest.Start(t), s.URL)
	tab.WaitText("#status", "Nobody is signed in.")
	browsertest.Eval[bool](tab, "(window.names = [], new MutationObserver(() => names.push(document.querySelector('#who-name').textContent))"+
		".observe(document.querySelector('#who-name'), {childList: true}), true)")
	browsertest.Eval[bool](tab, "(window.open = ((open) => (...args) => { postMessage("+forged+", '*'); return open(...args) })(window.open), true)")
	tab.Click("#provider-dev-popup")
	tab.WaitText("#who-name", "Ada Lovelace")
	if got := browsertest.Eval[string](tab, "names.join()"); got != "Ada Lovelace" {
		t.Errorf("shown in turn: %s", got)
	}
}

func TestRedirectFailure(t *testing.T) {
	s := newStub(t)
	s.signin = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("redirectUrl")+"&error=Login+declined&error_code=access_denied#top", http.StatusFound)
	}
	tab := visit(t, browsertest.Start(t), s.URL+"/?view=1")
	tab.Click("#provider-dev-redirect")
	tab.WaitText("#error-message", "Login declined")
	tab.WaitText("#error-code", "access_denied")
	if got, want := tab.URL(), s.URL+"/?view=1#top"; got != want {
		t.Errorf("URL = %q, want %q", got, want)
	}
	tab.Reload()
	tab.WaitText("#status", "Nobody is signed in.")
	tab.WaitHidden("#error")
}

func TestUnaskedErrorIsNotShown(t *testing.T) {
	s := newStub(t)
	tab := visit(t, browsertest.Start(t), s.URL+"/?error=Call+this+number&error_code=x")
	tab.WaitText("#status", "Nobody is signed in.")
	tab.WaitHidden("#error")
	if got, want := tab.URL(), s.URL+"/"; got != want {
		t.Errorf("URL = %q, want %q", got, want)
	}
}

func TestRefreshFailure(t *testing.T) {
	tests := []struct {
		name     string
		refresh  func(s *stub)
		want     string
		wantGone bool
	}{
		{
			name: "passing", want: "try again",
			refresh: func(s *stub) {
				s.refresh = func(w http.ResponseWriter, _ *http.Request) {
					fail(w, http.StatusServiceUnavailable, "ServiceUnavailableError", "try again")
				}
			},
		},
		{
			name: "no JSON", want: "HTTP 502",
			refresh: func(s *stub) {
				s.refresh = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
			},
		},
		{
			name: "error with 200", want: "teapot",
			refresh: func(s *stub) {
				s.refresh = func(w http.ResponseWriter, _ *http.Request) { fail(w, http.StatusOK, "Error", "teapot") }
			},
		},
		{name: "ended", want: "the session has ended", refresh: func(s *stub) { clear(s.signedIn) }, wantGone: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(t)
			tab := signIn(t, s, browsertest.Start(t))
			s.change(func() { tt.refresh(s) })
			tab.Click("#refresh")
			tab.WaitText("#error", tt.want)
			if tt.wantGone {
				tab.WaitHidden("#who")
			} else {
				tab.WaitText("#who-name", "Ada Lovelace")
			}
		})
	}
}

func TestServerGone(t *testing.T) {
	s := newStub(t)
	tab := signIn(t, s, browsertest.Start(t))
	s.Close()
	tab.Click("#refresh")
	tab.WaitText("#error", "NetworkError")
	tab.WaitText("#who-name", "Ada Lovelace")
}

func TestMarkupIsInert(t *testing.T) {
	const markup = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
	s := newStub(t)
	s.profile = object{"displayName": markup, "email": markup, "picture": "javascript:alert(1)"}
	tab := visit(t, browsertest.Start(t), s.URL)
	tab.Click("#provider-dev-popup")
	tab.WaitText("#who-name", markup)
	tab.WaitText("#who-picture", "<")
	if got := browsertest.Eval[int](tab, "document.querySelectorAll('#who img, #session *').length"); got != 0 {
		t.Errorf("%d elements made of text", got)
	}
	if got := tab.Text("title"); strings.Contains(got, "owned") {
		t.Errorf("title = %q", got)
	}
}

func TestWithoutIdentity(t *testing.T) {
	s := newStub(t)
	s.refresh = func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, object{"profile": object{}, "providerInfo": object{"accessToken": "opaque", "scope": ""}})
	}
	tab := visit(t, browsertest.Start(t), s.URL)
	tab.WaitText("#who-entity", "not configured to support sign-in")
	tab.WaitText("#identity-expiry", "none")
	tab.WaitText("#provider-expiry", "no end given")
	tab.WaitText("#who-ownership", "none")
	tab.WaitHidden("#token")
}
