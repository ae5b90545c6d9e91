package providers

import (
	"slices"
	"strings"
	"unicode"
)

// SplitScope splits a scope string on white space, commas and bars, and drops empty parts (contract/core.md F14).
func SplitScope(scope string) []string {
	return strings.FieldsFunc(scope, func(r rune) bool { return r == ',' || r == '|' || unicode.IsSpace(r) })
}

// Merge returns the scope to ask for: requested, granted, required and additional, each once, in this order, joined by
// single spaces (contract/core.md F15). What was granted counts only if the scopes persist; Transform, if there is one,
// replaces the order.
func (s Scopes) Merge(requested, granted string, additional []string) string {
	var kept []string
	if s.Persist {
		kept = SplitScope(granted)
	}
	merge := s.Transform
	if merge == nil {
		merge = concatScopes
	}
	return joinScopes(merge(SplitScope(requested), kept, s.Required, additional))
}

// Covers reports whether every scope of wanted is in granted (contract/core.md F19).
func (s Scopes) Covers(granted, wanted string) bool {
	have := SplitScope(granted)
	return !slices.ContainsFunc(SplitScope(wanted), func(w string) bool { return !slices.Contains(have, w) })
}

func concatScopes(requested, granted, required, additional []string) []string {
	return slices.Concat(requested, granted, required, additional)
}

// joinScopes joins without repeating one.
func joinScopes(scopes []string) string {
	unique := make([]string, 0, len(scopes))
	for _, s := range scopes {
		if !slices.Contains(unique, s) {
			unique = append(unique, s)
		}
	}
	return strings.Join(unique, " ")
}
