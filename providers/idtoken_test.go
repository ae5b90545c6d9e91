package providers_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

func leftHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// TestIDTokenClaims are the relying party cases of security areas C04 to C07 and C13.
func TestIDTokenClaims(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for _, tt := range []struct {
		name string
		set  map[string]any // nil removes the claim
		want string
	}{
		{"good", nil, ""},
		{"issuer other", map[string]any{"iss": "https://evil.example"}, providers.CodeIDTokenIssuer},
		{"issuer slash", map[string]any{"iss": issuer + "/"}, providers.CodeIDTokenIssuer},
		{"issuer case", map[string]any{"iss": strings.ToUpper(issuer)}, providers.CodeIDTokenIssuer},
		{"issuer template", map[string]any{"iss": "https://idp.example/{tenantid}"}, providers.CodeIDTokenIssuer},
		{"issuer absent", map[string]any{"iss": nil}, providers.CodeIDTokenIssuer},
		{"issuer number", map[string]any{"iss": 1}, providers.CodeIDTokenMalformed},
		{"audience absent", map[string]any{"aud": nil}, providers.CodeIDTokenAudience},
		{"audience other", map[string]any{"aud": "other"}, providers.CodeIDTokenAudience},
		{"audience list", map[string]any{"aud": []string{"client"}}, ""},
		{"audience list without us", map[string]any{"aud": []string{"a", "b"}, "azp": "client"}, providers.CodeIDTokenAudience},
		{"audience list without azp", map[string]any{"aud": []string{"a", "client"}}, providers.CodeIDTokenAudience},
		{"audience list with our azp", map[string]any{"aud": []string{"a", "client"}, "azp": "client"}, ""},
		{"audience list with other azp", map[string]any{"aud": []string{"a", "client"}, "azp": "a"}, providers.CodeIDTokenAudience},
		{"azp other", map[string]any{"azp": "other"}, providers.CodeIDTokenAudience},
		{"audience numbers", map[string]any{"aud": []int{1}}, providers.CodeIDTokenMalformed},
		{"audience object", map[string]any{"aud": map[string]any{"client": true}}, providers.CodeIDTokenMalformed},
		{"subject absent", map[string]any{"sub": nil}, providers.CodeIDTokenMalformed},
		{"subject empty", map[string]any{"sub": ""}, providers.CodeIDTokenMalformed},
		{"subject number", map[string]any{"sub": 7}, providers.CodeIDTokenMalformed},
		{"subject in another case", map[string]any{"sub": nil, "SUB": "u1"}, providers.CodeIDTokenMalformed},
		{"exp absent", map[string]any{"exp": nil}, providers.CodeIDTokenMalformed},
		{"exp string", map[string]any{"exp": "1900000000"}, providers.CodeIDTokenMalformed},
		{"exp date string", map[string]any{"exp": "2030-01-01T00:00:00Z"}, providers.CodeIDTokenMalformed},
		{"exp 2^63", map[string]any{"exp": uint64(1 << 63)}, providers.CodeIDTokenMalformed},
		{"exp zero", map[string]any{"exp": 0}, providers.CodeIDTokenMalformed},
		{"exp past within skew", map[string]any{"exp": at(-59 * time.Second)}, ""},
		{"exp past", map[string]any{"exp": at(-60 * time.Second)}, providers.CodeIDTokenClock},
		{"iat absent", map[string]any{"iat": nil}, providers.CodeIDTokenMalformed},
		{"iat ahead within skew", map[string]any{"iat": at(60 * time.Second)}, ""},
		{"iat ahead", map[string]any{"iat": at(61 * time.Second)}, providers.CodeIDTokenClock},
		{"nbf ahead within skew", map[string]any{"nbf": at(60 * time.Second)}, ""},
		{"nbf ahead", map[string]any{"nbf": at(61 * time.Second)}, providers.CodeIDTokenClock},
		{"nbf string", map[string]any{"nbf": "soon"}, providers.CodeIDTokenMalformed},
		{"nonce absent", map[string]any{"nonce": nil}, providers.CodeIDTokenNonce},
		{"nonce other", map[string]any{"nonce": "other"}, providers.CodeIDTokenNonce},
		{"nonce number", map[string]any{"nonce": 1}, providers.CodeIDTokenMalformed},
		{"at_hash right", map[string]any{"at_hash": leftHash("at")}, ""},
		{"at_hash wrong", map[string]any{"at_hash": leftHash("other")}, providers.CodeIDTokenHash},
		{"at_hash empty", map[string]any{"at_hash": ""}, providers.CodeIDTokenHash},
		{"c_hash right", map[string]any{"c_hash": leftHash("c0de")}, ""},
		{"c_hash wrong", map[string]any{"c_hash": leftHash("at")}, providers.CodeIDTokenHash},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			i.idToken = func(claims map[string]any) map[string]any {
				maps.Copy(claims, tt.set)
				maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
				return claims
			}
			result, err := i.signIn(i.mustOpen(confidential))
			wantCode(t, err, tt.want)
			if tt.want == "" && result.Session.Subject != "u1" {
				t.Errorf("subject %q", result.Session.Subject)
			}
			if tt.want != "" && i.called("/userinfo") > 0 {
				t.Error("userinfo asked with a token that was refused")
			}
		})
	}
}

// TestIDTokenSignature are C01, C02 and their neighbours: what is not signed by the provider says nothing.
func TestIDTokenSignature(t *testing.T) {
	other, err := providertest.ECKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	header := func(h string) string { return base64.RawURLEncoding.EncodeToString([]byte(h)) }
	for _, tt := range []struct {
		name  string
		forge func(i *idp, signed string) string
		want  string
	}{
		{"none", func(_ *idp, s string) string {
			return header(`{"alg":"none"}`) + "." + strings.Split(s, ".")[1] + "."
		}, providers.CodeIDTokenAlg},
		{"signature dropped", func(_ *idp, s string) string { return s[:strings.LastIndex(s, ".")+1] }, providers.CodeIDTokenSignature},
		{"bit flipped", flipped, providers.CodeIDTokenSignature},
		{"claims exchanged", func(_ *idp, s string) string {
			p := strings.Split(s, ".")
			return p[0] + "." + header(`{"sub":"admin"}`) + "." + p[2]
		}, providers.CodeIDTokenSignature},
		{"HS256 with the public key", confused, providers.CodeIDTokenAlg},
		{"ES256 with its own key", func(i *idp, s string) string {
			token, err := other.Sign(claimsOf(i.t, s))
			if err != nil {
				i.t.Error(err)
			}
			return token
		}, providers.CodeIDTokenAlg},
		{"two segments", func(_ *idp, s string) string { return s[:strings.LastIndex(s, ".")] }, providers.CodeIDTokenMalformed},
		{"JSON serialisation", func(_ *idp, s string) string {
			p := strings.Split(s, ".")
			return `{"protected":"` + p[0] + `","payload":"` + p[1] + `","signature":"` + p[2] + `"}`
		}, providers.CodeIDTokenMalformed},
		{"empty", func(*idp, string) string { return "" }, providers.CodeIDTokenMissing},
		{"text", func(*idp, string) string { return "garbage" }, providers.CodeIDTokenMalformed},
		{"list of claims", func(i *idp, _ string) string { return signRaw(i, `["sub"]`) }, providers.CodeIDTokenMalformed},
		{"null claims", func(i *idp, _ string) string { return signRaw(i, `null`) }, providers.CodeIDTokenMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			i.forge = func(s string) string { return tt.forge(i, s) }
			_, err := i.signIn(i.mustOpen(confidential))
			wantCode(t, err, tt.want)
		})
	}
}

func flipped(_ *idp, s string) string {
	p := strings.Split(s, ".")
	sig, err := base64.RawURLEncoding.DecodeString(p[2])
	if err != nil {
		return ""
	}
	sig[10] ^= 1
	return p[0] + "." + p[1] + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// confused signs with HMAC and the public key as the secret, which a verifier that trusts the header's alg accepts.
func confused(i *idp, s string) string {
	der, err := x509.MarshalPKIXPublicKey(i.signer.Private.Public())
	if err != nil {
		i.t.Error(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: der}, nil)
	if err != nil {
		i.t.Error(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(s, ".")[1])
	if err != nil {
		i.t.Error(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		i.t.Error(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		i.t.Error(err)
	}
	return token
}

func signRaw(i *idp, payload string) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: i.signer.Private, KeyID: "k1"}}, nil)
	if err != nil {
		i.t.Error(err)
	}
	jws, err := signer.Sign([]byte(payload))
	if err != nil {
		i.t.Error(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		i.t.Error(err)
	}
	return token
}

func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Error(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Error(err)
	}
	return m
}

// TestIDTokenHMAC accepts HS256 where the config asks for it, and only there.
func TestIDTokenHMAC(t *testing.T) {
	i := newIDP(t)
	i.forge = func(s string) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte("0123456789abcdef0123456789abcdef")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := base64.RawURLEncoding.DecodeString(strings.Split(s, ".")[1])
		jws, err := signer.Sign(b)
		if err != nil {
			t.Fatal(err)
		}
		token, _ := jws.CompactSerialize()
		return token
	}
	delete(i.meta, "jwks_uri")
	_, err := i.signIn(i.mustOpen(confidential + "tokenSignedResponseAlg: HS256\n"))
	wantCode(t, err, "")
	i.forge = func(s string) string { return s }
	_, err = i.signIn(i.mustOpen(confidential + "tokenSignedResponseAlg: HS256\n"))
	wantCode(t, err, providers.CodeIDTokenAlg)
}
