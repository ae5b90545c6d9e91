package providers

import (
	"maps"
	"slices"
)

// Lookup names a user. Exactly one of EntityRef, Annotations, Filter and SignIn is set; the first three are for the catalog.
type Lookup struct {
	// EntityRef is a user's reference; kind defaults to user and namespace to default (contract/core.md S7).
	EntityRef string
	// Annotations must all be on the entity, with these values (S8).
	Annotations map[string]string
	// Filter is by field path, e.g. "spec.profile.email" (S8).
	Filter map[string]string
	// SignIn is the identity itself, a complete entity ref in lower case: the catalog is not asked for it. It owns itself
	// and Ownership.
	SignIn string
	// Exact demands that the values of Annotations and Filter are the entity's in upper and lower case as well, which the
	// catalog does not tell apart. Whoever answers the look-up counts only such entities; if there are others and none of
	// them counts, that is an error which ends the sign-in, not a user who is not there (contract/core.md 7.3).
	Exact bool
	// Then is tried if this finds nobody.
	Then *Lookup
	// Ownership are further complete entity refs in lower case that the user owns through, after those that the catalog
	// gives. They are not added to a Fallback.
	Ownership []string
	// OwnershipMustExist refuses the sign-in if the catalog lacks an entity of Ownership.
	OwnershipMustExist bool
	// Fallback is the identity if nobody is found at all and the config allows users without an entity; else empty.
	Fallback string
	// FallbackOwnership is what Fallback owns; empty means Fallback alone.
	FallbackOwnership []string
	// FallbackAlways uses Fallback whatever goes wrong with the catalog (guest, contract/core.md S14).
	FallbackAlways bool
}

// Resolver names the user behind a Result. It never calls the catalog.
//
// The error is an *Error; one with Kind ErrNoMatch passes on to the next resolver, any other ends the sign-in
// (contract/core.md S3).
type Resolver func(Result) (Lookup, error)

// NewResolver makes a Resolver from the options that stand beside its name in the config.
type NewResolver func(decode func(into any) error) (Resolver, error)

// ruleName is the resolver that every Kind with resolvers takes besides its own.
const ruleName = "rule"

// Resolver returns what makes the named resolver for the entry id and env, "" for a flat entry, of this Kind. It is false
// for a name that config may not use here (contract/core.md S2).
func (k Kind) Resolver(name, id, env string) (NewResolver, bool) {
	if name == ruleName && k.Resolvers != nil {
		return newRule(id, env), true
	}
	r, ok := k.Resolvers[name]
	return r, ok
}

// ResolverNames are the names that Resolver knows, in order; nil for a Kind that takes none.
func (k Kind) ResolverNames() []string {
	if k.Resolvers == nil {
		return nil
	}
	return slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(k.Resolvers)), ruleName)))
}
