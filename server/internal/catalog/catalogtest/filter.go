package catalogtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// filters are the alternatives of a query; without any, every entity fits.
type filters []filter

// filter maps a field's path to the values it may have; no values mean that the field must be there. All paths must fit.
type filter map[string][]string

// parseFilters reads the syntax of the filter parameter as the catalog does: a=b,c=d, without any way to quote a comma, with
// white space removed around everything, and several values of one path as alternatives.
func parseFilters(params []string) (filters, error) {
	var all filters
	for _, param := range params {
		f := filter{}
		for _, statement := range strings.Split(param, ",") {
			if statement = strings.TrimSpace(statement); statement == "" {
				continue
			}
			path, value, valued := strings.Cut(statement, "=")
			path = strings.ToLower(strings.TrimSpace(path))
			if path == "" {
				return nil, errors.New("read filter: a statement has no path")
			}
			if f[path] = slices.Clip(f[path]); valued {
				f[path] = append(f[path], strings.ToLower(strings.TrimSpace(value)))
			}
		}
		if len(f) > 0 {
			all = append(all, f)
		}
	}
	return all, nil
}

func (fs filters) fits(e document) bool {
	fields := map[string][]string{}
	e.index(func(path, value string) {
		path = strings.ToLower(path)
		fields[path] = append(fields[path], strings.ToLower(value))
	})
	return len(fs) == 0 || slices.ContainsFunc(fs, func(f filter) bool { return f.fits(fields) })
}

func (f filter) fits(fields map[string][]string) bool {
	for path, values := range f {
		has, ok := fields[path]
		if !ok || len(values) > 0 && !slices.ContainsFunc(values, func(v string) bool { return slices.Contains(has, v) }) {
			return false
		}
	}
	return true
}

// index calls emit for every field that can be searched for.
func (e document) index(emit func(path, value string)) {
	emit("metadata.namespace", e.namespace())
	for name, below := range e {
		if name != "relations" {
			walk(name, below, emit)
		}
	}
	relations, _ := e["relations"].([]any)
	for _, r := range relations {
		r, _ := r.(map[string]any)
		emit(fmt.Sprintf("relations.%v", r["type"]), fmt.Sprint(r["targetRef"]))
	}
}

func walk(path string, value any, emit func(path, value string)) {
	switch v := value.(type) {
	case map[string]any:
		for name, below := range v {
			walk(path+"."+name, below, emit)
		}
	case []any:
		for _, below := range v {
			walk(path, below, emit)
			emit(fmt.Sprintf("%s.%v", path, below), "true")
		}
	case nil:
	default:
		emit(path, fmt.Sprint(v))
	}
}
