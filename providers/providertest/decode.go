package providertest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"stagedoor/providers"
)

// Decode returns a providers.Setup.Decode for one entry in YAML. It is as strict as the server's: unknown keys, missing
// required ones and wrong types are errors. Durations are in Go's notation.
func Decode(entry string) func(into any) error {
	var m map[string]any
	if err := yaml.Unmarshal([]byte(entry), &m); err != nil {
		return func(any) error { return fmt.Errorf("read entry: %w", err) }
	}
	return decodeMap(m)
}

func decodeMap(m map[string]any) func(into any) error {
	return func(into any) error {
		known, err := decodeStruct(m, reflect.ValueOf(into).Elem())
		if err != nil {
			return err
		}
		for key := range m {
			if !slices.Contains(known, key) {
				return fmt.Errorf("unknown key %s", key)
			}
		}
		return nil
	}
}

// decodeStruct returns the keys that v knows, those of embedded structs included.
func decodeStruct(m map[string]any, v reflect.Value) (known []string, err error) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		tag, tagged := field.Tag.Lookup("config")
		if field.Anonymous && !tagged {
			inner, err := decodeStruct(m, v.Field(i))
			if err != nil {
				return nil, err
			}
			known = append(known, inner...)
			continue
		}
		if !tagged {
			continue
		}
		key, options, _ := strings.Cut(tag, ",")
		known = append(known, key)
		if err := decodeField(m[key], v.Field(i), strings.Split(options, ",")); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	return known, nil
}

func decodeField(value any, into reflect.Value, options []string) error {
	if value == nil {
		if slices.Contains(options, "required") {
			return fmt.Errorf("missing")
		}
		return nil
	}
	if s, ok := value.(string); ok && slices.Contains(options, "words") {
		into.Set(reflect.ValueOf(providers.SplitScope(s)))
		return nil
	}
	for _, o := range options {
		values, ok := strings.CutPrefix(o, "oneof=")
		if ok && !slices.Contains(strings.Split(values, "|"), fmt.Sprint(value)) {
			return fmt.Errorf("want one of %s", values)
		}
	}
	return decodeValue(value, into)
}

func decodeValue(value any, into reflect.Value) error {
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		return decodeValue(value, into.Elem())
	}
	switch value := value.(type) {
	case []any:
		return decodeList(value, into)
	case map[string]any:
		return decodeObject(value, into)
	case string:
		if into.Type() == reflect.TypeFor[time.Duration]() {
			d, err := time.ParseDuration(value)
			into.SetInt(int64(d))
			return err
		}
	}
	v := reflect.ValueOf(value)
	switch {
	case v.Type().AssignableTo(into.Type()):
		into.Set(v)
		return nil
	case v.CanUint() && into.Kind() == reflect.Int:
		into.SetInt(int64(v.Uint()))
		return nil
	case v.CanInt() && into.Kind() == reflect.Int:
		into.SetInt(v.Int())
		return nil
	}
	return fmt.Errorf("want %s", into.Type())
}

func decodeList(value []any, into reflect.Value) error {
	if into.Kind() == reflect.Interface {
		into.Set(reflect.ValueOf(value))
		return nil
	}
	if into.Kind() != reflect.Slice {
		return fmt.Errorf("want %s", into.Type())
	}
	list := reflect.MakeSlice(into.Type(), len(value), len(value))
	for i, v := range value {
		if err := decodeValue(v, list.Index(i)); err != nil {
			return err
		}
	}
	into.Set(list)
	return nil
}

func decodeObject(value map[string]any, into reflect.Value) error {
	switch into.Kind() {
	case reflect.Interface:
		into.Set(reflect.ValueOf(value))
		return nil
	case reflect.Struct:
		return decodeMap(value)(into.Addr().Interface())
	case reflect.Map:
		into.Set(reflect.MakeMap(into.Type()))
		for k, v := range value {
			elem := reflect.New(into.Type().Elem()).Elem()
			if err := decodeValue(v, elem); err != nil {
				return err
			}
			into.SetMapIndex(reflect.ValueOf(k), elem)
		}
		return nil
	}
	return fmt.Errorf("want %s", into.Type())
}
