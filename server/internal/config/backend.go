package config

import (
	"crypto/tls"
	"net"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Backend is how the server is reached and how it serves (contract/core.md section 8.2).
type Backend struct {
	// BaseURL is absolute, without a slash at the end. Every URL that the server makes begins with it.
	BaseURL string
	Listen  Listen
	// HTTPS is nil if the server speaks plain HTTP.
	HTTPS *HTTPS
	// CORS is nil if no other origin may call.
	CORS *CORS
	// ExternalAccess are the callers that are neither users nor plugins, in the order of the files; those of
	// backend.auth.keys come last.
	ExternalAccess []ExternalAccess
	// CSP holds the directives of Content-Security-Policy to set, by their names in the header (connect-src). A nil list
	// drops the directive.
	CSP map[string][]string
	// ReferrerPolicy holds the values of Referrer-Policy, empty if it is not configured.
	ReferrerPolicy []string
	Lifecycle      Lifecycle
	Server         Server
}

// Listen is a TCP address.
type Listen struct {
	// Host is empty for all interfaces.
	Host string
	// Port is 0 for any free one.
	Port int
}

// String is host:port, as net.Listen takes it.
func (l Listen) String() string { return net.JoinHostPort(l.Host, strconv.Itoa(l.Port)) }

// HTTPS is how the server proves its name.
type HTTPS struct {
	// Certificate and Key are PEM. They belong together, and are empty if SelfSigned.
	Certificate, Key string
	// SelfSigned asks for a certificate that is made at start. It is only ever true in development.
	SelfSigned bool
}

// CORS says which other origins may call (contract/core.md R33).
type CORS struct {
	// Origins are patterns.
	Origins []string `config:"origin,list"`
	// Methods and the header lists are empty where nothing is configured.
	Methods        []string `config:"methods,list"`
	AllowedHeaders []string `config:"allowedHeaders,list"`
	ExposedHeaders []string `config:"exposedHeaders,list"`
	Credentials    bool     `config:"credentials"`
	// MaxAge is in seconds, nil if it is not configured.
	MaxAge *int `config:"maxAge"`
	// OptionsSuccessStatus is the status of a preflight's answer, 204 by default.
	OptionsSuccessStatus int `config:"optionsSuccessStatus"`
}

// Lifecycle is how long the server waits when it stops.
type Lifecycle struct {
	// ServerShutdownDelay is the time between readiness turning false and the listener closing; nil if not configured.
	ServerShutdownDelay *time.Duration `config:"serverShutdownDelay"`
}

// Server limits what one client can hold on to. A zero is not configured.
type Server struct {
	HeadersTimeout   time.Duration `config:"headersTimeout,millis"`
	RequestTimeout   time.Duration `config:"requestTimeout,millis"`
	KeepAliveTimeout time.Duration `config:"keepAliveTimeout,millis"`
	Timeout          time.Duration `config:"timeout,millis"`
	MaxHeadersCount  int           `config:"maxHeadersCount"`
}

const defaultPort = 7007

// backendKeys is backend as it is written.
type backendKeys struct {
	BaseURL  string `config:"baseUrl,required"`
	Listen   *node  `config:"listen"`
	HTTPS    *node  `config:"https"`
	CORS     *CORS  `config:"cors"`
	CSP      *node  `config:"csp"`
	Referrer struct {
		Policy []string `config:"policy,list"`
	} `config:"referrer"`
	Lifecycle Lifecycle `config:"lifecycle"`
	Server    Server    `config:"server"`
}

func (r *reader) backend() Backend {
	var keys backendKeys
	r.section("backend", &keys)
	if keys.CORS != nil && keys.CORS.OptionsSuccessStatus == 0 {
		keys.CORS.OptionsSuccessStatus = 204
	}
	return Backend{
		BaseURL:        r.baseURL("backend.baseUrl", keys.BaseURL),
		Listen:         r.listen(keys.Listen),
		HTTPS:          r.https(keys.HTTPS),
		CORS:           keys.CORS,
		ExternalAccess: r.externalAccess(),
		CSP:            r.csp(keys.CSP),
		ReferrerPolicy: keys.Referrer.Policy,
		Lifecycle:      keys.Lifecycle,
		Server:         keys.Server,
	}
}

// listen reads ":7007", "host:port", 7007, or {host, port}.
func (r *reader) listen(n *node) Listen {
	address := struct {
		Host string `config:"host"`
		Port int    `config:"port"`
	}{Port: defaultPort}
	switch {
	case n == nil:
	case n.form == object:
		r.section("backend.listen", &address)
	default:
		address.Host, address.Port = r.listenText(n)
	}
	if address.Port < 0 || address.Port > 65535 {
		r.fail("backend.listen", "want a port between 0 and 65535")
	}
	return Listen{Host: address.Host, Port: address.Port}
}

func (r *reader) listenText(n *node) (string, int) {
	host, port, ok := hostPort(n.text)
	number, err := strconv.Atoi(port)
	if !ok || err != nil {
		r.fail("backend.listen", "want :port, host:port, or an object with host and port")
		return "", defaultPort
	}
	return host, number
}

// https reads true, false, or {certificate: {cert, key}}.
func (r *reader) https(n *node) *HTTPS {
	if n == nil {
		return nil
	}
	if n.form != object {
		return r.httpsSwitch(n)
	}
	var keys struct {
		Certificate struct {
			Cert string `config:"cert,required"`
			Key  string `config:"key,required"`
		} `config:"certificate"`
	}
	r.section("backend.https", &keys)
	pair := keys.Certificate
	if pair.Cert == "" || pair.Key == "" {
		return nil
	}
	if _, err := tls.X509KeyPair([]byte(pair.Cert), []byte(pair.Key)); err != nil {
		r.fail("backend.https.certificate", "want a certificate and its private key, both in PEM, that belong together")
	}
	return &HTTPS{Certificate: pair.Cert, Key: pair.Key}
}

func (r *reader) httpsSwitch(n *node) *HTTPS {
	on, err := boolOf(n)
	switch {
	case err != nil:
		r.fail("backend.https", "want true, false, or an object with a certificate, found %s", n.form)
	case on && r.development:
		return &HTTPS{SelfSigned: true}
	case on:
		r.fail("backend.https", "want certificate.cert and certificate.key: a self-signed certificate is for development")
	}
	return nil
}

var upperCase = regexp.MustCompile(`[A-Z]`)

// csp reads the directives, whose keys may be camelCase; false drops one.
func (r *reader) csp(n *node) map[string][]string {
	if n == nil {
		return nil
	}
	var lists map[string][]string
	kept := &node{form: n.form, at: n.at}
	directives := map[string][]string{}
	for _, f := range n.fields {
		if f.value.form == boolean && strings.EqualFold(f.value.text, "false") {
			directives[headerName(f.name)] = nil
			continue
		}
		kept.fields = append(kept.fields, f)
	}
	d := decoder{source: r.source.String(), problems: &r.problems}
	d.value(kept, "backend.csp", reflect.ValueOf(&lists).Elem(), options{list: true})
	for name, values := range lists {
		directives[headerName(name)] = values
	}
	return directives
}

// headerName is a directive as the header spells it: connectSrc is connect-src.
func headerName(directive string) string {
	return upperCase.ReplaceAllStringFunc(directive, func(s string) string { return "-" + strings.ToLower(s) })
}
