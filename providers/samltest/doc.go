// Package samltest is a SAML identity provider for tests. It owns the documents: it builds good ones, signs and encrypts them, and
// lets a test spoil them at any step of that; what becomes of them it leaves to whoever reads them. Its law: an Answer without edits
// is one that every correct reader accepts, and nothing here is shared with the code under test but the canonicalization.
package samltest
