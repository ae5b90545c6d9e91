package config

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Endpoint is one item of discovery.endpoints (contract/core.md section 8.2): where some plugins are reached.
type Endpoint struct {
	// Internal is the address for calls between backends, External the one that browsers see. Each is a pattern, in which
	// {{pluginId}} stands for the id of the plugin, and empty if the item says nothing about it.
	Internal, External string
	// Plugins are the ids that the item is about. "*" is every plugin that no item names.
	Plugins []string
}

const (
	authPlugin    = "auth"
	catalogPlugin = "catalog"
	everyPlugin   = "*"
)

// PluginURL is the address of a plugin's API, without a slash at the end: the internal one for a call from here, else the
// one that browsers use. Of several endpoints that name the plugin the last one counts, and all of them before "*". It is
// empty only for an internal address that is a SRV record, which is not looked up.
//
// Without an endpoint the external address is that of backend.baseUrl followed by /api/ and the id.
//
// Differs from Backstage: without an endpoint the internal address is the external one, not localhost with the port that
// this process listens on. There the plugins share a process; here another plugin is another server.
func (c *Config) PluginURL(plugin string, internal bool) string {
	if i := lastFor(c.Discovery, plugin, Endpoint.internal); internal && i >= 0 {
		if srvRecord(c.Discovery[i].Internal) {
			return ""
		}
		return expand(c.Discovery[i].Internal, plugin)
	}
	if i := lastFor(c.Discovery, plugin, Endpoint.external); i >= 0 {
		return expand(c.Discovery[i].External, plugin)
	}
	return expand(c.Backend.BaseURL+"/api/{{pluginId}}", plugin)
}

// AuthURL is the address of our own API as browsers see it: the issuer of tokens, and the beginning of callback URLs. The
// API is mounted at /api/auth whatever the address is: of another path, the proxy that serves it is to strip what differs.
func (c *Config) AuthURL() string { return c.PluginURL(authPlugin, false) }

func (e Endpoint) internal() string { return e.Internal }
func (e Endpoint) external() string { return e.External }

// lastFor returns the index of the endpoint whose target counts for plugin, -1 if there is none.
func lastFor(endpoints []Endpoint, plugin string, target func(Endpoint) string) int {
	for _, id := range []string{plugin, everyPlugin} {
		for i, e := range slices.Backward(endpoints) {
			if target(e) != "" && slices.Contains(e.Plugins, id) {
				return i
			}
		}
	}
	return -1
}

var pluginPlaceholder = regexp.MustCompile(`\{\{\s*pluginId\s*\}\}`)

// expand puts the plugin's id into a pattern.
func expand(pattern, plugin string) string {
	return pluginPlaceholder.ReplaceAllLiteralString(pattern, encodeURIComponent(plugin))
}

// inComponent undoes what url.QueryEscape does beyond JavaScript's encodeURIComponent.
var inComponent = strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*")

// encodeURIComponent escapes as the function of that name does in JavaScript (ECMA-262 section 19.2.6.4).
func encodeURIComponent(s string) string { return inComponent.Replace(url.QueryEscape(s)) }

var srvScheme = regexp.MustCompile(`(?i)^https?\+srv://`)

// srvRecord is true for an address whose host names a SRV record: http+srv://….
func srvRecord(address string) bool { return srvScheme.MatchString(address) }

// endpointKeys is an item of discovery.endpoints as it is written.
type endpointKeys struct {
	Target  *node    `config:"target,required"`
	Plugins []string `config:"plugins,required"`
}

func (r *reader) discovery() []Endpoint {
	const key = "discovery.endpoints"
	var keys struct {
		Endpoints []endpointKeys `config:"endpoints"`
	}
	r.section("discovery", &keys)
	var all []Endpoint
	for i, k := range keys.Endpoints {
		e := r.targets(k.Target, indexed(key, i)+".target")
		e.Plugins = k.Plugins
		all = append(all, e)
	}
	return all
}

// checkCatalogAddress reports an address that we would call and cannot. Those of plugins that we do not call may stay.
func (r *reader) checkCatalogAddress(c *Config) {
	i := lastFor(c.Discovery, catalogPlugin, Endpoint.internal)
	if i < 0 || !srvRecord(c.Discovery[i].Internal) || c.Auth.CatalogFile != "" || c.Auth.DevIDP.Enabled {
		return
	}
	target := r.root.find("discovery.endpoints").items[i].get("target")
	r.problems.add(target.get("internal").at, indexed("discovery.endpoints", i)+".target.internal", "want http:// or https://: "+
		"SRV records (http+srv://) are not looked up, and the catalog is called at this address")
}

// targets reads "pattern" or {internal, external}.
func (r *reader) targets(n *node, key string) Endpoint {
	var both struct {
		Internal string `config:"internal"`
		External string `config:"external"`
	}
	switch {
	case n == nil:
		return Endpoint{} // reported before
	case n.form == text:
		pattern := r.target(n, key, n.text)
		return Endpoint{Internal: pattern, External: pattern}
	case n.form != object:
		r.problems.add(n.at, key, "want a URL, or an object with internal and external")
		return Endpoint{}
	}
	d := decoder{strict: true, source: r.source.String(), problems: &r.problems}
	_ = d.decode(n, key, &both) // what is wrong is in r.problems
	e := Endpoint{External: r.target(n.get("external"), dotted(key, "external"), both.External), Internal: both.Internal}
	if !srvRecord(e.Internal) {
		e.Internal = r.target(n.get("internal"), dotted(key, "internal"), e.Internal)
	}
	return e
}

// target checks a pattern, which an absent one need not pass.
func (r *reader) target(n *node, key, pattern string) string {
	switch {
	case n.absent() || n.form != text:
		return "" // reported before, if it is wrong
	case srvRecord(pattern):
		r.problems.add(n.at, key, "want http:// or https://: SRV records (http+srv://) are for target.internal only")
		return ""
	default:
		r.checkURL(n.at, key, expand(pattern, authPlugin))
	}
	return strings.TrimRight(pattern, "/")
}
