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
	// ErrUnavailable says that the catalog could not answer; later it may.
	ErrUnavailable = errors.New("catalog unavailable")
	// ErrLookup says that a look-up names nothing to look for.
	ErrLookup = errors.New("invalid user lookup")
)

// None is the catalog of a deployment that has none: every look-up is ErrUnavailable.
type None struct{}

// FindUser returns ErrUnavailable.
func (None) FindUser(context.Context, providers.Lookup) (User, error) {
	return User{}, fmt.Errorf("%w: none is configured", ErrUnavailable)
}
