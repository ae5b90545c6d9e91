// Package api is the HTTP face of the sign-in API: the only room that knows the generated code and Echo. It owns paths,
// parameters, validation, headers, cookies on the wire, the popup page, error bodies and the access log. What a request
// means is left to signin and op, keys to tokens, the listener and its timeouts to main. Its law: a handler binds, calls one
// room and translates; every failure is rendered and logged in one place; nothing foreign reaches a header, a page or a log
// line unescaped.
package api
