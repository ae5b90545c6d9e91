package providers

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

const (
	// defaultNamespace is where an entity is whose ref names no namespace.
	defaultNamespace = "default"
	// longestValue bounds what a look-up may ask for, in bytes: as long as an email may be (RFC 5321 section 4.5.3.1.3, less
	// the angle brackets), which is more than an entity's name or an upstream's user id needs.
	longestValue = 254
)

// userRef is the reference of a user in the default namespace, spelled as the upstream spells the name (contract/core.md S7).
func userRef(name string) string { return "user:" + defaultNamespace + "/" + name }

// fallbackRef is the identity of somebody without an entity: as userRef, in the lower case that a token's subject has to be
// in (contract/core.md S13, T9).
func fallbackRef(name string) string { return strings.ToLower(userRef(name)) }

// checkName accepts what may stand in an entity ref without being read as another part of it, or as a step in a path.
func checkName(s string) error {
	if strings.Trim(s, ".") == "" {
		return errors.New("name is empty or dots alone")
	}
	return checkRunes(s, unsafeInName)
}

// checkFilterValue accepts what may stand in a catalog filter, which has no way to quote a value (contract/core.md S9).
func checkFilterValue(s string) error {
	if s == "" || strings.TrimSpace(s) != s {
		return errors.New("value is empty or padded with white space")
	}
	return checkRunes(s, unsafeInFilter)
}

func checkRunes(s string, unsafe func(rune) bool) error {
	if len(s) > longestValue {
		return fmt.Errorf("value is longer than %d bytes", longestValue)
	}
	if strings.ContainsFunc(s, unsafe) {
		return errors.New("value holds a character that a catalog look-up cannot carry")
	}
	return nil
}

// unsafeInName is true for what could end a name early in an entity ref or catalog filter, which are built from it without
// escaping (contract/core.md S9), and for what does not belong into the unquoted local part of an email.
func unsafeInName(r rune) bool {
	return unsafeInFilter(r) || unicode.IsSpace(r) || strings.ContainsRune(`":;<>()[]\/`, r)
}

// unsafeInFilter is true for what begins another condition, cannot be seen, or turns into another character where the
// catalog compares without regard to case.
func unsafeInFilter(r rune) bool {
	return r == ',' || r == unicode.ReplacementChar || !unicode.IsGraphic(r) || foldsToASCII(r)
}

// foldsToASCII is true for the few characters beyond ASCII whose other case is ASCII: KELVIN SIGN and LONG S among them.
// Whoever may put one into a user name would be taken for the user whose name has a k or an s there.
func foldsToASCII(r rune) bool {
	return r > unicode.MaxASCII && (unicode.ToLower(r) <= unicode.MaxASCII || unicode.ToUpper(r) <= unicode.MaxASCII)
}

// scalarText is a string, or a whole number in decimals as some upstreams number their users; else "".
func scalarText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case float64:
		if n, ok := wholeNumber(v); ok {
			return strconv.FormatInt(n, 10)
		}
	}
	return ""
}

// wholeNumber is f without loss, if it is a whole number that JSON's readers agree on (RFC 8259 section 6).
func wholeNumber(f float64) (int64, bool) {
	const largest = 1<<53 - 1 // 2^53 is also what 2^53+1 is read as
	if math.Abs(f) > largest || f != math.Trunc(f) {
		return 0, false
	}
	return int64(f), true
}
