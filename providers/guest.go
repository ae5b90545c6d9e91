package providers

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"strings"
)

// guest.go: everybody is the same user, without any upstream. For development. Docs: contract/providers.md 3.6.
//
// Deviations: refused with 403 outside of development. contract/core.md S14 has 501 and contract/providers.md 3.6 has 403;
// 403 is what it is, not allowed rather than not there, and 501 remains the answer of its start and callback routes.

func init() {
	register(Kind{ID: "guest", Title: "Guest", Flat: true, New: newGuest})
}

var _ Provider = (*guest)(nil)

// guestConfig are the keys of auth.providers.guest.
type guestConfig struct {
	Type string `config:"type"`
	// UserEntityRef is who everybody is; empty means user:development/guest.
	UserEntityRef string `config:"userEntityRef"`
	// OwnershipEntityRefs count only while the catalog does not know the user; empty means the user alone.
	OwnershipEntityRefs []string `config:"ownershipEntityRefs"`
	// DangerouslyAllow lets anybody in outside of development as well.
	DangerouslyAllow bool `config:"dangerouslyAllowOutsideDevelopment"`
}

type guest struct {
	allowed  bool
	identity Lookup
}

// guestRef is an entity ref, its kind and namespace optional.
var guestRef = regexp.MustCompile(`^(?:([A-Za-z][A-Za-z0-9]*):)?(?:([A-Za-z0-9-]+)/)?([A-Za-z0-9_.-]+)$`)

func newGuest(s Setup) (Provider, error) {
	var c guestConfig
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	ref := guestRef.FindStringSubmatch(cmp.Or(c.UserEntityRef, "user:development/guest"))
	if ref == nil {
		return nil, errors.New("userEntityRef is not an entity ref such as user:development/guest")
	}
	for _, owned := range c.OwnershipEntityRefs {
		if m := guestRef.FindStringSubmatch(owned); m == nil || m[1] == "" || m[2] == "" {
			return nil, errors.New("ownershipEntityRefs holds something else than entity refs such as group:default/guests")
		}
	}
	if c.DangerouslyAllow && !s.Development {
		s.Log.Warn("the guest provider is open outside of development: anybody who reaches this server is signed in", "provider", s.ID)
	}
	user := strings.ToLower(cmp.Or(ref[1], "user") + ":" + cmp.Or(ref[2], "default") + "/" + ref[3])
	return &guest{c.DangerouslyAllow || s.Development, Lookup{
		EntityRef: user, Fallback: user, FallbackOwnership: c.OwnershipEntityRefs, FallbackAlways: true,
	}}, nil
}

// Handle names the one user, with nothing else: no profile and no provider info (contract/core.md S14).
func (g *guest) Handle(context.Context, Request) (Result, error) {
	if !g.allowed {
		return Result{}, &Error{
			Kind: ErrForbidden, Code: CodeGuest,
			Message: "The guest provider is NOT recommended for use outside of a development environment. " +
				"Set auth.providers.guest.dangerouslyAllowOutsideDevelopment if anybody may come in.",
		}
	}
	identity := g.identity
	return Result{Identity: &identity}, nil
}
