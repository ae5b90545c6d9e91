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
	for _, seed := range []string{"", "jane", `"\/`, "\x00\x1f\x7f", "\b\t\n\f\r", "<&>\u2028\u2029", "\xed\xa0\x80", "😀"} {
		f.Add(seed)
	}
	minimal := strings.NewReplacer(`\"`, "", `\\`, "", `\b`, "", `\t`, "", `\n`, "", `\f`, "", `\r`, "", `\u00`, "")
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
		if rest := minimal.Replace(string(text)); strings.Contains(rest, `\`) {
			t.Fatalf("%s has an escape that JSON.stringify does not write", text)
		}
	})
}
