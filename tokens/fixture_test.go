package tokens_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"stagedoor/tokens"
)

const baseURL = "https://portal.example/api/auth"

// epoch is when every test starts.
var epoch = time.Date(2030, 1, 2, 3, 4, 5, 678_901_234, time.UTC)

// clock is a time that only the test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: epoch} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// tb is what *testing.T and *rapid.T have in common.
type tb interface {
	Helper()
	Context() context.Context
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// testSealer is AES-GCM under a key that its name gives.
type testSealer struct{ cipher.AEAD }

func newSealer(t tb, name string) testSealer {
	t.Helper()
	block, err := aes.NewCipher([]byte((name + strings.Repeat(".", 32))[:32]))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return testSealer{aead}
}

func (s testSealer) Seal(plain, context []byte) []byte {
	return s.AEAD.Seal(nil, nil, plain, context)
}

func (s testSealer) Open(sealed, context []byte) ([]byte, error) {
	return s.AEAD.Open(nil, nil, sealed, context)
}

// newIssuer fills in what a test does not care about: a store of its own, a sealer, a clock that stands still.
func newIssuer(t tb, cfg tokens.IssuerConfig) *tokens.Issuer {
	t.Helper()
	if cfg.BaseURL == "" {
		cfg.BaseURL = baseURL
	}
	if cfg.Store == nil && cfg.Static == nil {
		cfg.Store = tokens.NewMemoryStore()
	}
	if cfg.Sealer == nil && cfg.Static == nil {
		cfg.Sealer = newSealer(t, "one")
	}
	if cfg.Now == nil {
		cfg.Now = newClock().Now
	}
	i, err := tokens.NewIssuer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// newPluginIssuer is newIssuer for plugin tokens, those of the plugin auth.
func newPluginIssuer(t tb, cfg tokens.PluginConfig) *tokens.PluginIssuer {
	t.Helper()
	if cfg.Plugin == "" {
		cfg.Plugin = "auth"
	}
	if cfg.Store == nil && cfg.Static == nil {
		cfg.Store = tokens.NewMemoryStore()
	}
	if cfg.Sealer == nil && cfg.Static == nil {
		cfg.Sealer = newSealer(t, "one")
	}
	if cfg.Now == nil {
		cfg.Now = newClock().Now
	}
	p, err := tokens.NewPluginIssuer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustIssue(t tb, i *tokens.Issuer, subject string) tokens.Token {
	t.Helper()
	token, err := i.Issue(t.Context(), tokens.Identity{Subject: subject})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// mustCall returns the token for a call of target, in our own name if onBehalfOf is empty.
func mustCall(t tb, p *tokens.PluginIssuer, target, onBehalfOf string) tokens.Token {
	t.Helper()
	token, err := p.Token(t.Context(), target, onBehalfOf)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// keySetOf returns what p publishes, as the called plugin reads it.
func keySetOf(t tb, p publisher) *tokens.KeySet {
	t.Helper()
	doc, err := p.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return mustParse(t, doc.Body)
}

func mustParse(t tb, body []byte) *tokens.KeySet {
	t.Helper()
	keys, err := tokens.ParseKeySet(body)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// segment decodes part n of a compact JWS: 0 the header, 1 the payload.
func segment(t tb, raw string, n int) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[n])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// kidOf returns the kid of a token.
func kidOf(t tb, raw string) string {
	t.Helper()
	var h struct{ Kid string }
	if err := json.Unmarshal([]byte(segment(t, raw, 0)), &h); err != nil {
		t.Fatal(err)
	}
	return h.Kid
}

// publisher is what both kinds of issuer have in common.
type publisher interface {
	JWKS(ctx context.Context) (tokens.Document, error)
}

// publishedKids returns the kids of the served key set, in its order.
func publishedKids(t tb, i publisher) []string {
	t.Helper()
	doc, err := i.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal(doc.Body, &set); err != nil {
		t.Fatal(err)
	}
	kids := make([]string, len(set.Keys))
	for n, k := range set.Keys {
		kids[n] = k.Kid
	}
	return kids
}
