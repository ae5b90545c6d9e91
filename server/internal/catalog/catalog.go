package catalog

import (
	"context"
	"errors"
	"fmt"

	"stagedoor/providers"
)

// User is one user entity, as far as a sign-in needs it.
type User struct {
	// Ref is the entity reference, lower case: "user:default/jane".
	Ref string
	// Ownership is Ref, then every group that the user is a direct member of, without duplicates (contract/core.md S12).
	Ownership []string
}

// What a look-up can end in, beside a User.
var (
	// ErrNotFound says that there is no such user.
	ErrNotFound = errors.New("user not found")
	// ErrAmbiguous says that the look-up fits more than one user (contract/core.md S11).
	ErrAmbiguous = errors.New("user lookup resulted in multiple matches")
	// ErrRefused says that the catalog does not accept our credentials; an operator has to act.
	ErrRefused = errors.New("catalog refuses our credentials")
	// ErrUnavailable says that the catalog could not answer; later it may.
	ErrUnavailable = errors.New("catalog unavailable")
	// ErrLookup says that a look-up names nothing to look for, or that the catalog calls it malformed.
	ErrLookup = errors.New("invalid user lookup")
)

// ResponseError is an answer of the catalog's REST API that brings no entity. A proxy provider's refresh shows its status
// (contract/core.md J11).
type ResponseError struct {
	// Status is the HTTP status of the answer.
	Status int
	// Kind is one of the errors above.
	Kind error
}

// Error is the line for the log.
func (e *ResponseError) Error() string { return fmt.Sprintf("%v: status %d", e.Kind, e.Status) }

// Unwrap returns the kind.
func (e *ResponseError) Unwrap() error { return e.Kind }

// source is what every catalog here can do; catalogtest.Run is its contract, and the rooms that ask declare what they need
// of it.
type source interface {
	// FindUser returns the one user that l describes. The error wraps one of the errors above. Values and references are
	// compared without regard to case, as the catalog compares them; an empty value fits nobody. l.Then and l.Fallback
	// are the caller's business.
	FindUser(ctx context.Context, l providers.Lookup) (User, error)
	// EntitiesExist returns those of the given references, in their order, that no entity in the catalog has. References
	// need a kind; one without it, or otherwise malformed, is missing. The error wraps ErrRefused or ErrUnavailable.
	EntitiesExist(ctx context.Context, refs []string) (missing []string, err error)
}

var _, _, _ source = (*REST)(nil), (*File)(nil), None{}

// None is the catalog of a deployment that has none: every look-up is ErrUnavailable.
type None struct{}

// FindUser returns ErrUnavailable.
func (None) FindUser(context.Context, providers.Lookup) (User, error) {
	return User{}, fmt.Errorf("%w: none is configured", ErrUnavailable)
}

// EntitiesExist returns ErrUnavailable.
func (None) EntitiesExist(context.Context, []string) ([]string, error) {
	return nil, fmt.Errorf("%w: none is configured", ErrUnavailable)
}
