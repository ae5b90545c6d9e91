package tokens

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// jsonValue draws whatever decoding JSON can yield.
func jsonValue() *rapid.Generator[any] {
	return rapid.Deferred(func() *rapid.Generator[any] {
		return rapid.OneOf(
			rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(), rapid.Float64().AsAny(),
			rapid.SliceOfN(jsonValue(), 0, 3).AsAny(), rapid.MapOfN(rapid.String(), jsonValue(), 0, 3).AsAny(),
		)
	})
}

// TestAppendValueRoundTrip writes any value and has encoding/json read the same.
func TestAppendValueRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		want := rapid.MapOfN(rapid.String(), jsonValue(), 0, 4).Draw(r, "value")
		text, err := appendValue(nil, want, 0)
		if err != nil {
			r.Skip(err) // rapid's floats include those without a JSON form
		}
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			r.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			r.Fatalf("%s (-want +got):\n%s", text, diff)
		}
	})
}

// FuzzAppendString holds that every string is refused or written with the fewest escapes there can be.
func FuzzAppendString(f *testing.F) {
	for _, seed := range []string{"", "jane !", `"\/`, "\x00\x1f\x7f", "\b\t\n\f\r", "<&>\u2028\u2029", "\xed\xa0\x80", "😀"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		text, err := appendString(nil, in)
		if (err == nil) != utf8.ValidString(in) {
			t.Fatalf("error %v", err)
		}
		if err != nil {
			return
		}
		var out string
		if err := json.Unmarshal(text, &out); err != nil || out != in {
			t.Fatalf("%s reads as %q, error %v", text, out, err)
		}
		if want := minimalLength(in); len(text) != want {
			t.Fatalf("%s has %d bytes, want %d", text, len(text), want)
		}
	})
}

// minimalLength is the length of in as JSON if only that is escaped which must be, and as shortly as possible.
func minimalLength(in string) int {
	n := len(in) + 2
	for _, c := range in {
		switch {
		case strings.ContainsRune("\"\\\b\t\n\f\r", c):
			n++
		case c < ' ':
			n += len(`u0000`)
		}
	}
	return n
}

// TestAppendValues covers the kinds of values that decoding JSON does not yield by itself, and where notations change.
func TestAppendValues(t *testing.T) {
	for _, c := range []struct {
		name string
		in   any
		want string
	}{
		{"int", -7, "-7"},
		{"int64", int64(1893553445), "1893553445"},
		{"literal integer", json.Number("9007199254740993"), "9007199254740993"},
		{"literal fraction", json.Number("1.50"), "1.5"},
		{"literal power", json.Number("1E3"), "1000"},
		{"large", 1e20, "100000000000000000000"},
		{"larger", 1e21, "1e+21"},
		{"small", 1e-6, "0.000001"},
		{"smaller", 1e-7, "1e-7"},
		{"strings", []string{"a", "b"}, `["a","b"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := appendValue(nil, c.in, 0)
			if err != nil || string(got) != c.want {
				t.Errorf("%s, error %v, want %s", got, err, c.want)
			}
		})
	}
}
