package catalog

import "strings"

// completeRef writes a reference in full and in lower case: [kind:][namespace/]name with the given kind and the namespace
// "default" where they are left out (contract/core.md S7, T9). An empty name gives an empty reference.
func completeRef(ref, kind string) string {
	namespace, name := "default", ref
	if k, rest, ok := strings.Cut(name, ":"); ok {
		kind, name = k, rest
	}
	if ns, rest, ok := strings.Cut(name, "/"); ok {
		namespace, name = ns, rest
	}
	if kind == "" || namespace == "" || name == "" {
		return ""
	}
	return strings.ToLower(kind + ":" + namespace + "/" + name)
}
