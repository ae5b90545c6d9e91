package config

import (
	"regexp"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// converter makes nodes of a syntax tree. It follows aliases and merge keys.
type converter struct {
	file     string
	problems *problems
	// anchors holds finished values only, so an alias inside its own anchor finds nothing, and no tree is endless.
	anchors map[string]*node
}

// convert returns the node for n, which stands at key. It is never nil.
func (c *converter) convert(n ast.Node, key string, depth int) *node {
	if n == nil {
		return &node{at: Position{File: c.file}}
	}
	at := positionOf(c.file, n.GetToken())
	if depth > maxDepth {
		c.problems.add(at, key, "nests deeper than %d levels", maxDepth)
		return &node{at: at}
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		out := c.object(n.Values, key, depth)
		if n.IsFlowStyle {
			out.at = at
		}
		return out
	case *ast.MappingValueNode:
		return c.object([]*ast.MappingValueNode{n}, key, depth)
	case *ast.SequenceNode:
		return c.list(n, key, depth)
	case *ast.AnchorNode:
		v := c.convert(n.Value, key, depth)
		c.anchors[n.Name.GetToken().Value] = v
		return v
	case *ast.AliasNode:
		return c.alias(n, key)
	case *ast.TagNode:
		return c.tagged(n, key, depth)
	}
	return scalar(n, at)
}

func (c *converter) alias(n *ast.AliasNode, key string) *node {
	at := positionOf(c.file, n.GetToken())
	v := c.anchors[n.Value.GetToken().Value]
	if v == nil {
		c.problems.add(at, key, "alias of an anchor that is not defined before it")
		return &node{at: at}
	}
	return v
}

// tagged honours !!str, which people write to keep a number a string. Other tags change nothing.
func (c *converter) tagged(n *ast.TagNode, key string, depth int) *node {
	v := c.convert(n.Value, key, depth)
	if n.Start.Value == "!!str" && (v.form == number || v.form == boolean) {
		return &node{form: text, at: v.at, text: v.text}
	}
	return v
}

func (c *converter) list(n *ast.SequenceNode, key string, depth int) *node {
	out := &node{form: list, at: positionOf(c.file, n.GetToken())}
	for i, item := range n.Values {
		out.items = append(out.items, c.convert(item, indexed(key, i), depth+1))
	}
	return out
}

// object makes an object that begins at its first key.
func (c *converter) object(values []*ast.MappingValueNode, key string, depth int) *node {
	out := &node{form: object}
	seen := map[string]Position{}
	var merged []*node
	for i, v := range values {
		at := positionOf(c.file, v.Key.GetToken())
		if i == 0 {
			out.at = at
		}
		if v.Key.IsMergeKey() {
			merged = append(merged, c.mergeKey(v.Value, key, depth)...)
			continue
		}
		name, ok := c.key(v.Key, key)
		if !ok {
			continue
		}
		if first, dup := seen[name]; dup {
			c.problems.add(at, dotted(key, name), "duplicate key, first written in line %d", first.Line)
			continue
		}
		seen[name] = at
		out.fields = append(out.fields, field{name: name, at: at, value: c.convert(v.Value, dotted(key, name), depth+1)})
	}
	return inherit(out, merged)
}

// key returns the name of a key. A number or boolean is the text it is written as, as in JSON.
func (c *converter) key(k ast.MapKeyNode, parent string) (string, bool) {
	var n ast.Node = k
	if explicit, ok := k.(*ast.MappingKeyNode); ok {
		n = explicit.Value
	}
	v := c.convert(n, parent, 0)
	if v.form == list || v.form == object {
		c.problems.add(positionOf(c.file, k.GetToken()), parent, "want a string as key, found %s", v.form)
		return "", false
	}
	return v.text, true
}

// mergeKey returns the objects that << names: one, or a list of them.
func (c *converter) mergeKey(value ast.Node, key string, depth int) []*node {
	v := c.convert(value, key, depth+1)
	sources := []*node{v}
	if v.form == list {
		sources = v.items
	}
	for _, s := range sources {
		if s.form != object {
			c.problems.add(s.at, key, "want an object or a list of objects to merge, found %s", s.form)
			return nil
		}
	}
	return sources
}

// inherit adds the fields of the merged objects that out lacks; the first object that has a key gives it. Unlike the
// merge of files it does not look into objects (YAML merge key, yaml.org/type/merge.html).
func inherit(out *node, merged []*node) *node {
	if len(merged) == 0 {
		return out
	}
	has := map[string]bool{}
	for _, f := range out.fields {
		has[f.name] = true
	}
	for _, m := range merged {
		for _, f := range m.fields {
			if !has[f.name] {
				has[f.name] = true
				out.fields = append(out.fields, f)
			}
		}
	}
	return out
}

// The forms of a plain scalar in YAML 1.2's core schema (section 10.3.2), which is what Backstage reads. The parser's
// own guess follows YAML 1.1 in places: 0123 would be octal and 1_000 a number.
var (
	coreNull  = regexp.MustCompile(`^(?:~|null|Null|NULL)?$`)
	coreBool  = regexp.MustCompile(`^(?:true|True|TRUE|false|False|FALSE)$`)
	coreInt   = regexp.MustCompile(`^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$`)
	coreFloat = regexp.MustCompile(`^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
)

func scalar(n ast.Node, at Position) *node {
	switch n := n.(type) {
	case *ast.LiteralNode:
		return &node{form: text, at: at, text: n.Value.Value}
	case *ast.NullNode:
		return &node{at: at, text: n.Token.Value}
	case *ast.StringNode:
		if t := n.Token.Type; t == token.SingleQuoteType || t == token.DoubleQuoteType {
			return &node{form: text, at: at, text: n.Value}
		}
		return plain(n.Value, at)
	}
	return plain(n.GetToken().Value, at)
}

func plain(s string, at Position) *node {
	out := &node{form: text, at: at, text: s}
	switch {
	case coreNull.MatchString(s):
		out.form = null
	case coreBool.MatchString(s):
		out.form = boolean
	case coreInt.MatchString(s), coreFloat.MatchString(s):
		out.form = number
	}
	return out
}
