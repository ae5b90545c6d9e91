package op_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stagedoor/server/internal/fault"
	"stagedoor/server/internal/op"
	"stagedoor/server/internal/seal"
	"stagedoor/tokens"
)

const base = "http://localhost:7007/api/auth"

// infos is a store of user info.
type infos struct {
	docs map[string]string
	fail error
}

func (i infos) UserInfo(_ context.Context, ref string) ([]byte, error) {
	if i.fail != nil {
		return nil, i.fail
	}
	doc, ok := i.docs[ref]
	if !ok {
		return nil, op.ErrNoUserInfo
	}
	return []byte(doc), nil
}

// downKeys is a verifier whose keys cannot be read.
type downKeys struct{}

func (downKeys) Verify(context.Context, string) (tokens.Principal, error) {
	return tokens.Principal{}, errors.New("store is down")
}

func newIssuer(t *testing.T, now func() time.Time) *tokens.Issuer {
	t.Helper()
	ring, err := seal.New("signing keys", "the secret of these tests")
	if err != nil {
		t.Fatal(err)
	}
	i, err := tokens.NewIssuer(tokens.IssuerConfig{BaseURL: base, Store: tokens.NewMemoryStore(), Sealer: ring, Now: now, OmitOwnership: true})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// TestUserInfo is contract/core.md R16 to R21 and security E11.
func TestUserInfo(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	clock := func() time.Time { return now }
	ours, foreign := newIssuer(t, clock), newIssuer(t, clock)
	issue := func(i *tokens.Issuer, sub string) string {
		t.Helper()
		tok, err := i.Issue(t.Context(), tokens.Identity{Subject: sub})
		if err != nil {
			t.Fatal(err)
		}
		return tok.Raw
	}
	jane := issue(ours, "user:default/jane")
	limited, err := tokens.LimitedToken(jane)
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(-2 * time.Hour)
	expired := issue(ours, "user:default/jane")
	now = now.Add(2 * time.Hour)
	unsigned := jane[:strings.LastIndex(jane, ".")+1]
	stored := map[string]string{"user:default/jane": `{"claims":{"sub":"user:default/jane","ent":["group:default/a"],"more":1}}`}
	for _, tt := range []struct {
		name, bearer string
		users        infos
		tokens       op.Verifier
		code         string
		status       int
	}{
		{"full token", jane, infos{docs: stored}, ours, "", 0},
		{"limited token", limited, infos{docs: stored}, ours, "", 0},
		{"none", "", infos{docs: stored}, ours, "token_missing", 401},
		{"junk", "junk", infos{docs: stored}, ours, "token_illegal", 401},
		{"unsigned", unsigned, infos{docs: stored}, ours, "token_invalid", 401},
		{"foreign key", issue(foreign, "user:default/jane"), infos{docs: stored}, ours, "token_invalid", 401},
		{"expired", expired, infos{docs: stored}, ours, "token_invalid", 401},
		{"store down", jane, infos{fail: errors.New("gone")}, ours, "store_unavailable", 503},
		{"keys down", jane, infos{docs: stored}, downKeys{}, "keys_unavailable", 503},
		{"stored junk", jane, infos{docs: map[string]string{"user:default/jane": "{"}}, ours, "internal_error", 500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := op.New(op.Config{BaseURL: base, Algorithms: []string{"ES256"}, Users: tt.users, Tokens: tt.tokens})
			claims, err := s.UserInfo(t.Context(), tt.bearer)
			if tt.code == "" {
				want := map[string]any{"sub": "user:default/jane", "ent": []any{"group:default/a"}, "more": 1.0}
				if diff := cmp.Diff(want, claims); err != nil || diff != "" {
					t.Errorf("%v\n%s", err, diff)
				}
				return
			}
			if fault.Code(err) != tt.code || claims != nil {
				t.Fatalf("got %v, %v", claims, err)
			}
			if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind.Status != tt.status {
				t.Errorf("status %d", f.Kind.Status)
			}
			if strings.Contains(err.Error(), "jane") {
				t.Errorf("the error repeats a claim: %v", err)
			}
		})
	}
	s := op.New(op.Config{BaseURL: base, Users: infos{}, Tokens: ours})
	if _, err := s.UserInfo(t.Context(), jane); !errors.Is(err, op.ErrNoUserInfo) {
		t.Errorf("nothing stored: %v", err)
	}
}

// TestDiscovery: the document names what exists and nothing else.
func TestDiscovery(t *testing.T) {
	got := op.New(op.Config{BaseURL: base, Algorithms: []string{"ES256"}}).Discovery()
	want := op.Discovery{
		Issuer: base, JWKSURI: base + "/.well-known/jwks.json", UserinfoEndpoint: base + "/v1/userinfo", ResponseTypes: []string{},
		SubjectTypes: []string{"public"}, IDTokenSigningAlgorithms: []string{"ES256"}, Claims: []string{"sub", "ent"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
