package catalog

import (
	"slices"
	"strings"
	"unicode"
)

// defaultNamespace is the namespace of an entity that names none.
const defaultNamespace = "default"

// entityRef is an entity reference in its parts, case as given.
type entityRef struct{ kind, namespace, name string }

// splitRef reads [kind:][namespace/]name. What is left out comes from defaults (contract/core.md S7, T9). A colon behind the
// slash belongs to the name.
func splitRef(text string, defaults entityRef) entityRef {
	ref := defaults
	ref.name = text
	colon, slash := strings.Index(text, ":"), strings.Index(text, "/")
	if colon >= 0 && (slash < 0 || colon < slash) {
		ref.kind, ref.name = text[:colon], text[colon+1:]
	}
	if ns, name, ok := strings.Cut(ref.name, "/"); ok {
		ref.namespace, ref.name = ns, name
	}
	return ref
}

// String writes the reference in full and in lower case, or "" if a part is missing.
func (r entityRef) String() string {
	if r.kind == "" || r.namespace == "" || r.name == "" {
		return ""
	}
	return lower(r.kind + ":" + r.namespace + "/" + r.name)
}

// completeRef writes a reference in full and in lower case, with the given kind and the namespace "default" where they are
// left out. A reference without a name, or without a kind at all, becomes "".
func completeRef(text, kind string) string {
	return splitRef(text, entityRef{kind: kind, namespace: defaultNamespace}).String()
}

// ownership is the user's own reference, then the groups among refs, which are complete, without duplicates.
func ownership(user string, refs []string) []string {
	own := []string{user}
	for _, ref := range refs {
		if strings.HasPrefix(ref, "group:") && !slices.Contains(own, ref) {
			own = append(own, ref)
		}
	}
	return own
}

// missingFrom returns those refs that are not in known, whose references are complete.
func missingFrom(refs []string, known map[string]bool) []string {
	return slices.DeleteFunc(slices.Clone(refs), func(ref string) bool { return known[completeRef(ref, "")] })
}

// lower is how values are compared.
//
// Differs from Backstage: a foreign character never becomes an ASCII one. The catalog's own lower case turns the Kelvin sign
// into a k, so that a look-alike address would find somebody else.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		l := unicode.ToLower(r)
		if r > unicode.MaxASCII && l <= unicode.MaxASCII {
			return r
		}
		return l
	}, s)
}
