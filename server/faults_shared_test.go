package main

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stagedoor/server/internal/devidp"
	"stagedoor/server/internal/seal"
	"stagedoor/server/internal/store"
	"stagedoor/server/internal/store/pgtest"
	"stagedoor/tokens"
)

// renewals is how often the provider was asked for fresh tokens.
func (f *fleet) renewals() int { return f.idp.Calls().Grant["refresh_token"] }

// holdRefreshes lets refreshes hang at the provider, and returns once one does.
func (f *fleet) holdRefreshes(begin func()) {
	f.idp.Misbehave(func(faults *devidp.Faults) {
		faults.Failures[devidp.TokenEndpoint] = devidp.Failure{Kind: devidp.FailHang, Grant: "refresh_token"}
	})
	begin()
	<-f.idp.Hanging()
}

func (f *fleet) letGo() {
	f.idp.Behave()
	f.idp.Release()
}

// TestFiftyRefreshes is security F02 over three processes: fifty refreshes of one session at once are one call and fifty successes. With
// the process that makes the call killed in the middle, whoever asked another process succeeds all the same, and the session lives.
func TestFiftyRefreshes(t *testing.T) {
	const tabs, reuse = 50, "2s"
	f := newFleet(t, 3, 1, reuse)
	nobody := &tally{retried: map[string]int{}}
	p := newPerson(f, newLedger(f), nobody, "jane.doe@example.com", tabs)
	for _, killed := range []bool{false, true} {
		f.allUp()
		if !p.signIn(t.Context()) {
			t.Fatal("no sign-in")
		}
		<-time.After(2 * time.Second) // the sign-in's own answer is used for as long as reuse says
		before, first := f.renewals(), f.slots[0]
		good, cut, bad := p.together(tabs, first, killed)
		calls := f.renewals() - before
		t.Logf("winner killed: %v; %d calls of the provider, %d successes, %d cut off, %d refused", killed, calls, good, cut, bad)
		switch {
		case !killed && (calls != 1 || good != tabs):
			t.Error("want one call and a success for everybody")
		case killed && (calls != 2 || cut != first.share(tabs) || good != tabs-cut):
			t.Error("want one call more, and a success for everybody whose process lives")
		}
		if killed {
			first.restart()
		}
		if a, err := p.once(t.Context(), f.slots[1], refreshPath); err != nil || a.status != http.StatusOK {
			t.Errorf("the session does not live: %v %s", err, codeOf(a))
		}
	}
}

const refreshPath = "/api/auth/idp/refresh?env=development"

// together refreshes in n tabs at once over all replicas, of which the first one makes the call, and may be killed while it does.
func (p *person) together(n int, first *slot, killed bool) (good, cut, bad int64) {
	f := p.f
	var working sync.WaitGroup
	var goods, cuts, bads atomic.Int64
	refresh := func(s *slot) {
		switch a, err := p.once(f.t.Context(), s, refreshPath); {
		case err != nil:
			cuts.Add(1)
		case a.status == http.StatusOK:
			goods.Add(1)
		default:
			bads.Add(1)
			f.t.Errorf("refresh: %s", codeOf(a))
		}
	}
	f.holdRefreshes(func() { working.Go(func() { refresh(first) }) })
	for i := range n - 1 {
		working.Go(func() { refresh(f.slots[i%len(f.slots)]) })
	}
	eventually(f.t, "all of them", func() bool {
		under := int64(0)
		for _, s := range f.slots {
			under += s.inFlight.Load()
		}
		return under == int64(n)
	})
	if killed {
		first.kill()
		f.idp.Behave() // what hangs ends by itself when the provider notices: the token is not spent
	} else {
		f.letGo()
	}
	working.Wait()
	return goods.Load(), cuts.Load(), bads.Load()
}

// share is how many of n refreshes the first replica has: the one that begins, and its part of the others.
func (s *slot) share(n int) int64 {
	replicas := len(s.f.slots)
	return 1 + int64((n-1+replicas-1)/replicas)
}

// TestRotationsAtOnce has two replicas look at the same instant whether it is time to rotate, 200 times: there is one new key each time,
// and both publish the same set.
func TestRotationsAtOnce(t *testing.T) {
	const rounds, rotation, ahead = 200, 10 * time.Minute, time.Minute
	c := pgtest.Shared(t)
	database := c.Database(t)
	var now atomic.Int64
	now.Store(time.Now().UnixNano())
	clock := func() time.Time { return time.Unix(0, now.Load()) }
	var replicas [2]*tokens.Issuer
	var keys tokens.KeyStore
	for i := range replicas {
		s, err := store.Open(t.Context(), store.Options{Postgres: &store.Postgres{Settings: c.Socket(database)}, Now: clock})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		ring, err := seal.New("signing keys", "a-secret-of-the-tests")
		if err != nil {
			t.Fatal(err)
		}
		keys = s
		replicas[i], err = tokens.NewIssuer(tokens.IssuerConfig{
			BaseURL: fleetBase + "/api/auth", Rotation: rotation, PublishAhead: ahead, Store: s, Sealer: ring, Now: clock,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	newest := int64(0)
	for round := range rounds {
		atOnce(t, replicas)
		now.Add(int64(ahead / 4)) // the next look
		if sets := atOnce(t, replicas); !bytes.Equal(sets[0], sets[1]) {
			t.Fatalf("round %d: the key sets differ:\n%s\n%s", round, sets[0], sets[1])
		}
		stored, err := keys.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		last := stored[len(stored)-1].Generation
		if round > 1 && last != newest+1 { // the first key has its successor at once
			t.Fatalf("round %d: from key %d to %d", round, newest, last)
		}
		newest = last
		now.Add(int64(rotation - ahead/4))
	}
	t.Logf("%d rounds, %d keys", rounds, newest)
}

// atOnce has both look, and issue a token that the other accepts.
func atOnce(t *testing.T, replicas [2]*tokens.Issuer) (sets [2][]byte) {
	t.Helper()
	var working sync.WaitGroup
	begin := make(chan struct{})
	for i, r := range replicas {
		working.Go(func() {
			<-begin
			doc, err := r.JWKS(context.WithoutCancel(t.Context()))
			if err != nil {
				t.Error(err)
			}
			sets[i] = doc.Body
		})
	}
	close(begin)
	working.Wait()
	for i, r := range replicas {
		token, err := r.Issue(t.Context(), tokens.Identity{Subject: "user:default/jane"})
		if err == nil {
			_, err = replicas[1-i].Verify(t.Context(), token.Raw)
		}
		if err != nil {
			t.Errorf("a token of replica %d at the other: %v", i, err)
		}
	}
	return sets
}

// TestProviderRotatesUnderMany: the provider has a new key, and twenty sign-ins meet it at once. They share one look at its key set, and
// the bound on such looks, which is for forged tokens, refuses none of them.
func TestProviderRotatesUnderMany(t *testing.T) {
	const many = 20
	d := deploy(t, settings{})
	d.browser().signIn("jane.doe@example.com") // the old key is known
	var callbacks [many]string
	var browsers [many]*browser
	for i := range many {
		browsers[i] = d.browser()
		callbacks[i] = browsers[i].toCallback("jane.doe@example.com")
	}
	if err := d.idp.RotateKey(); err != nil {
		t.Fatal(err)
	}
	d.idp.Misbehave(func(f *devidp.Faults) {
		f.Failures[devidp.KeysEndpoint] = devidp.Failure{Kind: devidp.FailHang, Times: 1}
	})
	before := d.idp.Calls().Endpoint[devidp.KeysEndpoint]
	var working sync.WaitGroup
	for i, b := range browsers {
		working.Go(func() {
			if m := posted(t, b.follow(callbacks[i])); m.Error.Name != "" {
				t.Errorf("sign-in %d: %+v", i, m.Error)
			}
		})
	}
	<-d.idp.Hanging()
	eventually(t, "all codes", func() bool { return d.idp.Calls().Grant["authorization_code"] == many+1 })
	d.idp.Release()
	working.Wait()
	if n := d.idp.Calls().Endpoint[devidp.KeysEndpoint] - before; n > 2 {
		t.Errorf("%d looks at the key set", n)
	}
}
