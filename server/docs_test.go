package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stagedoor/providers"
	"stagedoor/server/internal/catalog"
	"stagedoor/server/internal/config"
	"stagedoor/server/internal/devidp"
)

// TestErrorCodes: docs/errors.md lists every code that the source can answer with, once, and no other.
func TestErrorCodes(t *testing.T) {
	source := map[string]bool{}
	for code := range providers.Codes() {
		source[code] = true
	}
	for _, file := range sourceFiles(t) {
		for code := range codesIn(t, file) {
			source[code] = true
		}
	}
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\|").FindAllStringSubmatch(readDocument(t, "docs/errors.md"), -1) {
		if listed[row[1]] {
			t.Errorf("%s is listed twice", row[1])
		}
		listed[row[1]] = true
		if !source[row[1]] {
			t.Errorf("%s is listed, and no source has it", row[1])
		}
	}
	for _, code := range slices.Sorted(maps.Keys(source)) {
		if !listed[code] {
			t.Errorf("docs/errors.md does not list %s", code)
		}
	}
}

// codesIn returns the codes of the faults that a file makes, and the store's codes for a database that does not open.
func codesIn(t *testing.T, file string) map[string]bool {
	t.Helper()
	codes := map[string]bool{}
	fset := token.NewFileSet()
	ast.Inspect(parseSource(t, fset, file), func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if isName(n.Fun, "fault", "New") && len(n.Args) > 1 {
				addCode(t, fset, codes, n.Args[1])
			}
		case *ast.CompositeLit:
			if isName(n.Type, "fault", "Error") {
				addCode(t, fset, codes, fieldOf(n, "Code"))
			}
		case *ast.BasicLit:
			if code, err := strconv.Unquote(n.Value); err == nil && openCode.MatchString(code) && strings.HasSuffix(file, "store/errors.go") {
				codes[code] = true
			}
		}
		return true
	})
	return codes
}

var openCode = regexp.MustCompile(`^database_[a-z_]+$`)

// addCode notes a code that is written out. One that is taken over from another error is that error's; any other cannot be read.
func addCode(t *testing.T, fset *token.FileSet, codes map[string]bool, e ast.Expr) {
	t.Helper()
	literal, written := e.(*ast.BasicLit)
	taken, selected := e.(*ast.SelectorExpr)
	switch {
	case written:
		code, _ := strconv.Unquote(literal.Value) // the compiler has seen to it
		codes[code] = true
	case !selected || taken.Sel.Name != "Code":
		t.Errorf("%s: write the code out", fset.Position(e.Pos()))
	}
}

func isName(e ast.Expr, pkg, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg
}

// fieldOf is the value of a field in a composite literal.
func fieldOf(lit *ast.CompositeLit, field string) ast.Expr {
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok && key.Name == field {
				return kv.Value
			}
		}
	}
	return lit
}

// TestLinks: every relative link leads to a file, and to a heading of it if it names one.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	count := 0
	for _, document := range documents(t) {
		prose, _ := splitDocument(t, document)
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			count++
			if err := follow(t, document, m[1]); err != nil {
				t.Errorf("%s: %s: %v", document, m[1], err)
			}
		}
	}
	if count == 0 {
		t.Error("no links found")
	}
}

func follow(t *testing.T, from, link string) error {
	t.Helper()
	name, anchor, _ := strings.Cut(link, "#")
	target := from
	if name != "" {
		target = path.Join(path.Dir(from), name)
	}
	if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(target))); err != nil || anchor == "" {
		return err
	}
	prose, _ := splitDocument(t, target)
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(prose, -1) {
		if slug(heading[1]) == anchor {
			return nil
		}
	}
	return errors.New("no such heading")
}

// slug is the anchor of a heading, as the usual renderers of Markdown make it.
func slug(heading string) string {
	kept := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(kept, " ", "-")
}

// TestExamples tries every block that says what it is.
func TestExamples(t *testing.T) {
	tried := map[string]int{}
	for _, document := range documents(t) {
		_, blocks := splitDocument(t, document)
		for _, b := range blocks {
			language, rest, _ := strings.Cut(b.info, " ")
			kind, mode, _ := strings.Cut(rest, " ")
			if language != "yaml" || kind == "" {
				continue
			}
			tried[kind]++
			if err := tryExample(kind, mode, b.text); err != nil {
				t.Errorf("%s:%d: %v", document, b.line, err)
			}
		}
	}
	for _, kind := range []string{"config", "catalog", "people"} {
		if tried[kind] == 0 {
			t.Errorf("no example of a %s found", kind)
		}
	}
}

func tryExample(kind, mode, text string) error {
	switch kind {
	case "config":
		return tryConfig(text, mode)
	case "catalog":
		_, err := catalog.NewStatic([]byte(text))
		return err
	case "people":
		_, err := devidp.LoadPeople([]byte(text))
		return err
	default:
		return fmt.Errorf("nobody knows how to try a %s", kind)
	}
}

// tryConfig loads a complete configuration, in production unless mode says development, and makes its providers. Whatever it
// takes from the environment or a file is there.
func tryConfig(text, mode string) error {
	const elsewhere = "a-value-that-comes-from-elsewhere"
	cfg, err := config.Load(config.LoadInput{
		Paths: []string{"app-config.yaml"},
		Env: func(name string) (string, bool) {
			if name == "NODE_ENV" {
				return mode, true
			}
			return elsewhere, true
		},
		ReadFile: func(name string) ([]byte, error) {
			if name == "app-config.yaml" {
				return []byte(text), nil
			}
			return []byte(elsewhere), nil
		},
	})
	if err != nil {
		return err
	}
	built, err := buildProviders(cfg, slog.New(slog.DiscardHandler))
	if len(built.misconfigured) > 0 {
		return fmt.Errorf("misconfigured: %v", built.misconfigured)
	}
	return err
}

// TestDifferencesAreListed: each file with a deliberate difference from Backstage is named in a last column of
// docs/differences.md, and each file that is named there exists.
func TestDifferencesAreListed(t *testing.T) {
	named := map[string]bool{}
	for line := range strings.SplitSeq(readDocument(t, "docs/differences.md"), "\n") {
		columns := strings.Split(strings.Trim(line, "|"), "|")
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(columns[len(columns)-1], -1) {
			if strings.HasPrefix(line, "|") {
				named[m[1]] = true
			}
		}
	}
	for file := range named {
		if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(file))); err != nil {
			t.Errorf("named, but not there: %v", err)
		}
	}
	count := 0
	for _, file := range sourceFiles(t) {
		if !strings.Contains(readDocument(t, file), "// Differs from Backstage:") {
			continue
		}
		count++
		if !named[file] {
			t.Errorf("docs/differences.md does not name %s", file)
		}
	}
	if count == 0 {
		t.Error("no differences found in the source")
	}
}

// TestConfigKeysAreDocumented: the name in every config tag stands in the documentation, between backquotes, as a whole key or as
// the end of one.
func TestConfigKeysAreDocumented(t *testing.T) {
	documented := map[string]bool{}
	for _, document := range documents(t) {
		if !slices.Contains([]string{"docs/configuration.md", "docs/identity.md", "docs/rules.md"}, document) &&
			path.Dir(document) != "docs/providers" {
			continue
		}
		prose, _ := splitDocument(t, document)
		for _, m := range regexp.MustCompile("`([A-Za-z0-9_.…<>\\[\\]]+)`").FindAllStringSubmatch(prose, -1) {
			for part := range strings.SplitSeq(strings.ReplaceAll(m[1], "[]", ""), ".") {
				documented[part] = true
			}
		}
	}
	keys := configKeys(t)
	if len(keys) == 0 {
		t.Error("no keys found in the source")
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !documented[key] {
			t.Errorf("the documentation does not name the key %s of %s", key, keys[key])
		}
	}
}

// configKeys maps the name in every config tag to a file that has it.
func configKeys(t *testing.T) map[string]string {
	t.Helper()
	keys := map[string]string{}
	for _, file := range sourceFiles(t) {
		ast.Inspect(parseSource(t, token.NewFileSet(), file), func(n ast.Node) bool {
			f, ok := n.(*ast.Field)
			if !ok || f.Tag == nil {
				return true
			}
			tag, _ := strconv.Unquote(f.Tag.Value) // the compiler has seen to it
			if name, _, _ := strings.Cut(reflect.StructTag(tag).Get("config"), ","); name != "" {
				keys[name] = file
			}
			return true
		})
	}
	return keys
}

// sourceFiles lists the Go files of the module that are neither tests nor generated, from its top.
func sourceFiles(t *testing.T) []string {
	t.Helper()
	return filesBelow(t, "..", func(name string) bool {
		return path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go") && !strings.HasSuffix(name, ".gen.go")
	})
}

// documents lists the README and everything in docs, from the top of the module.
func documents(t *testing.T) []string {
	t.Helper()
	all := filesBelow(t, filepath.Join("..", "docs"), func(name string) bool { return path.Ext(name) == ".md" })
	return append(all, "README.md")
}

func filesBelow(t *testing.T, dir string, wanted func(name string) bool) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != "..":
			return filepath.SkipDir
		case d.IsDir() || !wanted(d.Name()):
			return nil
		}
		rel, err := filepath.Rel("..", file)
		files = append(files, filepath.ToSlash(rel))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func parseSource(t *testing.T, fset *token.FileSet, file string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(fset, filepath.Join("..", filepath.FromSlash(file)), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// readDocument reads a file by its path from the top of the module.
func readDocument(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is a fenced block of code: its info string, its text without the indentation of the fence, and where it begins.
type block struct {
	info, text string
	line       int
}

var fence = regexp.MustCompile("^( *)```(.*)$")

// splitDocument parts a document into its prose and its fenced blocks.
func splitDocument(t *testing.T, document string) (prose string, blocks []block) {
	t.Helper()
	var open *block
	var indent string
	n := 0
	for line := range strings.SplitSeq(readDocument(t, document), "\n") {
		n++
		m := fence.FindStringSubmatch(line)
		switch {
		case m != nil && open == nil:
			open, indent = &block{info: m[2], line: n}, m[1]
		case m != nil:
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		default:
			prose += line + "\n"
		}
	}
	if open != nil {
		t.Errorf("%s:%d: the block is not closed", document, open.line)
	}
	return prose, blocks
}
