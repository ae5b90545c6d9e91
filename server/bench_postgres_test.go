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
	var size float64
	const perSession = "select pg_total_relation_size('stagedoor_sessions')::float8 / count(*) from stagedoor_sessions"
	if err := conn.QueryRow(b.Context(), perSession).Scan(&size); err != nil {
		b.Fatal(err)
	}
	r.add("a session in PostgreSQL, indices included", "—", "—", fmt.Sprintf("%.1f KiB", size/1024))
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
		reusing, asking := benchReplicas(b, opts, n, time.Hour), benchReplicas(b, opts, n, 0)
		for _, op := range []struct {
			name string
			do   func(i int) error
		}{
			{"sign-ins", func(i int) error { _, err := signInOnce(b.Context(), asking[i].Flow); return err }},
			{"refreshes that ask the provider", func(i int) error { return asking[i].refresh(b.Context()) }},
			{"refreshes from the row", func(i int) error { return reusing[i].refresh(b.Context()) }},
		} {
			perSecond := together(b, n, op.do)
			if n == 1 {
				base[op.name] = perSecond
			}
			r.add(fmt.Sprintf("%s, %d replicas on PostgreSQL", op.name, n), "one replica", "—",
				fmt.Sprintf("%.2f × (%.0f/s)", perSecond/base[op.name], perSecond))
		}
	}
}

// benchReplica is a replica with somebody signed in.
type benchReplica struct {
	*signin.Flow
	cookie *http.Cookie
}

func (r benchReplica) refresh(ctx context.Context) error {
	_, err := r.Refresh(ctx, benchRefresh(r.cookie))
	return err
}

func benchReplicas(b *testing.B, opts store.Options, n int, reuse time.Duration) []benchReplica {
	b.Helper()
	var all []benchReplica
	for range n {
		flow, _, _ := benchFlowOn(b, devCatalog(b), opts, reuse)
		cookie, err := signInOnce(b.Context(), flow)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, benchReplica{flow, cookie})
	}
	return all
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
