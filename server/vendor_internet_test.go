package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// internet is what a server's process takes for the world outside: a forward proxy on loopback that leads every https connection to
// one TLS server, which plays all the vendors with certificates of a CA of its own. An operator behind a corporate proxy sets the
// same two variables, so that no production code knows of any of this.
type internet struct {
	ca    authority
	proxy string
	inner *connections

	mu    sync.Mutex
	sites map[string]site
	calls []vendorCall
	// outages are the hosts that do not work; open are the connections to each host.
	outages map[string]outage
	open    map[string][]*line
	// strangers are the requests that nobody expected.
	strangers []string
}

// site answers one route: a method and an address without scheme and query.
type site func(vendorCall) vendorAnswer

// vendorCall is a request that reached a vendor.
type vendorCall struct {
	route       string
	header      http.Header
	query, form url.Values
}

type vendorAnswer struct {
	status     int
	kind, body string
}

// outage is what may be wrong with a host.
type outage string

const (
	answers503   outage = "answers 503"
	cannotReach  outage = "cannot be reached"
	wrongTLSName outage = "has somebody else's certificate"
)

// says answers with JSON.
func says(status int, v any) vendorAnswer {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return vendorAnswer{status, "application/json", string(body)}
}

// always is a site with one answer.
func always(a vendorAnswer) site { return func(vendorCall) vendorAnswer { return a } }

func newInternet(t *testing.T) *internet {
	t.Helper()
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		t.Skip("crypto/x509 reads SSL_CERT_FILE on other systems only")
	}
	n := &internet{
		sites: map[string]site{}, outages: map[string]outage{}, open: map[string][]*line{},
		inner: &connections{accepted: make(chan net.Conn), done: make(chan struct{})},
	}
	if err := n.ca.found(); err != nil {
		t.Fatal(err)
	}
	quiet := log.New(io.Discard, "", 0) // of handshakes that fail on purpose
	hosts := &httptest.Server{
		Listener: n.inner, EnableHTTP2: true, Config: &http.Server{Handler: n, ErrorLog: quiet}, //nolint:gosec // on loopback, for one client
		TLS: &tls.Config{GetCertificate: n.certificate, MinVersion: tls.VersionTLS12},
	}
	hosts.StartTLS()
	proxy := httptest.NewServer(http.HandlerFunc(n.connect))
	n.proxy = proxy.URL
	t.Cleanup(func() {
		n.disconnect("")
		proxy.Close()
		hosts.Close()
	})
	return n
}

// begin forgets everything and serves sites until the test ends, which fails if anything else was asked for.
func (n *internet) begin(t *testing.T, sites map[string]site) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sites, n.calls, n.outages, n.strangers = map[string]site{}, nil, map[string]outage{}, nil
	for route, s := range sites {
		n.sites[route] = s
	}
	t.Cleanup(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, s := range n.strangers {
			t.Errorf("nobody expected %s", s)
		}
	})
}

// on serves a route from now on.
func (n *internet) on(route string, s site) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sites[route] = s
}

// breakDown gives hosts an outage.
func (n *internet) breakDown(o outage, hosts ...string) {
	n.mu.Lock()
	for _, host := range hosts {
		n.outages[host] = o
	}
	n.mu.Unlock()
	for _, host := range hosts {
		if o != answers503 {
			n.disconnect(host)
		}
	}
}

// mend ends all outages.
func (n *internet) mend() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.outages = map[string]outage{}
}

// take returns the calls since the last take, in order.
func (n *internet) take() []vendorCall {
	n.mu.Lock()
	defer n.mu.Unlock()
	calls := n.calls
	n.calls = nil
	return calls
}

// disconnect ends the connections to a host, or all, and waits until the client has noticed: it would otherwise send the next request
// on one of them, and nobody could say what became of it.
func (n *internet) disconnect(host string) {
	n.mu.Lock()
	var ending []*line
	for name, all := range n.open {
		if host == "" || name == host {
			ending = append(ending, all...)
			delete(n.open, name)
		}
	}
	n.mu.Unlock()
	for _, l := range ending {
		if tcp, ok := l.Conn.(*net.TCPConn); ok {
			_ = tcp.CloseWrite() // the client may have been first
		}
		<-l.gone
	}
}

func (n *internet) stranger(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.strangers = append(n.strangers, fmt.Sprintf(format, args...))
}

func (n *internet) outageOf(host string) outage {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.outages[host]
}

// connect is the forward proxy (RFC 9110 section 9.3.6). It takes https alone.
func (n *internet) connect(w http.ResponseWriter, r *http.Request) {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil || r.Method != http.MethodConnect || port != "443" {
		n.stranger("%s %s at the proxy", r.Method, r.URL)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if n.outageOf(host) == cannotReach {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		n.stranger("a connection to %s: %v", host, err)
		return
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	l := &line{Conn: conn, gone: make(chan struct{})}
	n.mu.Lock()
	n.open[host] = append(n.open[host], l)
	n.mu.Unlock()
	n.inner.hand(l)
}

// ServeHTTP plays the vendors. What it does not know it answers with a status that no server has, and remembers.
func (n *internet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const unlisted = 599
	err := r.ParseForm()
	call := vendorCall{r.Method + " " + r.Host + r.URL.EscapedPath(), r.Header, r.URL.Query(), r.PostForm}
	n.mu.Lock()
	serve := n.sites[call.route]
	n.calls = append(n.calls, call)
	n.mu.Unlock()
	switch {
	case n.outageOf(r.Host) == answers503:
		w.WriteHeader(http.StatusServiceUnavailable)
	case err != nil || serve == nil || r.TLS.ServerName != r.Host:
		n.stranger("%s (TLS name %s) %v", call.route, r.TLS.ServerName, err)
		w.WriteHeader(unlisted)
	default:
		a := serve(call)
		w.Header().Set("Content-Type", a.kind)
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	}
}

func (n *internet) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := hello.ServerName
	if n.outageOf(name) == wrongTLSName {
		name = "somebody-else.example"
	}
	return n.ca.certificate(name)
}

// authority is a CA. Its one key is that of all its certificates.
type authority struct {
	key  *ecdsa.PrivateKey
	root *x509.Certificate
}

func (a *authority) found() error {
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	root := a.template("CA of a test")
	root.IsCA, root.BasicConstraintsValid, root.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, root, root, a.key.Public(), a.key)
	if err != nil {
		return err
	}
	a.root, err = x509.ParseCertificate(der)
	return err
}

func (a *authority) template(name string) *x509.Certificate {
	const life = time.Hour
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-life), NotAfter: now.Add(life),
	}
}

func (a *authority) certificate(host string) (*tls.Certificate, error) {
	leaf := a.template(host)
	leaf.DNSNames, leaf.KeyUsage, leaf.ExtKeyUsage = []string{host}, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.root, a.key.Public(), a.key)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}, err
}

func (a *authority) pem() []byte {
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw}) // to memory
	return b.Bytes()
}

// connections is a listener of connections that somebody else accepted.
type connections struct {
	accepted chan net.Conn
	done     chan struct{}
	once     sync.Once
}

func (c *connections) hand(conn net.Conn) {
	select {
	case c.accepted <- conn:
	case <-c.done:
		_ = conn.Close()
	}
}

// Accept returns the next one.
func (c *connections) Accept() (net.Conn, error) {
	select {
	case conn := <-c.accepted:
		return conn, nil
	case <-c.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (c *connections) Close() error {
	c.once.Do(func() { close(c.done) })
	return nil
}

// Addr is nowhere.
func (c *connections) Addr() net.Addr { return &net.TCPAddr{} }

// line is a connection that tells when its server is done with it.
type line struct {
	net.Conn
	once sync.Once
	gone chan struct{}
}

// Close is what the server does when the client has closed.
func (l *line) Close() error {
	l.once.Do(func() { close(l.gone) })
	return l.Conn.Close()
}

// routes names the calls.
func routes(calls []vendorCall) []string {
	var all []string
	for _, c := range calls {
		all = append(all, c.route)
	}
	return all
}

// find returns the only call of a route.
func find(t *testing.T, calls []vendorCall, route string) vendorCall {
	t.Helper()
	i := slices.Index(routes(calls), route)
	if i < 0 || slices.Contains(routes(calls[i+1:]), route) {
		t.Fatalf("want one call of %s, got %v", route, routes(calls))
	}
	return calls[i]
}
