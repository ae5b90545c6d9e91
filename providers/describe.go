package providers

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaskValue is s for a reader who may recognise it but not learn it: its first character and an ellipsis. Of an empty
// value nothing is left.
func MaskValue(s string) string {
	if s == "" {
		return ""
	}
	_, size := utf8.DecodeRuneInString(s)
	return s[:size] + "…"
}

// Describe says in one line what the look-up asks for, without what comes Then: "user:default/jane, owning through
// group:default/a". Unless show is set, values that came from a provider are masked (MaskValue), keys are not.
func (l Lookup) Describe(show bool) string {
	parts := []string{l.subject(show)}
	if l.Exact {
		parts = append(parts, "in exactly this case")
	}
	if len(l.Ownership) > 0 {
		parts = append(parts, "owning through "+describeRefs(l.Ownership, show))
	}
	if l.OwnershipMustExist {
		parts = append(parts, "which must exist")
	}
	if l.Fallback != "" {
		parts = append(parts, "else without an entity as "+describeRef(l.Fallback, show))
	}
	return strings.Join(parts, ", ")
}

// subject is what is looked up.
func (l Lookup) subject(show bool) string {
	switch {
	case l.SignIn != "":
		return describeRef(l.SignIn, show) + " without the catalog"
	case l.EntityRef != "":
		return describeRef(l.EntityRef, show)
	}
	var conditions []string
	for _, k := range slices.Sorted(maps.Keys(l.Annotations)) {
		conditions = append(conditions, "metadata.annotations."+k+"="+describeValue(l.Annotations[k], show))
	}
	for _, k := range slices.Sorted(maps.Keys(l.Filter)) {
		conditions = append(conditions, k+"="+describeValue(l.Filter[k], show))
	}
	return strings.Join(conditions, " and ")
}

func describeValue(s string, show bool) string {
	if show {
		return s
	}
	return MaskValue(s)
}

// describeRef masks the name of an entity ref. Its kind is not a secret, and its namespace may be.
func describeRef(ref string, show bool) string {
	kind, rest, ok := strings.Cut(ref, ":")
	if show || !ok {
		return describeValue(ref, show)
	}
	namespace, name, ok := strings.Cut(rest, "/")
	if !ok {
		return kind + ":" + MaskValue(rest)
	}
	if namespace != defaultNamespace {
		namespace = MaskValue(namespace)
	}
	return kind + ":" + namespace + "/" + MaskValue(name)
}

func describeRefs(refs []string, show bool) string {
	described := make([]string, len(refs))
	for i, r := range refs {
		described[i] = describeRef(r, show)
	}
	return strings.Join(described, " ")
}

// maxDescribed bounds the lines of Result.Describe.
const maxDescribed = 500

// Describe lists what a resolver sees of the user, one "variable.path=value" each, by the names that rules use and in their
// order. Values are masked unless show is set; no token is among them, and no more than 500 lines are.
func (r Result) Describe(show bool) []string {
	in, err := ruleInput(r, nil)
	if err != nil {
		return []string{err.Error()}
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(in)) {
		lines = describeMember(lines, name, in[name], show)
	}
	return lines[:min(len(lines), maxDescribed)]
}

// describeMember appends a line for each scalar in v.
func describeMember(lines []string, path string, v any, show bool) []string {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			lines = describeMember(lines, path+"."+k, v[k], show)
		}
		return lines
	case map[string]string:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			lines = describeMember(lines, path+"."+k, v[k], show)
		}
		return lines
	case []any:
		for i, item := range v {
			lines = describeMember(lines, fmt.Sprintf("%s[%d]", path, i), item, show)
		}
		return lines
	case nil:
		return append(lines, path+"=null")
	case bool:
		return append(lines, fmt.Sprintf("%s=%t", path, v))
	default:
		return append(lines, path+"="+describeValue(fmt.Sprint(v), show))
	}
}
