package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

var (
	errBool    = errors.New("want true or false")
	errNumber  = errors.New("want a number")
	errInteger = errors.New("want a whole number")
	errRange   = errors.New("want a number that is not out of range")
)

// boolOf reads a boolean or a word for one (contract/core.md C4).
func boolOf(n *node) (bool, error) {
	if n.form != boolean && n.form != text && n.form != number {
		return false, errBool
	}
	switch strings.ToLower(strings.TrimSpace(n.text)) {
	case "true", "t", "yes", "y", "on", "1":
		return true, nil
	case "false", "f", "no", "n", "off", "0":
		return false, nil
	}
	return false, errBool
}

// intOf reads a whole number, or a string that holds one, of so many bits.
func intOf(n *node, bits int) (int64, error) {
	s := strings.TrimSpace(n.text)
	if n.form != number && n.form != text || s == "" {
		return 0, errInteger
	}
	base := 10
	if strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0o") {
		base = 0
	}
	i, err := strconv.ParseInt(s, base, bits)
	if err == nil {
		return i, nil
	}
	if errors.Is(err, strconv.ErrRange) {
		return 0, errRange
	}
	f, err := floatOf(n)
	if err != nil || f != math.Trunc(f) {
		return 0, errInteger
	}
	if math.Abs(f) >= math.Ldexp(1, bits-1) {
		return 0, errRange
	}
	return int64(f), nil
}

// floatOf reads a number, or a string that holds one. Infinity and NaN are refused, as no setting means them.
func floatOf(n *node) (float64, error) {
	s := strings.TrimSpace(n.text)
	if n.form != number && n.form != text || s == "" {
		return 0, errNumber
	}
	if strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0o") {
		i, err := strconv.ParseInt(s, 0, 64)
		if err != nil {
			return 0, errNumber
		}
		return float64(i), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return 0, errNumber
	}
	return f, nil
}

// anyOf is the value as encoding/json would give it, but for int64 where it fits.
func anyOf(n *node) any {
	switch {
	case n.absent():
		return nil
	case n.form == boolean:
		return strings.EqualFold(n.text, "true")
	case n.form == number:
		return numberOf(n)
	case n.form == list:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = anyOf(item)
		}
		return out
	case n.form == object:
		out := make(map[string]any, len(n.fields))
		for _, f := range n.fields {
			if !f.value.absent() {
				out[f.name] = anyOf(f.value)
			}
		}
		return out
	}
	return n.text
}

func numberOf(n *node) any {
	if i, err := intOf(n, 64); err == nil {
		return i
	}
	if f, err := floatOf(n); err == nil {
		return f
	}
	return n.text
}

// wordsOf splits a string at white space, commas and bars.
func wordsOf(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" \t\r\n,|", r) })
}
