package caller

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"stagedoor/tokens"
)

const (
	// maxPlugins is how many plugins' keys are held.
	maxPlugins = 128
	// maxPluginID is the most characters of an id. It may become a label in a host name.
	maxPluginID = 63
	// A plugin that no key is held of is one that anybody could have made up. Up to strangersBurst of them are looked for at
	// once, and one in strangersPause over time: in a flood of such names a new plugin may have to wait, a known one does not.
	strangersPause, strangersBurst = time.Second, 32
)

var errPluginID = fmt.Errorf("%w: plugin id of more than %d characters", tokens.ErrInvalid, maxPluginID)

// plugins are the key sets of calling plugins.
type plugins struct {
	url       func(plugin string) string
	fetch     *fetcher
	strangers *rate.Limiter

	mu      sync.Mutex
	sources map[string]*source
}

func newPlugins(url func(string) string, f *fetcher) *plugins {
	return &plugins{
		url: url, fetch: f, strangers: rate.NewLimiter(rate.Every(strangersPause), strangersBurst),
		sources: map[string]*source{},
	}
}

// source is where the keys of a plugin are, whose id has the form of one: below the address that the configuration gives the
// plugin, and nowhere else.
func (p *plugins) source(id string) (*source, error) {
	if len(id) > maxPluginID {
		return nil, errPluginID
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.sources[id]; s != nil {
		return s, nil
	}
	base := p.url(id)
	switch {
	case base == "":
		return nil, fmt.Errorf("%w: the plugin's address is not known", errUnavailable)
	case !p.strangers.AllowN(p.fetch.now(), 1):
		return nil, errPaused
	}
	if len(p.sources) >= maxPlugins {
		p.forget()
	}
	s := newSource("plugin:"+id, base+"/.backstage/auth/v1/jwks.json", p.fetch)
	p.sources[id] = s
	return s, nil
}

// forget drops the source that was asked longest ago, one without keys before any with keys.
func (p *plugins) forget() {
	var oldest string
	var since time.Time
	held := true
	for id, s := range p.sources {
		used, holds := s.idle()
		if oldest == "" || held && !holds || held == holds && used.Before(since) {
			oldest, since, held = id, used, holds
		}
	}
	delete(p.sources, oldest)
}
