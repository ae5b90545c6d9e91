package store

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// statements are the generated ones, by name: those that are prepared, and none that a test wrote again.
func statements(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("sqlitedb/*.sql.go")
	must(t, err)
	constant := regexp.MustCompile("(?s)const \\w+ = `-- name: (\\w+) :\\w+\n(.*?)`")
	all := map[string]string{}
	for _, f := range files {
		source, err := os.ReadFile(f)
		must(t, err)
		for _, m := range constant.FindAllStringSubmatch(string(source), -1) {
			all[m[1]] = m[2]
		}
	}
	return all
}

// readWhole are the statements that are meant to read a whole table, which is a handful of keys.
var readWhole = map[string]bool{"SelectKeys": true, "SelectPluginKeys": true, "CountKeys": true}

func TestStatementsUseIndices(t *testing.T) {
	s, all := open(t, Options{}), statements(t)
	if len(all) < 15 {
		t.Fatalf("found only %d statements", len(all))
	}
	for name, query := range all {
		for _, step := range plan(t, s, query) {
			if scan := strings.HasPrefix(step, "SCAN"); scan && !readWhole[name] {
				t.Errorf("%s: %s", name, step)
			}
		}
	}
}

// plan is what SQLite does for a query, step by step.
func plan(t *testing.T, s *Store, query string) (steps []string) {
	t.Helper()
	args := make([]any, len(regexp.MustCompile(`\?\d+`).FindAllString(query, -1)))
	rows, err := lite(s).writer.QueryContext(t.Context(), "explain query plan "+query, args...)
	must(t, err)
	defer func() { must(t, rows.Close()) }()
	for rows.Next() {
		var id, parent, unused int
		var step string
		must(t, rows.Scan(&id, &parent, &unused, &step))
		steps = append(steps, step)
	}
	must(t, rows.Err())
	return steps
}
