package providers_test

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"

	"stagedoor/providers"
)

// gated lets the calls for an identity wait until it is opened, and counts them.
type gated struct {
	*proxied
	mu    sync.Mutex
	asked int
	gate  chan struct{}
}

func (g *gated) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.String() == cfIdentity {
		g.mu.Lock()
		g.asked++
		g.mu.Unlock()
		<-g.gate
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.proxied.RoundTrip(r)
}

// TestCFAccessFlight: however many tabs ask at once, Access is asked once about each user.
func TestCFAccessFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, key := newCF(t)
		g := &gated{proxied: p, gate: make(chan struct{})}
		provider, err := openProxied("cfaccess", "{teamName: corp, audience: aud-tag}", false, g, p.clock)
		if err != nil {
			t.Fatal(err)
		}
		h := cfRequest(signed(t, key, cfClaims))
		for range 50 {
			go func() {
				r, err := provider.Handle(t.Context(), providers.Request{Header: h})
				if err != nil || r.Profile.Email != "jane@corp.example" {
					t.Errorf("email %q, error %v", r.Profile.Email, err)
				}
			}()
		}
		synctest.Wait()
		if g.asked != 1 {
			t.Errorf("%d calls, want 1", g.asked)
		}
		close(g.gate)
		synctest.Wait()
	})
}
