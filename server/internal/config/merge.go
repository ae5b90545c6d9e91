package config

import "slices"

// merge lays over on top of base and changes neither: objects key by key, everything else as a whole. A null stays in
// the tree, where it counts as absent, so that it takes away what base had (contract/core.md C7). What an unset variable
// left of a key takes nothing away.
func merge(base, over *node) *node {
	switch {
	case base == nil:
		return over
	case over == nil, over.form == unset && !base.absent():
		return base
	case base.form != object || over.form != object:
		return over
	}
	out := &node{form: object, at: over.at, fields: slices.Clone(base.fields)}
	index := make(map[string]int, len(out.fields))
	for i, f := range out.fields {
		index[f.name] = i
	}
	for _, f := range over.fields {
		i, both := index[f.name]
		if !both {
			out.fields = append(out.fields, f)
			continue
		}
		f.value = merge(out.fields[i].value, f.value)
		out.fields[i] = f
	}
	return out
}
