package api

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"stagedoor/server/internal/signin"
)

// The pairs below are rows of `make bench`: what the whole stack costs beside bare net/http with the same bytes, in requests
// over loopback. The in-process ones show where the difference comes from.

const (
	benchStart    = "/api/auth/idp/start?scope=openid%20profile&origin=http%3A%2F%2Flocalhost%3A3000&flow=popup&env=development"
	benchLocation = "https://idp.example/auth?client_id=backstage&response_type=code&state=0123456789abcdef0123456789abcdef"
)

var benchCookie = &http.Cookie{Name: "tx", Value: "0123456789abcdef0123456789abcdef", Path: "/api/auth/idp/handler", MaxAge: 600, HttpOnly: true}

func benchStack(b *testing.B) *Server {
	b.Helper()
	cfg := fakeConfig(&lockedBuffer{}, slog.LevelInfo)
	cfg.SignIn.(*fakeSignIn).start = func(signin.StartInput) (signin.StartOutput, error) {
		return signin.StartOutput{URL: benchLocation, Cookies: []*http.Cookie{benchCookie}}, nil
	}
	server, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	return server
}

func bareKeySet(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", typeJSON)
	w.Header().Set("ETag", keySet.ETag)
	_, _ = w.Write(keySet.Body)
}

func bareRedirect(w http.ResponseWriter, _ *http.Request) {
	http.SetCookie(w, benchCookie)
	w.Header().Set("Location", benchLocation)
	w.WriteHeader(http.StatusFound)
}

func BenchmarkJWKS(b *testing.B) {
	b.Run("stack", func(b *testing.B) { overLoopback(b, benchStack(b), jwksPaths[0], 200) })
	b.Run("bare", func(b *testing.B) { overLoopback(b, http.HandlerFunc(bareKeySet), jwksPaths[0], 200) })
	b.Run("inprocess", func(b *testing.B) { inProcess(b, benchStack(b), jwksPaths[0]) })
}

func BenchmarkStart(b *testing.B) {
	b.Run("stack", func(b *testing.B) { overLoopback(b, benchStack(b), benchStart, 302) })
	b.Run("bare", func(b *testing.B) { overLoopback(b, http.HandlerFunc(bareRedirect), benchStart, 302) })
	b.Run("inprocess", func(b *testing.B) { inProcess(b, benchStack(b), benchStart) })
}

func BenchmarkFrame(b *testing.B) {
	out := signin.FinishOutput{Origin: "http://localhost:3000", Session: &signin.SessionInfo{
		Profile:      signin.ProfileInfo{Email: "jane@example.com", DisplayName: "Jane"},
		ProviderInfo: &signin.ProviderInfo{AccessToken: benchLocation, Scope: "openid"},
	}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := frame(out); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		benchStack(b)
	}
}

func overLoopback(b *testing.B, h http.Handler, target string, status int) {
	b.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	client := server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Transport.(*http.Transport).MaxIdleConnsPerHost = 64
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			res, err := client.Get(server.URL + target)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if res.StatusCode != status {
				b.Errorf("status = %d", res.StatusCode)
			}
		}
	})
}

func inProcess(b *testing.B, h http.Handler, target string) {
	b.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(discard{http.Header{}}, r)
	}
}
