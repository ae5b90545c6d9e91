package fault

import "errors"

// Kind is a Backstage error class: the name in the error body and the HTTP status that goes with it
// (contract/core.md J9).
type Kind struct {
	Name   string
	Status int
}

// The Backstage error classes, and three that only have a status.
var (
	Input              = Kind{"InputError", 400}
	Authentication     = Kind{"AuthenticationError", 401}
	NotAllowed         = Kind{"NotAllowedError", 403}
	NotFound           = Kind{"NotFoundError", 404}
	Conflict           = Kind{"ConflictError", 409}
	NotImplemented     = Kind{"NotImplementedError", 501}
	ServiceUnavailable = Kind{"ServiceUnavailableError", 503}
	// MethodNotAllowed and UnsupportedMediaType are HTTP's own; Backstage has no name for them.
	MethodNotAllowed     = Kind{"MethodNotAllowedError", 405}
	UnsupportedMediaType = Kind{"UnsupportedMediaTypeError", 415}
	// Failed is a failure without a class of its own, JavaScript's plain Error.
	Failed = Kind{"Error", 500}
)

// Error is a classified failure.
type Error struct {
	Kind Kind
	// Code is stable snake_case and listed in docs/errors.md.
	Code string
	// Message is what the caller reads.
	Message string
	// AttemptID finds the attempt in the log; empty outside of a sign-in or refresh.
	AttemptID string
	// Cause is for the log only, unless it is an *Error itself: then its name and message are part of the answer.
	Cause error
}

// New classifies cause, which may be nil.
func New(kind Kind, code, message string, cause error) *Error {
	return &Error{Kind: kind, Code: code, Message: message, Cause: cause}
}

// Error is the line for the log: message, code and cause.
func (e *Error) Error() string {
	s := e.Kind.Name + ": " + e.Message + " [" + e.Code + "]"
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is lets errors.Is match on the code: fault.New(…, "x", …) is every fault with code x.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Code returns the code of the outermost fault in err's chain, or "internal_error".
func Code(err error) string {
	if f, ok := errors.AsType[*Error](err); ok {
		return f.Code
	}
	return "internal_error"
}
