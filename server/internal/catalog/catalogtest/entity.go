package catalogtest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"
)

// document is an entity as the API writes it.
type document map[string]any

func readDocuments(text string) ([]document, error) {
	var all []document
	for d := yaml.NewDecoder(bytes.NewReader([]byte(text))); ; {
		var e document
		err := d.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read entities: %w", err)
		}
		if e != nil {
			all = append(all, e)
		}
	}
	relate(all)
	return all, nil
}

// relate gives users their memberOf relations, which the real catalog makes of either side.
func relate(all []document) {
	for _, e := range all {
		switch e.text("kind") {
		case "User":
			for _, group := range e.targets("memberOf", "group") {
				e.join(group)
			}
		case "Group":
			for _, member := range e.targets("members", "user") {
				if user := find(all, member); user != nil {
					user.join(e.ref())
				}
			}
		}
	}
}

func (e document) join(group string) {
	relations, _ := e["relations"].([]any)
	e["relations"] = append(relations, map[string]any{"type": "memberOf", "targetRef": group})
}

// targets completes the references in a list below spec. They are relative to the entity's namespace.
func (e document) targets(list, kind string) []string {
	spec, _ := e["spec"].(map[string]any)
	refs, _ := spec[list].([]any)
	all := make([]string, len(refs))
	for i, r := range refs {
		ref := fmt.Sprint(r)
		if !strings.Contains(ref, ":") {
			ref = kind + ":" + ref
		}
		if before, name, _ := strings.Cut(ref, ":"); !strings.Contains(name, "/") {
			ref = before + ":" + e.namespace() + "/" + name
		}
		all[i] = strings.ToLower(ref)
	}
	return all
}

func (e document) text(path ...string) string {
	var at any = map[string]any(e)
	for _, name := range path {
		below, _ := at.(map[string]any)
		at = below[name]
	}
	text, _ := at.(string)
	return text
}

func (e document) namespace() string { return cmp.Or(e.text("metadata", "namespace"), "default") }

func (e document) ref() string {
	return strings.ToLower(e.text("kind") + ":" + e.namespace() + "/" + e.text("metadata", "name"))
}

// find returns the entity with that complete reference, or nil.
func find(all []document, ref string) document {
	for _, e := range all {
		if e.ref() == strings.ToLower(ref) {
			return e
		}
	}
	return nil
}
