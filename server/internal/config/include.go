package config

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

const (
	// maxIncludes is how many files may include one another in a chain.
	maxIncludes = 16
	// maxNodes is how many values a configuration may have in all. Aliases and includes can make much of little.
	maxNodes = 100_000
)

// transform returns n, which stands at key, with its includes and variables in place (contract/core.md C8, C9). Chain
// holds the includes that led here.
func (l *loader) transform(n *node, key string, chain []string) *node {
	l.nodes++
	if l.nodes > maxNodes {
		l.problems.add(Position{File: n.at.File}, "", "has more than %d values, includes and aliases counted", maxNodes)
		return &node{at: n.at}
	}
	switch n.form {
	case text:
		return l.substitute(n)
	case list:
		return l.transformList(n, key, chain)
	case object:
		if d, ok := directive(n); ok {
			return l.follow(n, d, key, chain)
		}
		return l.transformObject(n, key, chain)
	}
	return n
}

// transformList drops items that are unset.
func (l *loader) transformList(n *node, key string, chain []string) *node {
	out := &node{form: list, at: n.at}
	for i, item := range n.items {
		if l.exhausted() {
			break
		}
		if v := l.transform(item, indexed(key, i), chain); v.form != unset {
			out.items = append(out.items, v)
		}
	}
	return out
}

func (l *loader) transformObject(n *node, key string, chain []string) *node {
	out := &node{form: object, at: n.at, fields: make([]field, 0, len(n.fields))}
	for _, f := range n.fields {
		if l.exhausted() {
			break
		}
		f.value = l.transform(f.value, dotted(key, f.name), chain)
		out.fields = append(out.fields, f)
	}
	return out
}

// exhausted stops the walk of a tree that is too large: a few nested aliases would take forever even to skip.
func (l *loader) exhausted() bool { return l.nodes > maxNodes }

// directive returns the first key of n that begins with a dollar sign.
func directive(n *node) (field, bool) {
	i := slices.IndexFunc(n.fields, func(f field) bool { return strings.HasPrefix(f.name, "$") })
	if i < 0 {
		return field{}, false
	}
	return n.fields[i], true
}

// follow replaces the object n, which has the directive d.
func (l *loader) follow(n *node, d field, key string, chain []string) *node {
	nothing := &node{at: n.at}
	if len(n.fields) > 1 {
		l.problems.add(d.at, key, "%s must be the only key of its object", shown(d.name))
		return nothing
	}
	arg := l.substitute(d.value)
	if arg.form == unset {
		l.problems.add(arg.at, dotted(key, d.name), "%s is not set", arg.variables())
		return nothing
	}
	if arg.form != text || arg.text == "" {
		l.problems.add(arg.at, dotted(key, d.name), "want a string, found %s", arg.form)
		return nothing
	}
	switch d.name {
	case "$env":
		return l.includeEnv(arg)
	case "$file":
		return l.includeFile(arg, dotted(key, d.name))
	case "$include":
		return l.includeData(arg, key, chain)
	}
	l.problems.add(d.at, key, "unknown directive %s, want $env, $file or $include", shown(d.name))
	return nothing
}

func (l *loader) includeEnv(arg *node) *node {
	vars := arg.vars
	if len(vars) == 0 {
		// A name that is itself made of variables is a value, and not for messages.
		vars = []string{arg.text}
	}
	value, ok := l.env(arg.text)
	if !ok {
		return &node{form: unset, at: arg.at, vars: vars}
	}
	return &node{form: text, at: arg.at, text: value, vars: vars}
}

func (l *loader) includeFile(arg *node, key string) *node {
	src, err := l.read(arg.at.resolve(arg.text))
	if err != nil {
		l.problems.add(arg.at, key, "the file %s", reason(err))
		return &node{at: arg.at}
	}
	return &node{form: text, at: arg.at, text: strings.TrimRightFunc(string(src), unicode.IsSpace)}
}

// includeData reads file.yaml#a.b and transforms what it finds there in turn.
func (l *loader) includeData(arg *node, key string, chain []string) *node {
	nothing, at := &node{at: arg.at}, dotted(key, "$include")
	name, path, inner := strings.Cut(arg.text, "#")
	file := arg.at.resolve(name)
	id := file + "#" + path
	switch {
	case !slices.Contains([]string{".json", ".yaml", ".yml"}, strings.ToLower(filepath.Ext(file))):
		l.problems.add(arg.at, at, "want a file that ends in .json, .yaml or .yml")
		return nothing
	case slices.Contains(chain, id):
		l.problems.add(arg.at, at, "the file includes itself")
		return nothing
	case len(chain) >= maxIncludes:
		l.problems.add(arg.at, at, "includes nest deeper than %d files", maxIncludes)
		return nothing
	}
	src, err := l.read(file)
	if err != nil {
		l.problems.add(arg.at, at, "the file %s", reason(err))
		return nothing
	}
	tree := parse(file, src, &l.problems)
	if tree != nil && inner {
		tree = l.descend(tree, path, arg.at, at)
	}
	if tree == nil {
		return nothing
	}
	return l.transform(tree, key, append(slices.Clone(chain), id))
}

// descend follows path inside an included tree. Only the last step may find nothing.
func (l *loader) descend(n *node, path string, at Position, key string) *node {
	for name := range strings.SplitSeq(path, ".") {
		if n == nil || n.form != object {
			l.problems.add(at, key, "the path after # leads through something that is no object")
			return nil
		}
		n = n.get(name)
	}
	if n == nil {
		return &node{form: unset, at: at}
	}
	return n
}

// reason says why a file could not be read, without its name: a path may be made of variables, and the position tells
// where it stands.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "does not exist"
	case errors.Is(err, fs.ErrPermission):
		return "may not be read by this user"
	case errors.Is(err, errTooLarge):
		return "is larger than 1 MiB"
	}
	return "cannot be read"
}
