// Package tokens issues and verifies Backstage tokens, and owns the signing keys: their life, their rotation, the public
// key sets. It is pure: no routes, no SQL, no network. Its law: a key is published before it signs and until the last token
// that it signed has expired, over any number of replicas.
//
// An Issuer is for user tokens, a PluginIssuer for those with which we call other plugins. Each has keys of its own, of
// which it keeps a copy in memory. Issuing, verifying and serving the key set read that copy and nothing else; a background
// loop (Run) compares it with the KeyStore, which is also where replicas agree: of several new keys of one generation the
// store takes one, and the others use it.
//
// Beside the KeyStore there may be a Neighbour: where Backstage's own auth backend keeps its public keys. Its keys are published
// and verify with ours, and ours are put among them, so that either program accepts the tokens of both.
//
// What others signed is verified with what they publish (KeySet) or share with us: the tokens of other plugins
// (VerifyPluginToken) and of external callers (VerifyRemote, VerifyLegacy).
//
// It leaves to its callers who the user is and what they own, where keys are stored (KeyStore; the suite for
// implementations is package tokenstest), how private keys are encrypted (Sealer), how the key sets of others are fetched,
// and what an HTTP answer looks like.
package tokens
