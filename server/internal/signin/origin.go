package signin

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"stagedoor/server/internal/fault"
)

// origins are the windows that may receive a session (contract/core.md F58, F59).
type origins struct {
	app   string
	extra []*regexp.Regexp
}

func newOrigins(app *url.URL, globs []string) (origins, error) {
	o := origins{app: originOf(app)}
	for _, g := range globs {
		re, err := compileGlob(g)
		if err != nil {
			return origins{}, fmt.Errorf("allowed origin %q: %w", g, err)
		}
		o.extra = append(o.extra, re)
	}
	return o, nil
}

// compileGlob matches a whole origin without regard to case. A star stands for any run of characters but a slash (F59); no
// other pattern character is known, and one that would silently match nothing is refused.
func compileGlob(glob string) (*regexp.Regexp, error) {
	if strings.ContainsAny(glob, "?{}()!+@|") {
		return nil, errors.New("only * is a pattern here")
	}
	var b strings.Builder
	b.WriteString("(?i)^")
	for part := range strings.SplitSeq(glob, "*") {
		if b.Len() > len("(?i)^") {
			b.WriteString("[^/]*")
		}
		b.WriteString(regexp.QuoteMeta(part))
	}
	b.WriteString("$")
	return regexp.Compile(b.String())
}

func (o origins) allows(origin string) bool {
	if origin == o.app {
		return true
	}
	for _, re := range o.extra {
		if re.MatchString(origin) {
			return true
		}
	}
	return false
}

// check reduces text to its origin and demands that it is allowed (F8).
func (o origins) check(text string) (string, error) {
	u, ok := parseAbsolute(text)
	if !ok {
		return "", fault.New(fault.Input, "origin_invalid", "App origin is invalid, failed to parse", nil)
	}
	origin := originOf(u)
	if !o.allows(origin) {
		return "", fault.New(fault.NotAllowed, "origin_not_allowed", "Origin '"+clip(origin)+"' is not allowed", nil)
	}
	return origin, nil
}

// checkHeader judges an Origin header; an absent one is fine (F53).
func (o origins) checkHeader(origin string) error {
	if origin == "" || o.allows(origin) {
		return nil
	}
	return fault.New(fault.NotAllowed, "origin_not_allowed", "Origin '"+clip(origin)+"' is not allowed", nil)
}

// checkRedirect demands that a redirectUrl lies on an allowed origin.
//
// Differs from Backstage: it sends the browser anywhere (contract/core.md F13).
func (o origins) checkRedirect(text string) error {
	u, ok := parseAbsolute(text)
	if !ok {
		return fault.New(fault.Input, "redirect_url_invalid", "The redirectUrl is not an absolute http or https URL", nil)
	}
	if !o.allows(originOf(u)) {
		return fault.New(fault.NotAllowed, "redirect_url_not_allowed", "The redirectUrl is not on an allowed origin", nil)
	}
	return nil
}

// parseAbsolute accepts only what every browser reads as the same http(s) address that Go reads: no user info, no
// backslash, no control character or space.
func parseAbsolute(text string) (*url.URL, bool) {
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return nil, false
	}
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Opaque != "" || !plainHost(u.Hostname()) || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, false
	}
	return u, true
}

// plainHost accepts names of letters, digits and hyphens between single dots, and IP addresses: browsers write every other name so
// (RFC 5890), and some of its characters are a slash or a dot to some readers.
func plainHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || strings.ContainsFunc(label, func(r rune) bool {
			return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		}) {
			return false
		}
	}
	return true
}

// originOf is the serialisation of RFC 6454 section 6.1: lower case, without the scheme's default port.
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + strings.TrimSuffix(host, ":")
}
