package catalog_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"stagedoor/server/internal/catalog"
	"stagedoor/server/internal/catalog/catalogtest"
)

func TestSuite(t *testing.T) {
	t.Run("File", func(t *testing.T) {
		catalogtest.Run(t, func(t *testing.T, entities string) catalogtest.Catalog {
			f, err := catalog.NewStatic([]byte(entities))
			if err != nil {
				t.Fatal(err)
			}
			return f
		})
	})
	for name, keep := range map[string]time.Duration{"REST": 0, "REST with a cache": catalog.DefaultCacheFor} {
		t.Run(name, func(t *testing.T) {
			catalogtest.Run(t, func(t *testing.T, entities string) catalogtest.Catalog {
				return newREST(catalogtest.Start(t, entities), catalog.RESTConfig{CacheFor: keep})
			})
		})
	}
}

// newREST is a client of the server. What cfg leaves out is as in production, but for the clock, which stands still.
func newREST(s *catalogtest.Server, cfg catalog.RESTConfig) *catalog.REST {
	cfg.BaseURL = func() string { return s.URL }
	if cfg.Token == nil {
		cfg.Token = func(context.Context) (string, error) { return "a-token", nil }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Unix(1_800_000_000, 0) }
	}
	if cfg.HTTP == nil {
		cfg.HTTP = s.Client()
	}
	return catalog.NewREST(cfg)
}
