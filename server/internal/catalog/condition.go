package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"stagedoor/providers"
)

// condition says which value a field of an entity must have.
type condition struct{ path, value string }

// key is how fields are compared and indexed.
func (c condition) key() string { return lower(c.path + "=" + c.value) }

// exactKey is key with the value as it is written.
func (c condition) exactKey() string { return lower(c.path) + "=" + c.value }

// conditions are those of the look-up's annotations, then those of its filter, each by path. The error is ErrLookup if there
// are none, and ErrNotFound if one has no value: an absent claim must not find whoever left the same field empty.
func conditions(l providers.Lookup) ([]condition, error) {
	var all []condition
	for _, name := range slices.Sorted(maps.Keys(l.Annotations)) {
		all = append(all, condition{"metadata.annotations." + name, l.Annotations[name]})
	}
	for _, path := range slices.Sorted(maps.Keys(l.Filter)) {
		all = append(all, condition{path, l.Filter[path]})
	}
	if len(all) == 0 {
		return nil, ErrLookup
	}
	for _, c := range all {
		if c.value == "" || !utf8.ValidString(c.value) {
			return nil, ErrNotFound
		}
	}
	return all, nil
}

// eachField calls emit for every scalar below value with its dotted path, and for every element of a list with the list's
// path, as the catalog's search table has them. The text x in a list at p is also the field p.x with the value true.
func eachField(path string, value any, emit func(condition)) {
	switch v := value.(type) {
	case map[string]any:
		for name, below := range v {
			eachField(strings.TrimPrefix(path+"."+name, "."), below, emit)
		}
	case []any:
		for _, below := range v {
			eachField(path, below, emit)
			if text, ok := below.(string); ok {
				emit(condition{path + "." + text, "true"})
			}
		}
	case nil:
	default:
		emit(condition{path, fmt.Sprint(v)})
	}
}

// eachEntityField calls emit for what the catalog indexes of an entity that is a member of the given groups: its fields, the
// namespace although it is left out, and its membership.
func eachEntityField(fields map[string]any, groups []string, emit func(condition)) {
	for name, below := range fields {
		if name != "relations" {
			eachField(name, below, emit)
		}
	}
	if textAt(fields, "metadata", "namespace") == "" {
		emit(condition{"metadata.namespace", defaultNamespace})
	}
	for _, g := range groups {
		emit(condition{"relations." + memberOf, g})
	}
}

// memberOf is the type of the relation from a user to a group.
const memberOf = "memberOf"

// textAt returns the text at a path of keys, or "".
func textAt(fields map[string]any, path ...string) string {
	for _, name := range path[:len(path)-1] {
		fields, _ = fields[name].(map[string]any)
	}
	text, _ := fields[path[len(path)-1]].(string)
	return text
}
