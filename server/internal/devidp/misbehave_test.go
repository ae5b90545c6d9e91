package devidp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestHealthyMisbehaving(t *testing.T) {
	r := newRig(t)
	tokens := r.tokens(t, jane)
	compact, _ := tokens["id_token"].(string)
	if err := r.verify(t, compact); err != nil {
		t.Errorf("verify: %v", err)
	}
}

func TestFailures(t *testing.T) {
	seen := []FailureKind{FailHang, FailReset} // Which have tests of their own.
	for _, test := range []struct {
		kind        FailureKind
		status      int
		contentType string
		body        string // Its beginning.
		header      [2]string
	}{
		{FailServerError, http.StatusInternalServerError, "text/plain; charset=utf-8", "something broke", [2]string{}},
		{FailUnavailable, http.StatusServiceUnavailable, "text/plain; charset=utf-8", "down", [2]string{}},
		{FailTooMany, http.StatusTooManyRequests, "text/plain; charset=utf-8", "slow", [2]string{"Retry-After", "30"}},
		{FailGarbage, http.StatusOK, "application/json", "\x00\xff", [2]string{}},
		{FailHuge, http.StatusOK, "application/json", `{"padding":"aaa`, [2]string{}},
		{FailRedirect, http.StatusTemporaryRedirect, "", "", [2]string{"Location", elsewhere}},
		{FailContentType, http.StatusOK, "text/html", "<!DOCTYPE html>", [2]string{}},
	} {
		seen = append(seen, test.kind)
		t.Run(string(test.kind), func(t *testing.T) {
			r := newRig(t)
			r.Misbehave(func(f *Faults) {
				for _, e := range endpoints {
					f.Failures[e] = Failure{Kind: test.kind}
				}
			})
			for path := range endpoints {
				response, body := r.page(t, r.Issuer()+path)
				if response.StatusCode != test.status || response.Header.Get("Content-Type") != test.contentType {
					t.Errorf("%s answers %d %s", path, response.StatusCode, response.Header.Get("Content-Type"))
				}
				if !strings.HasPrefix(body, test.body) || test.kind == FailHuge && len(body) < hugeBody {
					t.Errorf("%s answers %d bytes, not beginning with %q", path, len(body), test.body)
				}
				if got := response.Header.Get(test.header[0]); got != test.header[1] {
					t.Errorf("%s has %s %q, want %q", path, test.header[0], got, test.header[1])
				}
			}
			r.Behave()
			r.tokens(t, jane)
		})
	}
	byName := cmpopts.SortSlices(func(a, b FailureKind) bool { return a < b })
	if diff := cmp.Diff(seen, FailureKinds(), byName); diff != "" {
		t.Errorf("listed kinds (-tested +listed):\n%s", diff)
	}
}

func TestFailReset(t *testing.T) {
	r := newRig(t)
	r.Misbehave(func(f *Faults) { f.Failures[KeysEndpoint] = Failure{Kind: FailReset} })
	_, err := http.Get(r.Issuer() + keysPath)
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("error is %v, want a reset", err)
	}
	answer := httptest.NewRecorder()
	r.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "http://localhost"+testPrefix+keysPath, nil))
	if answer.Code != http.StatusInternalServerError {
		t.Errorf("without a connection the answer is %d, want 500", answer.Code)
	}
}

func TestFailureIsLimited(t *testing.T) {
	r := newRig(t)
	first, _ := r.tokens(t, jane)["refresh_token"].(string)
	r.Misbehave(func(f *Faults) {
		f.Failures[TokenEndpoint] = Failure{Kind: FailServerError, Times: 2, Grant: "refresh_token"}
	})
	r.tokens(t, jane)
	var got []int
	for range 3 {
		status, _ := r.post(t, tokenPath, refreshForm(first))
		got = append(got, status)
	}
	want := []int{http.StatusInternalServerError, http.StatusInternalServerError, http.StatusOK}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refreshes (-want +got):\n%s", diff)
	}
}

func TestLateFailureDoesTheWork(t *testing.T) {
	for _, test := range []struct {
		late bool
		want any // The error of the second try.
	}{{false, nil}, {true, "invalid_grant"}} {
		r := newRig(t)
		r.Misbehave(func(f *Faults) {
			f.Failures[TokenEndpoint] = Failure{Kind: FailUnavailable, Times: 1, Late: test.late}
		})
		form := codeForm(r.signIn(t, jane).Get("code"))
		if status, _ := r.post(t, tokenPath, form); status != http.StatusServiceUnavailable {
			t.Errorf("late %v: first try answers %d, want 503", test.late, status)
		}
		if _, body := r.post(t, tokenPath, form); body["error"] != test.want {
			t.Errorf("late %v: second try gives %v, want %v", test.late, body["error"], test.want)
		}
	}
}

func TestHang(t *testing.T) {
	for _, late := range []bool{false, true} {
		r := newRig(t)
		r.Misbehave(func(f *Faults) { f.Failures[TokenEndpoint] = Failure{Kind: FailHang, Times: 2, Late: late} })
		form := codeForm(r.signIn(t, jane).Get("code"))
		released := make(chan int)
		go func() {
			response, err := http.PostForm(r.Issuer()+tokenPath, form)
			if err != nil {
				t.Error(err)
				released <- 0
				return
			}
			response.Body.Close()
			released <- response.StatusCode
		}()
		if got := <-r.Hanging(); got != TokenEndpoint {
			t.Errorf("%s hangs, want the token endpoint", got)
		}
		r.Release()
		if got := <-released; got != http.StatusOK {
			t.Errorf("late %v: the released call answers %d, want 200", late, got)
		}
		checkGivingUp(t, r)
	}
}

// checkGivingUp shows that a call which hangs ends with its caller: the server could not close otherwise.
func checkGivingUp(t *testing.T, r *rig) {
	t.Helper()
	ctx, giveUp := context.WithCancel(t.Context())
	body := strings.NewReader(refreshForm("x").Encode())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Issuer()+tokenPath, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	ended := make(chan error)
	go func() {
		_, err := http.DefaultClient.Do(request)
		ended <- err
	}()
	<-r.Hanging()
	giveUp()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want canceled", err)
	}
}

func TestTokenFaults(t *testing.T) {
	members := []string{"access_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"}
	without := func(name string) []string {
		return slices.DeleteFunc(slices.Clone(members), func(m string) bool { return m == name })
	}
	for _, test := range []struct {
		fault   TokenFault
		status  int
		err     any
		members []string
	}{
		{"", http.StatusOK, nil, members},
		{TokenErrorWithOK, http.StatusOK, "invalid_request", []string{"error", "error_description"}},
		{TokenInvalidGrant, http.StatusBadRequest, "invalid_grant", []string{"error", "error_description"}},
		{TokenInvalidClient, http.StatusUnauthorized, "invalid_client", []string{"error", "error_description"}},
		{TokenNoAccessToken, http.StatusOK, nil, without("access_token")},
		{TokenNoIDToken, http.StatusOK, nil, without("id_token")},
		{TokenNoRefreshToken, http.StatusOK, nil, without("refresh_token")},
		{TokenNoExpiry, http.StatusOK, nil, without("expires_in")},
	} {
		t.Run(string(test.fault), func(t *testing.T) {
			r := newRig(t)
			r.Misbehave(func(f *Faults) { f.Token = test.fault })
			status, body := r.post(t, tokenPath, codeForm(r.signIn(t, jane).Get("code")))
			var got []string
			for name := range body {
				got = append(got, name)
			}
			slices.Sort(got)
			if status != test.status || body["error"] != test.err {
				t.Errorf("answer is %d %v, want %d %v", status, body["error"], test.status, test.err)
			}
			if diff := cmp.Diff(test.members, got); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTokenFaultsByGrant(t *testing.T) {
	r := newRig(t)
	r.Misbehave(func(f *Faults) { f.Grant, f.Token = "refresh_token", TokenNoIDToken })
	tokens := r.tokens(t, jane)
	refresh, _ := tokens["refresh_token"].(string)
	_, refreshed := r.post(t, tokenPath, refreshForm(refresh))
	if tokens["id_token"] == nil || refreshed["id_token"] != nil {
		t.Error("the fault is not limited to the refresh")
	}
	r.Misbehave(func(f *Faults) { f.Grant, f.IDToken.Signature = "", SignatureNone })
	if _, body := r.post(t, tokenPath, refreshForm("guess")); body["error"] != "invalid_grant" {
		t.Errorf("a refusal became %v", body)
	}
}

func TestCalls(t *testing.T) {
	r := newRig(t)
	if _, ok := r.Last(TokenEndpoint); ok {
		t.Error("the token endpoint was sent something before anybody called")
	}
	r.get(t, discoveryPath, "")
	tokens := r.tokens(t, jane)
	refresh, _ := tokens["refresh_token"].(string)
	r.Misbehave(func(f *Faults) { f.Failures[TokenEndpoint] = Failure{Kind: FailServerError, Times: 1} })
	r.post(t, tokenPath, refreshForm(refresh))
	r.post(t, tokenPath, refreshForm(refresh))
	access, _ := tokens["access_token"].(string)
	r.get(t, userinfoPath, access)
	r.publishedKeys(t)
	r.post(t, revocationPath, url.Values{"token": {refresh}, "client_id": {publicID}})
	r.page(t, r.Issuer()+endSessionPath)

	want := Calls{
		Endpoint: map[Endpoint]int{
			DiscoveryEndpoint: 1, KeysEndpoint: 1, AuthorizationEndpoint: 1, TokenEndpoint: 3,
			UserinfoEndpoint: 1, RevocationEndpoint: 1, EndSessionEndpoint: 1,
		},
		Grant: map[string]int{"authorization_code": 1, "refresh_token": 2},
	}
	if diff := cmp.Diff(want, r.Calls()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	last, _ := r.Last(TokenEndpoint)
	if diff := cmp.Diff(refreshForm(refresh), last.Form); diff != "" || last.Method != http.MethodPost {
		t.Errorf("last token request is %s (-want +got):\n%s", last.Method, diff)
	}
	if last, _ := r.Last(UserinfoEndpoint); last.Header.Get("Authorization") != "Bearer "+access {
		t.Error("the last userinfo request is without its token")
	}
}
