package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"stagedoor/server/internal/config"
	"stagedoor/server/internal/store"
)

func openStore(ctx context.Context, cfg *config.Config, with seams, log *slog.Logger) (*store.Store, error) {
	opts := store.Options{Path: cfg.Database.SQLite.File, Idle: cfg.Auth.Session.Idle, Now: with.now, Migrations: with.migrations, Log: log}
	switch {
	case cfg.Database.Client == config.Postgres:
		opts.Postgres = postgresOptions(cfg.Database.Postgres)
	case cfg.Database.SQLite.Memory:
		log.Warn("the database is in memory: a restart signs everybody out")
	}
	s, err := store.Open(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return s, nil
}

func postgresOptions(c config.PostgresConnection) *store.Postgres {
	p := &store.Postgres{
		Settings: c.Settings, Schema: c.Schema, Role: c.Role,
		CreateDatabase: c.EnsureExists, CreateSchema: c.EnsureSchemaExists,
		MaxConns: c.MaxConns, MinConns: c.MinConns, IdleTime: c.IdleTime,
	}
	if t := c.TLS; t != nil {
		p.TLS = &store.TLS{
			CA: strings.Join(t.CA, "\n"), Certificate: t.Cert, Key: t.Key, ServerName: t.ServerName,
			Insecure: t.RejectUnauthorized != nil && !*t.RejectUnauthorized,
		}
	}
	return p
}
