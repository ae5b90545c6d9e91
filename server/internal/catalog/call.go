package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"syscall"
	"time"
)

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 4 << 20

// maxRest is how much of an answer that nobody wants is read so that the connection can be used again, in bytes.
const maxRest = 64 << 10

// A failed request is repeated once, after a pause of pauseMin to twice as much.
const pauseMin = 25 * time.Millisecond

var (
	errNoCatalog = errors.New("not the answer of a catalog")
	errTooLarge  = fmt.Errorf("answer is larger than %d bytes", maxAnswer)
)

// request is one call of the API. All of them only read, so that repeating one does no harm.
type request struct {
	method, address string
	// body is JSON, or nil.
	body []byte
	// read is given the body of a 200. It may be called twice.
	read func(io.Reader) error
}

// call sends the request, and once again if what failed looks like passing in a moment.
func (r *REST) call(ctx context.Context, q request) error {
	err := r.attempt(ctx, q)
	if !passing(err) {
		return err
	}
	r.cfg.Log.DebugContext(ctx, "catalog is asked again", "error", err)
	if pause(ctx, pauseMin+rand.N(pauseMin)) != nil {
		return err
	}
	return r.attempt(ctx, q)
}

func (r *REST) attempt(ctx context.Context, q request) error {
	resp, err := r.send(ctx, q)
	if err != nil {
		return err
	}
	defer discard(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return &ResponseError{Status: resp.StatusCode, Kind: kindOf(resp)}
	}
	return q.read(&capped{from: resp.Body, left: maxAnswer})
}

func (r *REST) send(ctx context.Context, q request) (*http.Response, error) {
	token, err := r.cfg.Token(ctx)
	if err != nil {
		return nil, unavailable("get credentials for the catalog", err)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, q.address, bytes.NewReader(q.body))
	if err != nil {
		return nil, unavailable("make request", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	if q.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, unavailable("send request", err)
	}
	return resp, nil
}

// unavailable wraps err without the address that net/http writes into it, which holds claim values.
func unavailable(doing string, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, doing, err)
}

// kindOf classifies an answer that is not 200.
//
// Differs from Backstage: a 404 only means that there is no such entity if a Backstage backend says so. Any proxy in front of
// a catalog that is down or moved answers 404 as well, and must not end everybody's session.
func kindOf(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrRefused
	case http.StatusNotFound:
		if errorName(resp.Body) == "NotFoundError" {
			return ErrNotFound
		}
	case http.StatusBadRequest:
		if errorName(resp.Body) == "InputError" {
			return ErrLookup
		}
	}
	return ErrUnavailable
}

// errorName reads the class from a Backstage error body (contract/core.md J9); "" if it is none.
func errorName(body io.Reader) string {
	var answer struct {
		Error struct{ Name string }
	}
	if json.NewDecoder(io.LimitReader(body, maxRest)).Decode(&answer) != nil {
		return ""
	}
	return answer.Error.Name
}

// passing says whether a failure is worth a second attempt: the connection broke, or a gateway found nobody behind it.
func passing(err error) bool {
	if e, ok := errors.AsType[*ResponseError](err); ok {
		return slices.Contains([]int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}, e.Status)
	}
	return slices.ContainsFunc([]error{
		syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF,
	}, func(broken error) bool { return errors.Is(err, broken) })
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// discard reads what is left, so that the connection can be used again, unless it is much.
func discard(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, maxRest)
	_ = body.Close()
}

// capped fails where an answer goes on after left bytes.
type capped struct {
	from io.Reader
	left int
}

// Read implements io.Reader. The error of an answer that is too large is errTooLarge.
func (c *capped) Read(p []byte) (int, error) {
	if c.left < 0 {
		return 0, errTooLarge
	}
	n, err := c.from.Read(p[:min(len(p), c.left+1)])
	if c.left -= n; c.left < 0 {
		return n - 1, errTooLarge
	}
	return n, err
}
