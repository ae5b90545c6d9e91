package providers

// For tests outside of the package, which alone may use providertest.
var (
	ResolversFor  = resolversFor
	ResolverTable = resolverTable
)
