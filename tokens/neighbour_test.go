package tokens_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"stagedoor/tokens"
)

// TestNeighboursKeys: they are published for three lifetimes of a token, behind ours, and verify as soon as they are there.
func TestNeighboursKeys(t *testing.T) {
	c, n := newClock(), &table{}
	n.makeKey(t, "node-old", epoch.Add(-2*time.Hour))
	i := newIssuer(t, tokens.IssuerConfig{Neighbour: n, Now: c.Now})
	ours := kidOf(t, mustIssue(t, i, "user:default/jane").Raw)
	wantKids(t, i, ours, "node-old")

	young := n.makeKey(t, "node-young", c.Now())
	raw := young.sign(t, nodeHeader, c.Now().Add(time.Hour))
	who, err := i.Verify(t.Context(), raw)
	if err != nil || who.Subject != "user:default/jane" || who.Limited {
		t.Errorf("token of a key that was made a moment ago: %+v, %v", who, err)
	}
	n.makeKey(t, "node-younger", c.Now())
	wantKids(t, i, ours, "node-old", "node-young", "node-younger")
	if doc, err := i.JWKS(t.Context()); err != nil || doc.MaxAge != 0 {
		t.Errorf("caches may keep the keys for %v, %v: a key of Node's signs at once", doc.MaxAge, err)
	}
	c.Advance(time.Hour)
	wantKids(t, i, ours, "node-young", "node-younger")
	if kid := kidOf(t, mustIssue(t, i, "user:default/jane").Raw); kid != ours {
		t.Errorf("signed with %s", kid)
	}
	c.Advance(2 * time.Hour)
	if kids := publishedKids(t, i); slices.Contains(kids, "node-young") {
		t.Errorf("still published: %v", kids)
	}
	if _, err := i.Verify(t.Context(), young.sign(t, nodeHeader, c.Now().Add(time.Hour))); !errors.Is(err, tokens.ErrInvalid) {
		t.Errorf("token of a key that is over: %v", err)
	}
	if kids := n.kids(); !slices.Contains(kids, "node-old") || !slices.Contains(kids, "node-young") {
		t.Errorf("somebody else's rows were removed: %v", kids)
	}
}

func wantKids(t *testing.T, i publisher, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, publishedKids(t, i)); diff != "" {
		t.Errorf("published keys differ (-want +got):\n%s", diff)
	}
}

// TestNeighboursTokens: what Backstage's verifier accepts of them, and nothing else.
func TestNeighboursTokens(t *testing.T) {
	c, n := newClock(), &table{}
	key := n.makeKey(t, "node", c.Now())
	i := newIssuer(t, tokens.IssuerConfig{Neighbour: n, Now: c.Now})
	later := c.Now().Add(time.Hour)
	tests := []struct {
		name, header string
		exp          time.Time
		limited      bool
		want         error
	}{
		{"user", nodeHeader, later, false, nil},
		{"limited", `{"typ":"vnd.backstage.limited-user","alg":"ES256","kid":"KID"}`, later, true, nil},
		{"members in another order", `{"alg":"ES256","kid":"KID","typ":"vnd.backstage.user"}`, later, false, nil},
		{"limited in another order", `{"kid":"KID","typ":"vnd.backstage.limited-user", "alg":"ES256"}`, later, true, nil},
		{"expired", nodeHeader, c.Now(), false, tokens.ErrInvalid},
		{"other algorithm", `{"alg":"HS256","kid":"KID","typ":"vnd.backstage.user"}`, later, false, tokens.ErrInvalid},
		{"no algorithm", `{"alg":"none","kid":"KID","typ":"vnd.backstage.user"}`, later, false, tokens.ErrInvalid},
		{"critical", `{"alg":"ES256","kid":"KID","typ":"vnd.backstage.user","crit":["x"]}`, later, false, tokens.ErrInvalid},
		{"plugin token", `{"typ":"vnd.backstage.plugin","alg":"ES256","kid":"KID"}`, later, false, tokens.ErrUnrecognised},
		{"without typ", `{"alg":"ES256","kid":"KID"}`, later, false, tokens.ErrUnrecognised},
		{"unknown key", `{"typ":"vnd.backstage.user","alg":"ES256","kid":"other"}`, later, false, tokens.ErrUnknownKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := key.sign(t, tt.header, tt.exp)
			who, err := i.Verify(t.Context(), raw)
			if !errors.Is(err, tt.want) || (err == nil && (who.Limited != tt.limited || who.Subject != "user:default/jane")) {
				t.Errorf("got %+v, %v", who, err)
			}
			if _, err := i.Verify(t.Context(), raw[:len(raw)-8]+"AAAAAAAA"); err == nil {
				t.Error("a wrong signature holds")
			}
		})
	}
}

// TestPublishedForNeighbour: our keys lie in the table from before they sign until they are removed, never as old as Node
// removes them, and in Node's form.
func TestPublishedForNeighbour(t *testing.T) {
	for _, algorithm := range []string{"ES256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			c, n, store := newClock(), &table{}, tokens.NewMemoryStore()
			n.makeKey(t, "node", c.Now())
			i := newIssuer(t, tokens.IssuerConfig{Neighbour: n, Store: store, Now: c.Now, Algorithm: algorithm, Lifetime: 10 * time.Minute})
			raw := mustIssue(t, i, "user:default/jane").Raw
			verifyFromRows(t, n, raw)
			for range 24 * 60 * 3 / 5 {
				c.Advance(5 * time.Minute)
				raw := mustIssue(t, i, "user:default/jane").Raw
				prune(n, c.Now(), 30*time.Minute)
				if kid := kidOf(t, raw); !slices.Contains(n.kids(), kid) {
					t.Fatalf("a token is signed with %s, and Node has %v", kid, n.kids())
				}
				verifyFromRows(t, n, raw)
			}
			keys, err := store.Keys(t.Context())
			if err != nil || len(keys) != len(n.kids()) {
				t.Errorf("%d keys, %v; Node has %v", len(keys), err, n.kids())
			}
		})
	}
}

// prune removes what Node removes while it lists keys (contract/core.md K4).
func prune(n *table, now time.Time, life time.Duration) {
	n.set(func(n *table) {
		n.rows = slices.DeleteFunc(n.rows, func(k tokens.PublicKey) bool { return k.CreatedAt.Add(life).Before(now) })
	})
}

// verifyFromRows verifies a token with nothing but what lies in the table, as Node's key set holds it.
func verifyFromRows(t *testing.T, n *table, raw string) {
	t.Helper()
	set := jwk.NewSet()
	for _, row := range n.all() {
		key, err := jwk.ParseKey(row.JWK)
		if err != nil {
			t.Fatal(err)
		}
		if err := set.AddKey(key); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := jws.Verify([]byte(raw), jws.WithKeySet(set)); err != nil {
		t.Fatalf("token does not verify from the rows: %v", err)
	}
}

// TestFormForNeighbour is contract/core.md K5: these members, in this order, and no other.
func TestFormForNeighbour(t *testing.T) {
	for algorithm, want := range map[string]string{
		"ES256": "kty x y crv kid alg", "PS512": "kty n e kid alg", "EdDSA": "kty x crv kid alg",
	} {
		n := &table{}
		i := newIssuer(t, tokens.IssuerConfig{Neighbour: n, Algorithm: algorithm})
		kid := kidOf(t, mustIssue(t, i, "user:default/jane").Raw)
		row := n.all()[0]
		if got := strings.Join(memberNames(t, row.JWK), " "); got != want || row.ID != kid || !row.CreatedAt.Equal(epoch.Truncate(time.Second)) {
			t.Errorf("%s: row %s of %v has %s, want %s", algorithm, row.ID, row.CreatedAt, got, want)
		}
	}
}

func memberNames(t *testing.T, text []byte) []string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	var names []string
	for n := 0; d.More() || n == 0; n++ {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		if n%2 == 1 {
			names = append(names, token.(string))
		}
	}
	return names
}

// TestNeighbourGone: what cannot be read or written is told once, ours goes on, and what was known of Node's keys stays.
func TestNeighbourGone(t *testing.T) {
	c, n := newClock(), &table{}
	var log bytes.Buffer
	key := n.makeKey(t, "node", c.Now())
	i := newIssuer(t, tokens.IssuerConfig{Neighbour: n, Now: c.Now, Log: slog.New(slog.NewTextHandler(&log, nil))})
	ours := kidOf(t, mustIssue(t, i, "user:default/jane").Raw)
	wantKids(t, i, ours, "node")
	n.set(func(n *table) { n.unreadable, n.readOnly = true, true })
	for range 20 {
		c.Advance(3 * time.Minute)
		mustIssue(t, i, "user:default/jane")
		wantKids(t, i, ours, "node")
	}
	if _, err := i.Verify(t.Context(), key.sign(t, nodeHeader, c.Now().Add(time.Hour))); err != nil {
		t.Error("a key that was known does not verify:", err)
	}
	if _, err := i.Verify(t.Context(), key.sign(t, strings.ReplaceAll(nodeHeader, "KID", "new"), c.Now().Add(time.Hour))); !errors.Is(err, errDown) {
		t.Errorf("a key that may exist is refused with %v, want %v", err, errDown)
	}
	n.set(func(n *table) { n.unreadable = false })
	for range 4 {
		c.Advance(3 * time.Minute)
		mustIssue(t, i, "user:default/jane")
	}
	n.set(func(n *table) { n.readOnly = false })
	c.Advance(5 * time.Minute)
	mustIssue(t, i, "user:default/jane")
	for message, want := range map[string]int{
		"signing keys of the Node backend could not be read": 1, "signing keys of the Node backend are read again": 1,
		"signing keys could not be published for the Node backend": 1, "signing keys are published for the Node backend again": 1,
	} {
		if got := strings.Count(log.String(), message); got != want {
			t.Errorf("%q is told %d times, want %d", message, got, want)
		}
	}
}

// TestUnusableNeighbourKeys: a row that is no public key is left out and left alone, and told once.
func TestUnusableNeighbourKeys(t *testing.T) {
	c, n := newClock(), &table{}
	var log bytes.Buffer
	for id, text := range map[string]string{
		"junk": "junk", "empty": "", "symmetric": `{"kty":"oct","k":"AAAA","kid":"symmetric","alg":"HS256"}`,
		"small":     `{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"small","alg":"RS256"}`,
		"encrypt":   `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","kid":"encrypt","alg":"ES256","use":"enc"}`,
		"algorithm": `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","kid":"algorithm","alg":"none"}`,
	} {
		n.rows = append(n.rows, tokens.PublicKey{ID: id, JWK: []byte(text), CreatedAt: c.Now()})
	}
	i := newIssuer(t, tokens.IssuerConfig{Neighbour: n, Now: c.Now, Log: slog.New(slog.NewTextHandler(&log, nil))})
	for range 3 {
		wantKids(t, i, kidOf(t, mustIssue(t, i, "user:default/jane").Raw))
	}
	if rows := len(n.all()); rows != 7 {
		t.Errorf("%d rows, want 7", rows)
	}
	if told := strings.Count(log.String(), "cannot be used"); told != 6 {
		t.Errorf("told %d times, want 6:\n%s", told, log.String())
	}
}

// TestNeighbourTakesOurName: a row cannot replace a key of ours.
func TestNeighbourTakesOurName(t *testing.T) {
	c, n, store := newClock(), &table{}, tokens.NewMemoryStore()
	first := newIssuer(t, tokens.IssuerConfig{Store: store, Now: c.Now})
	raw := mustIssue(t, first, "user:default/jane").Raw
	kid := kidOf(t, raw)
	theirs := n.makeKey(t, kid, c.Now())
	n.set(func(n *table) { n.rows[0].ID = "another-name" })
	i := newIssuer(t, tokens.IssuerConfig{Store: store, Neighbour: n, Now: c.Now})
	wantKids(t, i, kid)
	if _, err := i.Verify(t.Context(), raw); err != nil {
		t.Error(err)
	}
	if _, err := i.Verify(t.Context(), theirs.sign(t, nodeHeader, c.Now().Add(time.Hour))); !errors.Is(err, tokens.ErrInvalid) {
		t.Errorf("somebody else's key under our name: %v", err)
	}
}

// TestNeighbourReplicas: replicas agree about what lies in the table, whoever comes first, and nothing that is not theirs goes.
func TestNeighbourReplicas(t *testing.T) {
	c, n, store := newClock(), &table{}, tokens.NewMemoryStore()
	n.makeKey(t, "node", c.Now())
	var replicas []*tokens.Issuer
	for range 4 {
		replicas = append(replicas, newIssuer(t, tokens.IssuerConfig{Neighbour: n, Store: store, Now: c.Now}))
	}
	for range 24 * 12 {
		c.Advance(15 * time.Minute)
		var all sync.WaitGroup
		for _, i := range replicas {
			all.Go(func() { mustIssue(t, i, "user:default/jane") })
			all.Go(func() { publishedKids(t, i) })
		}
		all.Wait()
		verifyFromRows(t, n, mustIssue(t, replicas[0], "user:default/jane").Raw)
	}
	keys, err := store.Keys(t.Context())
	if rows := n.kids(); err != nil || len(rows) != len(keys)+1 || !slices.Contains(rows, "node") {
		t.Errorf("%d keys, %v, and the rows %v", len(keys), err, rows)
	}
}

// TestNeighbourIsAskedOnceAtATime: who asks during a look shares the next one, and one that hangs ends.
func TestNeighbourIsAskedOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &table{}
		i := newIssuer(t, tokens.IssuerConfig{Neighbour: n, Now: time.Now})
		mustIssue(t, i, "user:default/jane")
		hold := make(chan struct{})
		n.set(func(n *table) { n.hold, n.reads = hold, 0 })
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { publishedKids(t, i) })
		}
		synctest.Wait()
		close(hold)
		all.Wait()
		if n.reads > 2 {
			t.Errorf("%d reads for 50 requests at once, want at most 2", n.reads)
		}
		n.set(func(n *table) { n.hold = make(chan struct{}) })
		begun := time.Now()
		for range 50 {
			all.Go(func() { publishedKids(t, i) })
		}
		all.Wait()
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// TestNeighbourAndCaller: somebody who hangs up spoils a look for nobody else.
func TestNeighbourAndCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, hold := &table{}, make(chan struct{})
		i := newIssuer(t, tokens.IssuerConfig{Neighbour: n, Now: time.Now})
		ours := kidOf(t, mustIssue(t, i, "user:default/jane").Raw)
		n.set(func(n *table) { n.hold = hold })
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 2 { // one looks, the other waits for its turn
			all.Go(func() {
				if _, err := i.JWKS(ctx); err != nil {
					t.Error("what is in memory is not served:", err)
				}
			})
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(hold)
		all.Wait()
		n.makeKey(t, "node", time.Now())
		wantKids(t, i, ours, "node")
	})
}

// lateView is a table that something happens to just before it is read.
type lateView struct {
	*table
	before func()
}

func (v *lateView) PublicKeys(ctx context.Context) ([]tokens.PublicKey, error) {
	v.before()
	return v.table.PublicKeys(ctx)
}

// TestNeighbourAndClocks: a replica whose clock is behind does not put back what another has just taken away.
func TestNeighbourAndClocks(t *testing.T) {
	c, n, store := newClock(), &table{}, tokens.NewMemoryStore()
	view := &lateView{n, func() {}}
	behind := newIssuer(t, tokens.IssuerConfig{Neighbour: view, Store: store, Now: c.Now})
	ahead := newIssuer(t, tokens.IssuerConfig{Neighbour: n, Store: store, Now: func() time.Time { return c.Now().Add(4 * time.Minute) }})
	first := kidOf(t, mustIssue(t, behind, "user:default/jane").Raw)
	var end time.Time
	for end.IsZero() {
		c.Advance(time.Hour)
		mustIssue(t, behind, "user:default/jane")
		keys, err := store.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		end = keys[0].RetireAt
	}
	c.Advance(end.Sub(c.Now()) - 2*time.Minute)
	view.before = func() { view.before = func() {}; mustIssue(t, ahead, "user:default/jane") }
	mustIssue(t, behind, "user:default/jane")
	if kids := n.kids(); slices.Contains(kids, first) || len(kids) == 0 {
		t.Errorf("rows are %v, without %s", kids, first)
	}
}

// TestNeighbourNeedsStore: static keys are in no table.
func TestNeighbourNeedsStore(t *testing.T) {
	_, err := tokens.NewIssuer(tokens.IssuerConfig{BaseURL: baseURL, Static: []tokens.StaticKey{}, Neighbour: &table{}})
	if err == nil || !strings.Contains(err.Error(), "neighbour") {
		t.Errorf("error is %v", err)
	}
}
