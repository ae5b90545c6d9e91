package tokens

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Tokens are written as JSON.stringify writes them (ECMA-262 section 25.5.2), not as encoding/json does: consumers in
// JavaScript write part of a token anew and expect the signature to hold (contract/core.md T20).

// maxDepth bounds the nesting of a claim's value.
const maxDepth = 32

var (
	errUTF8   = errors.New("string is not valid UTF-8")
	errNumber = errors.New("number has no JSON form")
	errDepth  = errors.New("value is nested too deeply")
)

// appendValue appends the kinds of values that decoding JSON yields, []string and integers.
func appendValue(dst []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case string:
		return appendString(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case float64:
		return appendFloat(dst, v)
	case json.Number:
		return appendNumber(dst, v)
	case []string:
		return appendList(dst, v, appendString)
	case []any:
		return appendNested(dst, v, depth)
	case map[string]any:
		return appendObject(dst, v, depth)
	}
	return nil, fmt.Errorf("type %T has no JSON form here", v)
}

func appendNested(dst []byte, list []any, depth int) ([]byte, error) {
	if depth >= maxDepth {
		return nil, errDepth
	}
	return appendList(dst, list, func(dst []byte, v any) ([]byte, error) { return appendValue(dst, v, depth+1) })
}

func appendList[E any](dst []byte, list []E, one func([]byte, E) ([]byte, error)) ([]byte, error) {
	var err error
	dst = append(dst, '[')
	for i, e := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = one(dst, e); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

// appendObject writes members in the order of their names, so that equal input gives equal bytes.
func appendObject(dst []byte, m map[string]any, depth int) ([]byte, error) {
	if depth >= maxDepth {
		return nil, errDepth
	}
	var err error
	dst = append(dst, '{')
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendMember(dst, name, m[name], depth+1); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendMember(dst []byte, name string, v any, depth int) ([]byte, error) {
	dst, err := appendString(dst, name)
	if err != nil {
		return nil, err
	}
	return appendValue(append(dst, ':'), v, depth)
}

// appendFloat relies on encoding/json for the shortest form, which is that of ECMA-262 but for negative zero.
func appendFloat(dst []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errNumber
	}
	if f == 0 {
		return append(dst, '0'), nil
	}
	text, err := json.Marshal(f)
	return append(dst, text...), err
}

func appendNumber(dst []byte, n json.Number) ([]byte, error) {
	if i, err := n.Int64(); err == nil {
		return strconv.AppendInt(dst, i, 10), nil
	}
	f, err := n.Float64()
	if err != nil {
		return nil, errNumber
	}
	return appendFloat(dst, f)
}

const hexDigits = "0123456789abcdef"

// appendString escapes the quote, the backslash and control characters, and nothing else. Invalid UTF-8, which is also
// what a lone surrogate is in Go, is refused: every replacement would name somebody else.
func appendString(dst []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, errUTF8
	}
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = appendControl(dst, c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"'), nil
}

func appendControl(dst []byte, c byte) []byte {
	switch c {
	case '\b':
		return append(dst, `\b`...)
	case '\t':
		return append(dst, `\t`...)
	case '\n':
		return append(dst, `\n`...)
	case '\f':
		return append(dst, `\f`...)
	case '\r':
		return append(dst, `\r`...)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}
