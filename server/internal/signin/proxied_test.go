package signin_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"testing"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
	"stagedoor/server/internal/fault"
	"stagedoor/server/internal/signin"
)

// TestUntrustedPeer: who goes past the proxy is a 401 and one line for the operator, with the address and nothing of what they sent
// (security P01).
func TestUntrustedPeer(t *testing.T) {
	kind, err := providers.KindOf("oauth2Proxy", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	w := newWorld(t, func(c *signin.Config) {
		p, err := kind.New(providers.Setup{ID: "oauth2Proxy", Decode: providertest.Decode("trustedProxies: [10.0.0.0/24]"), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		e := signin.Entry{ID: "oauth2Proxy", Kind: kind, Provider: p, CallbackURL: base + "/oauth2Proxy/handler/frame"}
		c.Entries, c.Log = append(c.Entries, e), slog.New(slog.NewJSONHandler(&log, nil))
	})
	for _, tt := range []struct {
		peer, shown string
	}{
		{"192.0.2.66", "192.0.2.66"},
		{"2001:db8::1", "2001:db8::1"},
		{"", "invalid IP"},
	} {
		log.Reset()
		in := signin.RefreshInput{Provider: "oauth2Proxy", Header: http.Header{
			"X-Forwarded-User": {"root-name"}, "X-Forwarded-Email": {"root@example.com"}, "X-Forwarded-For": {"10.0.0.7"}, "Forwarded": {"for=10.0.0.7"},
		}}
		if tt.peer != "" {
			in.Peer = netip.MustParseAddr(tt.peer)
		}
		out, err := w.Refresh(t.Context(), in)
		wantCode(t, err, providers.CodeProxyPeer)
		if f, ok := err.(*fault.Error); !ok || f.Kind != fault.Authentication || out.Session != nil {
			t.Errorf("error %v, session %v", err, out.Session)
		}
		var line map[string]any
		if n := bytes.Count(log.Bytes(), []byte("\n")); n != 1 || json.Unmarshal(log.Bytes(), &line) != nil {
			t.Fatalf("%d lines: %s", n, &log)
		}
		if line["level"] != "WARN" || line["provider"] != "oauth2Proxy" || line["code"] != providers.CodeProxyPeer || line["peer"] != tt.shown {
			t.Errorf("line %s", &log)
		}
		for _, sent := range []string{"root", "10.0.0.7"} {
			if bytes.Contains(log.Bytes(), []byte(sent)) {
				t.Errorf("the line repeats %q: %s", sent, &log)
			}
		}
	}
	log.Reset()
	if _, err := w.Refresh(t.Context(), signin.RefreshInput{
		Provider: "oauth2Proxy", Header: http.Header{"X-Forwarded-User": {"jane"}}, Peer: netip.MustParseAddr("10.0.0.7"),
	}); err != nil || bytes.Contains(log.Bytes(), []byte(`"peer"`)) {
		t.Errorf("error %v, log %s", err, &log)
	}
}
