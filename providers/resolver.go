package providers

// Lookup names a user for the catalog. Exactly one of EntityRef, Annotations and Filter is set.
type Lookup struct {
	// EntityRef is a user's reference; kind defaults to user and namespace to default (contract/core.md S7).
	EntityRef string
	// Annotations must all be on the entity, with these values (S8).
	Annotations map[string]string
	// Filter is by field path, e.g. "spec.profile.email" (S8).
	Filter map[string]string
	// Then is tried if this finds nobody.
	Then *Lookup
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
