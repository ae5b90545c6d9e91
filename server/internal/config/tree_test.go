package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMerge(t *testing.T) {
	tests := []struct {
		name  string
		files []string
		want  any
	}{
		{"objects key by key", []string{"a: {b: 1, c: {d: 2}}", "a: {c: {e: 3}}"}, map[string]any{
			"a": map[string]any{"b": int64(1), "c": map[string]any{"d": int64(2), "e": int64(3)}},
		}},
		{"lists as a whole", []string{"a: [1, 2]", "a: [3]"}, map[string]any{"a": []any{int64(3)}}},
		{"scalars as a whole", []string{"a: 1", "a: x"}, map[string]any{"a": "x"}},
		{"an object replaces a scalar", []string{"a: 1", "a: {b: 2}"}, map[string]any{"a": map[string]any{"b": int64(2)}}},
		{"a scalar replaces an object", []string{"a: {b: 2}", "a: 1"}, map[string]any{"a": int64(1)}},
		{"null removes", []string{"a: {b: 1, c: 2}", "a: {b: null}"}, map[string]any{"a": map[string]any{"c": int64(2)}}},
		{"null removes, a third file adds", []string{"a: {b: 1}", "a: ~", "a: {c: 2}"}, map[string]any{"a": map[string]any{"c": int64(2)}}},
		{"unset keeps", []string{"a: 1", "a: ${UNSET}"}, map[string]any{"a": int64(1)}},
		{"empty file", []string{"a: 1", "", "# nothing\n", "null"}, map[string]any{"a": int64(1)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := world{files: map[string]string{}}
			for i, src := range tt.files {
				path := fmt.Sprintf("%d.yaml", i)
				w.paths, w.files[path] = append(w.paths, path), src
			}
			if diff := cmp.Diff(tt.want, loadTree(t, w)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMergeChangesNeither(t *testing.T) {
	var ps problems
	base := parse("a", []byte("a: {b: 1}\nc: 2\n"), &ps)
	over := parse("b", []byte("a: {b: 3, d: 4}\n"), &ps)
	before := fmt.Sprint(anyOf(base), anyOf(over))
	merge(base, over)
	if after := fmt.Sprint(anyOf(base), anyOf(over)); after != before {
		t.Errorf("before %s, after %s", before, after)
	}
}

func TestScalars(t *testing.T) {
	cases := []struct {
		yaml string
		want any
	}{
		{"1", int64(1)},
		{"-0", int64(0)},
		{"0123", int64(123)},
		{"0x1F", int64(31)},
		{"0o17", int64(15)},
		{"1_000", "1_000"},
		{"1.50", 1.5},
		{"1e3", int64(1000)},
		{".5", 0.5},
		{"123456789012345678901234567890", 123456789012345678901234567890.0},
		{".inf", ".inf"},
		{".NaN", ".NaN"},
		{"true", true},
		{"FALSE", false},
		{"yes", "yes"},
		{"~", nil},
		{"Null", nil},
		{"", nil},
		{"2020-01-01", "2020-01-01"},
		{`"1"`, "1"},
		{`'it''s'`, "it's"},
		{`"a\nb\u00e9"`, "a\nbé"},
		{"!!str 5", "5"},
		{"!!str true", "true"},
		{"!custom x", "x"},
		{"a b  # comment", "a b"},
		{"|\n  a\n   b\n", "a\n b\n"},
		{">-\n  a\n  b\n", "a b"},
	}
	for _, tt := range cases {
		t.Run(tt.yaml, func(t *testing.T) {
			var ps problems
			n := parse("f", []byte("a: "+tt.yaml), &ps)
			if len(ps.list) > 0 {
				t.Fatal(ps.err())
			}
			if diff := cmp.Diff(tt.want, anyOf(n.get("a"))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAliases(t *testing.T) {
	w := one(`base: &base {a: 1, b: {c: 2}}
second: &second
  a: 5
  d: 6
copy: *base
one:
  <<: *base
  a: 3
both: {<<: [*base, *second], e: 7}
list: [&x 1, *x]
? explicit
: 1
&k anchored: 2
`)
	base := map[string]any{"a": int64(1), "b": map[string]any{"c": int64(2)}}
	want := map[string]any{
		"base": base, "copy": base,
		"second": map[string]any{"a": int64(5), "d": int64(6)},
		"one":    map[string]any{"a": int64(3), "b": map[string]any{"c": int64(2)}},
		"both":   map[string]any{"a": int64(1), "b": map[string]any{"c": int64(2)}, "d": int64(6), "e": int64(7)},
		"list":   []any{int64(1), int64(1)}, "explicit": int64(1), "anchored": int64(2),
	}
	if diff := cmp.Diff(want, loadTree(t, w)); diff != "" {
		t.Error(diff)
	}
}

func TestColonsInFlowCollections(t *testing.T) {
	tests := []struct {
		yaml string
		want any
	}{
		{"[read:user, urn:x:y, http://x:80/y]", []any{"read:user", "urn:x:y", "http://x:80/y"}},
		{"{b: [read:user, 1:2, a:true]}", map[string]any{"b": []any{"read:user", "1:2", "a:true"}}},
		{"{b: read:user, c: urn:x:y, d: http://x:80/y}", map[string]any{"b": "read:user", "c": "urn:x:y", "d": "http://x:80/y"}},
		{"{b: {c: :7007}}", map[string]any{"b": map[string]any{"c": ":7007"}}},
		{`{"b":1,"c":"d",'e':f}`, map[string]any{"b": int64(1), "c": "d", "e": "f"}},
		{"[b: 1, c]", []any{map[string]any{"b": int64(1)}, "c"}},
		{"{b: é:ü}", map[string]any{"b": "é:ü"}},
		{"{b: [{c: x:y}, d:e]}", map[string]any{"b": []any{map[string]any{"c": "x:y"}, "d:e"}}},
	}
	for _, tt := range tests {
		t.Run(tt.yaml, func(t *testing.T) {
			got, _ := loadTree(t, one("a: "+tt.yaml)).(map[string]any)
			if diff := cmp.Diff(tt.want, got["a"]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBadYAML(t *testing.T) {
	laughs := "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9))
	}
	tests := []struct {
		name, yaml string
		want       []string
	}{
		{"duplicate keys", "a: 1\nb: {c: 1, c: 2}\na: 2\n", []string{
			"app-config.yaml:2:11 b.c: duplicate key, first written in line 2",
			"app-config.yaml:3:1 a: duplicate key, first written in line 1",
		}},
		{"indent", "a: 1\n b: 2\n", []string{"app-config.yaml:1:4: invalid YAML: mapping value is not allowed in this context"}},
		{"tab", "a:\n\tb: 1\n", []string{"app-config.yaml:2:1: invalid YAML: found character '\t' that cannot start any token"}},
		{"open list", "a: [1\n", []string{"app-config.yaml:1:4: invalid YAML: sequence end token ']' not found"}},
		{"open quote", "a: 'b\n", []string{"app-config.yaml:1:4: invalid YAML: could not find end character of single-quoted text"}},
		{"two documents", "a: 1\n---\nb: 2\n", []string{"app-config.yaml:3:2: want one YAML document, found another one"}},
		{"unknown anchor", "a:\n  b: *nope\n", []string{"app-config.yaml:2:6 a.b: alias of an anchor that is not defined before it"}},
		{"endless anchor", "a: &a\n  b: *a\n", []string{"app-config.yaml:2:6 a.b: alias of an anchor that is not defined before it"}},
		{"merge of a scalar", "a:\n  <<: x\n", []string{"app-config.yaml:2:7 a: want an object or a list of objects to merge, found a string"}},
		{"deep brackets", "a: " + strings.Repeat("[", 70) + strings.Repeat("]", 70), []string{"app-config.yaml:1:68: nests deeper than 64 levels"}},
		{"deep dashes", strings.Repeat("- ", 70) + "x", []string{"app-config.yaml:1:131: nests deeper than 64 levels"}},
		{"laughs", laughs, []string{"app-config.yaml: has more than 100000 values, includes and aliases counted"}},
		{"a list as key", "a: &x [1]\nb:\n  *x : 1\n", []string{"app-config.yaml:3:3 b: want a string as key, found a list"}},
		{"many keys", strings.Repeat("a: b\n", maxTokens/3+1), []string{"app-config.yaml: holds more than 40000 keys, values and signs"}},
		{"escape in quotes", `a: "\q"`, []string{"app-config.yaml:1:6: invalid YAML: found unknown escape character"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, problemsOf(t, one(tt.yaml))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDeepIndentation(t *testing.T) {
	var b strings.Builder
	for i := range maxDepth + 2 {
		fmt.Fprintf(&b, "%sa:\n", strings.Repeat(" ", i))
	}
	got := problemsOf(t, one(b.String()))
	if len(got) != 1 || !strings.HasSuffix(got[0], "nests deeper than 64 levels") {
		t.Errorf("got %v", got)
	}
}

func TestByteOrderMarkAndLineEnds(t *testing.T) {
	want := map[string]any{"a": int64(1), "b": int64(2)}
	if diff := cmp.Diff(want, loadTree(t, one("\ufeffa: 1\r\nb: 2\r\n"))); diff != "" {
		t.Error(diff)
	}
}

func TestSubstitution(t *testing.T) {
	env := map[string]string{"SET": " value ", "EMPTY": "", "OTHER": "other"}
	tests := []struct {
		yaml string
		want any
	}{
		{"${SET}", "value"},
		{"a-${SET}-${OTHER}", "a-value-other"},
		{"${ SET }", "value"},
		{"${UNSET}", nil},
		{"x${SET}${UNSET}", nil},
		{"${EMPTY}", ""},
		{"${UNSET:-fall back}", "fall back"},
		{"${EMPTY:-fall back}", "fall back"},
		{"${SET:-fall back}", "value"},
		{"${UNSET:-}", nil},
		{"$${SET}", "${SET}"},
		{"$${SET}-${SET}", "${SET}-value"},
		{"$SET", "$SET"},
		{"${SET", "${SET"},
		{"'${SET}'", "value"},
		{"|\n  ${SET}\n", "value\n"},
		{"{$env: SET}", "value"},
		{"{$env: UNSET}", nil},
		{"{$env: '${UNSET:-OTHER}'}", "other"},
	}
	for _, tt := range tests {
		t.Run(tt.yaml, func(t *testing.T) {
			w := one("a: " + tt.yaml)
			w.env = env
			got, _ := loadTree(t, w).(map[string]any)
			if diff := cmp.Diff(tt.want, got["a"]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSubstitutionDropsUnsetItems(t *testing.T) {
	got := loadTree(t, one("a: [1, '${UNSET}', {$env: UNSET}, 2]"))
	if diff := cmp.Diff(map[string]any{"a": []any{int64(1), int64(2)}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestIncludes(t *testing.T) {
	w := world{paths: []string{"conf/app.yaml"}, env: map[string]string{"NAME": "data", "V": "v"}, files: map[string]string{
		"conf/app.yaml": `whole: {$include: data.json}
part: {$include: "./sub/${NAME}.yaml#a.b"}
nothing: {$include: sub/data.yaml#a.z}
text: {$file: sub/secret.txt}
`,
		"conf/data.json":       `{"x": [1, "${V}"]}`,
		"conf/sub/data.yaml":   "a: {b: {c: {$file: secret.txt}, d: {$include: ../more.yml}}}\n",
		"conf/sub/secret.txt":  "s e\n\n",
		"conf/more.yml":        "- {$env: V}\n",
		"conf/sub/ignored.txt": "",
	}}
	want := map[string]any{
		"whole": map[string]any{"x": []any{int64(1), "v"}},
		"part":  map[string]any{"c": "s e", "d": []any{"v"}},
		"text":  "s e",
	}
	if diff := cmp.Diff(want, loadTree(t, w)); diff != "" {
		t.Error(diff)
	}
}

func TestBadIncludes(t *testing.T) {
	files := map[string]string{
		"self.yaml":  "a: {$include: self.yaml#a}\nb: {$include: self.yaml#c}\nc: fine\n",
		"ring1.yaml": "a: {$include: ring2.yaml}\n",
		"ring2.yaml": "$include: ring1.yaml\n",
		"bad.yaml":   "a: 1\na: 2\n",
		"data.yaml":  "a: {b: 1}\n",
	}
	for i := range 20 {
		files[fmt.Sprintf("chain%d.yaml", i)] = fmt.Sprintf("a: {$include: chain%d.yaml}\n", i+1)
	}
	tests := []struct {
		name, yaml string
		want       []string
	}{
		{"company", "k:\n  $env: X\n  other: 1\n", []string{"app-config.yaml:2:3 k: $env must be the only key of its object"}},
		{"unknown", "k:\n  $secret: X\n", []string{"app-config.yaml:2:3 k: unknown directive $secret, want $env, $file or $include"}},
		{"number", "k:\n  $env: 1\n", []string{"app-config.yaml:2:9 k.$env: want a string, found a number"}},
		{"unset argument", "k:\n  $file: ${DIR}/x\n", []string{"app-config.yaml:2:10 k.$file: environment variable DIR is not set"}},
		{"missing file", "k: {$file: nope}\n", []string{"app-config.yaml:1:12 k.$file: the file does not exist"}},
		{"missing data", "k: {$include: nope.yaml}\n", []string{"app-config.yaml:1:15 k.$include: the file does not exist"}},
		{"ending", "k: {$include: data.txt}\n", []string{"app-config.yaml:1:15 k.$include: want a file that ends in .json, .yaml or .yml"}},
		{"path", "k: {$include: data.yaml#a.b.c}\n", []string{"app-config.yaml:1:15 k.$include: the path after # leads through something that is no object"}},
		{"broken", "k: {$include: bad.yaml}\n", []string{"bad.yaml:2:1 a: duplicate key, first written in line 1"}},
		{"itself", "k: {$include: self.yaml}\n", []string{"self.yaml:1:15 k.a.$include: the file includes itself"}},
		{"a ring", "k: {$include: ring1.yaml}\n", []string{"ring2.yaml:1:11 k.a.$include: the file includes itself"}},
		{"a chain", "k: {$include: chain0.yaml}\n", []string{
			"chain15.yaml:1:15 k" + strings.Repeat(".a", 16) + ".$include: includes nest deeper than 16 files",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := one(tt.yaml)
			for name, src := range files {
				w.files[name] = src
			}
			if diff := cmp.Diff(tt.want, problemsOf(t, w)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOverrides(t *testing.T) {
	w := one("a: {b: 1, keep: 2}\n",
		"APP_CONFIG_a_b=7", "APP_CONFIG_a_text=plain ${X}", `APP_CONFIG_a_json={"x": [true, null], "c": "s"}`,
		`APP_CONFIG_a_json_more="quoted"`, "APP_CONFIG_with-dash_and:colon=", "OTHER_a=1")
	want := map[string]any{
		"a": map[string]any{
			"b": int64(7), "keep": int64(2), "text": "plain ${X}",
			"json": map[string]any{"x": []any{true, nil}, "c": "s", "more": "quoted"},
		},
		"with-dash": map[string]any{"and:colon": ""},
	}
	if diff := cmp.Diff(want, loadTree(t, w)); diff != "" {
		t.Error(diff)
	}
}

func TestBadOverrides(t *testing.T) {
	tests := []struct {
		name string
		env  []string
		want []string
	}{
		{"conflict", []string{"APP_CONFIG_a=1", "APP_CONFIG_a_b=2"}, []string{
			"APP_CONFIG_a_b a: conflicts with environment variable APP_CONFIG_a",
		}},
		{"null", []string{"APP_CONFIG_a_b=null"}, []string{"APP_CONFIG_a_b a.b: want a value, found null"}},
		{"name", []string{"APP_CONFIG_a__b=1"}, []string{
			"APP_CONFIG_a__b: want letters, digits, - and : between single underscores in the name",
		}},
		{"type", []string{"APP_CONFIG_app_baseUrl=3000"}, []string{
			"APP_CONFIG_app_baseUrl app.baseUrl: want a string, found a number: put it in quotes",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, problemsOf(t, one(minimal, tt.env...))); diff != "" {
				t.Error(diff)
			}
		})
	}
}
