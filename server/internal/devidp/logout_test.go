package devidp

import (
	"net/url"
	"strings"
	"testing"
)

func TestHomeAndSignOut(t *testing.T) {
	r := newRig(t)
	if _, page := r.page(t, r.Issuer()+homePath); !strings.Contains(page, "Nobody is signed in") {
		t.Error("home knows somebody before anybody signed in")
	}
	r.signIn(t, jane)
	if _, page := r.page(t, r.Issuer()+homePath); !strings.Contains(page, "Signed in as Jane Doe") {
		t.Error("home does not know who is signed in")
	}
	response, err := r.browser.PostForm(r.Issuer()+endSessionPath, url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if _, page := r.page(t, r.Issuer()+homePath); !strings.Contains(page, "Nobody is signed in") {
		t.Error("home still knows somebody after the sign-out")
	}
}

func TestEndSessionRedirect(t *testing.T) {
	r := newRig(t)
	hint, _ := r.tokens(t, jane)["id_token"].(string)
	for _, test := range []struct {
		name  string
		query url.Values
		want  string // "" is no redirect.
	}{
		{"origin of the client", url.Values{"client_id": {publicID}, "post_logout_redirect_uri": {"http://localhost:9/bye?a=b"}}, "http://localhost:9/bye?a=b"},
		{"any loopback port", url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"http://localhost:1234/"}}, "http://localhost:1234/"},
		{"state", url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"http://localhost:9/"}, "state": {"a&b"}}, "http://localhost:9/?state=a%26b"},
		{"elsewhere", url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://elsewhere.invalid/"}}, ""},
		{"user in the address", url.Values{"client_id": {publicID}, "post_logout_redirect_uri": {"http://x@localhost:9/"}}, ""},
		{"nobody's", url.Values{"post_logout_redirect_uri": {"http://localhost:9/"}}, ""},
		{"forged hint", url.Values{"id_token_hint": {hint + "x"}, "post_logout_redirect_uri": {"http://localhost:9/"}}, ""},
		{"unknown client", url.Values{"client_id": {"nobody"}, "post_logout_redirect_uri": {"http://localhost:9/"}}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			response, _ := r.page(t, r.Issuer()+endSessionPath+"?"+test.query.Encode())
			if got := response.Header.Get("Location"); got != test.want {
				t.Errorf("leads to %q, want %q", got, test.want)
			}
		})
	}
}
