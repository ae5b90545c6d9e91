package api

import "net/http"

const (
	headerRequestID = "X-Request-Id"
	noStore         = "no-store"
)

// defaultPolicy is the Content-Security-Policy of every Backstage backend (contract/core.md R32).
const defaultPolicy = "default-src 'self';base-uri 'self';font-src 'self' https: data:;frame-ancestors 'self';" +
	"img-src 'self' data:;object-src 'none';script-src 'self' 'unsafe-eval';script-src-attr 'none';" +
	"style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests"

// fixedHeaders are on every answer, unless its handler sets them otherwise (contract/core.md R32). The cross-origin policies
// are left out on purpose: an opener policy would cut the popup off from its opener.
type fixedHeaders []struct {
	name  string
	value []string
}

func newFixedHeaders(policy, referrer string) fixedHeaders {
	if policy == "" {
		policy = defaultPolicy
	}
	if referrer == "" {
		referrer = "no-referrer"
	}
	var h fixedHeaders
	for _, pair := range [][2]string{
		{"Content-Security-Policy", policy},
		{"Referrer-Policy", referrer},
		{"Strict-Transport-Security", "max-age=15552000; includeSubDomains"},
		{"X-Content-Type-Options", "nosniff"},
		{"X-Dns-Prefetch-Control", "off"},
		{"X-Download-Options", "noopen"},
		{"X-Frame-Options", "SAMEORIGIN"},
		{"X-Permitted-Cross-Domain-Policies", "none"},
		{"X-Xss-Protection", "0"},
	} {
		h = append(h, struct {
			name  string
			value []string
		}{http.CanonicalHeaderKey(pair[0]), []string{pair[1]}})
	}
	return h
}

// write sets the headers. All answers share the value slices: their capacity is 1, so that whoever adds a value gets a copy.
func (f fixedHeaders) write(h http.Header) {
	for _, header := range f {
		h[header.name] = header.value
	}
}
