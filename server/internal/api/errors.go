package api

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/labstack/echo/v4"

	"stagedoor/gen"
	"stagedoor/server/internal/fault"
)

// The failures of HTTP itself; Backstage has a name for the second only.
var (
	uriTooLong      = fault.Kind{Name: "URITooLongError", Status: http.StatusRequestURITooLong}
	payloadTooLarge = fault.Kind{Name: "PayloadTooLargeError", Status: http.StatusRequestEntityTooLarge}
)

// retryAfter is what a caller is asked to wait when we are not available, in seconds.
const retryAfter = "5"

// fail renders an error: the one place where that is done, whether it comes from a handler, the binder, the validator, the
// router or a panic. If the answer has begun already, the error is only logged.
func (s *Server) fail(x *exchange, err error) {
	f := classify(err)
	s.logFailure(x, f, err)
	if x.status == 0 {
		s.render(x, f)
	}
}

// render writes the answer of a failure.
func (s *Server) render(x *exchange, f *fault.Error) {
	r, err := jsonReply(f.Kind.Status, gen.ErrorResponse{
		Error:    errorDetail(f),
		Request:  &gen.ErrorRequest{Method: clip(x.request.Method), URL: shownURL(x.request.URL)},
		Response: gen.ErrorStatus{StatusCode: f.Kind.Status},
	}, true)
	if err == nil && f.Kind.Status == http.StatusServiceUnavailable {
		r.header["Retry-After"] = retryAfter
	}
	if err == nil {
		err = r.write(x)
	}
	if err != nil {
		s.log.DebugContext(x.request.Context(), "answer not sent", "request", x.id, "error", err)
	}
}

// classify gives every error a kind, a code and a message for the caller. What nobody classified before is a fault of ours:
// its text stays in the log.
func classify(err error) *fault.Error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return bodyFault(tooLarge)
	}
	if he, ok := errors.AsType[*echo.HTTPError](err); ok && he.Code == http.StatusBadRequest {
		// The binder's own text repeats the value that it could not read.
		return fault.New(fault.Input, "request_invalid", "Invalid request", nil)
	}
	return fault.New(fault.Failed, "internal_error", "An internal error occurred", err)
}

func bodyFault(err *http.MaxBytesError) *fault.Error {
	return fault.New(payloadTooLarge, "body_too_large", "The request's body is too large", err)
}

// routed turns the router's own errors into Backstage's: an unknown path names its first segment (contract/core.md R10).
//
// Differs from Backstage: a known path with another method is a 405 with Allow, not a 404 (R9).
func (s *Server) routed(c echo.Context, err error) error {
	x := exchangeOf(c.Request().Context())
	switch {
	case errors.Is(err, echo.ErrNotFound):
		return s.unknownPath(x.segment)
	case !errors.Is(err, echo.ErrMethodNotAllowed):
		return err
	}
	x.Header().Del("Allow") // Echo's own
	if unknown := s.checkSegment(c); unknown != nil {
		return unknown
	}
	x.Header().Set("Allow", s.allow[c.Path()])
	return fault.New(fault.MethodNotAllowed, "method_not_allowed", "Method "+clip(x.request.Method)+" is not allowed here", nil)
}

// unknownPath is the fault of a path that no operation has: that of the provider in front, if there is none, or Backstage's
// catch-all, which does not know better (contract/core.md R9).
func (s *Server) unknownPath(segment string) error {
	if err := s.signIn.Known(segment); err != nil {
		return err
	}
	return fault.New(fault.NotFound, "path_unknown", "Unknown auth provider '"+segment+"'", nil)
}

// errorDetail is the error of an answer, with its cause if that is a fault as well (contract/core.md J7).
func errorDetail(f *fault.Error) gen.ErrorDetail {
	d := gen.ErrorDetail{Name: f.Kind.Name, Message: fullMessage(f), Code: filled(f.Code), AttemptID: filled(f.AttemptID)}
	if cause, ok := f.Cause.(*fault.Error); ok {
		d.Cause = &gen.ErrorCause{Name: cause.Kind.Name, Message: fullMessage(cause)}
	}
	return d
}

// fullMessage appends the causes that are meant for the caller (contract/core.md J12).
func fullMessage(f *fault.Error) string {
	if cause, ok := f.Cause.(*fault.Error); ok {
		return f.Message + "; caused by " + cause.Kind.Name + ": " + fullMessage(cause)
	}
	return f.Message
}

// panicked is a panic as an error.
type panicked struct {
	value any
	stack string
}

// Error gives the value that the code panicked with.
func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// contain answers a request whose handler panicked. If the answer has begun, the connection is cut: its other end must not
// take a half for the whole.
func (s *Server) contain(x *exchange, value any) {
	if value == http.ErrAbortHandler { //nolint:errorlint // net/http compares the value itself
		panic(value)
	}
	begun := x.status != 0
	s.fail(x, &panicked{value, string(debug.Stack())})
	if begun {
		panic(http.ErrAbortHandler)
	}
}

// clip bounds foreign text.
func clip(s string) string {
	const most = 32
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
