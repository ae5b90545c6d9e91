package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// faultsSpeed is how much faster the signing keys age in the suite than everything else: a rotation takes ten seconds, and a verifier
// keeps the key set for five.
const faultsSpeed = 60

// TestFaults has people use a portal of three replicas while everything breaks that can. It takes as many of the
// scenarios as fit into half a minute, in an order by chance that FAULTS_SEED repeats, or goes on for as long as FAULTS says (FAULTS=10m).
// It prints what happened, and fails if anybody lost what a fault
// does not excuse.
func TestFaults(t *testing.T) {
	seed := rand.Uint64()
	if text := os.Getenv("FAULTS_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("FAULTS_SEED=%d", seed)
	length := lengthOf(t, "FAULTS", 12*time.Second)
	f := newFleet(t, 3, faultsSpeed, "1s")
	// One replica's clock is wrong from now on: that of its keys by four of the five minutes that they allow, and everything else by
	// more than half of the minute that an id_token allows.
	f.slots[2].env = []string{fleetWrong + "=40s", fleetKeysWrong + "=4m"}
	f.slots[2].kill()
	f.slots[2].restart()
	d := &director{f: f, l: newLedger(f), t: &tally{retried: map[string]int{}}, random: rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // to be repeated
	ctx, stop := context.WithCancel(t.Context())
	d.ctx = ctx
	var working sync.WaitGroup
	working.Go(func() { d.l.run(ctx) })
	emails := []string{"jane.doe@example.com"}
	for i := range 6 {
		p := newPerson(f, d.l, d.t, emails[i%len(emails)], 1+i%3)
		working.Go(func() { p.live(ctx, 5+i, time.Duration(200+50*i)*time.Millisecond) })
	}
	rows := d.play(length)
	d.recovered()
	stop()
	working.Wait()
	d.report(rows)
}

// row is a line of the table.
type row struct {
	name, what                   string
	events                       int
	signIns, refreshes, inFlight int
	signInsLost, sessionsLost    int
	refused                      int
}

// play goes through the scenarios in random order, again and again for as long as the run shall last.
func (d *director) play(length time.Duration) []row {
	rows := make([]row, len(scenarios))
	for i, s := range scenarios {
		rows[i].name = s.name
	}
	end := time.Now().Add(length)
	for time.Now().Before(end) {
		for _, i := range d.random.Perm(len(scenarios)) {
			if time.Now().After(end) {
				break
			}
			before := d.totals()
			begun := time.Now()
			what := scenarios[i].do(d)
			d.last(100*time.Millisecond, 600*time.Millisecond)
			rows[i].add(before, d.totals(), what)
			d.f.t.Logf("%-22s %-24s %v", scenarios[i].name, what, time.Since(begun).Round(time.Millisecond))
		}
	}
	return rows
}

// totals are the counts so far, as a row.
func (d *director) totals() row {
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	d.l.mu.Lock()
	defer d.l.mu.Unlock()
	return row{
		signIns: d.t.signIns, refreshes: d.t.refreshes, inFlight: d.t.signInsInFlight + d.t.sessionsInFlight,
		signInsLost: d.t.signInsLost, sessionsLost: d.t.sessionsLost, refused: len(d.l.refusals),
	}
}

func (r *row) add(before, after row, what string) {
	r.events++
	r.what = what
	r.signIns += after.signIns - before.signIns
	r.refreshes += after.refreshes - before.refreshes
	r.inFlight += after.inFlight - before.inFlight
	r.signInsLost += after.signInsLost - before.signInsLost
	r.sessionsLost += after.sessionsLost - before.sessionsLost
	r.refused += after.refused - before.refused
}

// recovered waits until people get on again after the last fault.
func (d *director) recovered() {
	d.f.allUp()
	for range 5 {
		before := d.totals()
		eventually(d.f.t, "somebody's success", func() bool { now := d.totals(); return now.signIns+now.refreshes > before.signIns+before.refreshes })
	}
}

// report prints the table and fails the test for every number that is wrong.
func (d *director) report(rows []row) {
	t := d.f.t
	t.Helper()
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "scenario\tevents\tsign-ins\trefreshes\tin flight\tsign-ins lost\tsessions lost\ttokens refused")
	total := row{name: "all"}
	for _, r := range rows {
		if r.events == 0 {
			continue
		}
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", r.name, r.events, r.signIns, r.refreshes, r.inFlight, r.signInsLost, r.sessionsLost, r.refused)
		total.events += r.events
	}
	now := d.totals()
	_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", "all", total.events, now.signIns, now.refreshes, now.inFlight, now.signInsLost, now.sessionsLost, now.refused)
	_ = w.Flush()
	t.Logf("\n%s%d tokens in the ledger, %d verifications, signed by %d keys of %d published; answers to try again after: %v",
		&b, d.l.issued, d.l.checks, len(d.l.kids), len(d.l.published), d.t.retried)
	if now.signInsLost+now.sessionsLost+now.refused > 0 {
		t.Errorf("lost: %s", strings.Join(first(append(d.t.complaints, d.l.refusals...), 20), "\n"))
	}
	if now.signIns == 0 || now.refreshes == 0 || len(d.l.published) < 2 {
		t.Error("the run tells nothing")
	}
}

func first(all []string, n int) []string { return all[:min(n, len(all))] }
