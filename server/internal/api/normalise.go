package api

import (
	"cmp"
	"context"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"stagedoor/server/internal/fault"
)

// place is where a path leads. With neither outside nor a path, no route can match it.
type place struct {
	outside       bool
	segment, path string
}

// locate reads an escaped path as Express does: without regard to case, and with one slash too many at the end
// (contract/core.md R3). The first segment below the mount keeps its case: it may be a provider's id.
func (s *Server) locate(escaped string) place {
	rest, below := cutMount(escaped)
	if !below {
		if root := strings.ToLower(strings.TrimSuffix(escaped, "/")); s.root[root] {
			return place{path: root}
		}
		return place{outside: true}
	}
	first, tail, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	segment, err := url.PathUnescape(first)
	if err != nil {
		segment = first
	}
	tail = strings.ToLower(strings.TrimSuffix(tail, "/"))
	// An escape behind the first segment matches no route. In front, an escaped slash must not become one: the segment
	// would turn into two, and a%2Fstart into the start of provider a.
	if strings.ContainsRune(tail, '%') || strings.ContainsRune(segment, '/') || tail == "" {
		return place{segment: segment}
	}
	if lower := strings.ToLower(segment); lower == ".well-known" || lower == "v1" {
		segment = lower
	}
	return place{segment: segment, path: mount + "/" + segment + "/" + tail}
}

// cutMount returns what follows the mount, which is empty or begins with a slash.
func cutMount(escaped string) (rest string, below bool) {
	if len(escaped) < len(mount) || !strings.EqualFold(escaped[:len(mount)], mount) {
		return "", false
	}
	rest = escaped[len(mount):]
	return rest, rest == "" || rest[0] == '/'
}

// prepare returns the request that the router, the validator and the binder see. It is a copy: net/http goes on using the
// original, and so does the error body.
func (s *Server) prepare(x *exchange, path string) *http.Request {
	r := s.limits.bounded(context.WithValue(x.request.Context(), exchangeKey{}, x), x, x.request)
	var plain string
	x.query, plain = s.readQuery(r.URL.RawQuery)
	if r.URL.Path != path || r.URL.RawPath != "" || r.URL.RawQuery != plain {
		u := *r.URL
		u.Path, u.RawPath, u.RawQuery = path, "", plain
		r.URL = &u
	}
	// Express joins what is sent twice, and so the check for exactly XMLHttpRequest fails (contract/core.md F43); the
	// generated binder would call it a bad request.
	if with := r.Header["X-Requested-With"]; len(with) > 1 {
		r.Header = r.Header.Clone()
		r.Header.Set("X-Requested-With", strings.Join(with, ", "))
	}
	x.header = r.Header
	return r
}

// readQuery returns the query as it was sent, and an encoding of it in which every key stands once: what Express's handlers
// would see (contract/core.md F5), lists in brackets included. Most queries are that already and come back unchanged.
func (s *Server) readQuery(raw string) (sent url.Values, plain string) {
	sent, joined, clean := url.Values{}, url.Values{}, true
	for p := range pairs(raw) {
		sent[p.key] = append(sent[p.key], p.value)
		name, value := strings.TrimSuffix(p.key, "[]"), p.value
		before, twice := joined[name]
		switch {
		case s.flags[name]:
			// A flag may come without a value, which is how the front end asks for optional (U3). Sent twice, the last counts.
			value = cmp.Or(value, "true")
		case twice:
			value = before[0] + "," + value
		}
		joined[name] = []string{value}
		clean = clean && p.clean && name == p.key && value == p.value && !twice
	}
	if clean {
		return sent, raw
	}
	return sent, joined.Encode()
}

// pair is one name and value of a query or form; clean says that url.ParseQuery would have read the same.
type pair struct {
	key, value string
	clean      bool
}

// pairs reads a query or a form body. Unlike url.ParseQuery it drops nothing: a broken escape stays as it is and a semicolon
// is an ordinary character, as in Express.
func pairs(raw string) iter.Seq[pair] {
	return func(yield func(pair) bool) {
		for text := range strings.SplitSeq(raw, "&") {
			if text == "" {
				continue
			}
			key, value, _ := strings.Cut(text, "=")
			key, okKey := unescape(key)
			value, okValue := unescape(value)
			if !yield(pair{key, value, okKey && okValue && !strings.Contains(text, ";")}) {
				return
			}
		}
	}
}

func unescape(s string) (string, bool) {
	plain, err := url.QueryUnescape(s)
	if err != nil {
		return s, false
	}
	return plain, true
}

// check refuses what is too long, before any of it is looked at.
func (l Limits) check(r *http.Request, path int) error {
	if path+len(r.URL.RawQuery) > l.URL {
		return fault.New(uriTooLong, "url_too_long", "The request's URL is too long", nil)
	}
	if r.ContentLength > l.Body {
		return fault.New(payloadTooLarge, "body_too_large", "The request's body is too large", nil)
	}
	return nil
}

// bounded returns a copy of the request whose body ends in an error at the limit, for lengths that were not announced.
func (l Limits) bounded(ctx context.Context, w http.ResponseWriter, r *http.Request) *http.Request {
	r = r.WithContext(ctx)
	switch {
	case r.Body == nil:
		r.Body = http.NoBody
	case r.Body != http.NoBody:
		r.Body = http.MaxBytesReader(w, r.Body, l.Body)
	}
	return r
}
