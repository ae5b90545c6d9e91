// Package devidp is a complete OpenID Provider for development and tests, in this process: discovery, authorization code
// with PKCE, refresh tokens that rotate, userinfo, revocation, end session, and a login page on which one clicks a person
// instead of typing a password. It owns its people, its page, its cookies and its keys, all of them in memory and bounded;
// the protocol is zitadel's op package, and who may sign in to Backstage is the catalog's affair. [Misbehaving] is the same
// provider with a switch for every way an identity provider goes wrong; only tests construct it.
//
// Its law: it serves loopback and nothing else, because whoever reaches it may be anybody.
package devidp
