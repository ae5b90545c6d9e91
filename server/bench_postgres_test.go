package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store"
	"stagedoor/server/internal/store/pgtest"
)

// benchCluster is a PostgreSQL that keeps what it has committed, as one in use does.
func benchCluster(b *testing.B) (store.Options, *pgx.Conn) {
	b.Helper()
	cluster := pgtest.Start(b, "fsync=on", "full_page_writes=on", "synchronous_commit=on")
	settings := cluster.TCP(cluster.Database(b))
	var words []string
	for k, v := range settings {
		words = append(words, fmt.Sprintf("%s='%s'", k, v))
	}
	conn, err := pgx.Connect(b.Context(), strings.Join(words, " "))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close(context.WithoutCancel(b.Context())) })
	return store.Options{Postgres: &store.Postgres{Settings: settings, MaxConns: 10}}, conn
}

// postgres is what each operation costs the database, for docs/scale.md: the log that it writes.
func (r *results) postgres(b *testing.B) {
	opts, conn := benchCluster(b)
	r.refreshOn(b, "PostgreSQL on loopback", opts)
	flow, _, _ := benchFlowOn(b, devCatalog(b), opts, 0)
	cookie, err := signInOnce(b.Context(), flow)
	if err != nil {
		b.Fatal(err)
	}
	signIn := func() error { _, err := signInOnce(b.Context(), flow); return err }
	renew := func() error { _, err := flow.Refresh(b.Context(), benchRefresh(cookie)); return err }
	reused, _, _ := benchFlowOn(b, devCatalog(b), opts, time.Hour)
	reuse := func() error { _, err := reused.Refresh(b.Context(), benchRefresh(cookie)); return err }
	for _, op := range []struct {
		name string
		do   func() error
	}{{"sign-in", signIn}, {"refresh that asks the provider", renew}, {"refresh from the row", reuse}} {
		r.add(op.name+", log written by PostgreSQL", "—", "—", fmt.Sprintf("%.1f KiB", written(b, conn, op.do)/1024))
	}
}

// written is how much log one call makes PostgreSQL write, in bytes, the mean of many.
func written(b *testing.B, conn *pgx.Conn, do func() error) float64 {
	b.Helper()
	const n = 500
	many := func() {
		for range n {
			if err := do(); err != nil {
				b.Fatal(err)
			}
		}
	}
	position := func() (lsn int64) {
		if err := conn.QueryRow(b.Context(), "select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint").Scan(&lsn); err != nil {
			b.Fatal(err)
		}
		return lsn
	}
	many() // the first touch of a page after a checkpoint is logged whole
	before := position()
	many()
	return float64(position()-before) / n
}

// replicas is how much more several replicas do than one on the same database, each with one worker as if it had one core. The
// machine's cores are shared by all of them and the database, so the ratio ends where they do.
func (r *results) replicas(b *testing.B) {
	opts, _ := benchCluster(b)
	base := map[string]float64{}
	for _, n := range []int{1, 2, 4} {
		var flows []*signin.Flow
		var cookies []*http.Cookie
		for range n {
			flow, _, _ := benchFlowOn(b, devCatalog(b), opts, time.Hour)
			cookie, err := signInOnce(b.Context(), flow)
			if err != nil {
				b.Fatal(err)
			}
			flows, cookies = append(flows, flow), append(cookies, cookie)
		}
		for name, do := range map[string]func(i int) error{
			"sign-ins":  func(i int) error { _, err := signInOnce(b.Context(), flows[i]); return err },
			"refreshes": func(i int) error { _, err := flows[i].Refresh(b.Context(), benchRefresh(cookies[i])); return err },
		} {
			perSecond := together(b, n, do)
			if n == 1 {
				base[name] = perSecond
			}
			r.add(fmt.Sprintf("%s with %d replicas on PostgreSQL", name, n), "one replica", "—",
				fmt.Sprintf("%.2f × (%.0f/s)", perSecond/base[name], perSecond))
		}
	}
}

// together runs do on n workers and returns how often it was done per second.
func together(b *testing.B, n int, do func(i int) error) float64 {
	b.Helper()
	var done atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for i := range n {
		wg.Go(func() {
			for time.Since(began) < 2*time.Second {
				if err := do(i); err != nil {
					b.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(began).Seconds()
}
