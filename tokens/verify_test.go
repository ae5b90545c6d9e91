package tokens_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"stagedoor/tokens"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// pemPair encodes a key pair as files of a static key store hold it.
func pemPair(t tb, id, alg string, private any, public any) tokens.StaticKey {
	t.Helper()
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return tokens.StaticKey{
		ID: id, Algorithm: alg,
		PublicPEM:  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}),
		PrivatePEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
	}
}

func newEC(t tb, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// forge signs any header and payload with a real key of the issuer under test.
func forge(t tb, key *ecdsa.PrivateKey, header, payload string) string {
	t.Helper()
	text := b64(header) + "." + b64(payload)
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 64)
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	return text + "." + b64(string(raw))
}

const (
	goodHeader  = `{"typ":"vnd.backstage.user","alg":"ES256","kid":"k1"}`
	goodPayload = `{"sub":"user:default/jane","iat":1893553445,"exp":1893557045}`
)

// TestVerifyClassifies sends tokens that our own key signed wherever a signature is possible, so that each is refused for
// what its name says and nothing else.
func TestVerifyClassifies(t *testing.T) {
	key := newEC(t, elliptic.P256())
	static := pemPair(t, "k1", "ES256", key, key.Public())
	i := newIssuer(t, tokens.IssuerConfig{Static: []tokens.StaticKey{static}})
	signed := func(header, payload string) string { return forge(t, key, header, payload) }
	good := signed(goodHeader, goodPayload)
	parts := strings.Split(good, ".")
	mac := hmac.New(sha256.New, static.PublicPEM)
	confused := b64(`{"typ":"vnd.backstage.user","alg":"HS256","kid":"k1"}`) + "." + parts[1]
	mac.Write([]byte(confused))
	confused += "." + b64(string(mac.Sum(nil)))

	accepted, foreign, invalid := error(nil), tokens.ErrUnrecognised, tokens.ErrInvalid
	for _, c := range []struct {
		name, raw string
		want      error
	}{
		{"good", good, accepted},
		{"limited", signed(strings.Replace(goodHeader, "user", "limited-user", 1), goodPayload), accepted},
		{"more claims", signed(goodHeader, `{"Sub":1,"EXP":"x",`+goodPayload[1:]), accepted},

		{"empty", "", foreign},
		{"dots", "..", foreign},
		{"two parts", parts[0] + "." + parts[1], foreign},
		{"four parts", good + ".x", foreign},
		{"five parts, as encrypted", "a.b.c.d.e", foreign},
		{"JSON serialisation", `{"payload":"x","signatures":[]}`, foreign},
		{"oversized", good + strings.Repeat("A", 32768), foreign},
		{"header is no base64", "!." + parts[1] + "." + parts[2], foreign},
		{"header with padding", parts[0] + "=." + parts[1] + "." + parts[2], foreign},
		{"header is no JSON", signed(`nothing`, goodPayload), foreign},
		{"header is a list", signed(`[]`, goodPayload), foreign},
		{"no typ", signed(`{"alg":"ES256","kid":"k1"}`, goodPayload), foreign},
		{"legacy token", signed(`{"alg":"ES256","kid":"k1"}`, `{"aud":"backstage",`+goodPayload[1:]), foreign},
		{"plugin token", signed(`{"typ":"vnd.backstage.plugin","alg":"ES256","kid":"k1"}`, goodPayload), foreign},
		{"JWT", signed(`{"typ":"JWT","alg":"ES256","kid":"k1"}`, goodPayload), foreign},
		{"typ in another case", signed(strings.Replace(goodHeader, "user", "User", 1), goodPayload), foreign},

		{"alg none", b64(`{"typ":"vnd.backstage.user","alg":"none","kid":"k1"}`) + "." + parts[1] + ".", invalid},
		{"alg none, our signature", signed(`{"typ":"vnd.backstage.user","alg":"none","kid":"k1"}`, goodPayload), invalid},
		{"alg of a MAC, public key as secret", confused, invalid},
		{"alg of a sibling", signed(strings.Replace(goodHeader, "ES256", "ES384", 1), goodPayload), invalid},
		{"no kid", signed(`{"typ":"vnd.backstage.user","alg":"ES256"}`, goodPayload), invalid},
		{"unknown kid", signed(strings.Replace(goodHeader, "k1", "k2", 1), goodPayload), invalid},
		{"key in the header", signed(goodHeader[:len(goodHeader)-1]+`,"jwk":{"kty":"EC"}}`, goodPayload), invalid},
		{"crit", signed(goodHeader[:len(goodHeader)-1]+`,"crit":["exp"]}`, goodPayload), invalid},
		{"alg twice", signed(`{"typ":"vnd.backstage.user","alg":"none","alg":"ES256","kid":"k1"}`, goodPayload), invalid},
		{"kid twice", signed(`{"typ":"vnd.backstage.user","alg":"ES256","kid":"x","kid":"k1"}`, goodPayload), invalid},
		{"typ twice", signed(`{"typ":"JWT",`+goodHeader[1:], goodPayload), invalid},
		{"header in another order", signed(`{"alg":"ES256","typ":"vnd.backstage.user","kid":"k1"}`, goodPayload), invalid},
		{"no signature", parts[0] + "." + parts[1] + ".", invalid},
		{"signature of zeros", parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86), invalid},
		{"signature in DER", parts[0] + "." + parts[1] + "." + b64("\x30\x06\x02\x01\x01\x02\x01\x01"), invalid},
		{"signature with a line break", good[:len(good)-4] + "\n" + good[len(good)-4:], invalid},
		{"line break at the end", good + "\r\n", invalid},
		{"signature with padding", good + "==", invalid},
		{"somebody else's signature", forge(t, newEC(t, elliptic.P256()), goodHeader, goodPayload), invalid},
		{"header of a limited token on a full one", b64(strings.Replace(goodHeader, "user", "limited-user", 1)) +
			"." + parts[1] + "." + parts[2], invalid},

		{"payload is no JSON", signed(goodHeader, `nothing`), invalid},
		{"payload is a list", signed(goodHeader, `[]`), invalid},
		{"payload is null", signed(goodHeader, `null`), invalid},
		{"no sub", signed(goodHeader, `{"iat":1893553445,"exp":1893557045}`), invalid},
		{"empty sub", signed(goodHeader, `{"sub":"","iat":1893553445,"exp":1893557045}`), invalid},
		{"sub is a number", signed(goodHeader, `{"sub":1,"iat":1893553445,"exp":1893557045}`), invalid},
		{"no iat", signed(goodHeader, `{"sub":"user:default/jane","exp":1893557045}`), invalid},
		{"iat is null", signed(goodHeader, `{"sub":"user:default/jane","iat":null,"exp":1893557045}`), invalid},
		{"no exp", signed(goodHeader, `{"sub":"user:default/jane","iat":1893553445}`), invalid},
		{"exp is a string", signed(goodHeader, `{"sub":"user:default/jane","iat":1893553445,"exp":"1893557045"}`), invalid},
		{"exp is huge", signed(goodHeader, `{"sub":"user:default/jane","iat":1893553445,"exp":1e400}`), invalid},
		{"expired", signed(goodHeader, `{"sub":"user:default/jane","iat":1893553000,"exp":1893553445}`), invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			who, err := i.Verify(t.Context(), c.raw)
			switch {
			case c.want == nil:
				if err != nil || who.Subject != "user:default/jane" {
					t.Fatalf("principal %v, error %v", who, err)
				}
				return
			case err == nil:
				t.Fatalf("accepted for %s", who.Subject)
			case !errors.Is(err, tokens.ErrInvalid):
				t.Errorf("error %v does not wrap ErrInvalid", err)
			case errors.Is(err, tokens.ErrUnrecognised) != (c.want == foreign):
				t.Errorf("error %v, want %v", err, c.want)
			}
			if strings.Contains(err.Error(), "jane") || (len(c.raw) > 9 && strings.Contains(err.Error(), c.raw[:9])) {
				t.Errorf("error %q repeats the token", err)
			}
		})
	}
}

// TestExpiry has no tolerance: a token is good in its last second and not after it.
func TestExpiry(t *testing.T) {
	c := newClock()
	i := newIssuer(t, tokens.IssuerConfig{Now: c.Now, Lifetime: 10 * time.Minute})
	token := mustIssue(t, i, "user:default/jane")
	if want := epoch.Truncate(time.Second).Add(10 * time.Minute); !token.ExpiresAt.Equal(want) {
		t.Fatalf("expires at %v, want %v", token.ExpiresAt, want)
	}
	c.Advance(token.ExpiresAt.Sub(epoch) - time.Millisecond)
	if _, err := i.Verify(t.Context(), token.Raw); err != nil {
		t.Errorf("in its last second: %v", err)
	}
	c.Advance(time.Millisecond)
	if _, err := i.Verify(t.Context(), token.Raw); !errors.Is(err, tokens.ErrInvalid) || errors.Is(err, tokens.ErrUnrecognised) {
		t.Errorf("at its end: error %v, want ErrInvalid", err)
	}
}

// TestMutations damages every character of a token, and cuts it everywhere.
func TestMutations(t *testing.T) {
	i := newIssuer(t, tokens.IssuerConfig{Algorithm: "EdDSA"})
	good := mustIssue(t, i, "user:default/jane").Raw
	try := func(what string, at int, raw string) {
		if _, err := i.Verify(t.Context(), raw); !errors.Is(err, tokens.ErrInvalid) {
			t.Errorf("%s at %d: error %v, want ErrInvalid", what, at, err)
		}
	}
	for at := range good {
		try("cut", at, good[:at])
		for bit := range 8 {
			flipped := []byte(good)
			flipped[at] ^= 1 << bit
			try("bit flip", at, string(flipped))
		}
	}
}

func TestLimitedTokenRefuses(t *testing.T) {
	key := newEC(t, elliptic.P256())
	const sub = `"sub":"user:default/jane"`
	for _, c := range []struct {
		name, header, payload string
		foreign               bool
	}{
		{"not a user token", strings.Replace(goodHeader, "user", "limited-user", 1), goodPayload, true},
		{"no proof", goodHeader, goodPayload, false},
		{"proof is no string", goodHeader, `{` + sub + `,"iat":1,"exp":2,"uip":3}`, false},
		{"no exp", goodHeader, `{` + sub + `,"iat":1,"uip":"x"}`, false},
		{"fraction", goodHeader, `{` + sub + `,"iat":1.5,"exp":2,"uip":"x"}`, false},
		{"header is no JSON", "nothing", goodPayload, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			limited, err := tokens.LimitedToken(forge(t, key, c.header, c.payload))
			if limited != "" || !errors.Is(err, tokens.ErrInvalid) || errors.Is(err, tokens.ErrUnrecognised) != c.foreign {
				t.Errorf("token %q, error %v", limited, err)
			}
		})
	}
	if _, err := tokens.LimitedToken("x"); !errors.Is(err, tokens.ErrUnrecognised) {
		t.Errorf("error %v, want ErrUnrecognised", err)
	}
}

// FuzzVerify sends anything to the verifier: it must answer with ErrInvalid, or accept what has the header, the payload
// and the signature of a token that was issued.
func FuzzVerify(f *testing.F) {
	i := newIssuer(f, tokens.IssuerConfig{Static: []tokens.StaticKey{vectorKey(f)}})
	issued := map[string]bool{}
	for name, file := range vectors(f) {
		if raw := strings.TrimSpace(file); !strings.HasSuffix(name, ".pem") {
			issued[raw] = true
			f.Add(raw)
			f.Add(raw + "\n")
			f.Add(strings.Replace(raw, ".", "..", 1))
		}
	}
	f.Add(b64(goodHeader) + "." + b64(goodPayload) + ".")
	f.Add("..")
	f.Fuzz(func(t *testing.T, raw string) {
		who, err := i.Verify(t.Context(), raw)
		if err == nil && !issued[raw] {
			t.Fatalf("accepted a forgery for %q", who.Subject)
		}
		if err != nil && !errors.Is(err, tokens.ErrInvalid) {
			t.Fatalf("error %v, want ErrInvalid", err)
		}
		if limited, err := tokens.LimitedToken(raw); err == nil && strings.Count(limited, ".") < 2 {
			t.Fatalf("limited token %q", limited)
		}
	})
}
