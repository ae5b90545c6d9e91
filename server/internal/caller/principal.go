package caller

import (
	"slices"
	"time"

	"stagedoor/server/internal/fault"
)

// Kind is what a principal is.
type Kind string

// The kinds of principal.
const (
	// User is a user with all that the user may do: a full user token, or a plugin that acts for the user.
	User Kind = "user"
	// LimitedUser is a user's limited token by itself, which is good for few routes (contract/core.md T12, T23).
	LimitedUser Kind = "limited-user"
	// Service is a plugin in its own name, or an external caller.
	Service Kind = "service"
)

// AdminPermission is the permission that makes an external caller an operator of this server.
const AdminPermission = "stagedoor.admin"

// Principal is who is behind a token.
type Principal struct {
	Kind Kind
	// Subject is a user's entity reference, "plugin:<id>", or the name of an external caller as it is configured.
	Subject string
	// Actor is the plugin that acts for a user, "plugin:<id>"; else empty.
	Actor string
	// ExpiresAt is when the principal is to be recognised anew; zero if its token has no end.
	ExpiresAt time.Time
	// Permissions are the only ones that an external caller has here, Actions (create, read, update, delete) the only kinds
	// of permission; nil does not restrict.
	Permissions, Actions []string
}

// Admin is true for an external caller whose accessRestrictions name this plugin with the permission stagedoor.admin. A token
// without restrictions is not an operator's: such tokens were handed out before there was anything to operate. Nor is one
// that is restricted to actions, since this permission has none.
func (p Principal) Admin() bool {
	return p.Kind == Service && slices.Contains(p.Permissions, AdminPermission) && p.Actions == nil
}

// RequireAdmin returns a *fault.Error unless p is an admin.
func (p Principal) RequireAdmin() error {
	if p.Admin() {
		return nil
	}
	return fault.New(fault.NotAllowed, "admin_required", "This endpoint needs a token with the permission "+AdminPermission, nil)
}

// RequireUser returns a *fault.Error unless p is a user who is not limited (contract/core.md R22).
func (p Principal) RequireUser() error {
	switch p.Kind {
	case User:
		return nil
	case LimitedUser:
		return fault.New(fault.Authentication, "token_limited", "Illegal limited user token", nil)
	default:
		return fault.New(fault.NotAllowed, "user_required", "This endpoint does not allow 'service' credentials", nil)
	}
}
