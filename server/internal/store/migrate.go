package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var embedded embed.FS

// schemaTable is where goose writes down which migrations ran.
const schemaTable = "stagedoor_migrations"

// migrated is a database to migrate.
type migrated struct {
	db      *sql.DB
	dialect goose.Dialect
	// find counts the tables that have the name which is its one parameter.
	find string
	// lock makes other processes wait their turn, until the function that it returns is called; nil is not at all. It saves them
	// useless attempts, and nothing depends on it.
	lock func(context.Context) (unlock func())
}

// migrate applies what the database lacks, each migration in a transaction of its own.
//
// Two processes that start at once may both try the same migration. One of them fails then, on a table that exists already. It
// looks again, and as long as the schema has moved on meanwhile, it was the other process's doing and not an error.
func migrate(ctx context.Context, m migrated, dir fs.FS, log *slog.Logger) error {
	p, err := goose.NewProvider(m.dialect, m.db, dir,
		goose.WithTableName(schemaTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	sources := p.ListSources()
	known := sources[len(sources)-1].Version
	current, err := m.version(ctx)
	if err == nil && current < known && m.lock != nil {
		defer m.lock(ctx)()
	}
	var failed error
	for last := int64(-1); ; {
		current, err := m.version(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("read schema version: %w", err)
		case current > known:
			return &NewerSchemaError{Database: current, Known: known}
		case current == known:
			return nil
		case current == last:
			return fmt.Errorf("migrate schema %d: %w", current, failed)
		}
		last = current
		failed = up(ctx, p, log)
	}
}

// version returns the last migration that ran, or 0. Goose is not asked, because to it a damaged table is a missing one, which it
// tries to make for seconds, and because it writes where nothing is there to be written.
func (m migrated) version(ctx context.Context) (version int64, err error) {
	var tables int
	if err := m.db.QueryRowContext(ctx, m.find, schemaTable).Scan(&tables); err != nil || tables == 0 {
		return 0, err
	}
	err = m.db.QueryRowContext(ctx, "select coalesce(max(version_id), 0) from "+schemaTable).Scan(&version)
	return version, err
}

// up applies the pending migrations and logs each.
func up(ctx context.Context, p *goose.Provider, log *slog.Logger) error {
	done, err := p.Up(ctx)
	for _, m := range done {
		log.InfoContext(ctx, "database migrated", "schema", m.Source.Version, "tookMs", m.Duration.Milliseconds())
	}
	return err
}
