package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms says for every package of the module which others it may import, and why it needs no more.
var rooms = map[string]struct {
	may []string
	why string
}{
	"gen":                            {nil, "generated from the document alone"},
	"providers":                      {nil, "an upstream knows no application and no HTTP server"},
	"tokens":                         {nil, "issuing and verifying is pure"},
	"server/internal/fault":          {nil, "an error has no dependencies"},
	"server/internal/seal":           {nil, "encryption knows no content"},
	"server/internal/config":         {nil, "configuration is values, the rooms read them"},
	"server/internal/devidp":         {nil, "the dev IdP is somebody else's server that happens to run here"},
	"server/internal/playground":     {nil, "the page is a client of the API like any other"},
	"server/internal/catalog":        {[]string{"providers", "server/internal/fault"}, "it answers look-ups"},
	"server/internal/signin":         {[]string{"providers", "tokens", "server/internal/catalog", "server/internal/fault", "server/internal/seal"}, "it knows neither HTTP routes nor SQL"},
	"server/internal/caller":         {[]string{"tokens", "server/internal/fault"}, "it recognises bearers, whatever they come for"},
	"server/internal/op":             {[]string{"tokens", "server/internal/fault"}, "it verifies tokens and reads user info"},
	"server/internal/store":          {[]string{"tokens", "server/internal/signin", "server/internal/op", "server/internal/store/sqlitedb", "server/internal/store/pgdb"}, "it implements the interfaces those rooms declare"},
	"server/internal/store/sqlitedb": {nil, "generated from the queries alone"},
	"server/internal/store/pgdb":     {nil, "generated from the queries alone"},
	"server/internal/api":            {[]string{"gen", "tokens", "server/internal/caller", "server/internal/signin", "server/internal/op", "server/internal/fault"}, "it alone knows gen and Echo"},
	"server": {[]string{
		"providers", "tokens", "server/internal/api", "server/internal/caller", "server/internal/catalog", "server/internal/config", "server/internal/devidp",
		"server/internal/fault", "server/internal/op", "server/internal/playground", "server/internal/seal", "server/internal/signin",
		"server/internal/store",
	}, "it wires the rooms and needs no generated type for that"},
	// Test support, imported by tests only.
	"providers/providertest":                 {[]string{"providers", "providers/samltest"}, "the suite of providers"},
	"providers/samltest":                     {nil, "an identity provider that shares nothing with the code under test"},
	"tokens/tokenstest":                      {[]string{"tokens"}, "the suite of key stores"},
	"server/internal/catalog/catalogtest":    {[]string{"providers", "server/internal/catalog"}, "the suite of catalogs, and a catalog to call"},
	"server/internal/store/storetest":        {[]string{"tokens", "server/internal/signin", "server/internal/op"}, "the suite of stores"},
	"server/internal/store/pgtest":           {nil, "a database server"},
	"server/internal/api/apitest":            {[]string{"gen"}, "a client that reads the document, which gen embeds"},
	"server/internal/playground/browsertest": {nil, "a browser"},
}

const module = "stagedoor"

// TestImports holds the table above: who may import whom.
func TestImports(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return filepath.SkipDir
		}
		if d.IsDir() || path.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") || file == "../tools.go" {
			return nil
		}
		room, err := filepath.Rel("..", filepath.Dir(file))
		if err != nil {
			return err
		}
		room = filepath.ToSlash(room)
		seen[room] = true
		checkImports(t, file, room)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for room := range rooms {
		if !seen[room] {
			t.Errorf("the table names %s, which has no code", room)
		}
	}
}

func checkImports(t *testing.T, file, room string) {
	t.Helper()
	rule, ok := rooms[room]
	if !ok {
		t.Errorf("%s: package %s is not in the table of rooms", file, room)
		return
	}
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if of, ours := strings.CutPrefix(imported, module+"/"); ours && !slices.Contains(rule.may, of) {
			t.Errorf("%s imports %s: %s may not, %s", file, of, room, rule.why)
		}
	}
}
