// Package providertest is the suite that every Kind must pass. It owns the fixtures' form, a programmable upstream, and a
// strict decoder of config entries; what a provider does it leaves to the fixture, one testdata/<kind>.txtar per Kind.
// Its law: an upstream call that the fixture does not list fails the test, and so does a listed one that nobody makes.
//
// # Fixture
//
//	entry        YAML: id, callback, development, peer, environment, and config, the entry as it stands in app-config.yaml
//	query        what the front end adds to the query of the start route
//	start        the scope asked for, then the address and every query key of the redirect
//	callback     the query that the browser brings back
//	form         the form that comes with it, "name=value" lines
//	header       the headers of a proxy, "name: value" lines
//	result       JSON of what Handle returns
//	refresh      refresh_token, scope and subject of the session to renew
//	refreshed    JSON of what Refresh returns
//	logout       refresh_token, id_token and return_to of the session that ends, and claim.<name> for each of its claims
//	logged_out   the address to visit, its query key for key; nothing if there is none
//	failures     lines "callback query => code"; for a flat Kind "name: value => code", for one that takes forms "name=value => code"
//	upstream/…   one call each, see below
//
// A key=value line whose value is * accepts anything but nothing. An upstream file is a request line (method and address),
// then "> " lines with the headers that must be there and every form field, then an empty line, the status and content
// type, "< " lines with further headers of the answer, and the body, which is a text/template with .Nonce, {{jwks}}, {{ecJWKS}},
// {{ecPEM}}, {{idToken "claim" "value" …}}, {{ecToken …}}, {{samlMetadata}} and {{samlResponse "attribute" "value" …}}, which
// answers the request of start. Header and form values have these as well.
package providertest
