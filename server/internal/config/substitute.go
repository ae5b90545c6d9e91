package config

import (
	"regexp"
	"slices"
	"strings"
)

// placeholder is ${NAME}, ${NAME:-fallback}, or $${…}, which stands for ${…} itself.
var placeholder = regexp.MustCompile(`\$?\$\{[^{}]*\}`)

// substitute puts environment variables into a string (contract/core.md C8). If one of them is unset and has no
// fallback, the whole value is unset. The result is always a string.
func (l *loader) substitute(n *node) *node {
	if n.form != text || !strings.Contains(n.text, "${") {
		return n
	}
	out := &node{form: text, at: n.at}
	var missing []string
	out.text = placeholder.ReplaceAllStringFunc(n.text, func(match string) string {
		if escaped, ok := strings.CutPrefix(match, "$$"); ok {
			return "$" + escaped
		}
		name, value, ok := l.expand(match[2 : len(match)-1])
		out.vars = appendNew(out.vars, name)
		if !ok {
			missing = appendNew(missing, name)
		}
		return value
	})
	if len(missing) > 0 {
		return &node{form: unset, at: n.at, vars: missing}
	}
	return out
}

// expand evaluates what stands between the braces. A fallback serves an empty variable too; without one, a variable
// that is set and empty is an empty string.
func (l *loader) expand(expr string) (name, value string, ok bool) {
	name, fallback, hasFallback := strings.Cut(expr, ":-")
	name, fallback = strings.TrimSpace(name), strings.TrimSpace(fallback)
	value, ok = l.env(name)
	if hasFallback && value == "" {
		return name, fallback, fallback != ""
	}
	return name, value, ok
}

// env reads one variable, without the white space around it.
func (l *loader) env(name string) (string, bool) {
	if l.in.Env == nil {
		return "", false
	}
	value, ok := l.in.Env(name)
	return strings.TrimSpace(value), ok
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
