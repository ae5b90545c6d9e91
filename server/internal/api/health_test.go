package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"stagedoor/server/internal/fault"
)

func TestLiveness(t *testing.T) {
	b := setUp(t, func(c *Config) { c.Ready = func(context.Context) error { return errors.New("never asked") } })
	if got := b.Get("/.backstage/health/v1/liveness"); got.Status != http.StatusOK || string(got.Body) != `{"status":"ok"}` {
		t.Errorf("answer = %d %s", got.Status, got.Body)
	}
}

func TestReadiness(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
		code int
	}{
		{"ready", nil, `{"status":"ok"}`, 200},
		{"starting", fault.New(fault.ServiceUnavailable, "starting", "Backend has not started yet", nil), `{"message":"Backend has not started yet","status":"error"}`, 503},
		{"stopping", fault.New(fault.ServiceUnavailable, "stopping", "Backend is shutting down", nil), `{"message":"Backend is shutting down","status":"error"}`, 503},
		{"broken", errors.New("dial tcp db"), `{"message":"Backend is not ready","status":"error"}`, 503},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := setUp(t, func(c *Config) { c.Ready = func(context.Context) error { return tt.err } })
			got := b.Get("/.backstage/health/v1/readiness")
			if got.Status != tt.code || string(got.Body) != tt.want {
				t.Errorf("answer = %d %s", got.Status, got.Body)
			}
			if logged := strings.Contains(b.log.String(), "dial tcp db"); logged != (tt.name == "broken") {
				t.Errorf("log = %s", b.log)
			}
		})
	}
}

func TestProviders(t *testing.T) {
	want := `{"providers":[` +
		`{"environments":["development"],"flows":["popup","redirect"],"id":"idp","title":"idp","type":"oidc"},` +
		`{"environments":[],"flows":["proxied"],"id":"guest","title":"Guest","type":"guest"}]}`
	if got := setUp(t).Get("/api/auth/v1/providers"); got.Status != http.StatusOK || string(got.Body) != want {
		t.Errorf("answer = %d %s", got.Status, got.Body)
	}
}
