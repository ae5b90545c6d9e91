package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"stagedoor/providers"
)

// maxSent is how many characters of a value the catalog indexes; a longer one is found by nobody.
const maxSent = 200

// errUnsendable says that the API has no way to carry a value unchanged. It comes with ErrNotFound.
var errUnsendable = errors.New("the catalog's API cannot carry it")

// query is a look-up as a request, and what an entity in the answer must be to have been asked for.
type query struct {
	// uri follows the base address; it is one and the same for equal look-ups, but for exact.
	uri  string
	list bool
	fits func(remoteEntity) bool
	// exact, if not nil, is what one that fits must be to count (providers.Lookup.Exact).
	exact func(remoteEntity) bool
}

// name tells look-ups apart that make one and the same request.
func (q query) name(address string) string {
	if q.exact != nil {
		return "exactly " + address
	}
	return address
}

// newQuery translates a look-up. The error is ErrLookup or ErrNotFound.
func newQuery(l providers.Lookup) (query, error) {
	if l.EntityRef != "" {
		return newNameQuery(l.EntityRef)
	}
	all, err := conditions(l)
	if err != nil {
		return query{}, err
	}
	for _, c := range all {
		if err := c.sendable(); err != nil {
			return query{}, fmt.Errorf("%w: %w", ErrNotFound, err)
		}
	}
	q := query{
		uri:  "/entities?filter=" + encode(filter(all, len(l.Annotations) > 0)),
		list: true,
		fits: func(e remoteEntity) bool { return e.isUser() && e.has(all, condition.key) },
	}
	if l.Exact {
		q.exact = func(e remoteEntity) bool { return e.has(all, condition.exactKey) }
	}
	return q, nil
}

// newNameQuery asks for one entity by its reference, each part of it as given (contract/core.md S7).
func newNameQuery(text string) (query, error) {
	ref := splitRef(text, entityRef{kind: "User", namespace: defaultNamespace})
	want := ref.String()
	parts := []string{ref.kind, ref.namespace, ref.name}
	if want == "" || slices.ContainsFunc(parts, func(s string) bool { return !sendable(s) || s == "." || s == ".." }) {
		return query{}, fmt.Errorf("%w: entity reference: %w", ErrNotFound, errUnsendable)
	}
	for i := range parts {
		parts[i] = encode(parts[i])
	}
	return query{
		uri:  "/entities/by-name/" + strings.Join(parts, "/"),
		fits: func(e remoteEntity) bool { return e.isUser() && e.ref() == want },
	}, nil
}

// filter writes conditions in the order of the Node backend: the kind comes before annotations, and after the pairs of a
// filter unless they name it (contract/core.md S8).
func filter(all []condition, kindFirst bool) string {
	var parts []string
	named := kindFirst
	if kindFirst {
		parts = append(parts, "kind=user")
	}
	for _, c := range all {
		named = named || strings.EqualFold(c.path, "kind")
		parts = append(parts, c.path+"="+c.value)
	}
	if !named {
		parts = append(parts, "kind=user")
	}
	return strings.Join(parts, ",")
}

// sendable says whether the filter's syntax, a=b,c=d without any quoting, brings the condition to the catalog as it is. A
// comma begins a new condition, which might even widen the query, and white space around a value is lost (S9). The error is
// errUnsendable.
func (c condition) sendable() error {
	if c.path == "" || strings.ContainsAny(c.path, ",=") || !sendable(c.path) {
		return fmt.Errorf("path of a field: %w", errUnsendable)
	}
	if strings.Contains(c.value, ",") || !sendable(c.value) {
		return fmt.Errorf("value of %q: %w", c.path, errUnsendable)
	}
	return nil
}

// sendable says whether the catalog can have an entity with such a text in an index, and reads it unchanged.
func sendable(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxSent &&
		!strings.ContainsFunc(s, unicode.IsControl) && s == strings.TrimFunc(s, isSpace)
}

// isSpace is what JavaScript's trim removes.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r == '\uFEFF' }

// encode leaves only unreserved characters as they are (RFC 6570 section 3.2.1), as the catalog's own client does.
func encode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// hits is what an answer holds of what was asked for.
type hits struct {
	users []User
	// inexact are those that differ in upper and lower case where that counts.
	inexact int
	// others are the entities that were not asked for.
	others int
}

// one is the only hit. The error is ErrNotFound, ErrInexact or ErrAmbiguous.
func (h hits) one() (User, error) {
	switch {
	case len(h.users) == 1:
		return h.users[0], nil
	case len(h.users) > 1:
		return User{}, ErrAmbiguous
	case h.inexact > 0:
		return User{}, ErrInexact
	default:
		return User{}, ErrNotFound
	}
}

func (h *hits) add(e remoteEntity, q query) {
	switch {
	case !q.fits(e):
		h.others++
	case q.exact != nil && !q.exact(e):
		h.inexact++
	default:
		h.users = append(h.users, e.user())
	}
}

// reader reads an answer into h, which it empties first: an answer may have to be read twice.
func (q query) reader(h *hits) func(io.Reader) error {
	return func(body io.Reader) error {
		*h = hits{}
		d := json.NewDecoder(body)
		d.UseNumber() // a number is compared as it is written
		if q.list {
			return h.readList(d, q)
		}
		var e remoteEntity
		if err := d.Decode(&e); err != nil {
			return unavailable("read entity", err)
		}
		h.add(e, q)
		return nil
	}
}

// readList reads entities until the second hit, after which the rest of a long list can change nothing.
func (h *hits) readList(d *json.Decoder, q query) error {
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return unavailable("read list of entities", errors.Join(errNoCatalog, err))
	}
	for d.More() && len(h.users) < 2 {
		var e remoteEntity
		if err := d.Decode(&e); err != nil {
			return unavailable("read entity of a list", err)
		}
		h.add(e, q)
	}
	if len(h.users) > 1 {
		return nil
	}
	if _, err := d.Token(); err != nil {
		return unavailable("read end of a list of entities", err)
	}
	return nil
}
