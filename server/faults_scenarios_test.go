package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"stagedoor/server/internal/devidp"
)

// scenario is a fault that comes, is felt and ends. It returns what it did, in a few words for the table.
type scenario struct {
	name string
	do   func(*director) string
}

// director lets scenarios happen.
type director struct {
	f      *fleet
	l      *ledger
	t      *tally
	random *rand.Rand
	ctx    context.Context //nolint:containedctx // of the one run
	// upgrades is how many there were.
	upgrades int
}

// some is a replica by chance.
func (d *director) some() *slot { return d.f.slots[d.random.IntN(len(d.f.slots))] }

// last waits for a while that chance chooses.
func (d *director) last(least, most time.Duration) {
	select {
	case <-d.ctx.Done():
	case <-time.After(least + time.Duration(d.random.Int64N(int64(most-least)+1))):
	}
}

var scenarios = []scenario{
	{"kill -9 in rotation", killInRotation},
	{"kill -9 in refreshes", func(d *director) string { return killIn(d, "refresh_token") }},
	{"kill -9 in callbacks", func(d *director) string { return killIn(d, "authorization_code") }},
	{"SIGTERM under load", terminateUnderLoad},
	{"database cut", func(d *director) string { return onLineOf(d, d.f.dbLine, lineState{cut: true}, 3*time.Second) }},
	{"database silent", func(d *director) string { return onLineOf(d, d.f.dbLine, lineState{still: true}, 3*time.Second) }},
	{"database slow", func(d *director) string {
		return onLineOf(d, d.f.dbLine, lineState{delay: 400 * time.Millisecond}, 4*time.Second)
	}},
	{"database restarted", restartDatabase},
	{"IdP slow", func(d *director) string {
		return onLineOf(d, d.f.idpLine, lineState{delay: 700 * time.Millisecond}, 4*time.Second)
	}},
	{"IdP cut", func(d *director) string { return onLineOf(d, d.f.idpLine, lineState{cut: true}, 3*time.Second) }},
	{"IdP answers 5xx", failProvider},
	{"IdP rotates its keys", rotateProvider},
	{"rolling upgrade", upgrade},
}

// onLineOf breaks a line for a while.
func onLineOf(d *director, l *faultLine, s lineState, most time.Duration) string {
	begun := time.Now()
	d.f.trouble(func() {
		l.set(s)
		d.last(most/3, most)
		l.set(lineState{})
	})
	return time.Since(begun).Round(100 * time.Millisecond).String()
}

// killInRotation waits for the moment in which a new key appears and kills whoever may have made it.
func killInRotation(d *director) string {
	known := func() int {
		d.l.mu.Lock()
		defer d.l.mu.Unlock()
		return len(d.l.published)
	}
	before, deadline := known(), time.After(12*time.Second)
	for known() == before {
		select {
		case <-deadline:
			return d.killOne() + ", no rotation came"
		case <-d.ctx.Done():
			return "the run ended"
		case <-time.After(5 * time.Millisecond):
		}
	}
	return d.killOne()
}

func (d *director) killOne() string {
	s := d.some()
	d.f.trouble(func() { s.kill(); s.restart() })
	return s.name
}

// killIn kills a replica that has asked the provider and has no answer yet.
func killIn(d *director, grant string) string {
	s := d.some()
	d.f.trouble(func() {
		d.f.idp.Misbehave(func(f *devidp.Faults) {
			f.Failures[devidp.TokenEndpoint] = devidp.Failure{Kind: devidp.FailHang, Grant: grant}
		})
		d.hanging()
		for _, other := range d.f.slots {
			if other.inFlight.Load() > s.inFlight.Load() {
				s = other
			}
		}
		s.kill()
		d.f.idp.Behave()
		d.f.idp.Release()
		s.restart()
	})
	return s.name
}

// hanging waits until a call hangs at the provider, and some more if there are any soon.
func (d *director) hanging() {
	for len(d.f.idp.Hanging()) > 0 { // of before
		<-d.f.idp.Hanging()
	}
	wait := time.After(5 * time.Second)
	for range 3 {
		select {
		case <-d.f.idp.Hanging():
		case <-wait:
			return
		case <-d.ctx.Done():
			return
		}
	}
}

// calm waits until nobody is excused any more.
func (d *director) calm() {
	eventually(d.f.t, "calm", func() bool { return !d.f.excused() })
}

// terminateUnderLoad is no trouble at all: nobody may notice, so nobody is excused.
func terminateUnderLoad(d *director) string {
	d.calm()
	s := d.some()
	if err := s.terminate(); err != nil {
		d.t.count(&d.t.signInsLost, "SIGTERM: "+err.Error())
	}
	s.restart()
	return s.name
}

func restartDatabase(d *director) string {
	d.f.trouble(func() {
		d.f.db.Kill(d.f.t)
		d.last(time.Second, 2*time.Second)
		d.f.db.Restart(d.f.t)
	})
	return "killed and started"
}

func failProvider(d *director) string {
	kinds := []devidp.FailureKind{devidp.FailServerError, devidp.FailUnavailable, devidp.FailTooMany, devidp.FailReset}
	kind := kinds[d.random.IntN(len(kinds))]
	d.f.trouble(func() {
		d.f.idp.Misbehave(func(f *devidp.Faults) {
			for _, e := range []devidp.Endpoint{devidp.TokenEndpoint, devidp.KeysEndpoint, devidp.UserinfoEndpoint, devidp.DiscoveryEndpoint} {
				f.Failures[e] = devidp.Failure{Kind: kind}
			}
		})
		d.last(time.Second, 3*time.Second)
		d.f.idp.Behave()
	})
	return string(kind)
}

// rotateProvider has the provider sign with a new key, and withdraw the old one a moment later: nobody is excused. It does so once,
// because new keys are looked for four times at once, and then every 15 seconds.
func rotateProvider(d *director) string {
	d.calm()
	if err := d.f.idp.RotateKey(); err != nil {
		d.f.t.Error(err)
	}
	d.last(time.Second, 2*time.Second)
	d.f.idp.WithdrawOldKeys()
	return "a new key"
}

// upgrade replaces the replicas one by one by those of a version with one migration more. Nobody is excused: those of before serve on.
func upgrade(d *director) string {
	d.calm()
	d.upgrades++
	dir := filepath.Join(d.f.dir, fmt.Sprint("migrations ", d.upgrades))
	if err := youngerMigrations(dir, d.upgrades); err != nil {
		d.f.t.Error(err)
		return "no migrations"
	}
	for _, s := range d.f.slots {
		if err := s.terminate(); err != nil {
			d.t.count(&d.t.signInsLost, "SIGTERM: "+err.Error())
		}
		s.env = append(s.env, fleetMigrations+"="+dir)
		s.restart()
		d.last(200*time.Millisecond, time.Second)
	}
	return "one migration more"
}

// youngerMigrations are those of this version and n that add to a table that everybody uses.
func youngerMigrations(dir string, n int) error {
	if err := os.CopyFS(dir, os.DirFS("internal/store/migrations")); err != nil {
		return err
	}
	for i := range n {
		more := fmt.Sprintf("-- +goose Up\nalter table stagedoor_sessions add column later_%d text not null default '';\n", i)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d_later.sql", 900+i)), []byte(more), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// lengthOf is how long to go on, from the environment: how long the suite takes in CI, or as long as somebody asks for.
func lengthOf(t *testing.T, variable string, short time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return short
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return d
}
