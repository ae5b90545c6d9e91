package config

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const overridePrefix = "APP_CONFIG_"

var overridePart = regexp.MustCompile(`^[A-Za-z0-9]+(?:[-:][A-Za-z0-9]+)*$`)

// overrides makes a tree of the variables APP_CONFIG_a_b_c, whose underscores separate keys and whose values are JSON
// or, failing that, plain text (contract/core.md C6). It is nil if there are none.
func (l *loader) overrides() *node {
	// The order of the environment means nothing; the order of messages should not depend on it.
	environ := slices.Sorted(slices.Values(l.in.Environ))
	var root *node
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		path, ok := strings.CutPrefix(name, overridePrefix)
		if !ok {
			continue
		}
		at := Position{File: name}
		parts := strings.Split(path, "_")
		if bad := slices.ContainsFunc(parts, func(p string) bool { return !overridePart.MatchString(p) }); bad {
			l.problems.add(at, "", "want letters, digits, - and : between single underscores in the name")
			continue
		}
		n := jsonOrText(at, value)
		if n.form == null {
			l.problems.add(at, strings.Join(parts, "."), "want a value, found null")
			continue
		}
		root = l.unite(root, nest(at, parts, n), "")
	}
	return root
}

// nest puts n below the keys of path.
func nest(at Position, path []string, n *node) *node {
	for _, name := range slices.Backward(path) {
		n = &node{form: object, at: at, fields: []field{{name: name, at: at, value: n}}}
	}
	return n
}

// unite merges the trees of two variables, which must not both set a value.
func (l *loader) unite(a, b *node, key string) *node {
	switch {
	case a == nil:
		return b
	case a.form != object || b.form != object:
		l.problems.add(b.at, key, "conflicts with environment variable %s", a.at.File)
		return a
	}
	out := &node{form: object, at: a.at, fields: slices.Clone(a.fields)}
	for _, f := range b.fields {
		i := slices.IndexFunc(out.fields, func(g field) bool { return g.name == f.name })
		if i < 0 {
			out.fields = append(out.fields, f)
			continue
		}
		out.fields[i].value = l.unite(out.fields[i].value, f.value, dotted(key, f.name))
	}
	return out
}

func jsonOrText(at Position, s string) *node {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if !json.Valid([]byte(s)) || d.Decode(&v) != nil {
		return &node{form: text, at: at, text: s}
	}
	return jsonNode(at, v)
}

// jsonNode makes a node of what encoding/json decoded. Keys come in alphabetical order.
func jsonNode(at Position, v any) *node {
	n := &node{at: at}
	switch v := v.(type) {
	case string:
		n.form, n.text = text, v
	case bool:
		n.form, n.text = boolean, strconv.FormatBool(v)
	case json.Number:
		n.form, n.text = number, v.String()
	case []any:
		n.form = list
		for _, item := range v {
			n.items = append(n.items, jsonNode(at, item))
		}
	case map[string]any:
		n.form = object
		for _, name := range slices.Sorted(maps.Keys(v)) {
			n.fields = append(n.fields, field{name: name, at: at, value: jsonNode(at, v[name])})
		}
	}
	return n
}
