package signin_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"stagedoor/providers"
	"stagedoor/server/internal/signin"
)

// node is a browser that signed in with the Node backend.
func node(token, scope string) jar {
	j := jar{}
	j["idp-refresh-token"] = &http.Cookie{Name: "idp-refresh-token", Value: token}
	if scope != "" {
		j["idp-granted-scope"] = &http.Cookie{Name: "idp-granted-scope", Value: scope}
	}
	return j
}

func TestAdopt(t *testing.T) {
	w := newWorld(t)
	w.up.current = "RT/+= 1"
	j := node("RT%2F%2B%3D%201", "openid%20extra")
	s, err := w.again(j, func(in *signin.RefreshInput) { in.Scope = "extra" })
	if err != nil {
		t.Fatal(err)
	}
	if s.ProviderInfo.Scope != "extra openid" || !w.up.lastRefresh.ScopeGranted {
		t.Errorf("got %+v, asked with %+v", s.ProviderInfo, w.up.lastRefresh)
	}
	if len(j) != 1 || j[signin.SessionCookie] == nil {
		t.Errorf("cookies %v", j)
	}
	w.clock.add(time.Minute)
	if s, err = w.again(j); err != nil || s.ProviderInfo.AccessToken != "access-2" {
		t.Errorf("afterwards: %+v, %v", s, err)
	}
}

// TestScopeOfNoUse: a sign-in with a scope that PostgreSQL cannot hold succeeds, as with Backstage, and the row has the rest of it.
func TestScopeOfNoUse(t *testing.T) {
	w := newWorld(t)
	j := jar{}
	out := w.back(j, urlValues("code", "c", "state", w.begin(j, signin.StartInput{Scope: "openid \x00 a\x00b"})))
	if out.Err != nil || out.Session.ProviderInfo.Scope != "openid ab" {
		t.Fatalf("%+v, %v", out.Session, out.Err)
	}
	if s, err := w.store.Session(t.Context(), w.rowOf(j)); err != nil || s.Scope != "openid ab" {
		t.Errorf("row's scope %q, %v", s.Scope, err)
	}
}

// TestTextOfNoUse: what PostgreSQL cannot hold comes to no row, and costs no refresh token.
func TestTextOfNoUse(t *testing.T) {
	w := newWorld(t)
	w.up.current = "rt"
	j := node("rt", "openid%00")
	if s, err := w.again(j); err != nil || s.ProviderInfo.Scope != "openid" {
		t.Errorf("granted scope with a 0: %+v, %v", s, err)
	}
	w.clock.add(time.Minute)
	_, before := w.up.calls()
	_, err := w.again(j, func(in *signin.RefreshInput) { in.Scope = "openid \xff" })
	wantCode(t, err, "parameter_invalid")
	if _, after := w.up.calls(); after != before {
		t.Error("the provider was asked")
	}
}

func TestAdoptChunks(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("a", 4000) + strings.Repeat("b", 100)
	w.up.current = long
	j := node("stale-plain-cookie", "")
	j["idp-refresh-token-0"] = &http.Cookie{Name: "idp-refresh-token-0", Value: long[:4000]}
	j["idp-refresh-token-1"] = &http.Cookie{Name: "idp-refresh-token-1", Value: long[4000:]}
	if _, err := w.again(j); err != nil {
		t.Fatal(err)
	}
	if len(j) != 1 {
		t.Errorf("cookies %v", j)
	}
}

func TestAdoptBrokenCookies(t *testing.T) {
	for name, change := range map[string]func(jar){
		"empty":           func(j jar) { j["idp-refresh-token"].Value = "" },
		"bad escape":      func(j jar) { j["idp-refresh-token"].Value = "%zz" },
		"chunk missing":   func(j jar) { delete(j, "idp-refresh-token"); j["idp-refresh-token-1"] = &http.Cookie{Value: "x"} },
		"first is empty":  func(j jar) { delete(j, "idp-refresh-token"); j["idp-refresh-token-0"] = &http.Cookie{Value: ""} },
		"other provider":  func(j jar) { j["idp-refresh-token"].Name = "other-refresh-token" },
		"only the scopes": func(j jar) { delete(j, "idp-refresh-token") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			j := node("rt", "openid")
			change(j)
			_, err := w.again(j)
			wantCode(t, err, "session_missing")
			if _, n := w.up.calls(); n != 0 {
				t.Error("the provider was asked")
			}
		})
	}
}

// TestAdoptAtOnce: however many tabs and replicas adopt one cookie at once, they end with one session.
func TestAdoptAtOnce(t *testing.T) {
	w := newWorld(t)
	w.up.current = "rt"
	flows := []*signin.Flow{w.Flow, w.replica(), w.replica()}
	values := make([]string, 50)
	var wg sync.WaitGroup
	for i := range values {
		wg.Go(func() {
			out, err := flows[i%3].Refresh(context.WithoutCancel(t.Context()), signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: node("rt", "").cookies()})
			if err != nil {
				t.Error(err)
				return
			}
			for _, c := range out.Cookies {
				if c.Name == signin.SessionCookie {
					values[i] = c.Value
				}
			}
		})
	}
	wg.Wait()
	for _, v := range values {
		if v == "" || v != values[0] {
			t.Fatalf("sessions %q and %q", v, values[0])
		}
	}
	if _, n := w.up.calls(); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
}

func TestAdoptOnce(t *testing.T) {
	w := newWorld(t)
	w.up.current = "rt"
	j := node("rt", "")
	if _, err := w.again(j); err != nil {
		t.Fatal(err)
	}
	out, err := w.Logout(t.Context(), signin.LogoutInput{Provider: "idp", Header: xhr, Cookies: append(j.cookies(), node("rt", "").cookies()...)})
	if err != nil || len(out.Cookies) != 2 {
		t.Fatalf("logout: %+v, %v", out, err)
	}
	w.up.current = "rt" // even if the provider still took it
	again := node("rt", "")
	_, err = w.again(again)
	wantCode(t, err, "session_unknown")
	if len(again) != 0 {
		t.Errorf("cookies %v", again)
	}
}

func TestAdoptFailures(t *testing.T) {
	w := newWorld(t)
	w.up.current = "rt"
	j := node("rt", "")
	w.up.fail = &providers.Error{Kind: providers.ErrUnavailable, Code: "idp_unreachable", Message: "down"}
	_, err := w.again(j)
	wantCode(t, err, "idp_unreachable")
	if len(j) != 1 {
		t.Errorf("a passing fault took the cookies: %v", j)
	}
	w.up.fail = nil
	if _, err := w.again(j); err != nil {
		t.Fatal(err)
	}
	dead := node("dead", "openid")
	_, err = w.again(dead)
	wantCode(t, err, "idp_token_rejected")
	if len(dead) != 0 {
		t.Errorf("cookies left: %v", dead)
	}
}

// TestSignInReplacesNodeCookies: else a logout later on would be followed by an adoption.
func TestSignInReplacesNodeCookies(t *testing.T) {
	w := newWorld(t)
	j := node("rt", "openid")
	state := w.begin(j, signin.StartInput{})
	if out := w.back(j, map[string][]string{"code": {"c"}, "state": {state}}); out.Err != nil {
		t.Fatal(out.Err)
	}
	if len(j) != 1 || j[signin.SessionCookie] == nil {
		t.Errorf("cookies %v", j)
	}
}
