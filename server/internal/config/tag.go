package config

import (
	"reflect"
	"strings"
)

// key is one struct field that a tag names.
type key struct {
	name  string
	index []int
	opts  options
}

// options are what a tag says besides the name.
type options struct {
	required, list, words, millis, file bool
	oneOf                               []string
}

// keysOf lists the keys of a struct type in the order of its fields, embedded structs included.
func keysOf(t reflect.Type) []key {
	var keys []key
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("config")
		switch {
		case !tagged && f.Anonymous && f.Type.Kind() == reflect.Struct:
			for _, k := range keysOf(f.Type) {
				k.index = append([]int{i}, k.index...)
				keys = append(keys, k)
			}
		case tagged && f.IsExported():
			name, rest, _ := strings.Cut(tag, ",")
			keys = append(keys, key{name: name, index: []int{i}, opts: optionsOf(rest)})
		}
	}
	return keys
}

func optionsOf(tag string) options {
	var o options
	for opt := range strings.SplitSeq(tag, ",") {
		name, arg, _ := strings.Cut(opt, "=")
		switch name {
		case "required":
			o.required = true
		case "list":
			o.list = true
		case "words":
			o.words = true
		case "millis":
			o.millis = true
		case "file":
			o.file = true
		case "oneof":
			o.oneOf = strings.Split(arg, "|")
		}
	}
	return o
}
