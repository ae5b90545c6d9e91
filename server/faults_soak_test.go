package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// reading of a replica and of what is stored, at one moment.
type gauge struct {
	numbers
	files, rss int
}

// TestSoak signs people in and refreshes five times as often, with faults in between, and demands that no process grows. SOAK is the
// number of sign-ins (SOAK=10000); by default it is small.
func TestSoak(t *testing.T) {
	signIns, people, parts := 60, 6, 3
	if text := os.Getenv("SOAK"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		signIns, parts = n, 8
	}
	f := newFleet(t, 2, 1, "0s")
	d := &director{f: f, l: newLedger(f), t: &tally{retried: map[string]int{}}, random: rand.New(rand.NewPCG(1, 1))} //nolint:gosec // to be repeated
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	d.ctx = ctx
	var working sync.WaitGroup
	for range people {
		p := newPerson(f, d.l, d.t, "jane.doe@example.com", 1)
		working.Go(func() { p.live(ctx, 5, 0) })
	}
	passing := []func(*director) string{
		func(d *director) string { return onLineOf(d, f.dbLine, lineState{cut: true}, time.Second) },
		func(d *director) string { return onLineOf(d, f.idpLine, lineState{cut: true}, time.Second) },
		failProvider, rotateProvider,
	}
	gauges := make([][]gauge, parts)
	for part := range parts {
		until := signIns * (part + 1) / parts
		passing[part%len(passing)](d)
		for d.totals().signIns < until {
			if breathe(ctx) != nil {
				t.Fatal("the test ended")
			}
		}
		d.calm()
		gauges[part] = d.gauges(d.totals())
	}
	stop()
	working.Wait()
	d.flat(gauges[parts/4], gauges[parts-1])
	if now := d.totals(); now.signInsLost+now.sessionsLost > 0 {
		t.Errorf("lost: %s", strings.Join(first(d.t.complaints, 20), "\n"))
	}
}

// gauges reads and prints.
func (d *director) gauges(now row) []gauge {
	t := d.f.t
	t.Helper()
	var all []gauge
	for _, s := range d.f.slots {
		g, err := s.gauge()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, g)
		t.Logf("%6d sign-ins %7d refreshes  %s: heap %.1f MiB, resident %.1f MiB, %d goroutines, %d files",
			now.signIns, now.refreshes, s.name, float64(g.Heap)/(1<<20), float64(g.rss)/1024, g.Goroutines, g.files)
	}
	rows := map[string]int{}
	for _, table := range []string{"sessions", "transactions", "adoptions", "signing_keys", "user_info"} {
		rows[table] = d.f.rows(table)
	}
	t.Logf("       rows %v", rows)
	if rows["transactions"] > now.signIns+now.inFlight+now.refreshes || rows["sessions"] > now.signIns+now.inFlight+len(d.f.slots)+100 {
		t.Errorf("more rows than there was ever a reason for: %v", rows)
	}
	return all
}

// flat compares with an earlier moment, when everything that is made once was made.
func (d *director) flat(before, after []gauge) {
	const goroutines, files, memory = 60, 60, 16 << 20
	for i, s := range d.f.slots {
		b, a := before[i], after[i]
		if a.Goroutines > b.Goroutines+goroutines || a.files > b.files+files || a.Heap > b.Heap+b.Heap/2+memory {
			d.f.t.Errorf("%s has grown from %+v to %+v", s.name, b, a)
		}
	}
}

// gauge reads what the process and the system say of it.
func (s *slot) gauge() (gauge, error) {
	s.mu.Lock()
	at, pid := s.numbers, s.cmd.Process.Pid
	s.mu.Unlock()
	var g gauge
	res, err := http.Get("http://" + at) //nolint:noctx // on loopback
	if err != nil {
		return g, err
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(&g.numbers); err != nil {
		return g, err
	}
	if open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err == nil { // elsewhere than on Linux there is none
		g.files = len(open)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err == nil {
		if _, after, ok := strings.Cut(string(status), "VmRSS:"); ok {
			_, _ = fmt.Sscan(after, &g.rss)
		}
	}
	return g, nil
}

// rows counts a table.
func (f *fleet) rows(table string) (n int) {
	f.t.Helper()
	at := f.db.TCP("backstage_plugin_auth")
	conn, err := pgx.Connect(f.t.Context(), fmt.Sprintf("host=127.0.0.1 port=%s user=%s password=%s database=backstage_plugin_auth sslmode=disable",
		at["port"], at["user"], at["password"]))
	if err == nil {
		err = conn.QueryRow(f.t.Context(), "select count(*) from stagedoor_"+table).Scan(&n)
		_ = conn.Close(f.t.Context())
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}
