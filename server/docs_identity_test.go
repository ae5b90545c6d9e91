package main

import (
	"go/ast"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestExplainExample runs the example of docs/explain.md: its configuration and catalog, and after each claims what they come to.
func TestExplainExample(t *testing.T) {
	_, blocks := splitDocument(t, "docs/explain.md")
	t.Chdir(t.TempDir())
	t.Setenv("IDP_CLIENT_SECRET", "a secret")
	stderr, err := os.Create("stderr")
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	files := map[string]string{"yaml config explain": "app-config.yaml", "yaml catalog explain": "org.yaml", "json explain": "claims.json"}
	runs := 0
	for _, b := range blocks {
		if name := files[b.info]; name != "" {
			if err := os.WriteFile(name, []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		code, ok := strings.CutPrefix(b.info, "text explain ")
		if !ok {
			continue
		}
		runs++
		var stdout strings.Builder
		got := runExplain(t.Context(), []string{"--provider", "my-idp", "--claims", "claims.json"}, &stdout, stderr)
		shown := regexp.MustCompile(`(?m) +$`).ReplaceAllString(stdout.String(), "")
		if diff := cmp.Diff(b.text, shown); diff != "" || strconv.Itoa(got) != code {
			t.Errorf("docs/explain.md:%d: exit code %d (-shown +real):\n%s", b.line, got, diff)
		}
	}
	if runs == 0 {
		t.Error("no example found")
	}
}

// TestResolversAreDocumented: docs/identity.md names the resolvers of every type that are in the source, and no others.
func TestResolversAreDocumented(t *testing.T) {
	_, rest, _ := strings.Cut(readDocument(t, "docs/identity.md"), "\n| type | further names |\n")
	table, _, _ := strings.Cut(rest, "\n\n")
	documented := map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|(.*)$").FindAllStringSubmatch(table, -1) {
		var names []string
		for _, m := range regexp.MustCompile("`(\\w+Matching\\w+)`").FindAllStringSubmatch(row[2], -1) {
			names = append(names, m[1])
		}
		documented[row[1]] = slices.Sorted(slices.Values(names))
	}
	if diff := cmp.Diff(resolversInSource(t), documented); diff != "" {
		t.Errorf("docs/identity.md (-source +shown):\n%s", diff)
	}
}

// resolversInSource reads the resolvers that each type adds to the common ones from the table in providers.
func resolversInSource(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	ast.Inspect(parseSource(t, token.NewFileSet(), "providers/resolver_table.go"), func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != "resolverTable" {
			return true
		}
		for _, row := range spec.Values[0].(*ast.CompositeLit).Elts {
			kv := row.(*ast.KeyValueExpr)
			all[textOf(kv.Key)] = resolverNames(kv.Value)
		}
		return false
	})
	return all
}

// resolverNames are the keys of the map that e is, or that it hands to commonResolvers.
func resolverNames(e ast.Expr) []string {
	var names []string
	if call, ok := e.(*ast.CallExpr); ok {
		e = call.Args[0]
	}
	own, ok := e.(*ast.CompositeLit)
	if !ok {
		return names
	}
	for _, item := range own.Elts {
		names = append(names, textOf(item.(*ast.KeyValueExpr).Key))
	}
	return slices.Sorted(slices.Values(names))
}

// textOf is the text of a string literal, else "".
func textOf(e ast.Expr) string {
	literal, ok := e.(*ast.BasicLit)
	if !ok {
		return ""
	}
	text, _ := strconv.Unquote(literal.Value) // the compiler has seen to it
	return text
}
