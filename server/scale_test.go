package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// habits are how a portal's people use it, on one working day. docs/scale.md says where the figures come from.
type habits struct {
	// active is the share of the users who open the portal that day, devices how many browsers each of them has a session in.
	active, devices float64
	// day is how long the working day is, open how long each keeps a tab open, reloads how often they load a page of it anew.
	day, open time.Duration
	reloads   int
	// tokenLife is how long Backstage and access tokens live; the front end refreshes 3 minutes before the end.
	tokenLife time.Duration
	// reuse is auth.session.refreshReuse.
	reuse time.Duration
	// signInEvery is how often somebody has to sign in, in days.
	signInEvery float64
	// rush is how much more than the mean of the working day the busiest minute has.
	rush float64
}

var usual = habits{
	active: 0.3, devices: 1.5, day: 10 * time.Hour, open: 6 * time.Hour, reloads: 20, tokenLife: time.Hour, reuse: 30 * time.Second,
	signInEvery: 10, rush: 4,
}

// costs are what one operation takes, as make bench measures it (docs/scale.md).
type costs struct {
	// signIns and refreshes are how many one core does in a second.
	signIns, refreshes float64
	// signInLog and refreshLog are how much PostgreSQL logs for one, sessionSize is what a session takes there, in KiB.
	signInLog, refreshLog, sessionSize float64
}

// load is what a number of users makes.
type load struct {
	users                  float64
	signIns, refreshes     float64 // each second of the busiest minute
	cores, logged, storage float64 // cores, MiB/s, GiB
}

// refreshesPerDay is how often one active user refreshes: at each page, and at the end of each token.
func (h habits) refreshesPerDay() float64 {
	quiet := h.tokenLife - 3*time.Minute
	// Between two reloads tokens are renewed only if the pause is long enough: reloads come at random, so the pauses are exponential.
	mean := h.open.Seconds() / float64(h.reloads+1)
	renewals := 1 / (math.Exp(quiet.Seconds()/mean) - 1)
	return float64(h.reloads+1) * (1 + renewals)
}

// asked is the share of refreshes that ask the provider: the first one, and the first after each reuse.
func (h habits) asked() float64 {
	mean := h.open.Seconds() / h.refreshesPerDay()
	return 1 / (1 + h.reuse.Seconds()/mean)
}

func (h habits) load(users float64, c costs) load {
	second := users * h.active * h.rush / h.day.Seconds()
	l := load{users: users, signIns: second / h.signInEvery, refreshes: second * h.refreshesPerDay()}
	l.cores = l.signIns/c.signIns + l.refreshes/c.refreshes
	l.logged = (l.signIns*c.signInLog + l.refreshes*h.asked()*c.refreshLog) / 1024
	l.storage = users * h.devices * c.sessionSize / (1 << 20)
	return l
}

// measured are the figures of docs/scale.md.
var measured = costs{signIns: 1300, refreshes: 1100, signInLog: 4.1, refreshLog: 3.2, sessionSize: 3.6}

// TestCapacityModel lets some thousand people have a working day, event by event, and compares what they do with the model.
func TestCapacityModel(t *testing.T) {
	const people = 5000
	patient := usual
	patient.reuse = 10 * time.Minute
	for _, h := range []habits{usual, patient} {
		r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a fixed seed, so that the test is the same each time
		refreshes, asked := 0, 0
		for range people {
			n, a := oneDay(r, h)
			refreshes, asked = refreshes+n, asked+a
		}
		near := func(what string, got, want float64) {
			t.Logf("%s: the day says %.3f, the model %.3f", what, got, want)
			if math.Abs(got-want) > 0.05*want {
				t.Errorf("%s: the day says %.3f, the model %.3f", what, got, want)
			}
		}
		near("refreshes of a user", float64(refreshes)/people, h.refreshesPerDay())
		near("share that asks the provider", float64(asked)/float64(refreshes), h.asked())
	}
}

// oneDay is the working day of one person: a tab that is open, pages that are loaded anew at random, and tokens that end in between.
func oneDay(r *rand.Rand, h habits) (refreshes, asked int) {
	loads := []float64{0}
	for range h.reloads {
		loads = append(loads, r.Float64()*h.open.Seconds())
	}
	slices.Sort(loads)
	quiet, last, answered := (h.tokenLife - 3*time.Minute).Seconds(), 0.0, math.Inf(-1)
	refresh := func(at float64) {
		refreshes++
		if last = at; at-answered > h.reuse.Seconds() {
			asked, answered = asked+1, at
		}
	}
	for _, at := range append(loads, h.open.Seconds()) {
		for last+quiet < at {
			refresh(last + quiet)
		}
		if at < h.open.Seconds() {
			refresh(at)
		}
	}
	return refreshes, asked
}

// TestScaleTable: the table of docs/scale.md is what the model says.
func TestScaleTable(t *testing.T) {
	page, err := os.ReadFile("../docs/scale.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, users := range []float64{1e4, 1e6, 1e8} {
		l := usual.load(users, measured)
		row := fmt.Sprintf("| %s | %s | %s | %s | %s | %s |", figure(users), figure(l.signIns), figure(l.refreshes),
			figure(l.cores), figure(l.logged), figure(l.storage))
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/scale.md lacks the row\n%s", row)
		}
	}
}

// figure rounds to two digits, as exact as any of this is.
func figure(x float64) string {
	if x <= 0 {
		return "0"
	}
	scale := math.Pow(10, math.Floor(math.Log10(x))-1)
	x = math.Round(x/scale) * scale
	if x < 10 {
		return fmt.Sprintf("%.2g", x)
	}
	digits := fmt.Sprintf("%.0f", x)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + " " + digits[i:]
	}
	return digits
}
