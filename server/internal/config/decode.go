package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// decoder fills Go values from nodes. It goes on after a problem, so that all are found.
type decoder struct {
	// strict reports keys that no tag names.
	strict bool
	// also are keys of the outermost object that strict mode accepts beyond the tags.
	also []string
	// source names the files, for the message about a missing key.
	source   string
	problems *problems
}

// errTarget is a mistake of the caller, not of the configuration.
var errTarget = errors.New("want a pointer to a struct to decode into")

// decode fills the struct that into points to.
func (d *decoder) decode(n *node, at string, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("decode %s: %w, got %T", at, errTarget, into)
	}
	d.object(n, at, v.Elem(), d.also)
	return d.problems.err()
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	nodeType     = reflect.TypeFor[*node]()
)

// value fills v from n, which stands at key and is not absent.
func (d *decoder) value(n *node, key string, v reflect.Value, o options) {
	switch {
	case v.Type() == nodeType:
		v.Set(reflect.ValueOf(n))
		return
	case v.Type() == durationType:
		d.duration(n, key, v, o)
		return
	}
	switch v.Kind() {
	case reflect.String:
		d.text(n, key, v, o)
	case reflect.Bool:
		if b, err := boolOf(n); d.check(n, key, err) {
			v.SetBool(b)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if i, err := intOf(n, v.Type().Bits()); d.check(n, key, err) {
			v.SetInt(i)
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		d.unsigned(n, key, v)
	case reflect.Float32, reflect.Float64:
		if f, err := floatOf(n); d.check(n, key, err) {
			v.SetFloat(f)
		}
	default:
		d.compound(n, key, v, o)
	}
}

// compound fills what holds other values.
func (d *decoder) compound(n *node, key string, v reflect.Value, o options) {
	switch v.Kind() {
	case reflect.Interface:
		v.Set(reflect.ValueOf(anyOf(n)))
	case reflect.Pointer:
		target := reflect.New(v.Type().Elem())
		d.value(n, key, target.Elem(), o)
		v.Set(target)
	case reflect.Slice:
		d.list(n, key, v, o)
	case reflect.Map:
		d.dictionary(n, key, v, o)
	case reflect.Struct:
		d.object(n, key, v, nil)
	default:
		d.problems.add(n.at, key, "cannot be read into a %s", v.Type())
	}
}

// check reports err, if there is one, and returns whether there was none. It names the environment variables that the
// value was made of, as they are often what is to be corrected.
func (d *decoder) check(n *node, key string, err error) bool {
	switch vars := n.variables(); {
	case err == nil:
		return true
	case vars != "":
		d.problems.add(n.at, key, "%s, see %s", err, vars)
	default:
		d.problems.add(n.at, key, "%s", err)
	}
	return false
}

func (d *decoder) text(n *node, key string, v reflect.Value, o options) {
	switch {
	case n.form == number || n.form == boolean:
		d.problems.add(n.at, key, "want a string, found %s: put it in quotes", n.form)
	case n.form != text:
		d.problems.add(n.at, key, "want a string, found %s", n.form)
	case n.text == "":
		d.check(n, key, errors.New("want a string that is not empty"))
	case o.oneOf != nil && !slices.Contains(o.oneOf, n.text):
		d.check(n, key, fmt.Errorf("want one of %s", strings.Join(o.oneOf, ", ")))
	case o.file:
		v.SetString(n.at.resolve(n.text))
	default:
		v.SetString(n.text)
	}
}

func (d *decoder) unsigned(n *node, key string, v reflect.Value) {
	i, err := intOf(n, 64)
	if err == nil && (i < 0 || v.OverflowUint(uint64(i))) {
		err = errRange
	}
	if d.check(n, key, err) {
		v.SetUint(uint64(i))
	}
}

func (d *decoder) duration(n *node, key string, v reflect.Value, o options) {
	if o.millis {
		if ms, err := floatOf(n); err == nil {
			n = &node{form: text, at: n.at, vars: n.vars, text: fmt.Sprintf("%fms", ms)}
		}
	}
	if t, err := durationOf(n); d.check(n, key, err) {
		v.SetInt(int64(t))
	}
}

func (d *decoder) list(n *node, key string, v reflect.Value, o options) {
	items := n.items
	switch {
	case n.form == list:
	case n.form == text && o.words:
		d.words(n, key, v)
		return
	case o.list:
		items = []*node{n}
	default:
		d.problems.add(n.at, key, "want a list, found %s", n.form)
		return
	}
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		at := key
		if n.form == list {
			at = indexed(key, i)
		}
		d.item(item, at, out.Index(i), o)
	}
	v.Set(out)
}

// item fills an element of a list or map, where nothing may be absent.
func (d *decoder) item(n *node, key string, v reflect.Value, o options) {
	if n.absent() {
		d.problems.add(n.at, key, "want a value, found %s", n.form)
		return
	}
	d.value(n, key, v, o)
}

func (d *decoder) words(n *node, key string, v reflect.Value) {
	words := wordsOf(n.text)
	if len(words) == 0 {
		d.check(n, key, errors.New("want a string that is not empty"))
		return
	}
	v.Set(reflect.ValueOf(words).Convert(v.Type()))
}

// dictionary fills a map with string keys.
func (d *decoder) dictionary(n *node, key string, v reflect.Value, o options) {
	if n.form != object {
		d.problems.add(n.at, key, "want an object, found %s", n.form)
		return
	}
	out := reflect.MakeMapWithSize(v.Type(), len(n.fields))
	for _, f := range n.fields {
		if f.value.absent() {
			continue
		}
		item := reflect.New(v.Type().Elem()).Elem()
		d.item(f.value, dotted(key, f.name), item, o)
		out.SetMapIndex(reflect.ValueOf(f.name).Convert(v.Type().Key()), item)
	}
	v.Set(out)
}

// object fills a struct. An absent object is treated as an empty one, so that its required keys are reported by name.
func (d *decoder) object(n *node, at string, v reflect.Value, also []string) {
	if !n.absent() && n.form != object {
		d.problems.add(n.at, at, "want an object, found %s", n.form)
		return
	}
	keys := keysOf(v.Type())
	for _, k := range keys {
		below := n.get(k.name)
		field, name := v.FieldByIndex(k.index), dotted(at, k.name)
		switch {
		case !below.absent():
			d.value(below, name, field, k.opts)
		case k.opts.required:
			d.missing(below, name)
		case field.Kind() == reflect.Struct:
			d.object(nil, name, field, nil)
		}
	}
	if d.strict && n != nil {
		d.unknown(n, at, keys, also)
	}
}

// missing reports a required key, in the words that Backstage uses (contract/core.md C1).
func (d *decoder) missing(n *node, key string) {
	message := fmt.Sprintf("Missing required config value at '%s' in '%s'", key, d.source)
	if n == nil || n.form != unset {
		d.problems.add(Position{}, key, "%s", message)
		return
	}
	if vars := n.variables(); vars != "" {
		message += ": " + vars + " is not set"
	}
	d.problems.add(n.at, key, "%s", message)
}

// unknown reports keys that no tag names, with the name that was probably meant.
func (d *decoder) unknown(n *node, at string, keys []key, also []string) {
	names := slices.Clone(also)
	for _, k := range keys {
		names = append(names, k.name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, f := range n.fields {
		if slices.Contains(names, f.name) {
			continue
		}
		if near := nearest(f.name, names); near != "" {
			d.problems.add(f.at, dotted(at, f.name), "unknown key, did you mean %s?", near)
			continue
		}
		d.problems.add(f.at, dotted(at, f.name), "unknown key, want one of %s", strings.Join(names, ", "))
	}
}
