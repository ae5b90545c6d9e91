package store

import (
	"context"

	"stagedoor/server/internal/store/sqlitedb"
)

// Settings returns what the last server that used the database was started with, by name; empty at the first start.
func (s *Store) Settings(ctx context.Context) (settings map[string]string, err error) {
	err = s.call(ctx, "read settings", func(ctx context.Context) error {
		rows, err := s.read.SelectSettings(ctx)
		settings = map[string]string{}
		for _, r := range rows {
			settings[r.Name] = r.Value
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return settings, nil
}

// SaveSetting replaces one of them.
func (s *Store) SaveSetting(ctx context.Context, name, value string) error {
	return s.call(ctx, "save setting", func(ctx context.Context) error {
		return s.write.SaveSetting(ctx, sqlitedb.SaveSettingParams{Name: name, Value: value})
	})
}
