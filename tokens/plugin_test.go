package tokens_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"stagedoor/tokens"
)

// pluginVector returns a file of testdata/plugin.txtar.
func pluginVector(t tb, name string) string {
	t.Helper()
	text, ok := archived(t, "testdata/plugin.txtar")[name]
	if !ok {
		t.Fatalf("no vector %q", name)
	}
	return strings.TrimSpace(text)
}

// TestPluginVectors compares whole tokens, byte for byte, with those of another implementation.
func TestPluginVectors(t *testing.T) {
	issued := epoch.Truncate(time.Second)
	p := newPluginIssuer(t, tokens.PluginConfig{Static: []tokens.StaticKey{vectorKey(t)}})
	for _, c := range []struct {
		name, target, limited string
		life                  time.Duration
	}{
		{name: "own name", target: "catalog", life: time.Hour},
		{name: "on behalf", target: "catalog", limited: "limited/plain", life: time.Hour},
		{name: "on behalf of a user with little time", target: "permission_2", limited: "limited/early", life: 10 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBehalfOf := ""
			if c.limited != "" {
				onBehalfOf = pluginVector(t, c.limited)
			}
			want := tokens.Token{Raw: pluginVector(t, "issued/"+c.name), IssuedAt: issued, ExpiresAt: issued.Add(c.life)}
			if diff := cmp.Diff(want, mustCall(t, p, c.target, onBehalfOf)); diff != "" {
				t.Errorf("token differs (-want +got):\n%s", diff)
			}
		})
	}
	doc, err := p.JWKS(t.Context())
	if want := pluginVector(t, "issued/jwks.json"); err != nil || string(doc.Body) != want {
		t.Errorf("key set %s, %v, want %s", doc.Body, err, want)
	}
}

// TestPluginToken holds contract/core.md T26 and the members of the keys, with another library as the called plugin.
func TestPluginToken(t *testing.T) {
	p := newPluginIssuer(t, tokens.PluginConfig{})
	raw := mustCall(t, p, "catalog", "").Raw
	kid := kidOf(t, raw)
	if got, want := segment(t, raw, 0), `{"typ":"vnd.backstage.plugin","alg":"ES256","kid":"`+kid+`"}`; got != want {
		t.Errorf("header %s, want %s", got, want)
	}
	if got, want := verifyJose(t, p, raw), `{"sub":"auth","aud":"catalog","iat":1893553445,"exp":1893557045}`; got != want {
		t.Errorf("payload %s, want %s", got, want)
	}
	doc, err := p.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var set map[string][]map[string]string
	if err := json.Unmarshal(doc.Body, &set); err != nil {
		t.Fatal(err)
	}
	k := set["keys"][0]
	want := map[string][]map[string]string{"keys": {
		{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": kid, "x": k["x"], "y": k["y"]},
	}}
	if diff := cmp.Diff(want, set); diff != "" || len(k["x"]) != 43 || len(k["y"]) != 43 {
		t.Errorf("key set (-want +got):\n%s", diff)
	}
}

// TestPluginTokenReuse signs once per target and half a life.
func TestPluginTokenReuse(t *testing.T) {
	c := newClock()
	p := newPluginIssuer(t, tokens.PluginConfig{Now: c.Now})
	call := func() string { return mustCall(t, p, "catalog", "").Raw }
	first := call()
	if other := mustCall(t, p, "permission", "").Raw; segment(t, other, 1) == segment(t, first, 1) {
		t.Error("two targets got one token")
	}
	c.Advance(30*time.Minute - time.Second)
	if call() != first {
		t.Error("signed again in the first half of its life")
	}
	c.Advance(time.Second)
	second := call()
	if second == first {
		t.Error("used again in the second half of its life")
	}
	c.Advance(-2 * time.Hour)
	if call() == second {
		t.Error("used again although the clock is behind its iat")
	}
}

// TestPluginTokenFollowsItsKey is not used again when another key signs: the old one may be gone before the token is.
func TestPluginTokenFollowsItsKey(t *testing.T) {
	c, store := newClock(), tokens.NewMemoryStore()
	p := newPluginIssuer(t, tokens.PluginConfig{Now: c.Now, Store: store, Lifetime: tokens.MaxLifetime})
	first := mustCall(t, p, "catalog", "")
	if err := store.RemoveKeys(t.Context(), kidOf(t, first.Raw)); err != nil {
		t.Fatal(err)
	}
	c.Advance(tokens.DefaultPublishAhead)
	second := mustCall(t, p, "catalog", "")
	if kids := publishedKids(t, p); kidOf(t, second.Raw) == kidOf(t, first.Raw) || len(kids) != 1 || kids[0] != kidOf(t, second.Raw) {
		t.Errorf("signed by %s, published %v", kidOf(t, second.Raw), kids)
	}
}

// TestPluginTokensAreBounded calls more plugins than there are, among them one again and again.
func TestPluginTokensAreBounded(t *testing.T) {
	p := newPluginIssuer(t, tokens.PluginConfig{})
	first := mustCall(t, p, "target-0", "").Raw
	signedAgain := 0
	for n := range 1000 {
		mustCall(t, p, fmt.Sprintf("target-%d", n), "")
		if raw := mustCall(t, p, "target-0", "").Raw; raw != first {
			first = raw
			signedAgain++
		}
	}
	if signedAgain < 10 || signedAgain > 20 {
		t.Errorf("the tokens of 1000 targets were forgotten %d times, want once per 64", signedAgain)
	}
}

func TestPluginTokensAtOnce(t *testing.T) {
	p := newPluginIssuer(t, tokens.PluginConfig{})
	limited := pluginVector(t, "limited/plain")
	errs := make([]error, 32)
	var wg sync.WaitGroup
	for n := range errs {
		wg.Go(func() {
			for _, onBehalfOf := range []string{"", limited} {
				token, err := p.Token(t.Context(), "auth", onBehalfOf)
				if err == nil {
					_, err = p.Verify(t.Context(), token.Raw)
				}
				errs[n] = errors.Join(errs[n], err)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if kids := publishedKids(t, p); len(kids) != 1 {
		t.Errorf("%d keys, want the one that all callers waited for", len(kids))
	}
}

func TestPluginTokenOnBehalf(t *testing.T) {
	c := newClock()
	users := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Lifetime: 90 * time.Minute})
	p := newPluginIssuer(t, tokens.PluginConfig{Now: c.Now})
	full := mustIssue(t, users, "user:default/jane")
	limited, err := tokens.LimitedToken(full.Raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range []time.Duration{0, 29 * time.Minute, 31 * time.Minute, 29 * time.Minute} {
		c.Advance(after)
		token := mustCall(t, p, "auth", limited)
		want := c.Now().Truncate(time.Second).Add(time.Hour)
		if want.After(full.ExpiresAt) {
			want = full.ExpiresAt
		}
		if !token.ExpiresAt.Equal(want) {
			t.Errorf("with %v left to the user: expires at %v, want %v", full.ExpiresAt.Sub(c.Now()), token.ExpiresAt, want)
		}
		who, err := p.Verify(t.Context(), token.Raw)
		if diff := cmp.Diff(tokens.PluginPrincipal{Plugin: "auth", OnBehalfOf: limited, ExpiresAt: want}, who); err != nil || diff != "" {
			t.Errorf("error %v, principal (-want +got):\n%s", err, diff)
		}
		if own := mustCall(t, p, "auth", ""); strings.Contains(segment(t, own.Raw, 1), "obo") {
			t.Error("a user's token was used again in our own name")
		}
	}
}

func TestPluginTokenRefuses(t *testing.T) {
	key := newEC(t, elliptic.P256())
	const limitedHeader = `{"typ":"vnd.backstage.limited-user","alg":"ES256","kid":"k1"}`
	refused := errors.New("any other error")
	for _, c := range []struct {
		name, target, onBehalfOf string
		want                     error
	}{
		{"no target", "", "", refused},
		{"target with a path", "catalog/../secret-path", "", refused},
		{"target in cyrillic", "саtаlоg", "", refused},
		{"target with a line break", "catalog\n", "", refused},
		{"a full user token", "catalog", forge(t, key, goodHeader, goodPayload), tokens.ErrUnrecognised},
		{"a plugin token", "catalog", pluginVector(t, "issued/own name"), tokens.ErrUnrecognised},
		{"no token", "catalog", "secret-garbage", tokens.ErrUnrecognised},
		{"header is no JSON", "catalog", forge(t, key, "nothing", goodPayload), tokens.ErrUnrecognised},
		{"no exp", "catalog", forge(t, key, limitedHeader, `{"sub":"user:default/jane","iat":1893553445}`), tokens.ErrInvalid},
		{"expired", "catalog", forge(t, key, limitedHeader, strings.Replace(goodPayload, "1893557045", "1893553445", 1)), tokens.ErrInvalid},
		{"too large", "catalog", forge(t, key, limitedHeader, strings.Replace(goodPayload, "jane", strings.Repeat("j", 24000), 1)), tokens.ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			token, err := newPluginIssuer(t, tokens.PluginConfig{}).Token(t.Context(), c.target, c.onBehalfOf)
			switch {
			case err == nil || token.Raw != "":
				t.Fatal("issued")
			case c.want != refused && !errors.Is(err, c.want):
				t.Errorf("error %v, want %v", err, c.want)
			case strings.Contains(err.Error(), "jane") || strings.Contains(err.Error(), "secret"):
				t.Errorf("error %q repeats a value", err)
			}
		})
	}
}

func TestNewPluginIssuerRefuses(t *testing.T) {
	store, sealer := tokens.NewMemoryStore(), newSealer(t, "one")
	for _, c := range []struct {
		name string
		in   tokens.PluginConfig
		want string
	}{
		{"no plugin", tokens.PluginConfig{Store: store, Sealer: sealer}, "plugin ID"},
		{"odd plugin", tokens.PluginConfig{Plugin: "plugin:auth", Store: store, Sealer: sealer}, "plugin ID"},
		{"no keys", tokens.PluginConfig{Plugin: "auth"}, "either"},
		{"no sealer", tokens.PluginConfig{Plugin: "auth", Store: store}, "sealer"},
		{"no static keys", tokens.PluginConfig{Plugin: "auth", Static: []tokens.StaticKey{}}, "at least one"},
		{"life too long", tokens.PluginConfig{Plugin: "auth", Store: store, Sealer: sealer, Lifetime: 25 * time.Hour}, "lifetime"},
		{"rotation", tokens.PluginConfig{Plugin: "auth", Store: store, Sealer: sealer, Rotation: time.Second}, "rotation"},
		{"ahead", tokens.PluginConfig{Plugin: "auth", Store: store, Sealer: sealer, PublishAhead: 1}, "publication"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := tokens.NewPluginIssuer(c.in); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one about %s", err, c.want)
			}
		})
	}
}

// TestPluginStoreDown takes the store away: at the very first load that is an error, later it is not noticed.
func TestPluginStoreDown(t *testing.T) {
	c, store := newClock(), newFlakyStore()
	store.down = true
	p := newPluginIssuer(t, tokens.PluginConfig{Now: c.Now, Store: store})
	_, issued := p.Token(t.Context(), "auth", "")
	_, served := p.JWKS(t.Context())
	_, verified := p.Verify(t.Context(), pluginVector(t, "issued/own name"))
	for name, err := range map[string]error{"issue": issued, "key set": served, "verify": verified} {
		if !errors.Is(err, errDown) || errors.Is(err, tokens.ErrInvalid) {
			t.Errorf("%s: error %v, want the store's", name, err)
		}
	}
	store.set(func(s *flakyStore) { s.down = false })
	mustCall(t, p, "auth", "")
	store.set(func(s *flakyStore) { s.down = true })
	c.Advance(60 * time.Hour)
	if _, err := p.Verify(t.Context(), mustCall(t, p, "auth", "").Raw); err != nil {
		t.Error(err)
	}
}

// TestKeysServeOnePurpose moves the rows of one store to the other: what was sealed for user tokens must not sign plugin
// tokens, nor the other way round.
func TestKeysServeOnePurpose(t *testing.T) {
	ofUsers, ofPlugins := tokens.NewMemoryStore(), tokens.NewMemoryStore()
	userKid := kidOf(t, mustIssue(t, newIssuer(t, tokens.IssuerConfig{Store: ofUsers}), "user:default/jane").Raw)
	pluginKid := kidOf(t, mustCall(t, newPluginIssuer(t, tokens.PluginConfig{Store: ofPlugins}), "catalog", "").Raw)
	if kid := kidOf(t, mustIssue(t, newIssuer(t, tokens.IssuerConfig{Store: ofPlugins}), "user:default/jane").Raw); kid == pluginKid {
		t.Error("a plugin key signs user tokens")
	}
	if kid := kidOf(t, mustCall(t, newPluginIssuer(t, tokens.PluginConfig{Store: ofUsers}), "catalog", "").Raw); kid == userKid {
		t.Error("a user key signs plugin tokens")
	}
}

// TestTokensOfOneKind gives both kinds of issuer one key pair, and no verifier accepts a token of the other kind.
func TestTokensOfOneKind(t *testing.T) {
	key := newEC(t, elliptic.P256())
	static := []tokens.StaticKey{pemPair(t, "k1", "ES256", key, key.Public())}
	users, plugins := newIssuer(t, tokens.IssuerConfig{Static: static}), newPluginIssuer(t, tokens.PluginConfig{Static: static})
	full := forge(t, key, goodHeader, `{"aud":"auth",`+goodPayload[1:])
	limited := forge(t, key, strings.Replace(goodHeader, "user", "limited-user", 1), `{"aud":"auth",`+goodPayload[1:])
	for name, raw := range map[string]string{"full": full, "limited": limited} {
		if _, err := users.Verify(t.Context(), raw); err != nil {
			t.Fatalf("%s user token: %v", name, err)
		}
		_, own := plugins.Verify(t.Context(), raw)
		_, foreign := tokens.VerifyPluginToken(raw, keySetOf(t, plugins), "auth", epoch)
		_, _, unverified := tokens.UnverifiedPlugin(raw)
		for verifier, err := range map[string]error{"own": own, "foreign": foreign, "unverified": unverified} {
			if !errors.Is(err, tokens.ErrUnrecognised) {
				t.Errorf("%s user token as plugin token, %s: error %v, want ErrUnrecognised", name, verifier, err)
			}
		}
	}
	if _, err := users.Verify(t.Context(), mustCall(t, plugins, "backstage", "").Raw); !errors.Is(err, tokens.ErrUnrecognised) {
		t.Errorf("plugin token as user token: error %v, want ErrUnrecognised", err)
	}
}

// TestPluginRun has the first key made in the background, and tells by the log which keys it is one of.
func TestPluginRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		store := newFlakyStore()
		p := newPluginIssuer(t, tokens.PluginConfig{
			Now: time.Now, Store: store, Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		synctest.Wait()
		reads := store.readCount()
		kid := kidOf(t, mustCall(t, p, "catalog", "").Raw)
		if line := log.String(); !strings.Contains(line, "kid="+kid) || !strings.Contains(line, "keys=plugin") {
			t.Errorf("log %s", line)
		}
		if store.readCount() != reads {
			t.Error("a call waited for the store")
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
