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
	return entityRef{e.Kind, e.namespace(), e.Metadata.Name}.String()
}

func (e entity) namespace() string {
	if e.Metadata.Namespace == "" {
		return defaultNamespace
	}
	return e.Metadata.Namespace
}

// targets completes references that stand in the entity: they are relative to its namespace.
func (e entity) targets(refs []string, kind string) []string {
	all := make([]string, len(refs))
	for i, ref := range refs {
		all[i] = splitRef(ref, entityRef{kind: kind, namespace: e.namespace()}).String()
	}
	return all
}

// index is a parsed file. It is never changed after parse returned it.
type index struct {
	users map[string]User
	// entities has the reference of every entity of any kind.
	entities map[string]bool
	// fields maps "path=value", both lower case, to the references of the users that have it, in file order. exact does so with
	// the value as it is written.
	fields, exact map[string][]string
}

// parse reads a stream of YAML documents in the catalog's entity format. Of kinds other than User and Group it keeps only
// that they exist.
func parse(text []byte) (*index, error) {
	entities, err := decode(text)
	if err != nil {
		return nil, err
	}
	ix := &index{users: map[string]User{}, entities: map[string]bool{}, fields: map[string][]string{}, exact: map[string][]string{}}
	users := slices.DeleteFunc(slices.Clone(entities), func(e entity) bool { return !strings.EqualFold(e.Kind, "User") })
	for _, e := range users {
		if err := ix.addUser(e); err != nil {
			return nil, err
		}
	}
	for _, e := range entities {
		ix.entities[e.ref()] = true
		if strings.EqualFold(e.Kind, "Group") {
			ix.addMembers(e)
		}
	}
	for _, e := range users {
		ix.addFields(e)
	}
	return ix, nil
}

func (ix *index) addUser(e entity) error {
	ref := e.ref()
	if _, dup := ix.users[ref]; dup {
		return fmt.Errorf("user %s stands in the catalog file twice", ref)
	}
	ix.users[ref] = User{Ref: ref, Ownership: ownership(ref, e.targets(e.Spec.MemberOf, "group"))}
	return nil
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

// addMembers gives the group to the users it names: the catalog makes a memberOf relation of either side.
func (ix *index) addMembers(group entity) {
	for _, ref := range group.targets(group.Spec.Members, "user") {
		if u, ok := ix.users[ref]; ok {
			u.Ownership = ownership(ref, append(slices.Clone(u.Ownership[1:]), group.ref()))
			ix.users[ref] = u
		}
	}
}

// addFields indexes the user's fields. Their membership must be complete.
func (ix *index) addFields(e entity) {
	ref := e.ref()
	eachEntityField(e.Fields, ix.users[ref].Ownership[1:], func(c condition) {
		note(ix.fields, c.key(), ref)
		note(ix.exact, c.exactKey(), ref)
	})
}

func note(fields map[string][]string, key, ref string) {
	if !slices.Contains(fields[key], ref) {
		fields[key] = append(fields[key], ref)
	}
}
