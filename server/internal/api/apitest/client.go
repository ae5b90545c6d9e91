package apitest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"
)

// Client is a caller of the API. It follows no redirect: each answer is looked at. It is safe for concurrent use, except
// that a violation ends the test only in the test's own goroutine (testing.TB.FailNow).
type Client struct {
	tb   testing.TB
	base string
	http *http.Client
	doc  *document
}

// NewClient speaks to a server. base is its root without a trailing slash ("http://127.0.0.1:7007"); hc brings transport and
// cookie jar, and nil means http.DefaultClient's.
func NewClient(tb testing.TB, base string, hc *http.Client) *Client {
	tb.Helper()
	doc, err := load()
	if err != nil {
		tb.Fatalf("load the document: %v", err)
	}
	own := http.Client{}
	if hc != nil {
		own = *hc
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{tb, strings.TrimRight(base, "/"), &own, doc}
}

// NewHandlerClient speaks to a handler without a network. jar may be nil.
func NewHandlerClient(tb testing.TB, h http.Handler, jar http.CookieJar) *Client {
	tb.Helper()
	return NewClient(tb, "http://localhost:7007", &http.Client{Transport: inProcess{h}, Jar: jar})
}

// inProcess is a transport that calls a handler.
type inProcess struct{ handler http.Handler }

// RoundTrip answers as net/http's server would, down to the missing body of HEAD.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	t.handler.ServeHTTP(w, in)
	out := w.Result()
	out.Request = r
	if r.Method == http.MethodHead {
		out.Body = http.NoBody
	}
	return out, nil
}

// Response is an answer with its body read.
type Response struct {
	// Operation is the operationId that the document gives this exchange, "" if it has none for it.
	Operation string
	Status    int
	Header    http.Header
	Cookies   []*http.Cookie
	Body      []byte
}

// Send makes a request and checks the exchange. target is a path with query below the root ("/api/auth/guest/refresh"); edits
// change the request before it goes out, see Header and Body.
func (c *Client) Send(method, target string, edits ...func(*http.Request)) Response {
	c.tb.Helper()
	r, err := http.NewRequestWithContext(c.tb.Context(), method, c.base+target, http.NoBody)
	if err != nil {
		c.tb.Fatalf("make request: %v", err)
	}
	for _, edit := range edits {
		edit(r)
	}
	return c.Do(r)
}

// Get is Send with GET.
func (c *Client) Get(target string, edits ...func(*http.Request)) Response {
	c.tb.Helper()
	return c.Send(http.MethodGet, target, edits...)
}

// Post is Send with POST.
func (c *Client) Post(target string, edits ...func(*http.Request)) Response {
	c.tb.Helper()
	return c.Send(http.MethodPost, target, edits...)
}

// Header adds a header.
func Header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

// Body sets the body and its type.
func Body(contentType, body string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Content-Type", contentType)
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
		r.Body, _ = r.GetBody() // cannot fail
		r.ContentLength = int64(len(body))
	}
}

// Do makes the request and checks the exchange: the test fails if the document does not describe the answer, or if it refuses
// the request and the server did not.
func (c *Client) Do(r *http.Request) Response {
	c.tb.Helper()
	out := c.exchange(r)
	op, params, found := c.doc.find(r.Method, r.URL.EscapedPath())
	if !found || refusedByServer(out.Status) {
		if err := undeclared(c.doc, r.Method, out); err != nil {
			c.tb.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		}
		return out
	}
	out.Operation = op.Operation.OperationID
	if r.GetBody != nil {
		r.Body, _ = r.GetBody() // the transport has read the first one; the document reads it again
	}
	in := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: op, Options: options, QueryParams: r.URL.Query(),
	}
	if err := check(in, out); err != nil {
		c.tb.Errorf("%s %s (%s): %v", r.Method, r.URL.Path, out.Operation, err)
		return out
	}
	note(out.Operation)
	return out
}

// refusedByServer tells answers that net/http gives by itself: no operation has seen the request.
func refusedByServer(status int) bool { return status == http.StatusRequestHeaderFieldsTooLarge }

// exchange sends the request and reads the answer.
func (c *Client) exchange(r *http.Request) Response {
	c.tb.Helper()
	res, err := c.http.Do(r)
	if err != nil {
		c.tb.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.tb.Fatalf("read answer of %s %s: %v", r.Method, r.URL.Path, err)
	}
	return Response{Status: res.StatusCode, Header: res.Header, Cookies: res.Cookies(), Body: body}
}

// check holds both halves of a declared exchange against the document.
func check(in *openapi3filter.RequestValidationInput, out Response) error {
	ctx := in.Request.Context()
	if err := openapi3filter.ValidateRequest(ctx, in); err != nil && out.Status < http.StatusBadRequest {
		return errNotRefused{out.Status, err}
	}
	opts := *options
	opts.ExcludeResponseBody = len(out.Body) == 0 && mayBeEmpty[out.Operation]
	return openapi3filter.ValidateResponse(ctx, &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: out.Status, Header: out.Header,
		Body: io.NopCloser(bytes.NewReader(out.Body)), Options: &opts,
	})
}
