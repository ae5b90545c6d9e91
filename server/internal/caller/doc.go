// Package caller says who is behind a bearer token: a user, another Backstage plugin, a plugin on behalf of a user, or an
// external caller (contract/core.md T10 to T17, T27, T29). It owns the published keys of others, as far as they are held here,
// and the rules of the limited-user cookie. It leaves tokens and signatures to package tokens, what a principal may do to
// whoever asks, apart from the one permission that it knows (Principal.Admin), and what an HTTP answer looks like to api.
// Its law: no token decides where its keys come from, and no number of tokens makes more than a few calls.
package caller
