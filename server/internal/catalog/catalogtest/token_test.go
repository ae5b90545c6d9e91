package catalogtest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"stagedoor/server/internal/catalog/catalogtest"
)

var now = time.Unix(1_800_000_000, 0)

type claims map[string]any

// change is the claims of a good token with one changed.
func change(name string, value any) claims {
	c := claims{"sub": "auth", "aud": "catalog", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	if name != "" {
		c[name] = value
	}
	return c
}

func newKey(t *testing.T) jose.JSONWebKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key, KeyID: "k1", Algorithm: "ES256"}
}

func sign(t *testing.T, key jose.JSONWebKey, typ jose.ContentType, c claims) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType(typ))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := token.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestPluginTokens(t *testing.T) {
	key, foreign := newKey(t), newKey(t)
	unknown := key
	unknown.KeyID = "k2"
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/auth/.backstage/auth/v1/jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}})
	})
	issuer := httptest.NewServer(mux)
	defer issuer.Close()
	const typ = "vnd.backstage.plugin"
	for _, tt := range []struct {
		name, token string
		ok          bool
	}{
		{"good", sign(t, key, typ, change("", nil)), true},
		{"a user's type", sign(t, key, "vnd.backstage.user", change("", nil)), false},
		{"another plugin", sign(t, key, typ, change("sub", "scaffolder")), false},
		{"for another plugin", sign(t, key, typ, change("aud", "techdocs")), false},
		{"audience in a list", sign(t, key, typ, change("aud", []string{"catalog"})), false},
		{"never issued", sign(t, key, typ, change("iat", 0)), false},
		{"issued tomorrow", sign(t, key, typ, change("iat", now.Add(time.Minute).Unix())), false},
		{"expired", sign(t, key, typ, change("exp", now.Unix())), false},
		{"foreign key of that id", sign(t, foreign, typ, change("", nil)), false},
		{"unknown key", sign(t, unknown, typ, change("", nil)), false},
		{"no token", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := catalogtest.PluginTokens{Base: issuer.URL + "/api/auth", HTTP: issuer.Client(), Now: func() time.Time { return now }}
			if err := p.Check(t.Context(), tt.token); (err == nil) != tt.ok {
				t.Errorf("error %v", err)
			}
			p.Base = issuer.URL
			if err := p.Check(t.Context(), tt.token); err == nil {
				t.Error("accepted without keys")
			}
		})
	}
}
