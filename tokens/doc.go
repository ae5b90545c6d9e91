// Package tokens issues and verifies Backstage tokens, and owns the signing keys: their life, their rotation, the public
// key set. It is pure: no routes, no SQL. Its law: a key is published before it signs and until the last token that it
// signed has expired, over any number of replicas.
//
// An Issuer keeps a copy of the keys in memory. Issuing, verifying and serving the key set read that copy and nothing
// else; a background loop (Issuer.Run) compares it with the KeyStore, which is also where replicas agree: of several new
// keys of one generation the store takes one, and the others use it.
//
// It leaves to its callers who the user is and what they own, where keys are stored (KeyStore; the suite for
// implementations is package tokenstest), how private keys are encrypted (Sealer), and what an HTTP answer looks like.
package tokens
