package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type everything struct {
	Text     string            `config:"text"`
	Flag     bool              `config:"flag"`
	Int      int               `config:"int"`
	Small    int8              `config:"small"`
	Uint     uint16            `config:"uint"`
	Float    float64           `config:"float"`
	Life     time.Duration     `config:"life"`
	Wait     time.Duration     `config:"millis,millis"`
	List     []string          `config:"list"`
	OneOrAll []string          `config:"oneOrAll,list"`
	Words    []string          `config:"words,words"`
	Map      map[string]string `config:"map"`
	Choice   string            `config:"choice,oneof=left|right"`
	Path     string            `config:"path,file"`
	Inner    inner             `config:"inner"`
	Inners   []inner           `config:"inners"`
	Pointer  *inner            `config:"pointer"`
	Any      any               `config:"any"`
	embedded
	NotAKey string
}

type inner struct {
	Name string `config:"name,required"`
}

type embedded struct {
	Own string `config:"own"`
}

// decodeInto decodes the object that yaml holds.
func decodeInto(t *testing.T, yaml string, strict bool, into any) error {
	t.Helper()
	var ps problems
	n := parse("dir/f.yaml", []byte(yaml), &ps)
	if len(ps.list) > 0 {
		t.Fatal(ps.err())
	}
	d := decoder{strict: strict, source: "dir/f.yaml", problems: &ps}
	return d.decode(n, "", into)
}

func TestDecode(t *testing.T) {
	inn := inner{Name: "n"}
	tests := []struct {
		yaml string
		want everything
	}{
		{"text: a", everything{Text: "a"}},
		{"text: null", everything{}},
		{"flag: true", everything{Flag: true}},
		{"flag: 'on'", everything{Flag: true}},
		{"flag: Yes", everything{Flag: true}},
		{"flag: 1", everything{Flag: true}},
		{"flag: 'off'", everything{}},
		{"int: 12", everything{Int: 12}},
		{"int: '12'", everything{Int: 12}},
		{"int: 1.2e1", everything{Int: 12}},
		{"int: 0x10", everything{Int: 16}},
		{"small: -128", everything{Small: -128}},
		{"uint: 65535", everything{Uint: 65535}},
		{"float: '1.5'", everything{Float: 1.5}},
		{"float: 0x10", everything{Float: 16}},
		{"life: {minutes: 1}", everything{Life: time.Minute}},
		{"life: PT1M", everything{Life: time.Minute}},
		{"millis: 1500", everything{Wait: 1500 * time.Millisecond}},
		{"millis: '1500'", everything{Wait: 1500 * time.Millisecond}},
		{"millis: 2s", everything{Wait: 2 * time.Second}},
		{"list: [a, b]", everything{List: []string{"a", "b"}}},
		{"list: []", everything{List: []string{}}},
		{"oneOrAll: a", everything{OneOrAll: []string{"a"}}},
		{"oneOrAll: [a, b]", everything{OneOrAll: []string{"a", "b"}}},
		{"words: 'a b, c|d\n e'", everything{Words: []string{"a", "b", "c", "d", "e"}}},
		{"words: [a b, c]", everything{Words: []string{"a b", "c"}}},
		{"map: {a: b, c: null}", everything{Map: map[string]string{"a": "b"}}},
		{"choice: left", everything{Choice: "left"}},
		{"path: x/y", everything{Path: "dir/x/y"}},
		{"path: /x", everything{Path: "/x"}},
		{"inner: {name: n}", everything{Inner: inn}},
		{"inners: [{name: n}]", everything{Inners: []inner{inn}}},
		{"pointer: {name: n}", everything{Pointer: &inn}},
		{"any: {a: [1, x, 1.5, true, null]}", everything{Any: map[string]any{"a": []any{int64(1), "x", 1.5, true, nil}}}},
		{"own: a", everything{embedded: embedded{Own: "a"}}},
	}
	for _, tt := range tests {
		t.Run(tt.yaml, func(t *testing.T) {
			var got everything
			yaml := tt.yaml
			if !strings.HasPrefix(yaml, "inner:") {
				yaml += "\ninner: {name: n}"
				tt.want.Inner = inn
			}
			if err := decodeInto(t, yaml, true, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(everything{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := []struct {
		yaml string
		want string
	}{
		{"text: 1", "1:7 text: want a string, found a number: put it in quotes"},
		{"text: ''", "1:7 text: want a string that is not empty"},
		{"text: [a]", "1:7 text: want a string, found a list"},
		{"flag: maybe", "1:7 flag: want true or false"},
		{"flag: {}", "1:7 flag: want true or false"},
		{"int: x", "1:6 int: want a whole number"},
		{"int: 1.5", "1:6 int: want a whole number"},
		{"int: true", "1:6 int: want a whole number"},
		{"int: 1e30", "1:6 int: want a number that is not out of range"},
		{"small: 128", "1:8 small: want a number that is not out of range"},
		{"uint: -1", "1:7 uint: want a number that is not out of range"},
		{"uint: 65536", "1:7 uint: want a number that is not out of range"},
		{"float: .inf", "1:8 float: want a number"},
		{"float: ''", "1:8 float: want a number"},
		{"life: 5", "1:7 life: want a duration with a unit, such as 30s, 90m or 2 days"},
		{"list: a", "1:7 list: want a list, found a string"},
		{"list: [a, null]", "1:11 list[1]: want a value, found null"},
		{"list: [a, 1]", "1:11 list[1]: want a string, found a number: put it in quotes"},
		{"oneOrAll: 1", "1:11 oneOrAll: want a string, found a number: put it in quotes"},
		{"words: ' , '", "1:8 words: want a string that is not empty"},
		{"map: a", "1:6 map: want an object, found a string"},
		{"map: {a: 1}", "1:10 map.a: want a string, found a number: put it in quotes"},
		{"choice: up", "1:9 choice: want one of left, right"},
		{"inner: a", "1:8 inner: want an object, found a string"},
		{"inners: [{}]", "Missing required config value at 'inners[0].name' in 'dir/f.yaml'"},
		{"pointer: {nam: x, name: y}", "1:11 pointer.nam: unknown key, did you mean name?"},
		{"txt: a", "1:1 txt: unknown key, did you mean text?"},
		{"NotAKey: a", "1:1 NotAKey: unknown key, want one of any, choice, flag, float, inner, inners, int, life, list, map, millis, " +
			"oneOrAll, own, path, pointer, small, text, uint, words"},
		{"{text:hunter2}", "1:2 <key>: unknown key, want one of any, choice, flag, float, inner, inners, int, life, list, map, millis, " +
			"oneOrAll, own, path, pointer, small, text, uint, words"},
	}
	for _, tt := range tests {
		t.Run(tt.yaml, func(t *testing.T) {
			got := everything{}
			yaml := tt.yaml
			switch {
			case strings.HasPrefix(yaml, "{"):
				yaml = strings.TrimSuffix(yaml, "}") + ", inner: {name: n}}"
			case !strings.HasPrefix(yaml, "inner:"):
				yaml += "\ninner: {name: n}"
			}
			err := decodeInto(t, yaml, true, &got)
			want := tt.want
			if !strings.HasPrefix(want, "Missing") {
				want = "dir/f.yaml:" + want
			}
			if err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func TestDecodeKeepsDefaults(t *testing.T) {
	got := everything{Text: "kept", Int: 1, Life: time.Hour, Flag: true}
	err := decodeInto(t, "int: x\nlife: 5\nflag: maybe\ninner: {name: n}", true, &got)
	if err == nil {
		t.Fatal("want an error")
	}
	want := everything{Text: "kept", Int: 1, Life: time.Hour, Flag: true, Inner: inner{Name: "n"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(everything{})); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeLoose(t *testing.T) {
	var got embedded
	if err := decodeInto(t, "own: a\nother: b\n", false, &got); err != nil || got.Own != "a" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDecodeIntoSomethingElse(t *testing.T) {
	for _, into := range []any{nil, embedded{}, new(string), (*embedded)(nil)} {
		if err := decodeInto(t, "own: a", false, into); err == nil {
			t.Errorf("%T: want an error", into)
		}
	}
	var channel struct {
		C chan int `config:"c"`
	}
	err := decodeInto(t, "c: 1", false, &channel)
	if want := "dir/f.yaml:1:4 c: cannot be read into a chan int"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"clientId", "clientSecret", "metadataUrl", "prompt"}
	tests := []struct{ name, want string }{
		{"clientID", "clientId"},
		{"client_id", "clientId"},
		{"metadataUri", "metadataUrl"},
		{"promt", "prompt"},
		{"zzz", ""},
		{"", ""},
	}
	for _, tt := range tests {
		if got := nearest(tt.name, names); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
