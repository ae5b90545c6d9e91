package devidp

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Misbehaving is a Provider that tests can break while it runs, and that counts what it is asked. Without faults it answers
// exactly as the Provider does. It is safe for concurrent use.
type Misbehaving struct {
	*Provider
	other signingKey // What nobody published.

	mu       sync.Mutex
	faults   Faults
	calls    Calls
	last     map[Endpoint]Request
	released chan struct{}
	hanging  chan Endpoint
}

// Calls counts the requests that arrived, those that a fault answered included.
type Calls struct {
	// Endpoint counts by endpoint, Grant those at the token endpoint by grant_type.
	Endpoint map[Endpoint]int
	Grant    map[string]int
}

// Request is what an endpoint was sent. It holds credentials: compare it, never log it.
type Request struct {
	Method string
	Header http.Header
	// Form is the query and the body together.
	Form url.Values
}

// NewMisbehaving makes a Provider as New does, with the switches.
func NewMisbehaving(o Options) (*Misbehaving, error) {
	p, err := New(o)
	if err != nil {
		return nil, err
	}
	other, err := newSigningKey(p.keys.alg)
	if err != nil {
		return nil, err
	}
	m := &Misbehaving{
		Provider: p, other: other, last: map[Endpoint]Request{},
		calls:    Calls{Endpoint: map[Endpoint]int{}, Grant: map[string]int{}},
		released: make(chan struct{}), hanging: make(chan Endpoint, 1024),
	}
	m.Behave()
	return m, nil
}

// Misbehave lets change set and clear faults. It holds for requests that arrive afterwards. Functions that are set as faults
// are called by many goroutines at once.
func (m *Misbehaving) Misbehave(change func(*Faults)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.faults)
	if m.faults.Failures == nil { // The whole value was replaced.
		m.faults.Failures = map[Endpoint]Failure{}
	}
}

// Behave clears all faults. Calls that hang go on hanging until Release.
func (m *Misbehaving) Behave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = Faults{Failures: map[Endpoint]Failure{}}
}

// Release lets every call that hangs now go on, and be answered healthily.
func (m *Misbehaving) Release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.released)
	m.released = make(chan struct{})
}

// Hanging yields the endpoint of each call that begins to hang, so that a test can wait for it. It keeps the first 1024
// that nobody reads.
func (m *Misbehaving) Hanging() <-chan Endpoint { return m.hanging }

// Calls returns the counts since the start.
func (m *Misbehaving) Calls() Calls {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Calls{Endpoint: maps.Clone(m.calls.Endpoint), Grant: maps.Clone(m.calls.Grant)}
}

// Last returns what the endpoint was sent last; ok is false if it was sent nothing.
func (m *Misbehaving) Last(e Endpoint) (request Request, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	request, ok = m.last[e]
	return request, ok
}

// ServeHTTP answers as the Provider does, unless a fault says otherwise.
func (m *Misbehaving) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, m.path)
	endpoint := endpoints[path]
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	// The whole form is read even where nobody needs it: only then does the server notice that a caller has gone.
	_ = r.ParseForm() // The handler behind parses again and says what is wrong.
	now := m.arrive(endpoint, r)
	if now.failure.Kind != "" {
		m.fail(w, r, now)
		return
	}
	if rewrite := now.rewrite(m, path); rewrite != nil {
		m.spoil(w, r, rewrite)
		return
	}
	m.Provider.ServeHTTP(w, r)
}

// arrival is a request together with the faults that hold for it.
type arrival struct {
	endpoint Endpoint
	grant    string
	failure  Failure
	faults   Faults
}

func (m *Misbehaving) arrive(endpoint Endpoint, r *http.Request) arrival {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := arrival{endpoint: endpoint, grant: r.PostForm.Get("grant_type"), faults: m.faults}
	if endpoint == "" {
		return now
	}
	m.calls.Endpoint[endpoint]++
	if endpoint == TokenEndpoint {
		m.calls.Grant[now.grant]++
	}
	m.last[endpoint] = Request{Method: r.Method, Header: r.Header.Clone(), Form: cloneForm(r.Form)}
	now.failure = m.takeFailure(endpoint, now.grant)
	return now
}

// takeFailure counts a failure down and returns it if it holds for this call.
func (m *Misbehaving) takeFailure(endpoint Endpoint, grant string) Failure {
	failure, ok := m.faults.Failures[endpoint]
	if !ok || failure.Grant != "" && failure.Grant != grant {
		return Failure{}
	}
	if failure.Times == 1 {
		delete(m.faults.Failures, endpoint)
	} else if failure.Times > 1 {
		left := failure
		left.Times--
		m.faults.Failures[endpoint] = left
	}
	return failure
}

func cloneForm(form url.Values) url.Values {
	out := make(url.Values, len(form))
	for name, values := range form {
		out[name] = slices.Clone(values)
	}
	return out
}

// rewrite picks what changes a healthy answer, or nil.
func (a arrival) rewrite(m *Misbehaving, path string) func(*answer) error {
	f := a.faults
	switch {
	case path == authorizationPath || path == loginPath:
		return f.rewriteRedirect()
	case a.endpoint == TokenEndpoint && (f.Grant == "" || f.Grant == a.grant):
		return f.rewriteTokens(m)
	case a.endpoint == UserinfoEndpoint:
		return f.rewriteUserinfo()
	case a.endpoint == DiscoveryEndpoint:
		return f.rewriteDiscovery()
	case a.endpoint == KeysEndpoint:
		return f.rewriteKeys(m)
	}
	return nil
}

func (m *Misbehaving) spoil(w http.ResponseWriter, r *http.Request, rewrite func(*answer) error) {
	healthy := newAnswer()
	m.Provider.ServeHTTP(healthy, r)
	if err := rewrite(healthy); err != nil {
		http.Error(w, "spoil answer: "+err.Error(), http.StatusInternalServerError)
		return
	}
	healthy.send(w)
}
