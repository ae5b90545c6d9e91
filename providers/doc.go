// Package providers says what an upstream identity provider can do, and holds one file per upstream. It owns the registry
// of Kinds, the protocols towards an upstream, the arithmetic of scopes and the sign-in resolvers. It leaves state, cookies
// and sessions to signin, users to catalog, and reading the configuration to config. It knows HTTP clients and knows no
// HTTP server: a provider reads values and returns values. Its law: whatever an upstream sends is checked here or refused
// here; a Result holds only what was verified.
package providers
