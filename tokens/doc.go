// Package tokens issues and verifies Backstage tokens, and owns the signing keys: their life, their rotation, the public
// key set. It is pure: no routes, no SQL. Its law: a key is published before it signs and until the last token that it
// signed has expired, over any number of replicas.
package tokens
