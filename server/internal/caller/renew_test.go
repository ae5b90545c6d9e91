package caller

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRenewOnce: whoever saw the keys before somebody else renewed them, and asks after that, takes what is there. Else a
// hundred requests on a server that has just started would use up the calls of those that come late.
func TestRenewOnce(t *testing.T) {
	calls := 0
	client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		calls++
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`{"keys":[]}`)), Request: r}, nil
	})}
	now := func() time.Time { return time.Unix(2_000_000_000, 0) }
	s := newSource("plugin:catalog", "https://portal.example/keys", newFetcher(client, now, slog.New(slog.DiscardHandler)))
	for range 10 {
		if keys, err := s.renew(t.Context(), snapshot{}); err != nil || keys == nil {
			t.Fatalf("got %v, %v", keys, err)
		}
	}
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
