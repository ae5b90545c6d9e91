package tokens_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stagedoor/tokens"
)

// The lead of a key with the default PublishAhead: half of it for slow replicas, half for caches, all of it for
// verifiers, and five minutes for clocks.
const defaultLead = 2*tokens.DefaultPublishAhead + 5*time.Minute

func storedKeys(t tb, s tokens.KeyStore) []tokens.Key {
	t.Helper()
	keys, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestLifeOfAKey follows the first two keys of a store through creation, signing, retirement and removal.
func TestLifeOfAKey(t *testing.T) {
	c, store := newClock(), tokens.NewMemoryStore()
	i := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store, Rotation: 48 * time.Hour})
	sign := func() string { return kidOf(t, mustIssue(t, i, "user:default/jane").Raw) }

	first := sign()
	begin := epoch.Truncate(time.Millisecond)
	if k := storedKeys(t, store)[0]; k.ID != first || !k.SignsFrom.Equal(begin) || !k.CreatedAt.Equal(begin) || k.Generation != 1 {
		t.Fatalf("first key %s of generation %d signs from %v, want at once", k.ID, k.Generation, k.SignsFrom)
	}
	c.Advance(48*time.Hour - defaultLead - time.Second)
	if kids := publishedKids(t, i); len(kids) != 1 {
		t.Fatalf("published %v, want the first key only", kids)
	}

	c.Advance(3 * time.Minute) // the next look into the store finds a key due
	kids := publishedKids(t, i)
	if len(kids) != 2 || kids[0] != first {
		t.Fatalf("published %v, want the first key and its successor", kids)
	}
	second := storedKeys(t, store)[1]
	if ahead := second.SignsFrom.Sub(c.Now()); ahead < defaultLead-time.Millisecond {
		t.Errorf("second key signs after %v, want %v", ahead, defaultLead)
	}
	retireAt := storedKeys(t, store)[0].RetireAt
	if want := second.SignsFrom.Add(tokens.MaxLifetime + 5*time.Minute); !retireAt.Equal(want) {
		t.Errorf("first key retires at %v, want %v", retireAt, want)
	}

	c.Advance(second.SignsFrom.Sub(c.Now()) - time.Millisecond)
	if kid := sign(); kid != first {
		t.Errorf("%s signs early", kid)
	}
	c.Advance(time.Millisecond)
	if kid := sign(); kid != second.ID {
		t.Errorf("%s signs, want the second key", kid)
	}

	c.Advance(retireAt.Sub(c.Now()) - time.Millisecond)
	if kids := publishedKids(t, i); kids[0] != first {
		t.Errorf("first key is gone before its time: %v", kids)
	}
	c.Advance(tokens.DefaultPublishAhead)
	if kids := publishedKids(t, i); slices.Contains(kids, first) {
		t.Errorf("first key is still published: %v", kids)
	}
	if slices.ContainsFunc(storedKeys(t, store), func(k tokens.Key) bool { return k.ID == first }) {
		t.Error("first key is still stored")
	}
}

// TestJWKS holds contract/core.md K5 and that the bytes change with the keys and with nothing else.
func TestJWKS(t *testing.T) {
	c, store := newClock(), tokens.NewMemoryStore()
	i := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store})
	doc, err := i.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(doc.Body, &set); err != nil {
		t.Fatal(err)
	}
	k := set.Keys[0]
	want := map[string]string{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": k["kid"], "x": k["x"], "y": k["y"]}
	if diff := cmp.Diff(want, k); diff != "" || len(k["x"]) != 43 || len(k["y"]) != 43 {
		t.Errorf("members of a key (-want +got):\n%s", diff)
	}
	if uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`); !uuid.MatchString(k["kid"]) {
		t.Errorf("kid %q is not a random UUID", k["kid"])
	}
	if doc.MaxAge != tokens.DefaultPublishAhead/2 {
		t.Errorf("max age %v", doc.MaxAge)
	}
	if len(doc.ETag) < 10 || !strings.HasPrefix(doc.ETag, `"`) || !strings.HasSuffix(doc.ETag, `"`) {
		t.Errorf("ETag %s is not strong and quoted", doc.ETag)
	}

	c.Advance(time.Hour)
	same, err := i.JWKS(t.Context())
	if err != nil || &same.Body[0] != &doc.Body[0] {
		t.Errorf("the body was built again although no key changed (error %v)", err)
	}
	replica, err := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store}).JWKS(t.Context())
	if diff := cmp.Diff(doc, replica); err != nil || diff != "" {
		t.Errorf("a replica serves something else, error %v (-want +got):\n%s", err, diff)
	}
	c.Advance(tokens.DefaultRotation - time.Hour - defaultLead)
	changed, err := i.JWKS(t.Context())
	if err != nil || changed.ETag == doc.ETag || bytes.Equal(changed.Body, doc.Body) {
		t.Errorf("the document stayed although a key came (error %v)", err)
	}
}

// TestPublicKeysIsACopy gives away a set that nobody can change what is served by.
func TestPublicKeysIsACopy(t *testing.T) {
	i := newIssuer(t, tokens.IssuerConfig{})
	set, err := i.PublicKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, _ := set.Key(0)
	kid := key.KeyID()
	if err := errors.Join(key.Set("kid", "changed"), set.Clear()); err != nil {
		t.Fatal(err)
	}
	again, err := i.PublicKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := again.LookupKeyID(kid); again.Len() != 1 || !ok {
		t.Errorf("set has %d keys, %s among them: %v", again.Len(), kid, ok)
	}
}

// TestRestart starts a second process on the same store: the same keys, and tokens of before verify.
func TestRestart(t *testing.T) {
	c, store := newClock(), tokens.NewMemoryStore()
	before := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store})
	token := mustIssue(t, before, "user:default/jane")
	after := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store})
	if _, err := after.Verify(t.Context(), token.Raw); err != nil {
		t.Errorf("verify after restart: %v", err)
	}
	if kid := kidOf(t, mustIssue(t, after, "user:default/jane").Raw); kid != kidOf(t, token.Raw) {
		t.Errorf("signed by %s, want the key of before", kid)
	}
	if n := len(storedKeys(t, store)); n != 1 {
		t.Errorf("%d keys are stored, want 1", n)
	}
}

// TestRestartAfterAWeek finds a key that is long due: it goes on signing until its successor has been published.
func TestRestartAfterAWeek(t *testing.T) {
	c, store := newClock(), tokens.NewMemoryStore()
	old := kidOf(t, mustIssue(t, newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store}), "user:default/jane").Raw)
	c.Advance(7 * 24 * time.Hour)
	i := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store})
	if kid := kidOf(t, mustIssue(t, i, "user:default/jane").Raw); kid != old {
		t.Errorf("signed by %s, which nobody has seen", kid)
	}
	c.Advance(defaultLead)
	if kid := kidOf(t, mustIssue(t, i, "user:default/jane").Raw); kid == old {
		t.Error("signed by the old key, want its successor")
	}
}

// recorder is a sealer that remembers what it was given in the clear.
type recorder struct {
	tokens.Sealer
	plain [][]byte
}

func (r *recorder) Seal(plain, context []byte) []byte {
	r.plain = append(r.plain, bytes.Clone(plain))
	return r.Sealer.Seal(plain, context)
}

// TestPrivateKeysAreSealed looks for the private scalar in everything that is stored and served.
func TestPrivateKeysAreSealed(t *testing.T) {
	store, sealer := tokens.NewMemoryStore(), &recorder{Sealer: newSealer(t, "one")}
	i := newIssuer(t, tokens.IssuerConfig{Store: store, Sealer: sealer})
	doc, err := i.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(sealer.plain[0])
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := parsed.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	k := storedKeys(t, store)[0]
	for where, b := range map[string][]byte{"private column": k.Private, "public column": k.Public, "key set": doc.Body} {
		encoded := []byte(b64(string(scalar)))
		if bytes.Contains(b, scalar) || bytes.Contains(b, encoded) || bytes.Contains(b, []byte(`"d"`)) {
			t.Errorf("%s holds the private key", where)
		}
	}
}

// TestStoredRowsAreBound changes rows as someone with write access to the database could. None of them signs any more;
// those with a readable public key still verify, as they would under a lost secret.
func TestStoredRowsAreBound(t *testing.T) {
	for _, c := range []struct {
		name             string
		change           func(mine *tokens.Key, other tokens.Key)
		signs, published bool
	}{
		{"private key of another row", func(mine *tokens.Key, other tokens.Key) { mine.Private = other.Private }, false, true},
		{"row under another kid", func(mine *tokens.Key, _ tokens.Key) { mine.ID = "renamed" }, false, true},
		{"public key of another row", func(mine *tokens.Key, other tokens.Key) { mine.Public = other.Public }, false, true},
		{"no private key", func(mine *tokens.Key, _ tokens.Key) { mine.Private = nil }, false, true},
		{"no public key", func(mine *tokens.Key, _ tokens.Key) { mine.Public = nil }, false, false},
		{"symmetric key", func(mine *tokens.Key, _ tokens.Key) {
			mine.Public = []byte(`{"kty":"oct","k":"c2VjcmV0"}`)
		}, false, false},
		{"point off the curve", func(mine *tokens.Key, _ tokens.Key) {
			mine.Public = []byte(`{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}`)
		}, false, false},
		{"unknown algorithm", func(mine *tokens.Key, _ tokens.Key) { mine.Algorithm = "HS256" }, false, false},
		{"public key with more members", func(mine *tokens.Key, _ tokens.Key) {
			mine.Public = append([]byte(`{"use":"enc","d":"c2VjcmV0","x5u":"http://x",`), mine.Public[1:]...)
		}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			mine := firstKey(t)
			c.change(&mine, firstKey(t))
			store := tokens.NewMemoryStore()
			if err := store.AddKey(t.Context(), mine); err != nil {
				t.Fatal(err)
			}
			i := newIssuer(t, tokens.IssuerConfig{Store: store})
			token := mustIssue(t, i, "user:default/jane")
			if _, err := i.Verify(t.Context(), token.Raw); err != nil {
				t.Errorf("verify: %v", err)
			}
			if signs := kidOf(t, token.Raw) == mine.ID; signs != c.signs {
				t.Errorf("signs: %v, want %v", signs, c.signs)
			}
			if published := slices.Contains(publishedKids(t, i), mine.ID); published != c.published {
				t.Errorf("published: %v, want %v", published, c.published)
			}
			doc, err := i.JWKS(t.Context())
			if err != nil || bytes.Contains(doc.Body, []byte("c2VjcmV0")) || bytes.Contains(doc.Body, []byte("x5u")) {
				t.Errorf("served %s, error %v", doc.Body, err)
			}
		})
	}
}

// firstKey returns the row of a key that an issuer of its own made.
func firstKey(t tb) tokens.Key {
	t.Helper()
	store := tokens.NewMemoryStore()
	mustIssue(t, newIssuer(t, tokens.IssuerConfig{Store: store}), "user:default/jane")
	return storedKeys(t, store)[0]
}

// TestLostSecret restarts with another secret: the old key stays and verifies, a new one signs, at once because there is
// no other. With the first secret back, nothing is lost.
func TestLostSecret(t *testing.T) {
	c, store := newClock(), tokens.NewMemoryStore()
	var log bytes.Buffer
	start := func(secret string) *tokens.Issuer {
		return newIssuer(t, tokens.IssuerConfig{
			Now: c.Now, Store: store, Sealer: newSealer(t, secret), Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
	}
	before := mustIssue(t, start("one"), "user:default/jane")
	other := start("two")
	if _, err := other.Verify(t.Context(), before.Raw); err != nil {
		t.Errorf("verify a token of before: %v", err)
	}
	during := mustIssue(t, other, "user:default/jane")
	if kids := publishedKids(t, other); len(kids) != 2 || kids[0] != kidOf(t, before.Raw) || kids[1] != kidOf(t, during.Raw) {
		t.Errorf("published %v", kids)
	}
	c.Advance(tokens.DefaultPublishAhead)
	publishedKids(t, other)
	if n := strings.Count(log.String(), "kid="+kidOf(t, before.Raw)+" published=true"); n != 1 {
		t.Errorf("the key that does not open was logged %d times, want once:\n%s", n, log.String())
	}
	back := start("one")
	for name, token := range map[string]tokens.Token{"before": before, "during": during, "after": mustIssue(t, back, "user:default/jane")} {
		for _, i := range []*tokens.Issuer{other, back} {
			if _, err := i.Verify(t.Context(), token.Raw); err != nil {
				t.Errorf("verify the token of %s: %v", name, err)
			}
		}
	}
	if kid := kidOf(t, mustIssue(t, back, "user:default/jane").Raw); kid != kidOf(t, before.Raw) {
		t.Errorf("signed by %s, want the key that opens again", kid)
	}
}

// TestReplicasWithDifferentSecrets must not drive each other into making keys.
func TestReplicasWithDifferentSecrets(t *testing.T) {
	c, store := newClock(), newFlakyStore()
	var replicas []*tokens.Issuer
	for _, secret := range []string{"one", "two"} {
		replicas = append(replicas, newIssuer(t, tokens.IssuerConfig{
			Now: c.Now, Store: store, Sealer: newSealer(t, secret), Rotation: 100 * time.Hour, PublishAhead: time.Hour,
		}))
		publishedKids(t, replicas[len(replicas)-1])
	}
	const days = 10
	for range days * 24 * 4 {
		c.Advance(15 * time.Minute)
		for _, i := range replicas {
			if _, err := replicas[0].Verify(t.Context(), mustIssue(t, i, "user:default/jane").Raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Each makes one key whenever its own is about to leave the set, a day after the other's.
	if n := len(store.added); n > 2*days+2 {
		t.Errorf("%d keys in %d days", n, days)
	}
}

// TestAlgorithmChange goes over to another algorithm without a token that verifiers could not know the key of.
func TestAlgorithmChange(t *testing.T) {
	c, store := newClock(), tokens.NewMemoryStore()
	before := mustIssue(t, newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store}), "user:default/jane")
	i := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store, Algorithm: "EdDSA"})
	if kid := kidOf(t, mustIssue(t, i, "user:default/jane").Raw); kid != kidOf(t, before.Raw) {
		t.Errorf("signed by %s at once", kid)
	}
	if kids := publishedKids(t, i); len(kids) != 2 {
		t.Fatalf("published %v, want two keys", kids)
	}
	c.Advance(defaultLead)
	after := mustIssue(t, i, "user:default/jane")
	if h := segment(t, after.Raw, 0); !strings.Contains(h, `"alg":"EdDSA"`) {
		t.Errorf("header %s, want EdDSA", h)
	}
	for _, token := range []tokens.Token{before, after} {
		if _, err := i.Verify(t.Context(), token.Raw); err != nil {
			t.Errorf("verify: %v", err)
		}
	}
}

// TestReplicasRotateTogether lets all replicas find in the same instant that a key is missing.
func TestReplicasRotateTogether(t *testing.T) {
	const replicas = 20
	c, store := newClock(), newFlakyStore()
	var issuers []*tokens.Issuer
	for range replicas {
		issuers = append(issuers, newIssuer(t, tokens.IssuerConfig{Now: c.Now, Store: store, Rotation: 2 * time.Hour}))
	}
	for rotation := range 5 {
		var barrier, done sync.WaitGroup
		barrier.Add(replicas)
		store.beforeAdd = func() { barrier.Done(); barrier.Wait() }
		kids := make([]string, replicas)
		for n, i := range issuers {
			done.Go(func() { kids[n] = kidOf(t, mustIssue(t, i, "user:default/jane").Raw) })
		}
		done.Wait()
		if len(store.added) != rotation+1 {
			t.Fatalf("%d keys after %d rotations", len(store.added), rotation)
		}
		if kids = slices.Compact(kids); len(kids) != 1 {
			t.Errorf("replicas sign with %v, want one key", kids)
		}
		next := store.added[rotation].SignsFrom.Add(2*time.Hour - defaultLead)
		c.Advance(next.Sub(c.Now()) + time.Millisecond)
	}
}
