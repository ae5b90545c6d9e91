package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// entity is one document of the file. Fields keeps all of it for look-ups by path.
type entity struct {
	Kind     string         `yaml:"kind"`
	Metadata metadata       `yaml:"metadata"`
	Spec     spec           `yaml:"spec"`
	Fields   map[string]any `yaml:"-"`
}

type metadata struct {
	Name      string `yaml:"name"`
	Namespace string `yaml:"namespace"`
}

type spec struct {
	MemberOf []string `yaml:"memberOf"`
	Members  []string `yaml:"members"`
}

func (e entity) ref() string {
	name := e.Metadata.Name
	if e.Metadata.Namespace != "" {
		name = e.Metadata.Namespace + "/" + name
	}
	return completeRef(name, e.Kind)
}

// index is a parsed file. It is never changed after parse returned it.
type index struct {
	users map[string]User
	// fields maps "path=value", both lower case, to the references of the users that have it, in file order.
	fields map[string][]string
}

// parse reads a stream of YAML documents in the catalog's entity format. Kinds other than User and Group are passed over.
func parse(text []byte) (*index, error) {
	entities, err := decode(text)
	if err != nil {
		return nil, err
	}
	ix := &index{users: map[string]User{}, fields: map[string][]string{}}
	for _, e := range entities {
		if !strings.EqualFold(e.Kind, "User") {
			continue
		}
		ref := e.ref()
		if _, dup := ix.users[ref]; dup {
			return nil, fmt.Errorf("user %s stands in the catalog file twice", ref)
		}
		ix.users[ref] = User{Ref: ref, Ownership: ownership(ref, e.Spec.MemberOf)}
		ix.addFields(ref, "", e.Fields)
	}
	for _, e := range entities {
		if strings.EqualFold(e.Kind, "Group") {
			ix.addMembers(e)
		}
	}
	return ix, nil
}

func decode(text []byte) ([]entity, error) {
	var all []entity
	d := yaml.NewDecoder(bytes.NewReader(text))
	for n := 1; ; n++ {
		var fields map[string]any
		err := d.Decode(&fields)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read entity %d of the catalog file: %w", n, err)
		}
		if fields == nil {
			continue
		}
		e := entity{Fields: fields}
		again, err := yaml.Marshal(fields)
		if err == nil {
			err = yaml.Unmarshal(again, &e)
		}
		if err != nil {
			return nil, fmt.Errorf("read entity %d of the catalog file: %w", n, err)
		}
		if e.ref() == "" {
			return nil, fmt.Errorf("entity %d of the catalog file needs kind and metadata.name", n)
		}
		all = append(all, e)
	}
}

func ownership(ref string, groups []string) []string {
	own := []string{ref}
	for _, g := range groups {
		if g = completeRef(g, "group"); strings.HasPrefix(g, "group:") && !slices.Contains(own, g) {
			own = append(own, g)
		}
	}
	return own
}

// addMembers gives the group to the users it names: the catalog makes a memberOf relation of either side.
func (ix *index) addMembers(group entity) {
	for _, m := range group.Spec.Members {
		ref := completeRef(m, "user")
		if u, ok := ix.users[ref]; ok {
			u.Ownership = ownership(ref, append(slices.Clone(u.Ownership[1:]), group.ref()))
			ix.users[ref] = u
		}
	}
}

// addFields indexes every scalar below value under its dotted path, and every element of a list under the list's path, as
// the catalog's search table does.
func (ix *index) addFields(ref, path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for k, below := range v {
			ix.addFields(ref, strings.TrimPrefix(path+"."+k, "."), below)
		}
	case []any:
		for _, below := range v {
			ix.addFields(ref, path, below)
		}
	case nil:
	default:
		key := fieldKey(path, fmt.Sprint(v))
		if !slices.Contains(ix.fields[key], ref) {
			ix.fields[key] = append(ix.fields[key], ref)
		}
	}
}

func fieldKey(path, value string) string { return strings.ToLower(path + "=" + value) }
