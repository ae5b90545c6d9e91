package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store/pgtest"
)

// rows is how many sessions a large portal has.
const rows = 20_000

// benchmark runs fn on a stocked database of each dialect. PostgreSQL is reached through TCP, as it mostly is.
func benchmark(b *testing.B, fn func(*testing.B, *Store)) {
	b.Run("SQLite", func(b *testing.B) {
		s := open(b, Options{Path: file(b)})
		_, err := lite(s).writer.ExecContext(b.Context(), `with recursive n(i) as (select 0 union all select i + 1 from n where i < ?)
			insert into stagedoor_sessions (id, provider, env, user_ref, scope, tokens, created_at, used_at, refreshed_at, expires_at)
			select printf('%064x', i), 'okta', 'production', 'user:default/u' || i, 'openid', randomblob(2048), i, i, i, i from n`, rows-1)
		must(b, err)
		b.ReportAllocs()
		b.ResetTimer()
		fn(b, s)
	})
	b.Run("PostgreSQL", func(b *testing.B) {
		c := pgtest.Shared(b)
		name := c.Database(b)
		s := open(b, Options{Postgres: &Postgres{Settings: c.TCP(name)}})
		c.Exec(b, name, stock(rows))
		b.ReportAllocs()
		b.ResetTimer()
		fn(b, s)
	})
}

// stock fills a PostgreSQL database with n sessions.
func stock(n int) string {
	return fmt.Sprintf(`insert into stagedoor_sessions (id, provider, env, user_ref, scope, tokens, created_at, used_at, refreshed_at, expires_at)
		select lpad(to_hex(i), 64, '0'), 'okta', 'production', 'user:default/u' || i, 'openid', decode(repeat(md5(i::text), 128), 'hex'), i, i, i, i
		from generate_series(0, %d) as i; analyze`, n-1)
}

func stockedID(i int) string { return fmt.Sprintf("%064x", i%rows) }

// BenchmarkSessionSelect is the yardstick for a refresh that reuses what it has: one indexed read, under a context that can
// end, as a request's.
func BenchmarkSessionSelect(b *testing.B) { benchmark(b, sessionSelect) }

func sessionSelect(b *testing.B, s *Store) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for i := 0; b.Loop(); i++ {
		if _, err := s.Session(ctx, stockedID(i)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSessionSelectParallel(b *testing.B) { benchmark(b, sessionSelectParallel) }

func sessionSelectParallel(b *testing.B, s *Store) {
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := s.Session(b.Context(), stockedID(i)); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkSessionCreate(b *testing.B) { benchmark(b, sessionCreate) }

func sessionCreate(b *testing.B, s *Store) {
	for i := 0; b.Loop(); i++ {
		if err := s.CreateSession(b.Context(), session(fmt.Sprint("new-", i))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSessionTouch(b *testing.B) { benchmark(b, sessionTouch) }

func sessionTouch(b *testing.B, s *Store) {
	now := time.Unix(1_800_000_000, 0)
	for i := 0; b.Loop(); i++ {
		if err := s.TouchSession(b.Context(), stockedID(i), "user:default/mira", now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLeaseAcquireFinish(b *testing.B) { benchmark(b, leaseAcquireFinish) }

func leaseAcquireFinish(b *testing.B, s *Store) {
	tokens := make([]byte, 2048)
	for i := 0; b.Loop(); i++ {
		l := signin.Lease{Session: stockedID(i), Owner: "flight", TTL: time.Minute}
		if _, err := s.AcquireLease(b.Context(), l); err != nil {
			b.Fatal(err)
		}
		if err := s.FinishLease(b.Context(), l, signin.Renewal{Tokens: tokens}); err != nil {
			b.Fatal(err)
		}
	}
}
