package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// discovering is the minimal configuration with discovery.endpoints, a flow list.
func discovering(endpoints string) world {
	return one(minimal + "discovery: {endpoints: " + endpoints + "}\n")
}

func TestPluginURL(t *testing.T) {
	const fallback = "http://localhost:7007/api/"
	tests := []struct{ name, endpoints, plugin, internal, external string }{
		{"nothing configured", "[]", "catalog", fallback + "catalog", fallback + "catalog"},
		{"null", "null", "auth", fallback + "auth", fallback + "auth"},
		{"another plugin", "[{target: 'http://a', plugins: [search]}]", "catalog", fallback + "catalog", fallback + "catalog"},
		{"one target", "[{target: 'http://a/b/', plugins: [catalog]}]", "catalog", "http://a/b", "http://a/b"},
		{
			"two targets", "[{target: {internal: 'http://in', external: 'https://ex'}, plugins: [catalog]}]", "catalog",
			"http://in", "https://ex",
		},
		{"internal only", "[{target: {internal: 'http://in'}, plugins: [catalog]}]", "catalog", "http://in", fallback + "catalog"},
		{"external only serves both", "[{target: {external: 'http://ex'}, plugins: [catalog]}]", "catalog", "http://ex", "http://ex"},
		{"neither", "[{target: {}, plugins: [catalog]}]", "catalog", fallback + "catalog", fallback + "catalog"},
		{"placeholder", "[{target: 'http://{{pluginId}}/{{ pluginId }}', plugins: [search]}]", "search", "http://search/search", "http://search/search"},
		{"unknown placeholder", "[{target: 'http://a/{{plugin}}', plugins: [search]}]", "search", "http://a/{{plugin}}", "http://a/{{plugin}}"},
		{
			"escaped as JavaScript does", "[{target: 'http://a/{{pluginId}}', plugins: ['*']}]", "a b/../?#%+!'()*~é",
			"http://a/a%20b%2F..%2F%3F%23%25%2B!'()*~%C3%A9", "http://a/a%20b%2F..%2F%3F%23%25%2B!'()*~%C3%A9",
		},
		{"any plugin", "[{target: 'http://a/{{pluginId}}', plugins: ['*']}]", "search", "http://a/search", "http://a/search"},
		{
			"a named plugin before any, whatever the order",
			"[{target: 'http://named', plugins: [auth, search]}, {target: 'http://any', plugins: ['*']}]", "search", "http://named", "http://named",
		},
		{
			"the last that names it", "[{target: 'http://a', plugins: [search]}, {target: {internal: 'http://b'}, plugins: [search]}]", "search",
			"http://b", "http://a",
		},
		{
			"each target by itself", "[{target: {internal: 'http://in'}, plugins: [search]}, {target: 'http://any/{{pluginId}}', plugins: ['*']}]",
			"search", "http://in", "http://any/search",
		},
		{
			"a SRV record that is not looked up", "[{target: {internal: 'http+srv://{{pluginId}}.local/api'}, plugins: [search]}]", "search",
			"", fallback + "search",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustLoad(t, discovering(tt.endpoints))
			if got := c.PluginURL(tt.plugin, true); got != tt.internal {
				t.Errorf("internal: got %s, want %s", got, tt.internal)
			}
			if got := c.PluginURL(tt.plugin, false); got != tt.external {
				t.Errorf("external: got %s, want %s", got, tt.external)
			}
		})
	}
}

func TestAuthURL(t *testing.T) {
	if got := mustLoad(t, one(minimal)).AuthURL(); got != "http://localhost:7007/api/auth" {
		t.Errorf("got %s", got)
	}
	c := mustLoad(t, discovering("[{target: {internal: 'http://in', external: 'https://portal/auth/'}, plugins: [auth]}]"))
	if got := c.AuthURL(); got != "https://portal/auth" {
		t.Errorf("got %s", got)
	}
}

func TestDiscoveryProblems(t *testing.T) {
	const (
		at       = "app-config.yaml:5:"
		absolute = "want an absolute URL that begins with http:// or https://"
		srv      = "want http:// or https://: SRV records (http+srv://) are for target.internal only"
		called   = "want http:// or https://: SRV records (http+srv://) are not looked up, and the catalog is called at this address"
	)
	tests := []struct{ endpoints, want string }{
		{"x", at + "24 discovery.endpoints: want a list, found a string"},
		{"[x]", at + "25 discovery.endpoints[0]: want an object, found a string"},
		{"[{plugins: [a]}]", "Missing required config value at 'discovery.endpoints[0].target' in 'app-config.yaml'"},
		{"[{target: 'http://a'}]", "Missing required config value at 'discovery.endpoints[0].plugins' in 'app-config.yaml'"},
		{"[{target: 'http://a', plugins: a}]", at + "55 discovery.endpoints[0].plugins: want a list, found a string"},
		{"[{target: 5, plugins: [a]}]", at + "34 discovery.endpoints[0].target: want a URL, or an object with internal and external"},
		{"[{target: '', plugins: [a]}]", at + "34 discovery.endpoints[0].target: " + absolute},
		{"[{target: localhost:7007, plugins: [a]}]", at + "34 discovery.endpoints[0].target: " + absolute},
		{"[{target: 'http://a?b', plugins: [a]}]", at + "34 discovery.endpoints[0].target: want a URL without user, query and fragment"},
		{"[{target: 'http+srv://a', plugins: [catalog]}]", at + "34 discovery.endpoints[0].target: " + srv},
		{"[{target: {external: 'https+srv://a'}, plugins: [a]}]", at + "45 discovery.endpoints[0].target.external: " + srv},
		{"[{target: {internal: ftp://a}, plugins: [a]}]", at + "45 discovery.endpoints[0].target.internal: " + absolute},
		{"[{target: {external: 5}, plugins: [a]}]", at + "45 discovery.endpoints[0].target.external: want a string, found a number: put it in quotes"},
		{"[{target: {interal: http://a}, plugins: [a]}]", at + "35 discovery.endpoints[0].target.interal: unknown key, did you mean internal?"},
		{"[{target: {internal: 'http+srv://a'}, plugins: [catalog]}]", at + "45 discovery.endpoints[0].target.internal: " + called},
		{"[{target: 'http://a', plugins: [b]}, {target: {internal: 'http+srv://a'}, plugins: ['*']}]", at + "81 discovery.endpoints[1].target.internal: " + called},
	}
	for _, tt := range tests {
		t.Run(tt.endpoints, func(t *testing.T) {
			if diff := cmp.Diff([]string{tt.want}, problemsOf(t, discovering(tt.endpoints))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestUnusedSRVRecords: what we would not look up may stay in a configuration that others read.
func TestUnusedSRVRecords(t *testing.T) {
	tests := []struct{ name, endpoints, more string }{
		{"other plugins", "[{target: {internal: 'http+srv://a'}, plugins: [auth, search]}]", ""},
		{"the catalog has its own", "[{target: {internal: 'http+srv://a'}, plugins: ['*']}, {target: 'http://c', plugins: [catalog]}]", ""},
		{"the catalog is a file", "[{target: {internal: 'http+srv://a'}, plugins: ['*']}]", "auth: {catalog: {file: people.yaml}}\n"},
		{"the catalog is the development provider's", "[{target: {internal: 'http+srv://a'}, plugins: ['*']}]", "auth: {devIdp: {enabled: true}}\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Load(one(minimal+"discovery: {endpoints: "+tt.endpoints+"}\n"+tt.more, "NODE_ENV=development").input()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDevIDPNeedsLoopbackEverywhere: a public address in discovery is as public as one in backend.baseUrl.
func TestDevIDPNeedsLoopbackEverywhere(t *testing.T) {
	const on = "auth: {devIdp: {enabled: true}}\ndiscovery: {endpoints: "
	want := []string{"app-config.yaml:6:24 discovery.endpoints: want a loopback address such as http://localhost:7007: anyone may " +
		"sign in as anyone at the development provider that auth.devIdp.enabled turns on"}
	if diff := cmp.Diff(want, problemsOf(t, one(minimal+on+"[{target: 'https://portal', plugins: [auth]}]}\n", "NODE_ENV=development"))); diff != "" {
		t.Error(diff)
	}
	if _, err := Load(one(minimal+on+"[{target: 'https://portal', plugins: [catalog]}]}\n", "NODE_ENV=development").input()); err != nil {
		t.Error(err)
	}
}
