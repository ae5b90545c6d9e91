package tokens_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"stagedoor/tokens"
)

// vectors reads testdata/tokens.txtar.
func vectors(t tb) map[string]string {
	t.Helper()
	return archived(t, "testdata/tokens.txtar")
}

// archived returns the files in an archive by their names.
func archived(t tb, path string) map[string]string {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range archive.Files {
		files[f.Name] = string(f.Data)
	}
	return files
}

// vectorKey is the key of testdata/tokens.txtar.
func vectorKey(t tb) tokens.StaticKey {
	files := vectors(t)
	return tokens.StaticKey{
		ID: "11111111-2222-4333-8444-555555555555", Algorithm: "EdDSA",
		PublicPEM: []byte(files["public.pem"]), PrivatePEM: []byte(files["private.pem"]),
	}
}

// TestVectors compares whole tokens, byte for byte, with those of another implementation.
func TestVectors(t *testing.T) {
	for _, c := range []struct {
		name string
		in   tokens.Identity
		ent  bool
	}{
		{name: "plain", in: tokens.Identity{Subject: "user:default/jane", Ownership: []string{"left:out/here"}}},
		{name: "with ownership", ent: true, in: tokens.Identity{
			Subject: "user:default/jane", Ownership: []string{"user:default/jane", "group:default/team-a"},
		}},
		{name: "odd subject", in: tokens.Identity{Subject: "user:default/ü&<o'neil>\u2028😀\"\\\x01\x7f"}},
		{name: "additional claims", in: tokens.Identity{Subject: "user:default/jane", Claims: map[string]any{
			"name": "Jäne\b\t\n\f\r\x1f",
			"a":    map[string]any{"z": []any{1.0, 1.5, 1e21, 1e-7, math.Copysign(0, -1), nil, true, "<&>\u2029"}},
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := newIssuer(t, tokens.IssuerConfig{Static: []tokens.StaticKey{vectorKey(t)}, OmitOwnership: !c.ent})
			got, err := i.Issue(t.Context(), c.in)
			if err != nil {
				t.Fatal(err)
			}
			issued := epoch.Truncate(time.Second)
			want := tokens.Token{
				Raw: strings.TrimSpace(vectors(t)[c.name+"/user"]), IssuedAt: issued, ExpiresAt: issued.Add(time.Hour),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("token differs (-want +got):\n%s", diff)
			}
			limited, err := tokens.LimitedToken(got.Raw)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.TrimSpace(vectors(t)[c.name+"/limited"]); limited != want {
				t.Errorf("limited token\n got %s\nwant %s", limited, want)
			}
		})
	}
}

// verifyJose verifies raw with another library and the served key set alone, and returns the payload.
func verifyJose(t tb, i publisher, raw string) string {
	t.Helper()
	doc, err := i.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(doc.Body, &set); err != nil {
		t.Fatal(err)
	}
	keys := set.Key(kidOf(t, raw))
	if len(keys) != 1 {
		t.Fatalf("%d keys of the token's kid are published, want 1", len(keys))
	}
	signed, err := jose.ParseSigned(raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(keys[0].Algorithm)})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := signed.Verify(keys[0])
	if err != nil {
		t.Fatalf("go-jose: %v", err)
	}
	return string(payload)
}

// TestAlgorithms has another library verify both tokens of every algorithm, and our own verifier too.
func TestAlgorithms(t *testing.T) {
	const subject = "user:default/jöhn&<o'neil>\u2028"
	for _, alg := range []string{
		"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA",
	} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t, tokens.IssuerConfig{Algorithm: alg})
			raw := mustIssue(t, i, subject).Raw
			kid := kidOf(t, raw)
			if got, want := segment(t, raw, 0), `{"typ":"vnd.backstage.user","alg":"`+alg+`","kid":"`+kid+`"}`; got != want {
				t.Errorf("header %s, want %s", got, want)
			}
			if got, want := verifyJose(t, i, raw), segment(t, raw, 1); got != want {
				t.Errorf("verified payload %s, want %s", got, want)
			}
			limited, err := tokens.LimitedToken(raw)
			if err != nil {
				t.Fatal(err)
			}
			want := `{"sub":"` + subject + `","iat":1893553445,"exp":1893557045}`
			if got := verifyJose(t, i, limited); got != want {
				t.Errorf("verified limited payload %s, want %s", got, want)
			}
			for token, isLimited := range map[string]bool{raw: false, limited: true} {
				who, err := i.Verify(t.Context(), token)
				if err != nil {
					t.Fatal(err)
				}
				want := tokens.Principal{Subject: subject, Limited: isLimited, ExpiresAt: time.Unix(1893557045, 0).UTC()}
				if diff := cmp.Diff(want, who); diff != "" {
					t.Errorf("principal differs (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestOwnershipClaim(t *testing.T) {
	for _, c := range []struct {
		name string
		omit bool
		in   []string
		want any
	}{
		{name: "omitted", omit: true, in: []string{"group:default/a"}},
		{name: "given", in: []string{"group:default/a"}, want: []any{"group:default/a"}},
		{name: "unknown is the subject", want: []any{"user:default/jane"}},
		{name: "known to be none", in: []string{}, want: []any{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := newIssuer(t, tokens.IssuerConfig{OmitOwnership: c.omit})
			token, err := i.Issue(t.Context(), tokens.Identity{Subject: "user:default/jane", Ownership: c.in})
			if err != nil {
				t.Fatal(err)
			}
			var claims map[string]any
			if err := json.Unmarshal([]byte(segment(t, token.Raw, 1)), &claims); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, claims["ent"]); diff != "" {
				t.Errorf("ent differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIssueRefuses(t *testing.T) {
	const jane = "user:default/jane"
	deepList, deepMap := any("end"), any("end")
	for range 100 {
		deepList, deepMap = []any{deepList}, map[string]any{"x": deepMap}
	}
	for _, c := range []struct {
		name string
		in   tokens.Identity
		want error  // nil means any
		says string // part of the message
		mute string // must not be in it
	}{
		{name: "no subject", want: tokens.ErrSubject},
		{name: "bare name", in: tokens.Identity{Subject: "jane-secret"}, want: tokens.ErrSubject, mute: "jane-secret"},
		{name: "upper case", in: tokens.Identity{Subject: "user:default/Jane"}, want: tokens.ErrSubject, mute: "Jane"},
		{name: "lone surrogate", in: tokens.Identity{Subject: "user:default/\xed\xa0\x80"}, says: "UTF-8"},
		{name: "broken ownership", in: tokens.Identity{Subject: jane, Ownership: []string{"a:b/\xff"}}, says: `"ent"`},
		{name: "broken claim", in: withClaim("x", "\xff"), says: `"x"`},
		{name: "not a number", in: withClaim("x", math.NaN()), says: `"x"`},
		{name: "endless number", in: withClaim("x", json.Number("1e999")), says: `"x"`},
		{name: "strange type", in: withClaim("x", struct{ Secret string }{"hush"}), says: `"x"`, mute: "hush"},
		{name: "lists too deep", in: withClaim("x", deepList), says: "deep"},
		{name: "objects too deep", in: withClaim("x", deepMap), says: "deep"},
		{name: "iss", in: withClaim("iss", "x"), says: `"iss"`},
		{name: "sub", in: withClaim("sub", "x"), says: `"sub"`},
		{name: "ent", in: withClaim("ent", "x"), says: `"ent"`},
		{name: "aud", in: withClaim("aud", "x"), says: `"aud"`},
		{name: "iat", in: withClaim("iat", 1), says: `"iat"`},
		{name: "exp", in: withClaim("exp", 1), says: `"exp"`},
		{name: "uip", in: withClaim("uip", "x"), says: `"uip"`},
		{name: "nbf", in: withClaim("nbf", 1), says: `"nbf"`},
		{name: "jti", in: withClaim("jti", "x"), says: `"jti"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			token, err := newIssuer(t, tokens.IssuerConfig{}).Issue(t.Context(), c.in)
			if err == nil || token.Raw != "" {
				t.Fatal("issued")
			}
			if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %q does not name %q", err, c.says)
			}
			if c.mute != "" && strings.Contains(err.Error(), c.mute) {
				t.Errorf("error %q repeats a value", err)
			}
		})
	}
}

func withClaim(name string, v any) tokens.Identity {
	return tokens.Identity{Subject: "user:default/jane", Claims: map[string]any{name: v}}
}

// TestTooLarge issues tokens of all lengths around the limit. The lengths that base64 leaves out with one kid come with
// another.
func TestTooLarge(t *testing.T) {
	largest, smallestRefused := 0, math.MaxInt
	for kidLength := range 4 {
		key := vectorKey(t)
		key.ID = key.ID[kidLength:]
		i := newIssuer(t, tokens.IssuerConfig{Static: []tokens.StaticKey{key}})
		for padding := 24120; padding < 24200; padding++ {
			token, err := i.Issue(t.Context(), withClaim("pad", strings.Repeat("x", padding)))
			if err == nil {
				largest = max(largest, len(token.Raw))
				_, err = i.Verify(t.Context(), token.Raw)
			} else if errors.Is(err, tokens.ErrTooLarge) {
				var n, refs int
				_, err = fmt.Sscanf(err.Error(), "issue token: token too large: %d characters, %d ownership references", &n, &refs)
				smallestRefused = min(smallestRefused, n)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if largest != 32768 || smallestRefused != 32769 {
		t.Errorf("issued up to %d characters, refused from %d", largest, smallestRefused)
	}
}

func TestNewIssuerRefuses(t *testing.T) {
	store, sealer := tokens.NewMemoryStore(), newSealer(t, "one")
	for _, c := range []struct {
		name string
		in   tokens.IssuerConfig
		want string
	}{
		{"no base URL", tokens.IssuerConfig{Store: store, Sealer: sealer}, "base URL"},
		{"relative base URL", tokens.IssuerConfig{BaseURL: "/api", Store: store, Sealer: sealer}, "base URL"},
		{"no keys", tokens.IssuerConfig{BaseURL: baseURL}, "either"},
		{"no sealer", tokens.IssuerConfig{BaseURL: baseURL, Store: store}, "sealer"},
		{"both", tokens.IssuerConfig{BaseURL: baseURL, Store: store, Sealer: sealer, Static: []tokens.StaticKey{{}}}, "either"},
		{"algorithm none", tokens.IssuerConfig{BaseURL: baseURL, Store: store, Sealer: sealer, Algorithm: "none"}, `"none"`},
		{"symmetric", tokens.IssuerConfig{BaseURL: baseURL, Store: store, Sealer: sealer, Algorithm: "HS256"}, `"HS256"`},
		{"life too long", tokens.IssuerConfig{BaseURL: baseURL, Store: store, Sealer: sealer, Lifetime: 25 * time.Hour}, "lifetime"},
		{"negative life", tokens.IssuerConfig{BaseURL: baseURL, Store: store, Sealer: sealer, Lifetime: -1}, "lifetime"},
		{"rotation", tokens.IssuerConfig{BaseURL: baseURL, Store: store, Sealer: sealer, Rotation: time.Second}, "rotation"},
		{"ahead", tokens.IssuerConfig{BaseURL: baseURL, Store: store, Sealer: sealer, PublishAhead: 1}, "publication"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := tokens.NewIssuer(c.in); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one about %s", err, c.want)
			}
		})
	}
}
