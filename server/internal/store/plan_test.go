package store

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"stagedoor/server/internal/store/pgtest"
)

// statements are the generated ones, by name: those that are prepared, and none that a test wrote again.
func statements(t *testing.T, pkg string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(pkg + "/*.sql.go")
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

// readWhole are the statements that are meant to read a whole table, which is a handful of keys or settings.
var readWhole = map[string]bool{"SelectSettings": true, "SelectKeys": true, "SelectPluginKeys": true, "CountKeys": true}

func TestStatementsUseIndices(t *testing.T) {
	s, all := open(t, Options{}), statements(t, "sqlitedb")
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

// TestPostgresStatementsUseIndices looks at the plans for values that are not known, on tables of some size: the plans of small ones
// say nothing.
func TestPostgresStatementsUseIndices(t *testing.T) {
	opts, all := postgres(t), statements(t, "pgdb")
	if lite := statements(t, "sqlitedb"); len(all) != len(lite) {
		t.Errorf("%d statements, and %d for SQLite", len(all), len(lite))
	}
	open(t, opts)
	execSQL(t, opts, `insert into stagedoor_adoptions select i::text, i from generate_series(1, 20000) as i`)
	execSQL(t, opts, `insert into stagedoor_transactions select i::text, i from generate_series(1, 20000) as i`)
	execSQL(t, opts, `insert into stagedoor_attempts select i::text, '', i from generate_series(1, 20000) as i`)
	execSQL(t, opts, `insert into stagedoor_user_info select i::text, '{}' from generate_series(1, 20000) as i`)
	pgtest.Shared(t).Exec(t, opts.Postgres.Settings["database"], stock(20000))
	conn, err := pgx.Connect(t.Context(), keywords(opts.Postgres.Settings))
	must(t, err)
	defer func() { must(t, conn.Close(t.Context())) }()
	_, err = conn.Exec(t.Context(), "set plan_cache_mode = force_generic_plan")
	must(t, err)
	for name, query := range all {
		if steps := genericPlan(t, conn, name, query); strings.Contains(steps, "Seq Scan") && !readWhole[name] && !strings.HasSuffix(name, "Key") {
			t.Errorf("%s:\n%s", name, steps)
		}
	}
}

// genericPlan is what PostgreSQL does for a statement whose values it does not know.
func genericPlan(t *testing.T, conn *pgx.Conn, name, query string) string {
	t.Helper()
	s, err := conn.Prepare(t.Context(), name, query)
	must(t, err)
	execute := "explain execute " + pgx.Identifier{name}.Sanitize()
	if n := len(s.ParamOIDs); n > 0 {
		execute += "(null" + strings.Repeat(", null", n-1) + ")"
	}
	rows, err := conn.Query(t.Context(), execute, pgx.QueryExecModeSimpleProtocol)
	must(t, err)
	steps, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return strings.Join(steps, "\n")
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
