// Package catalog says who a user is in the portal and what they own. Here: a YAML file of ordinary catalog entities, for
// small and development set-ups. It leaves the question which user is meant to the resolvers of providers. Its law: not
// found, found twice and not reachable are three different answers, and only the first one is about the user.
package catalog
