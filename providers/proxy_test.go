package providers_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

// proxied is a provider behind a proxy, with the proxy's key host as its only network.
type proxied struct {
	t        *testing.T
	provider providers.Provider
	now      time.Time
	// pages are what the hosts answer, by address; any other is a 404. down breaks every connection.
	pages map[string]string
	down  bool
	calls []string
}

// RoundTrip answers like the proxy's hosts.
func (p *proxied) RoundTrip(r *http.Request) (*http.Response, error) {
	p.calls = append(p.calls, r.URL.String())
	if p.down {
		return nil, errors.New("connection refused")
	}
	status, body := http.StatusNotFound, "none"
	if page, ok := p.pages[r.URL.String()]; ok {
		status, body = http.StatusOK, page
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func newProxied(t *testing.T, kind, config string, pages map[string]string) *proxied {
	t.Helper()
	p := &proxied{t: t, now: time.Unix(1_800_000_000, 0), pages: pages}
	var err error
	if p.provider, err = p.open(kind, config, false); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *proxied) open(kind, config string, development bool) (providers.Provider, error) {
	return openProxied(kind, config, development, p, p.clock)
}

func (p *proxied) clock() time.Time { return p.now }

func openProxied(kind, config string, development bool, transport http.RoundTripper, now func() time.Time) (providers.Provider, error) {
	k, err := providers.KindOf(kind, "", func(string) bool { return false })
	if err != nil {
		return nil, err
	}
	return k.New(providers.Setup{
		ID: kind, Decode: providertest.Decode(config), HTTP: &http.Client{Transport: transport}, Now: now,
		Log: slog.New(slog.DiscardHandler), Development: development,
	})
}

func (p *proxied) handle(h http.Header) (providers.Result, error) {
	p.t.Helper()
	r, err := p.provider.Handle(p.t.Context(), providers.Request{Header: h, Peer: netip.MustParseAddr("192.0.2.9")})
	if e, ok := errors.AsType[*providers.Error](err); ok {
		if providers.Codes()[e.Code] == "" {
			p.t.Errorf("code %q is not documented", e.Code)
		}
		if !errors.Is(e, providers.ErrUnauthenticated) && !errors.Is(e, providers.ErrUnavailable) {
			p.t.Errorf("%v is neither a 401 nor for later", e)
		}
	}
	return r, err
}

func proxyECKey(t *testing.T) (key providertest.Key, text string) {
	t.Helper()
	key, err := providertest.ECKey("k-1")
	if err != nil {
		t.Fatal(err)
	}
	if text, err = key.PEM(); err != nil {
		t.Fatal(err)
	}
	return key, text
}

func signed(t *testing.T, key providertest.Key, claims map[string]any) string {
	t.Helper()
	s, err := key.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// with is claims with changes; a nil value takes a claim away.
func with(claims, changes map[string]any) map[string]any {
	all := maps.Clone(claims)
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

// albToken is a token as load balancers make it: padded, and signed with the padding.
func albToken(t *testing.T, key providertest.Key, header, claims map[string]any) string {
	t.Helper()
	var segments []string
	for _, m := range []map[string]any{header, claims} {
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		segments = append(segments, base64.URLEncoding.EncodeToString(b))
	}
	text := strings.Join(segments, ".")
	hash := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key.Private.(*ecdsa.PrivateKey), hash[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return text + "." + base64.URLEncoding.EncodeToString(signature)
}

const (
	albConfig = "{issuer: https://idp.example, region: eu-west-1, signer: 'arn:aws:elb:1'}"
	albHost   = "https://public-keys.auth.elb.eu-west-1.amazonaws.com/"
)

var (
	albHeader = map[string]any{"alg": "ES256", "kid": "k-1", "signer": "arn:aws:elb:1", "typ": "JWT"}
	albClaims = map[string]any{"iss": "https://idp.example", "sub": "u1", "email": "jane@corp.example", "name": "Jané", "exp": 1_800_000_120}
)

func albRequest(data string) http.Header {
	return http.Header{"X-Amzn-Oidc-Data": {data}, "X-Amzn-Oidc-Accesstoken": {"opaque"}}
}

func TestAWSALBTokens(t *testing.T) {
	key, text := proxyECKey(t)
	other, _ := proxyECKey(t)
	type object = map[string]any
	for _, tt := range []struct {
		name           string
		key            providertest.Key
		header, claims object
		want           string
	}{
		{"good", key, nil, nil, ""},
		{"longer email, other padding", key, nil, object{"email": "janet@corp.example"}, ""},
		{"other key", other, nil, nil, providers.CodeAssertionSignature},
		{"unknown kid", key, object{"kid": "k-2"}, nil, providers.CodeAssertionSignature},
		{"kid with a path", key, object{"kid": "../k-1"}, nil, providers.CodeAssertionMalformed},
		{"kid with a query", key, object{"kid": "k-1?x"}, nil, providers.CodeAssertionMalformed},
		{"kid with an escape", key, object{"kid": "%2e%2e"}, nil, providers.CodeAssertionMalformed},
		{"no kid", key, object{"kid": nil}, nil, providers.CodeAssertionMalformed},
		{"critical extension", key, object{"crit": []string{"b64"}}, nil, providers.CodeAssertionMalformed},
		{"alg none", key, object{"alg": "none"}, nil, providers.CodeAssertionAlg},
		{"alg HS256", key, object{"alg": "HS256"}, nil, providers.CodeAssertionAlg},
		{"no signer", key, object{"signer": nil}, nil, providers.CodeAssertionSigner},
		{"other signer", key, object{"signer": "arn:aws:elb:2"}, nil, providers.CodeAssertionSigner},
		{"other issuer", key, nil, object{"iss": "https://idp.example/"}, providers.CodeAssertionIssuer},
		{"expired", key, nil, object{"exp": 1_799_999_940}, providers.CodeAssertionClock},
		{"no exp", key, nil, object{"exp": nil}, providers.CodeAssertionMalformed},
		{"exp is a string", key, nil, object{"exp": "1800000120"}, providers.CodeAssertionMalformed},
		{"from the future", key, nil, object{"nbf": 1_800_000_061}, providers.CodeAssertionClock},
		{"issued in the future", key, nil, object{"iat": 1_800_000_061}, providers.CodeAssertionClock},
		{"no email", key, nil, object{"email": nil}, providers.CodeAssertionClaim},
		{"email is a list", key, nil, object{"email": []string{"a@b.example"}}, providers.CodeAssertionMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProxied(t, "awsalb", albConfig, map[string]string{albHost + "k-1": text})
			r, err := p.handle(albRequest(albToken(t, tt.key, with(albHeader, tt.header), with(albClaims, tt.claims))))
			wantCode(t, err, tt.want)
			if err == nil && (r.Profile.DisplayName != "Jané" || r.Info["expiresInSeconds"] != 1_800_000_120.0) {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestAWSALBMalformed(t *testing.T) {
	key, text := proxyECKey(t)
	p := newProxied(t, "awsalb", albConfig, map[string]string{albHost + "k-1": text})
	good := albToken(t, key, albHeader, albClaims)
	parts := strings.Split(good, ".")
	for _, tt := range []struct{ name, data, want string }{
		{"good", good, ""},
		{"padding taken away", strings.ReplaceAll(good, "=", ""), providers.CodeAssertionSignature},
		{"two segments", parts[0] + "." + parts[1], providers.CodeAssertionMalformed},
		{"four segments", good + ".x", providers.CodeAssertionMalformed},
		{"empty segments", "..", providers.CodeAssertionMalformed},
		{"short signature", parts[0] + "." + parts[1] + ".AAAA", providers.CodeAssertionSignature},
		{"no signature", parts[0] + "." + parts[1] + ".", providers.CodeAssertionSignature},
		{"padding in the middle", "a=b." + parts[1] + "." + parts[2], providers.CodeAssertionMalformed},
		{"too long", strings.Repeat("x", 1<<17), providers.CodeAssertionMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := p.handle(albRequest(tt.data))
			wantCode(t, err, tt.want)
		})
	}
}

func TestAWSALBKeys(t *testing.T) {
	key, text := proxyECKey(t)
	data := albRequest(albToken(t, key, albHeader, with(albClaims, map[string]any{"exp": 1_900_000_000})))
	p := newProxied(t, "awsalb", albConfig, map[string]string{albHost + "k-1": text})
	p.down = true
	_, err := p.handle(data)
	wantCode(t, err, providers.CodeUnreachable)
	p.down = false
	for range 3 {
		_, err = p.handle(data)
		wantCode(t, err, "")
	}
	if len(p.calls) != 2 {
		t.Errorf("calls %v, want the failed one and one more", p.calls)
	}
	p.down = true
	p.now = p.now.Add(59 * time.Minute)
	_, err = p.handle(data)
	wantCode(t, err, "")
	p.now = p.now.Add(time.Minute)
	_, err = p.handle(data)
	wantCode(t, err, providers.CodeUnreachable)
	p.down = false
	_, err = p.handle(data)
	wantCode(t, err, "")
}

// TestAWSALBFlood: made-up key ids turn us on the key host only so often, and do not keep the known key from being read anew.
func TestAWSALBFlood(t *testing.T) {
	key, text := proxyECKey(t)
	p := newProxied(t, "awsalb", albConfig, map[string]string{albHost + "k-1": text})
	good := albRequest(albToken(t, key, albHeader, with(albClaims, map[string]any{"exp": 1_900_000_000})))
	_, err := p.handle(good)
	wantCode(t, err, "")
	p.now = p.now.Add(time.Hour)
	var last error
	for i := range 50 {
		_, last = p.handle(albRequest(albToken(t, key, with(albHeader, map[string]any{"kid": fmt.Sprintf("x-%d", i)}), albClaims)))
	}
	wantCode(t, last, providers.CodeKeys)
	if len(p.calls) > 6 {
		t.Errorf("%d calls", len(p.calls))
	}
	_, err = p.handle(good)
	wantCode(t, err, "")
}

func TestAWSALBKeyHost(t *testing.T) {
	key, text := proxyECKey(t)
	for _, tt := range []struct{ name, region, address, page, want string }{
		{"gov", "us-gov-west-1", "https://s3-us-gov-west-1.amazonaws.com/aws-elb-public-keys-prod-us-gov-west-1/k-1", text, ""},
		{"garbage", "eu-west-1", albHost + "k-1", "<html>", providers.CodeKeys},
		{"broken PEM", "eu-west-1", albHost + "k-1", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", providers.CodeKeys},
		{"too large", "eu-west-1", albHost + "k-1", strings.Repeat(" ", 1<<20+1), providers.CodeAnswerSize},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProxied(t, "awsalb", "{issuer: https://idp.example, region: "+tt.region+"}", map[string]string{tt.address: tt.page})
			_, err := p.handle(albRequest(albToken(t, key, albHeader, albClaims)))
			wantCode(t, err, tt.want)
		})
	}
}

// TestProxyHeaders: who sends a header twice, or spelled so that a proxy lets it pass, is refused, not chosen from.
func TestProxyHeaders(t *testing.T) {
	key, text := proxyECKey(t)
	p := newProxied(t, "awsalb", albConfig, map[string]string{albHost + "k-1": text})
	good := albRequest(albToken(t, key, albHeader, albClaims))
	data := good["X-Amzn-Oidc-Data"]
	for _, tt := range []struct {
		name   string
		change http.Header
		want   string
	}{
		{"twice", http.Header{"X-Amzn-Oidc-Data": slices.Concat(data, data)}, providers.CodeProxyAmbiguous},
		{"underscores beside it", http.Header{"X_amzn_oidc_data": data}, providers.CodeProxyAmbiguous},
		{"one underscore beside it", http.Header{"X-Amzn_oidc-Data": data}, providers.CodeProxyAmbiguous},
		{"two spellings in case", http.Header{"x-amzn-oidc-data": data}, providers.CodeProxyAmbiguous},
		{"empty", http.Header{"X-Amzn-Oidc-Data": {""}}, providers.CodeProxyHeader},
		{"joined", http.Header{"X-Amzn-Oidc-Data": {data[0] + ", " + data[0]}}, providers.CodeAssertionMalformed},
		{"no access token", http.Header{"X-Amzn-Oidc-Accesstoken": nil}, providers.CodeProxyHeader},
		{"of another proxy", http.Header{"X-Forwarded-Email": {"root@corp.example"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := good.Clone()
			maps.Copy(h, tt.change)
			_, err := p.handle(h)
			wantCode(t, err, tt.want)
		})
	}
	_, err := p.handle(http.Header{"X_amzn_oidc_data": data, "X-Amzn-Oidc-Accesstoken": {"opaque"}})
	wantCode(t, err, providers.CodeProxyAmbiguous)
}
