package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"stagedoor/server/internal/devidp"
)

// defaultPolicy is the Content-Security-Policy of a Backstage backend, directive by directive (contract/core.md R32).
var defaultPolicy = [][2]string{
	{"default-src", "'self'"},
	{"base-uri", "'self'"},
	{"font-src", "'self' https: data:"},
	{"frame-ancestors", "'self'"},
	{"img-src", "'self' data:"},
	{"object-src", "'none'"},
	{"script-src", "'self' 'unsafe-eval'"},
	{"script-src-attr", "'none'"},
	{"style-src", "'self' https: 'unsafe-inline'"},
	{"upgrade-insecure-requests", ""},
}

// policy is the default with the configured directives in place of theirs; a nil list drops one, and new ones come last, sorted.
// Without any it is "", which leaves the choice to the API.
func policy(configured map[string][]string) string {
	if len(configured) == 0 {
		return ""
	}
	var parts []string
	add := func(name, values string) { parts = append(parts, strings.TrimSpace(name+" "+values)) }
	known := map[string]bool{}
	for _, d := range defaultPolicy {
		known[d[0]] = true
		values, changed := configured[d[0]]
		switch {
		case !changed:
			add(d[0], d[1])
		case values != nil:
			add(d[0], strings.Join(values, " "))
		}
	}
	var further []string
	for name, values := range configured {
		if !known[name] && values != nil {
			further = append(further, strings.TrimSpace(name+" "+strings.Join(values, " ")))
		}
	}
	slices.Sort(further)
	return strings.Join(append(parts, further...), ";")
}

// people reads who can sign in at the development provider; without a file it is nil, the built-in people.
func people(path string) ([]devidp.Person, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read people: %w", err)
	}
	return devidp.LoadPeople(text)
}
