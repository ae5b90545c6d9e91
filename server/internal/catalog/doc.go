// Package catalog says who a user is in the portal and what they own: from the catalog's REST API, or, for small and
// development set-ups, from a YAML file of ordinary catalog entities. It leaves the question which user is meant to the
// resolvers of providers, and the credentials for the API to whoever builds it. Its law: not found, found twice, refused and
// not reachable are four different answers, only the first one is about the user, and an entity that was not asked for is
// nobody.
package catalog
