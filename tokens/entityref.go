package tokens

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// DefaultNamespace is the namespace of an entity reference that names none.
const DefaultNamespace = "default"

// EntityRef is a reference to a catalog entity in its three parts, none of them empty.
type EntityRef struct{ Kind, Namespace, Name string }

// ParseEntityRef reads "kind:namespace/name" or "kind:name", whose namespace is DefaultNamespace.
//
// The grammar is Backstage's: the kind ends at the first colon, the namespace at the first slash after it, and the name
// is the rest, further colons and slashes included. A colon behind the first slash belongs to the name. A missing kind
// or an empty part is ErrSubject. Letters keep their case.
func ParseEntityRef(ref string) (EntityRef, error) {
	kind, rest, ok := strings.Cut(ref, ":")
	if !ok || strings.Contains(kind, "/") {
		return EntityRef{}, fmt.Errorf("%w: no kind", ErrSubject)
	}
	namespace, name, ok := strings.Cut(rest, "/")
	if !ok {
		namespace, name = DefaultNamespace, rest
	}
	if kind == "" || namespace == "" || name == "" {
		return EntityRef{}, fmt.Errorf("%w: empty part", ErrSubject)
	}
	return EntityRef{kind, namespace, name}, nil
}

// checkSubject holds a token's subject against contract/core.md T6 and T9. Upper case is refused, not folded: the
// caller stores user info under the same string, and two spellings of one user would split it.
func checkSubject(subject string) error {
	if _, err := ParseEntityRef(subject); err != nil {
		return err
	}
	if !utf8.ValidString(subject) {
		return fmt.Errorf("%w: %w", ErrSubject, errUTF8)
	}
	if strings.ToLower(subject) != subject {
		return fmt.Errorf("%w: not in lower case", ErrSubject)
	}
	return nil
}
