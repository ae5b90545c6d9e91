package main

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// parityGitHub looks like a GitHub Enterprise Server below /gh, where Jane Hub is always signed in. Its tokens expire, unless the
// authorization request has forever.
type parityGitHub struct{}

// startParityGitHub returns its address.
func startParityGitHub(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /gh/login/oauth/authorize", parityGitHub{}.authorize)
	mux.HandleFunc("POST /gh/login/oauth/access_token", parityGitHub{}.token)
	mux.HandleFunc("GET /gh/api/v3/user", parityGitHub{}.user)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

func (parityGitHub) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	code := "rotating"
	if q.Has("forever") {
		code = "forever"
	}
	answer := url.Values{"code": {code}, "state": {q.Get("state")}}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
}

// token answers in form encoding, as GitHub does where nothing else is asked for, and with 200 in any case.
func (parityGitHub) token(w http.ResponseWriter, r *http.Request) {
	answer := url.Values{"access_token": {"gho_" + rand.Text()}, "token_type": {"bearer"}, "scope": {"read:user"}}
	code, refresh := r.PostFormValue("code"), r.PostFormValue("refresh_token")
	switch {
	case r.PostFormValue("client_id") != "gh-client" || r.PostFormValue("client_secret") == "":
		answer = url.Values{"error": {"incorrect_client_credentials"}}
	case code == "rotating" || strings.HasPrefix(refresh, "ghr_"):
		answer.Set("expires_in", "28800")
		answer.Set("refresh_token", "ghr_"+rand.Text())
	case code != "forever":
		answer = url.Values{"error": {"bad_verification_code"}}
	}
	w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	_, _ = w.Write([]byte(answer.Encode()))
}

func (parityGitHub) user(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer gho_") {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"id": 1, "node_id": "U_1", "login": "jane-gh", "name": "Jane Hub", "email": "jane-gh@example.com",
		"avatar_url": "http://localhost:9400/picture/jane-gh.png",
	})
}
