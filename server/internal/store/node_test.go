package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"stagedoor/server/internal/op"
	"stagedoor/server/internal/store/pgtest"
	"stagedoor/tokens"
)

// nodeTable is what the migrations of Backstage's auth plugin have made (contract/core.md 6.1), as knex writes it for each database.
func nodeTable(opts Options) string {
	if opts.Postgres != nil {
		return `create table signing_keys (kid varchar(255) not null primary key, created_at timestamptz(0) not null default current_timestamp,
			key text not null)`
	}
	return "create table `signing_keys` (`kid` varchar(255) not null, `created_at` datetime not null default CURRENT_TIMESTAMP, " +
		"`key` varchar(255) not null, primary key (`kid`))"
}

// asNode runs a statement as the Node backend would.
func asNode(t testing.TB, s *Store, statement string, args ...any) {
	t.Helper()
	if _, err := s.db.node().write.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// textOf reads one value as text.
func textOf(t testing.TB, s *Store, query string) (text string) {
	t.Helper()
	must(t, s.db.node().read.QueryRowContext(t.Context(), query).Scan(&text))
	return text
}

// beside opens a database in which the Node backend has been.
func beside(t testing.TB, opts Options) *Store {
	t.Helper()
	s := open(t, opts)
	asNode(t, s, nodeTable(opts))
	return s
}

func nodeKeysOf(t testing.TB, s *Store) tokens.Neighbour {
	t.Helper()
	n, err := s.NodeKeys(t.Context())
	must(t, err)
	return n
}

// TestNodeKeys: rows are read and written as Node's migrations and queries have them.
func TestNodeKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		s := beside(t, opts)
		asNode(t, s, `insert into signing_keys (kid, key) values ('node', '{"kid":"node"}')`)
		n := nodeKeysOf(t, s)
		first := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
		must(t, n.Publish(t.Context(), tokens.PublicKey{ID: "b", JWK: []byte(`{"kid":"b"}`), CreatedAt: first.Add(time.Hour)},
			tokens.PublicKey{ID: "a", JWK: []byte(`{"kid":"x"}`), CreatedAt: first}))
		must(t, n.Publish(t.Context(), tokens.PublicKey{ID: "a", JWK: []byte(`{"kid":"a"}`), CreatedAt: first.Add(time.Minute)}))
		must(t, n.Withdraw(t.Context(), "unknown"))
		got, err := n.PublicKeys(t.Context())
		must(t, err)
		if now := got[2].CreatedAt; time.Since(now).Abs() > time.Minute {
			t.Errorf("Node's row was made at %v", now)
		}
		got[2].CreatedAt = time.Time{}
		want := []tokens.PublicKey{
			{ID: "a", JWK: []byte(`{"kid":"a"}`), CreatedAt: first.Add(time.Minute)},
			{ID: "b", JWK: []byte(`{"kid":"b"}`), CreatedAt: first.Add(time.Hour)},
			{ID: "node", JWK: []byte(`{"kid":"node"}`)},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rows differ (-want +got):\n%s", diff)
		}
		written := `select created_at from signing_keys where kid = 'a' and cast(created_at as text) = '2026-02-03 04:06:06'`
		if opts.Postgres != nil {
			written = `select to_char(created_at at time zone 'UTC', 'YYYY') from signing_keys where kid = 'a' and created_at = '2026-02-03 04:06:06+00'`
		}
		if textOf(t, s, written) == "" {
			t.Error("the time is not as Node reads it")
		}
		must(t, n.Withdraw(t.Context(), "a", "b"))
		if kids := textOf(t, s, "select count(*) || min(kid) from signing_keys"); kids != "1node" {
			t.Errorf("left is %s", kids)
		}
	})
}

// TestNodeTableInUse: what cannot be used is an error that says what to do, and nothing of the attempt stays.
func TestNodeTableInUse(t *testing.T) {
	const columns = "kid varchar(255) primary key, created_at timestamp not null default current_timestamp"
	tests := []struct{ name, table, want string }{
		{"missing", "", "signing_keys"},
		{"another one", "create table signing_keys (id text primary key, generation bigint)", "kid"},
		{"no key", "create table signing_keys (" + columns + ")", "key"},
		{"a column more", "create table signing_keys (" + columns + ", key text not null, tenant text not null)", "tenant"},
		{"no primary key", "create table signing_keys (kid text, created_at timestamp, key text)", "ON CONFLICT"},
	}
	onBoth(t, func(t *testing.T, opts Options) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				s := open(t, opts)
				asNode(t, s, "drop table if exists signing_keys")
				if tt.table != "" {
					asNode(t, s, tt.table)
				}
				_, err := s.NodeKeys(t.Context())
				wantNodeTableError(t, s, err, tt.want)
				if tt.table != "" && textOf(t, s, "select count(*) from signing_keys") != "0" {
					t.Error("something of the attempt stayed")
				}
			})
		}
	})
}

func wantNodeTableError(t *testing.T, s *Store, err error, want string) {
	t.Helper()
	e, ok := errors.AsType[*NodeTableError](err)
	switch {
	case !ok:
		t.Fatalf("error is %v, want a *NodeTableError", err)
	case e.Path != s.db.address() || !strings.Contains(e.Err.Error(), want):
		t.Errorf("error is %v, want %s", err, want)
	case !strings.Contains(err.Error(), "backend.database.plugin.auth"):
		t.Errorf("error %v does not say what to do", err)
	}
}

// TestNodeTableRights is about a user who may not do all that has to be done there.
func TestNodeTableRights(t *testing.T) {
	c := pgtest.Shared(t)
	name := c.Database(t)
	s := open(t, with(c.Socket(name), "", ""))
	asNode(t, s, nodeTable(s.opts))
	c.Exec(t, name, `create role guest_of_node; grant create, usage on schema public to guest_of_node;
		grant all on all tables in schema public to guest_of_node`)
	t.Cleanup(func() { c.Exec(t, name, "drop owned by guest_of_node cascade; drop role guest_of_node") })
	opts := with(c.Socket(name), "", "")
	opts.Postgres.Role = "guest_of_node"
	guest := open(t, opts)
	for _, right := range []string{"select", "insert", "update", "delete"} {
		c.Exec(t, name, "revoke "+right+" on signing_keys from guest_of_node")
		_, err := guest.NodeKeys(t.Context())
		wantNodeTableError(t, guest, err, "permission denied")
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("without %s: error is %v, want %v", right, err, ErrReadOnly)
		}
		c.Exec(t, name, "grant "+right+" on signing_keys to guest_of_node")
	}
	nodeKeysOf(t, guest)
}

// TestNodeTableAtOnce has replicas start at the same time.
func TestNodeTableAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		s := beside(t, opts)
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				n, err := s.NodeKeys(t.Context())
				if err == nil {
					err = n.Publish(t.Context(), tokens.PublicKey{ID: "same", JWK: []byte("{}"), CreatedAt: time.Now()},
						tokens.PublicKey{ID: fmt.Sprint(i), JWK: []byte("{}"), CreatedAt: time.Now()})
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := textOf(t, s, "select count(*) from signing_keys"); n != "11" {
			t.Errorf("%s rows, want 11", n)
		}
	})
}

// plainSealer seals nothing.
type plainSealer struct{}

func (plainSealer) Seal(plain, _ []byte) []byte           { return plain }
func (plainSealer) Open(sealed, _ []byte) ([]byte, error) { return sealed, nil }

func issuerOn(t testing.TB, s *Store, log *bytes.Buffer) *tokens.Issuer {
	t.Helper()
	i, err := tokens.NewIssuer(tokens.IssuerConfig{
		BaseURL: "https://portal.example/api/auth", Store: s, Sealer: plainSealer{}, Neighbour: nodeKeysOf(t, s), Now: s.opts.Now,
		Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	must(t, err)
	return i
}

func issued(t testing.TB, i *tokens.Issuer) string {
	t.Helper()
	token, err := i.Issue(t.Context(), tokens.Identity{Subject: "user:default/jane"})
	must(t, err)
	return token.Raw
}

func kidsOf(t testing.TB, i *tokens.Issuer) []string {
	t.Helper()
	set, err := i.PublicKeys(t.Context())
	must(t, err)
	var kids []string
	for n := range set.Len() {
		key, _ := set.Key(n)
		kids = append(kids, key.KeyID())
	}
	return kids
}

// listAsNode does what the Node backend does when somebody asks for its key set (contract/core.md K4): it removes old keys and
// returns the others.
func listAsNode(t testing.TB, s *Store, now time.Time) (set jose.JSONWebKeySet) {
	t.Helper()
	rows, err := nodeKeysOf(t, s).PublicKeys(t.Context())
	must(t, err)
	for _, row := range rows {
		if row.CreatedAt.Add(3 * time.Hour).Before(now) {
			must(t, nodeKeysOf(t, s).Withdraw(t.Context(), row.ID))
			continue
		}
		var key jose.JSONWebKey
		must(t, json.Unmarshal(row.JWK, &key))
		set.Keys = append(set.Keys, key)
	}
	return set
}

// verifies is what every backend does with a token.
func verifies(raw string, keys jose.JSONWebKeySet) error {
	token, err := jose.ParseSigned(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err == nil {
		_, err = token.Verify(&keys)
	}
	return err
}

// TestBesideNode is a canary of two replicas and its rollback: over days, every token of theirs is verified by what Node lists,
// Node's keys are published until Node would remove them, and after the last replica has stopped no token is refused.
func TestBesideNode(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		c := newClock()
		opts.Now = c.now
		one, two := beside(t, opts), open(t, opts)
		var log bytes.Buffer
		replicas := []*tokens.Issuer{issuerOn(t, one, &log), issuerOn(t, two, &log)}
		const node = `{"kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","crv":"P-256","kid":"node","alg":"ES256"}`
		must(t, nodeKeysOf(t, one).Publish(t.Context(), tokens.PublicKey{ID: "node", JWK: []byte(node), CreatedAt: c.now()}))
		var raw string
		for hour := range 50 {
			for _, i := range replicas {
				raw = issued(t, i)
				if err := verifies(raw, listAsNode(t, one, c.now())); err != nil {
					t.Fatalf("hour %d: Node refuses a token of ours: %v", hour, err)
				}
				if slices.Contains(kidsOf(t, i), "node") != (hour < 3) {
					t.Errorf("hour %d: published are %v", hour, kidsOf(t, i))
				}
			}
			c.advance(time.Hour)
		}
		raw = issued(t, replicas[0])
		c.advance(time.Hour - time.Second)
		if err := verifies(raw, listAsNode(t, two, c.now())); err != nil {
			t.Errorf("after the rollback: %v", err)
		}
		if strings.Contains(log.String(), "level=WARN") {
			t.Error(log.String())
		}
	})
}

// TestNodeTableGoes: the table is dropped under a replica that runs. That is told, and our own keys go on.
func TestNodeTableGoes(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		c := newClock()
		opts.Now = c.now
		s := beside(t, opts)
		var log bytes.Buffer
		i := issuerOn(t, s, &log)
		before := kidsOf(t, i)
		asNode(t, s, "drop table signing_keys")
		for range 5 {
			issued(t, i)
			if diff := cmp.Diff(before, kidsOf(t, i)); diff != "" {
				t.Errorf("published keys differ (-want +got):\n%s", diff)
			}
			c.advance(3 * time.Minute)
		}
		if n := strings.Count(log.String(), "signing keys of the Node backend could not be read"); n != 1 {
			t.Errorf("told %d times, want once:\n%s", n, log.String())
		}
		asNode(t, s, nodeTable(opts))
		c.advance(3 * time.Minute)
		issued(t, i)
		if kid := textOf(t, s, "select kid from signing_keys"); kid != before[0] {
			t.Errorf("the new table has %s, want %s", kid, before[0])
		}
	})
}

// TestNodeRowShape is the row that Node would have written.
func TestNodeRowShape(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		s := beside(t, opts)
		var log bytes.Buffer
		kid := kidsOf(t, issuerOn(t, s, &log))[0]
		text := textOf(t, s, "select key from signing_keys")
		var m struct{ Kty, X, Y, Crv, Kid, Alg string }
		must(t, json.Unmarshal([]byte(text), &m))
		want := fmt.Sprintf(`{"kty":"EC","x":"%s","y":"%s","crv":"P-256","kid":"%s","alg":"ES256"}`, m.X, m.Y, kid)
		if diff := cmp.Diff(want, text); diff != "" || textOf(t, s, "select kid from signing_keys") != kid {
			t.Errorf("row differs (-want +got):\n%s", diff)
		}
	})
}

// TestNodeKeysEnd: a call ends with its context.
func TestNodeKeysEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		n := nodeKeysOf(t, beside(t, opts))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := n.PublicKeys(ctx)
		if err = errors.Join(err, n.Withdraw(ctx, "a")); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
	})
}

// TestNodeUserInfo: what the Node backend knows about a user counts where nothing is known here.
func TestNodeUserInfo(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		s := open(t, opts)
		users := s.NodeUserInfo()
		wantInfo := func(ref, want string) {
			t.Helper()
			info, err := users.UserInfo(t.Context(), ref)
			if string(info) != want || errors.Is(err, op.ErrNoUserInfo) != (want == "") {
				t.Errorf("%s: got %s, %v, want %s", ref, info, err, want)
			}
		}
		wantInfo("user:default/jane", "") // there is no table
		asNode(t, s, "create table user_info (user_entity_ref varchar(255) primary key, user_info text not null, updated_at timestamp)")
		wantInfo("user:default/jane", "")
		asNode(t, s, `insert into user_info (user_entity_ref, user_info) values ('user:default/jane', '{"claims":{"ent":[]}}')`)
		wantInfo("user:default/jane", `{"claims":{"ent":[]}}`)
		must(t, s.SaveUserInfo(t.Context(), "user:default/jane", []byte(`{"claims":{"ent":["a"]}}`)))
		wantInfo("user:default/jane", `{"claims":{"ent":["a"]}}`)
	})
}
