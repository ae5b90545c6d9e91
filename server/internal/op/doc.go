// Package op is Backstage's OpenID Provider side: the discovery document, and user info for those who hold one of our
// tokens. It leaves keys and verification to tokens. Its law: the discovery document names only what works.
package op
