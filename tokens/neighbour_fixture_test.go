package tokens_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"stagedoor/tokens"
)

// table is a Neighbour in memory. The zero values let everything pass.
type table struct {
	mu   sync.Mutex
	rows []tokens.PublicKey
	// unreadable and readOnly make calls fail, hold makes reads wait until it is closed.
	unreadable, readOnly bool
	hold                 chan struct{}
	reads, writes        int
}

func (n *table) set(change func(*table)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n)
}

func (n *table) PublicKeys(ctx context.Context) ([]tokens.PublicKey, error) {
	n.mu.Lock()
	hold := n.hold
	n.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reads++
	if n.unreadable {
		return nil, errDown
	}
	return slices.Clone(n.rows), nil
}

func (n *table) Publish(_ context.Context, keys ...tokens.PublicKey) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.readOnly {
		return errDown
	}
	n.writes++
	for _, k := range keys {
		n.rows = append(without(n.rows, k.ID), k)
	}
	return nil
}

func (n *table) Withdraw(_ context.Context, ids ...string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.readOnly {
		return errDown
	}
	n.rows = without(n.rows, ids...)
	return nil
}

func without(rows []tokens.PublicKey, ids ...string) []tokens.PublicKey {
	return slices.DeleteFunc(slices.Clone(rows), func(k tokens.PublicKey) bool { return slices.Contains(ids, k.ID) })
}

func (n *table) all() []tokens.PublicKey {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.rows)
}

func (n *table) kids() []string {
	var kids []string
	for _, k := range n.all() {
		kids = append(kids, k.ID)
	}
	return kids
}

// nodeKey is a key of a Node replica, which signs as that does.
type nodeKey struct {
	id  string
	key *ecdsa.PrivateKey
}

// makeKey puts the key of a Node replica into the table.
func (n *table) makeKey(t tb, id string, at time.Time) nodeKey {
	t.Helper()
	key := newEC(t, elliptic.P256())
	public, err := jwk.FromRaw(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]any{"kid": id, "alg": "ES256"} {
		if err := public.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	n.set(func(n *table) {
		n.rows = append(n.rows, tokens.PublicKey{ID: id, JWK: text, CreatedAt: at.UTC().Truncate(time.Second)})
	})
	return nodeKey{id, key}
}

// sign signs claims under a header that is written out.
func (k nodeKey) sign(t tb, header string, exp time.Time) string {
	t.Helper()
	return forge(t, k.key, strings.ReplaceAll(header, "KID", k.id),
		fmt.Sprintf(`{"iss":"x","sub":"user:default/jane","aud":"backstage","iat":%d,"exp":%d,"uip":"u"}`, exp.Unix()-3600, exp.Unix()))
}

const nodeHeader = `{"typ":"vnd.backstage.user","alg":"ES256","kid":"KID"}`
