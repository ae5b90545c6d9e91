package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// Config is everything that the server reads from app-config and the environment.
type Config struct {
	// Development is true with NODE_ENV=development, or without any config file; everything else is production.
	Development bool
	Source      Source
	App         App
	Backend     Backend
	// Discovery says where plugins are reached, in the order of the files; see PluginURL.
	Discovery []Endpoint
	Database  Database
	Auth      Auth
}

// App is the front end.
type App struct {
	// BaseURL is absolute, without a slash at the end.
	BaseURL string
}

// Load finds, reads, merges and checks the configuration. The error is an *Errors that lists everything that is wrong. If the files
// could be read as such, the Config is returned beside it, with zero values where it is wrong: to look for what else is.
func Load(in LoadInput) (*Config, error) {
	l := &loader{in: in}
	root := l.load()
	// Of a file that is half understood, every other message would be a riddle.
	if err := l.problems.err(); err != nil {
		return nil, err
	}
	nodeEnv, _ := l.env("NODE_ENV")
	r := reader{root: root, source: l.source, env: l.env, development: l.source.Defaults || nodeEnv == "development"}
	c := &Config{
		Development: r.development,
		Source:      r.source,
		App:         r.app(),
		Backend:     r.backend(),
		Discovery:   r.discovery(),
		Database:    r.database(),
	}
	c.Auth = r.auth()
	r.checkSecret(c)
	r.checkDevIDP(c)
	r.checkCatalogAddress(c)
	return c, r.problems.err()
}

// reader turns the merged tree into the sections of Config.
type reader struct {
	root        *node
	source      Source
	env         func(name string) (string, bool)
	development bool
	problems    problems
}

// section decodes the object at a dotted key, loosely: most of app-config belongs to others.
func (r *reader) section(key string, into any) {
	d := decoder{source: r.source.String(), problems: &r.problems}
	_ = d.decode(r.root.find(key), key, into) // what is wrong is in r.problems
}

// fail adds a problem with the value at a dotted key.
func (r *reader) fail(key, format string, args ...any) {
	r.problems.add(r.position(key), key, format, args...)
}

// position is where the value at a dotted key was written, the zero value if it was not.
func (r *reader) position(key string) Position {
	if n := r.root.find(key); n != nil {
		return n.at
	}
	return Position{}
}

func (r *reader) app() App {
	var app struct {
		BaseURL string `config:"baseUrl,required"`
	}
	r.section("app", &app)
	return App{BaseURL: r.baseURL("app.baseUrl", app.BaseURL)}
}

// baseURL checks an address that others are made from. An empty one was reported before.
func (r *reader) baseURL(key, raw string) string {
	if raw == "" {
		return ""
	}
	r.checkURL(r.position(key), key, raw)
	return strings.TrimRight(raw, "/")
}

// checkURL reports an address that nothing can be appended to.
func (r *reader) checkURL(at Position, key, raw string) {
	u, err := url.Parse(raw)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		r.problems.add(at, key, "want an absolute URL that begins with http:// or https://")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil:
		r.problems.add(at, key, "want a URL without user, query and fragment")
	}
}

// loopback is true for an address that only this machine can mean.
func loopback(baseURL string) bool {
	u, err := url.Parse(baseURL)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// hostPort splits a listen address: a port alone, :port, or host:port.
func hostPort(s string) (host, port string, ok bool) {
	if !strings.Contains(s, ":") {
		return "", s, true
	}
	host, port, err := net.SplitHostPort(s)
	return host, port, err == nil
}
