package providers

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// fuzzKey is the key of a proxy. It is the same in every process of a fuzzer, so that seeds stay good.
func fuzzKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{0x47}, 32))
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// fuzzKeys knows that key as k, and no other.
func fuzzKeys(tb testing.TB, now func() time.Time) *pemKeys {
	tb.Helper()
	key := &fuzzKey(tb).PublicKey
	return newPEMKeys(now, func(context.Context, string) (map[string]*ecdsa.PublicKey, error) {
		return map[string]*ecdsa.PublicKey{"k": key}, nil
	})
}

// signedText is a JWS over header and claims, in the given base64.
func signedText(tb testing.TB, enc *base64.Encoding, header, claims string) string {
	tb.Helper()
	text := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(claims))
	hash := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, fuzzKey(tb), hash[:])
	if err != nil {
		tb.Fatal(err)
	}
	return text + "." + enc.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// wantSilence demands a documented *Error of an allowed kind that repeats no part of the token.
func wantSilence(t *testing.T, err error, raw string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || codes[e.Code] == "" || !errors.Is(e, ErrUnauthenticated) && !errors.Is(e, ErrUnavailable) {
		t.Fatalf("error %v", err)
	}
	for part := range strings.SplitSeq(raw, ".") {
		if len(part) > 24 && strings.Contains(err.Error(), part) {
			t.Errorf("the error repeats the token: %v", err)
		}
	}
}

const (
	fuzzHeader = `{"alg":"ES256","kid":"k","signer":"arn:x"}`
	fuzzClaims = `{"iss":"https://idp.example","email":"jane@corp.example","exp":1800000100,"sub":"u1","aud":"a"}`
)

// fuzzTokens are seeds around a good token.
func fuzzTokens(good string) []string {
	parts := strings.Split(good, ".")
	unsigned := base64.URLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"k","signer":"arn:x"}`))
	other := base64.RawURLEncoding.EncodeToString([]byte(strings.ReplaceAll(fuzzClaims, "jane", "root")))
	shared := base64.URLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"k","signer":"arn:x"}`))
	return []string{
		good, strings.ReplaceAll(good, "=", ""), strings.TrimRight(good, "="), good + "=", good + ".", good + " ", strings.ToLower(good),
		parts[0] + "." + parts[1] + ".", parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86), unsigned + "." + parts[1] + ".",
		shared + "." + parts[1] + "." + parts[2], parts[0] + "." + other + "." + parts[2], unsigned + "." + other + ".", parts[0] + "=." + parts[1] + "." + parts[2], "", "..", "=.=.=", `{"payload":"e30"}`,
	}
}

// FuzzALBToken: no text but what the load balancer signed yields claims, padding included.
func FuzzALBToken(f *testing.F) {
	good := signedText(f, base64.URLEncoding, fuzzHeader, fuzzClaims)
	text := good[:strings.LastIndex(good, ".")]
	for _, seed := range fuzzTokens(good) {
		f.Add(seed)
	}
	now := func() time.Time { return time.Unix(1_800_000_000, 0) }
	a := &awsalb{
		config: awsalbConfig{Issuer: "https://idp.example", Signer: "arn:x"}, now: now, keys: fuzzKeys(f, now),
		check: assertionCheck{message: awsalbFailure, skew: clockSkew, needed: []string{"email"}},
	}
	if _, err := a.open(f.Context(), good); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		claims, err := a.open(t.Context(), raw)
		if err != nil {
			wantSilence(t, err, raw)
			return
		}
		if claims["email"] != "jane@corp.example" || raw[:strings.LastIndex(raw, ".")] != text {
			t.Errorf("claims of a token that nobody signed")
		}
	})
}

// FuzzAssertion: no text but what the proxy signed yields claims.
func FuzzAssertion(f *testing.F) {
	good := signedText(f, base64.RawURLEncoding, fuzzHeader, fuzzClaims)
	text := good[:strings.LastIndex(good, ".")]
	for _, seed := range fuzzTokens(good) {
		f.Add(seed)
	}
	keys := assertionKeys{jose.ES256: fuzzKeys(f, func() time.Time { return time.Unix(1_800_000_000, 0) })}
	if _, err := keys.open(f.Context(), good, "refused"); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		claims, err := keys.open(t.Context(), raw, "refused")
		if err != nil {
			wantSilence(t, err, raw)
			return
		}
		if claims["email"] != "jane@corp.example" || !strings.HasPrefix(raw, text+".") {
			t.Errorf("claims of a token that nobody signed")
		}
	})
}

// FuzzDecodedToken: what a trusted peer vouches for is an object in the middle of three segments, or refused without being repeated.
func FuzzDecodedToken(f *testing.F) {
	for _, claims := range []string{`{"ver":"2.0","oid":"o1"}`, `{"ver":2.0}`, `{"ver":"1.0"}`, `null`, `[]`, `{"VER":"2.0"}`, `{"ver":"2.0"`, "\xff"} {
		for _, seed := range fuzzTokens(signedText(f, base64.RawURLEncoding, `{"alg":"none"}`, claims)) {
			f.Add(seed)
		}
	}
	easy := &azureEasyAuth{now: time.Now}
	f.Fuzz(func(t *testing.T, raw string) {
		claims, err := decodeJWT(raw, "refused")
		if err != nil {
			wantSilence(t, err, raw)
		} else if claims == nil || strings.Count(raw, ".") != 2 {
			t.Errorf("claims %v", claims)
		}
		if claims, err = easy.open(t.Context(), raw); err != nil {
			wantSilence(t, err, raw)
		} else if claims["ver"] != "2.0" {
			t.Errorf("version %v", claims["ver"])
		}
		if r, err := oauth2ProxyResult(map[string]string{oauth2ProxyToken: "Bearer " + raw, oauth2ProxyUser: "jane"}); err != nil {
			wantSilence(t, err, raw)
		} else if r.Profile.Username != "jane" || r.Headers[oauth2ProxyToken] != "" {
			t.Errorf("user %q of the token", r.Profile.Username)
		}
	})
}

// page answers every call with itself.
type page string

func (p page) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(p))), Request: r}, nil
}

// FuzzKeyMap: whatever the key host says, what comes of it is keys that ES256 takes, or an error that may pass.
func FuzzKeyMap(f *testing.F) {
	const pem = `-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n-----END PUBLIC KEY-----\n`
	for _, seed := range []string{
		`{"k":"` + pem + `"}`, `{"k":"` + pem + `","l":"x"}`, `{"":"` + pem + `"}`, `{"k":null}`, `{"k":7}`, `{}`, `[]`, `null`, ``, `<html>`,
		`{"k":"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}`, `{"k":"` + strings.ReplaceAll(pem, "PUBLIC", "PRIVATE") + `"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		keys, err := gcpiapKeyMap(t.Context(), newUpstream(&http.Client{Transport: page(body)}, time.Minute))
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || !errors.Is(e, ErrUnavailable) || codes[e.Code] == "" {
				t.Errorf("error %v", err)
			}
			return
		}
		for kid, key := range keys {
			if key == nil || key.Curve != elliptic.P256() {
				t.Errorf("key %q is unusable", kid)
			}
		}
		if len(keys) == 0 {
			t.Error("no keys and no error")
		}
	})
}
