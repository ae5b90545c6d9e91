package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"stagedoor/server/internal/signin"
)

// stocked is a file with as many sessions as a large portal has.
func stocked(b *testing.B) *Store {
	b.Helper()
	const sessions = 20_000
	s := open(b, Options{Path: file(b)})
	_, err := s.writer.ExecContext(b.Context(), `with recursive n(i) as (select 0 union all select i + 1 from n where i < ?)
		insert into stagedoor_sessions (id, provider, env, user_ref, scope, tokens, created_at, used_at, refreshed_at, expires_at)
		select printf('%064x', i), 'okta', 'production', 'user:default/u' || i, 'openid', randomblob(2048), i, i, i, i from n`,
		sessions-1)
	must(b, err)
	b.ReportAllocs()
	b.ResetTimer()
	return s
}

func stockedID(i int) string { return fmt.Sprintf("%064x", i%20_000) }

// BenchmarkSessionSelect is the yardstick for a refresh that reuses what it has: one indexed read, under a context that can
// end, as a request's.
func BenchmarkSessionSelect(b *testing.B) {
	s := stocked(b)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for i := 0; b.Loop(); i++ {
		if _, err := s.Session(ctx, stockedID(i)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSessionSelectParallel(b *testing.B) {
	s := stocked(b)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := s.Session(b.Context(), stockedID(i)); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkSessionCreate(b *testing.B) {
	s := stocked(b)
	for i := 0; b.Loop(); i++ {
		if err := s.CreateSession(b.Context(), session(fmt.Sprint("new-", i))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSessionTouch(b *testing.B) {
	s, now := stocked(b), time.Unix(1_800_000_000, 0)
	for i := 0; b.Loop(); i++ {
		if err := s.TouchSession(b.Context(), stockedID(i), "user:default/mira", now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLeaseAcquireFinish(b *testing.B) {
	s, tokens := stocked(b), make([]byte, 2048)
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
