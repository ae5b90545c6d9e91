package tokens_test

import (
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"stagedoor/tokens"
)

// TestVerifyRemote holds the tokens of external callers against rules of all kinds.
func TestVerifyRemote(t *testing.T) {
	const (
		header  = `{"alg":"ES256","kid":"k1"}`
		payload = `{"iss":"https://ci.example","sub":"build","aud":"backstage","exp":1893557045}`
	)
	key := newEC(t, elliptic.P256())
	without := func(part string) string { return strings.Replace(payload, part, "", 1) }
	issuers := tokens.RemoteRules{Issuers: []string{"https://other.example", "https://ci.example"}}
	audiences := tokens.RemoteRules{Audiences: []string{"backstage", "other"}}
	for _, c := range []struct {
		name, header, payload string
		rules                 tokens.RemoteRules
		want                  error
	}{
		{"no rules", header, payload, tokens.RemoteRules{}, nil},
		{"no rules, bare token", header, `{"sub":"build"}`, tokens.RemoteRules{}, nil},
		{"a JWT by its typ", `{"typ":"JWT","alg":"ES256","kid":"k1"}`, payload, tokens.RemoteRules{}, nil},
		{"issuer", header, payload, issuers, nil},
		{"audience", header, payload, audiences, nil},
		{"several audiences", header, strings.Replace(payload, `"backstage"`, `["x","other"]`, 1), audiences, nil},
		{"algorithm", header, payload, tokens.RemoteRules{Algorithms: []string{"RS256", "ES256"}}, nil},

		{"no issuer", header, without(`"iss":"https://ci.example",`), issuers, tokens.ErrInvalid},
		{"another issuer", header, strings.Replace(payload, "ci.", "evil.", 1), issuers, tokens.ErrInvalid},
		{"issuer with a slash", header, strings.Replace(payload, ".example", ".example/", 1), issuers, tokens.ErrInvalid},
		{"issuer is a list", header, strings.Replace(payload, `"https://ci.example"`, `["https://ci.example"]`, 1), issuers, tokens.ErrInvalid},
		{"no audience", header, without(`"aud":"backstage",`), audiences, tokens.ErrInvalid},
		{"empty audience", header, strings.Replace(payload, `"backstage"`, `[]`, 1), audiences, tokens.ErrInvalid},
		{"another audience", header, strings.Replace(payload, "backstage", "x", 1), audiences, tokens.ErrInvalid},
		{"another algorithm", header, payload, tokens.RemoteRules{Algorithms: []string{"RS256"}}, tokens.ErrInvalid},
		{"alg none, allowed by mistake", `{"alg":"none"}`, payload, tokens.RemoteRules{Algorithms: []string{"none"}}, tokens.ErrInvalid},
		{"alg of a MAC, allowed by mistake", `{"alg":"HS256","kid":"k1"}`, payload, tokens.RemoteRules{Algorithms: []string{"HS256"}}, tokens.ErrInvalid},
		{"no sub", header, without(`"sub":"build",`), tokens.RemoteRules{}, tokens.ErrInvalid},
		{"sub is null", header, strings.Replace(payload, `"build"`, "null", 1), tokens.RemoteRules{}, tokens.ErrInvalid},
		{"sub is a number", header, strings.Replace(payload, `"build"`, "1", 1), tokens.RemoteRules{}, tokens.ErrInvalid},
		{"expired", header, strings.Replace(payload, "1893557045", "1893553445", 1), tokens.RemoteRules{}, tokens.ErrInvalid},
		{"exp is null", header, strings.Replace(payload, "1893557045", "null", 1), tokens.RemoteRules{}, tokens.ErrInvalid},
		{"not yet", header, strings.Replace(payload, `"exp"`, `"nbf":1893553446,"exp"`, 1), tokens.RemoteRules{}, tokens.ErrInvalid},
		{"crit", `{"alg":"ES256","kid":"k1","crit":[]}`, payload, tokens.RemoteRules{}, tokens.ErrInvalid},
		{"unknown kid", `{"alg":"ES256","kid":"k2"}`, payload, tokens.RemoteRules{}, tokens.ErrUnknownKey},
		{"header is no JSON", "nothing", payload, tokens.RemoteRules{}, tokens.ErrUnrecognised},
		{"payload is no JSON", header, "nothing", tokens.RemoteRules{}, tokens.ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := forge(t, key, c.header, c.payload)
			who, err := tokens.VerifyRemote(raw, jwksOf(t, key), c.rules, epoch)
			if c.want != nil {
				wantRefusal(t, err, c.want, "build", raw)
				return
			}
			if err != nil || who.Subject != "build" || who.ExpiresAt.IsZero() == strings.Contains(c.payload, "exp") {
				t.Errorf("principal %v, error %v", who, err)
			}
		})
	}
	stranger := forge(t, newEC(t, elliptic.P256()), header, payload)
	_, err := tokens.VerifyRemote(stranger, jwksOf(t, key), tokens.RemoteRules{}, epoch)
	wantRefusal(t, err, tokens.ErrInvalid, "build", stranger)
	_, err = tokens.VerifyRemote("static-token", jwksOf(t, key), tokens.RemoteRules{}, epoch)
	wantRefusal(t, err, tokens.ErrUnrecognised, "static", "")
}

// mac signs any header and payload with a shared secret.
func mac(secret, header, payload string) string {
	text := b64(header) + "." + b64(payload)
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return text + "." + b64(string(h.Sum(nil)))
}

func TestVerifyLegacy(t *testing.T) {
	const (
		secret  = "a shared secret"
		header  = `{"alg":"HS256"}`
		payload = `{"sub":"backstage-server","exp":1893557045}`
	)
	key := newEC(t, elliptic.P256())
	good := mac(secret, header, payload)
	for _, c := range []struct {
		name, raw, secret string
		want              error
	}{
		{"good", good, secret, nil},
		{"without an end", mac(secret, header, `{"sub":"backstage-server"}`), secret, nil},
		{"empty audience", mac(secret, header, `{"sub":"backstage-server","aud":""}`), secret, nil},

		{"another secret", good, "another secret", tokens.ErrInvalid},
		{"no secret", mac("", header, payload), "", tokens.ErrInvalid},
		{"signature cut", good[:len(good)-2], secret, tokens.ErrInvalid},
		{"no signature", good[:strings.LastIndex(good, ".")+1], secret, tokens.ErrInvalid},
		{"signature with padding", good + "=", secret, tokens.ErrInvalid},
		{"expired", mac(secret, header, `{"sub":"backstage-server","exp":1893553445}`), secret, tokens.ErrInvalid},
		{"not yet", mac(secret, header, `{"sub":"backstage-server","nbf":1893553446}`), secret, tokens.ErrInvalid},
		{"exp is a string", mac(secret, header, `{"sub":"backstage-server","exp":"x"}`), secret, tokens.ErrInvalid},
		{"crit", mac(secret, `{"alg":"HS256","crit":["b64"],"b64":false}`, payload), secret, tokens.ErrInvalid},

		{"another sub", mac(secret, header, `{"sub":"backstage-client"}`), secret, tokens.ErrUnrecognised},
		{"no sub", mac(secret, header, `{"exp":1893557045}`), secret, tokens.ErrUnrecognised},
		{"an audience", mac(secret, header, `{"sub":"backstage-server","aud":"auth"}`), secret, tokens.ErrUnrecognised},
		{"a list of audiences", mac(secret, header, `{"sub":"backstage-server","aud":[]}`), secret, tokens.ErrUnrecognised},
		{"a longer MAC", mac(secret, `{"alg":"HS512"}`, payload), secret, tokens.ErrUnrecognised},
		{"alg none", b64(`{"alg":"none"}`) + "." + b64(payload) + ".", secret, tokens.ErrUnrecognised},
		{"a public key's signature", forge(t, key, `{"alg":"ES256"}`, payload), secret, tokens.ErrUnrecognised},
		{"payload is no JSON", mac(secret, header, "nothing"), secret, tokens.ErrUnrecognised},
		{"no token", "static-token", secret, tokens.ErrUnrecognised},
	} {
		t.Run(c.name, func(t *testing.T) {
			end, err := tokens.VerifyLegacy(c.raw, []byte(c.secret), epoch)
			if c.want != nil {
				wantRefusal(t, err, c.want, "backstage-", c.raw)
				return
			}
			want := time.Time{}
			if strings.Contains(segment(t, c.raw, 1), "exp") {
				want = time.Unix(1893557045, 0)
			}
			if err != nil || !end.Equal(want) {
				t.Errorf("expires at %v, error %v, want %v", end, err, want)
			}
		})
	}
}
