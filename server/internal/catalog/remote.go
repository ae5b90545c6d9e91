package catalog

import "strings"

// remoteEntity is an entity as the API writes it.
type remoteEntity map[string]any

// ref is the entity's reference, or "" if it lacks a part.
func (e remoteEntity) ref() string {
	ref := entityRef{textAt(e, "kind"), textAt(e, "metadata", "namespace"), textAt(e, "metadata", "name")}
	if ref.namespace == "" {
		ref.namespace = defaultNamespace
	}
	return ref.String()
}

func (e remoteEntity) isUser() bool { return strings.HasPrefix(e.ref(), "user:") }

func (e remoteEntity) user() User {
	return User{Ref: e.ref(), Ownership: ownership(e.ref(), e.groups())}
}

// groups are the targets of the memberOf relations, complete. Old catalogs write a target in parts.
func (e remoteEntity) groups() []string {
	var refs []string
	relations, _ := e["relations"].([]any)
	for _, one := range relations {
		r, _ := one.(map[string]any)
		if textAt(r, "type") != memberOf {
			continue
		}
		ref := completeRef(textAt(r, "targetRef"), "")
		if ref == "" {
			ref = entityRef{textAt(r, "target", "kind"), textAt(r, "target", "namespace"), textAt(r, "target", "name")}.String()
		}
		refs = append(refs, ref)
	}
	return refs
}

// has says whether the entity fulfils every condition, compared by the given key.
func (e remoteEntity) has(all []condition, key func(condition) string) bool {
	fields := map[string]bool{}
	eachEntityField(e, e.groups(), func(c condition) { fields[key(c)] = true })
	for _, c := range all {
		if !fields[key(c)] {
			return false
		}
	}
	return true
}
