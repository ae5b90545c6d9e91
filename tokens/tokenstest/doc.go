// Package tokenstest is the suite that every implementation of tokens.KeyStore must pass. It owns no fixture and opens no
// store itself: the implementation's own test does, and hands over how. Its law: what holds for one store holds for all.
package tokenstest
