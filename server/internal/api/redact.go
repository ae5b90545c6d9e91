package api

import (
	"net/url"
	"strings"
)

// shownParameters may be repeated in an error body. Everything else may hold a code, a state, a token or a person.
var shownParameters = map[string]bool{"env": true, "flow": true, "optional": true, "origin": true, "scope": true}

// longestURL bounds the address in an error body, in bytes.
const longestURL = 2048

// shownURL is the address as an error body repeats it: path and query below the mount (contract/core.md J8).
//
// Differs from Backstage: only parameters that cannot hold a secret keep their value. A callback's address carries the
// authorization code, and error bodies end up in logs and bug reports.
func shownURL(u *url.URL) string {
	path := u.EscapedPath()
	if rest, below := cutMount(path); below {
		path = rest
	}
	if u.RawQuery != "" {
		path += "?" + redactQuery(u.RawQuery)
	}
	if len(path) > longestURL {
		path = strings.ToValidUTF8(path[:longestURL], "") + "…"
	}
	return path
}

// redactQuery keeps the shape of a query, its keys and the values of shownParameters. A key without a value that is not one
// of them might be a value without a key.
func redactQuery(raw string) string {
	var b strings.Builder
	for pair := range strings.SplitSeq(raw, "&") {
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		key, _, valued := strings.Cut(pair, "=")
		switch {
		case pair == "" || shownParameters[key]:
			b.WriteString(pair)
		case valued:
			b.WriteString(key + "=…")
		default:
			b.WriteString("…")
		}
	}
	return b.String()
}
