// Package apitest speaks to the sign-in API from the outside and holds every exchange against the document, in its full 3.1
// form and not in the one that the server validates with. What an answer means is left to the test. Its law: what the
// document refuses the server must refuse, what the server answers the document must describe, and nothing counts as tested
// that was never spoken.
package apitest
