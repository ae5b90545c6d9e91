package store

import (
	"fmt"
	"maps"
	"testing"

	"stagedoor/server/internal/store/pgtest"
)

// withClock makes the database's own clock follow c: a function called now in a schema that its sessions look into before they look
// into the one of the system.
func withClock(t *testing.T, opts Options, c *clock) Options {
	t.Helper()
	name, cluster := opts.Postgres.Settings["database"], pgtest.Shared(t)
	cluster.Exec(t, name, fmt.Sprintf(`create table public.clock (at bigint not null); insert into public.clock values (%d);
		create function public.now() returns timestamptz language sql stable as 'select to_timestamp(at / 1000.0) from public.clock'`, c.ms.Load()))
	c.moved = func(ms int64) { cluster.Exec(t, name, fmt.Sprint("update public.clock set at = ", ms)) }
	settings := maps.Clone(opts.Postgres.Settings)
	settings["search_path"] = "public, pg_catalog"
	opts.Postgres = &Postgres{Settings: settings}
	return opts
}
