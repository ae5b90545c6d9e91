package providertest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type inner struct {
	Name string `config:"name,required"`
}

type outer struct {
	inner
	Mode  string            `config:"mode,oneof=a|b"`
	Words []string          `config:"words,words"`
	Life  time.Duration     `config:"life"`
	Map   map[string]string `config:"map"`
	Any   any               `config:"any"`
	Deep  []inner           `config:"deep"`
	Count *int              `config:"count"`
	Maybe *[]string         `config:"maybe"`
	on    bool
}

func TestDecode(t *testing.T) {
	var got outer
	err := Decode("name: n\nmode: b\nwords: x, y\nlife: 2m\nmap: {k: v}\nany: [1]\ndeep: [{name: d}]\ncount: -2\n")(&got)
	if err != nil {
		t.Fatal(err)
	}
	want := outer{
		inner{"n"},
		"b",
		[]string{"x", "y"},
		2 * time.Minute,
		map[string]string{"k": "v"},
		[]any{uint64(1)},
		[]inner{{"d"}},
		new(-2),
		nil,
		false,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(outer{}, inner{})); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for entry, want := range map[string]string{
		"{}": "name: missing", "name: 1": "want string", "name: n\nnmae: n": "unknown key nmae", "name: n\non: true": "unknown key on",
		"name: n\nmode: c": "want one of a|b", "name: n\nwords: {a: b}": "want []string", "name: n\nlife: soon": "duration",
		"name: n\nmap: [a]": "want map", "name: n\nmap: {k: 1}": "want string", "name: n\ndeep: [{}]": "missing", "name: n\ncount: x": "want int",
		"name: n\ndeep: [{name: d, x: y}]": "unknown key x", "name: [": "read entry",
	} {
		var into outer
		if err := Decode(entry)(&into); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", entry, err, want)
		}
	}
}
