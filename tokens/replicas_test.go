package tokens_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stagedoor/tokens"
)

// The state machine of TestReplicas moves a portal of several replicas and many verifiers through some days, a quarter of
// PublishAhead at a time. At every tick each replica looks into the store, as Run does, and may find it down if it did
// not the last time.
const (
	modelAhead = time.Hour
	modelTick  = modelAhead / 4
	modelSkew  = 150 * time.Second // two clocks differ by twice that: what the keys' life allows for
	modelLead  = 2*modelAhead + 5*time.Minute
)

type replica struct {
	*tokens.Issuer
	link *flakyStore // this replica's way to the store
	now  func() time.Time
}

// edge is a shared cache in front of some replica.
type edge struct {
	doc     tokens.Document
	fetched time.Time
}

// verifier is a backend that keeps what it got from its edge for as long as PublishAhead allows.
type verifier struct {
	edge    *edge
	kids    string
	fetched time.Time
}

type portal struct {
	*rapid.T
	clock     *clock
	store     *tokens.MemoryStore
	cfg       tokens.IssuerConfig
	replicas  []*replica
	edges     []*edge
	verifiers []*verifier
	tokens    []tokens.Token // not expired, in the order of issue
	history   []tokens.Key   // every key that was ever stored
}

func newPortal(r *rapid.T) *portal {
	p := &portal{T: r, clock: newClock(), store: tokens.NewMemoryStore()}
	p.cfg = tokens.IssuerConfig{
		Algorithm: "EdDSA", PublishAhead: modelAhead,
		Lifetime: time.Duration(rapid.IntRange(10, 24*60).Draw(r, "lifetime")) * time.Minute,
		Rotation: time.Duration(rapid.IntRange(1, 30).Draw(r, "rotation")) * time.Hour,
	}
	for range rapid.IntRange(1, 4).Draw(r, "replicas") {
		skew := time.Duration(rapid.Int64Range(int64(-modelSkew), int64(modelSkew)).Draw(r, "skew"))
		p.replicas = append(p.replicas, p.start(func() time.Time { return p.clock.Now().Add(skew) }))
	}
	for range 2 {
		e := &edge{}
		p.edges = append(p.edges, e)
		p.verifiers = append(p.verifiers, &verifier{edge: e}, &verifier{edge: e})
	}
	return p
}

func (p *portal) start(now func() time.Time) *replica {
	rep := &replica{link: &flakyStore{KeyStore: p.store}, now: now}
	cfg := p.cfg
	cfg.Store, cfg.Now = rep.link, now
	rep.Issuer = newIssuer(p.T, cfg)
	publishedKids(p.T, rep.Issuer)
	return rep
}

// tick lets time pass and every replica look into the store, one after the other or all at once.
func (p *portal) tick() {
	p.clock.Advance(modelTick)
	together := rapid.Bool().Draw(p.T, "together")
	errs := make([]error, len(p.replicas))
	var wg sync.WaitGroup
	for _, n := range rapid.Permutation(indexes(p.replicas)).Draw(p.T, "order") {
		rep := p.replicas[n]
		rep.link.down = !rep.link.down && rapid.IntRange(0, 4).Draw(p.T, "down") == 0
		wg.Go(func() { _, errs[n] = rep.JWKS(p.Context()) })
		if !together {
			wg.Wait()
		}
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		p.Fatal(err)
	}
}

// restart replaces a replica by a new process.
func (p *portal) restart() {
	n := rapid.SampledFrom(indexes(p.replicas)).Draw(p.T, "restarted")
	p.replicas[n] = p.start(p.replicas[n].now)
}

// issue has some replica issue a token, whose key every verifier must know.
func (p *portal) issue() {
	rep := rapid.SampledFrom(p.replicas).Draw(p.T, "issuer")
	token := mustIssue(p.T, rep.Issuer, "user:default/jane")
	p.tokens = append(p.tokens, token)
	kid := kidOf(p.T, token.Raw)
	for n, v := range p.verifiers {
		if !strings.Contains(p.known(v), kid) {
			p.Fatalf("verifier %d does not know the key of a token", n)
		}
	}
}

// known is what a verifier goes by: its own copy, or when that is too old what its edge has.
func (p *portal) known(v *verifier) string {
	now := p.clock.Now()
	if v.kids != "" && now.Sub(v.fetched) < modelAhead {
		return v.kids
	}
	if e := v.edge; e.doc.Body == nil || now.Sub(e.fetched) >= e.doc.MaxAge {
		doc, err := rapid.SampledFrom(p.replicas).Draw(p.T, "origin").JWKS(p.Context())
		if err != nil {
			p.Fatal(err)
		}
		*e = edge{doc, now}
	}
	v.kids, v.fetched = string(v.edge.doc.Body), now
	return v.kids
}

// verify has a replica verify the oldest, the youngest and some other token.
func (p *portal) verify() {
	last := len(p.tokens) - 1
	for _, n := range []int{0, last, rapid.IntRange(0, last).Draw(p.T, "token")} {
		token, rep := p.tokens[n], rapid.SampledFrom(p.replicas).Draw(p.T, "verifying")
		_, err := rep.Verify(p.Context(), token.Raw)
		switch expired := !rep.now().Before(token.ExpiresAt); {
		case expired && !errors.Is(err, tokens.ErrInvalid):
			p.Fatalf("expired token: error %v, want ErrInvalid", err)
		case !expired && err != nil:
			p.Fatalf("token of %v with %v left: %v", token.IssuedAt, token.ExpiresAt.Sub(rep.now()), err)
		}
	}
	p.tokens = slices.DeleteFunc(p.tokens, func(token tokens.Token) bool { return token.ExpiresAt.Before(p.clock.Now()) })
}

// inspect holds the stored keys against what a rotation may leave: one key each, in time, and gone in the end.
func (p *portal) inspect() {
	for _, k := range storedKeys(p.T, p.store) {
		if n := len(p.history); n == 0 || k.Generation > p.history[n-1].Generation {
			p.history = append(p.history, k)
		}
		if !k.RetireAt.IsZero() && k.RetireAt.Before(p.clock.Now().Add(-modelAhead)) {
			p.Fatalf("key of generation %d should have been removed at %v", k.Generation, k.RetireAt)
		}
	}
	for n := range len(p.history) - 1 {
		old, young := p.history[n], p.history[n+1]
		if young.Generation != old.Generation+1 {
			p.Fatalf("generation %d follows %d", young.Generation, old.Generation)
		}
		gap, latest := young.SignsFrom.Sub(old.SignsFrom), max(p.cfg.Rotation, modelLead)+modelAhead/2+2*modelSkew
		if gap < p.cfg.Rotation || gap > latest {
			p.Fatalf("generation %d signs for %v, want %v to %v", old.Generation, gap, p.cfg.Rotation, latest)
		}
		if ahead := young.SignsFrom.Sub(young.CreatedAt); ahead < modelLead {
			p.Fatalf("generation %d is published only %v ahead", young.Generation, ahead)
		}
	}
}

func indexes[E any](s []E) []int {
	out := make([]int, len(s))
	for n := range s {
		out[n] = n
	}
	return out
}

// TestReplicas holds the law of the package over random lives of a portal: whoever signs, whoever verifies, whoever serves
// the key set, with whatever clock, after whatever restart.
func TestReplicas(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := newPortal(r)
		for range rapid.IntRange(1, 150).Draw(r, "ticks") {
			p.tick()
			if rapid.IntRange(0, 9).Draw(r, "restart") == 0 {
				p.restart()
			}
			p.issue()
			p.verify()
			p.inspect()
		}
	})
}
