package providers

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// gcpiap.go: behind Google's Identity-Aware Proxy. Docs: contract/providers.md 3.4.
//
// Deviations: the keys are remembered for an hour, where Backstage reads them on every call.

func init() {
	register(Kind{ID: "gcpIap", Title: "Google IAP", Flat: true, New: newGCPIAP, Resolvers: resolversFor("gcpIap")})
}

var _ Provider = (*gcpiap)(nil)

// gcpiapConfig are the keys of auth.providers.gcpIap.
type gcpiapConfig struct {
	proxyConfig
	// Audience is the backend's: /projects/<number>/global/backendServices/<id>, or /projects/<number>/apps/<id>.
	Audience string `config:"audience,required"`
	// Header holds the token; empty means x-goog-iap-jwt-assertion.
	Header string `config:"jwtHeader"`
}

const (
	gcpiapKeys    = "https://www.gstatic.com/iap/verify/public_key"
	gcpiapFailure = "Google IAP token verification failed"
)

type gcpiap struct {
	header string
	keys   assertionKeys
	check  assertionCheck
	now    func() time.Time
}

func newGCPIAP(s Setup) (Provider, error) {
	var c gcpiapConfig
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	c.Header = cmp.Or(c.Header, "x-goog-iap-jwt-assertion")
	if err := checkHeaderName("jwtHeader", c.Header); err != nil {
		return nil, err
	}
	u := newUpstream(s.HTTP, proxyTimeout)
	keys := newPEMKeys(s.Now, func(ctx context.Context, _ string) (map[string]*ecdsa.PublicKey, error) {
		return gcpiapKeyMap(ctx, u)
	})
	return &gcpiap{
		header: c.Header, now: s.Now, keys: assertionKeys{jose.ES256: keys},
		check: assertionCheck{
			message: gcpiapFailure, issuer: "https://cloud.google.com/iap", audience: c.Audience,
			skew: 5 * time.Minute, longest: 24 * time.Hour, issuedAt: true, needed: []string{"sub", "email"},
		},
	}, nil
}

// gcpiapKeyMap reads all keys: an object of PEM texts by key id.
func gcpiapKeyMap(ctx context.Context, u *upstream) (map[string]*ecdsa.PublicKey, error) {
	body, err := fetchPublished(ctx, u, gcpiapKeys)
	if err != nil {
		return nil, err
	}
	var texts map[string]string
	if err := json.Unmarshal(body, &texts); err != nil || len(texts) == 0 {
		return nil, unusableKey(errors.New("not an object of PEM texts"))
	}
	keys := map[string]*ecdsa.PublicKey{}
	for kid, text := range texts {
		if keys[kid], err = readPEMKey([]byte(text)); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// Handle signs in whom the proxy's token names.
func (g *gcpiap) Handle(ctx context.Context, r Request) (Result, error) {
	raw, err := neededHeader(r.Header, g.header, "Missing Google IAP header")
	if err != nil {
		return Result{}, err
	}
	claims, err := g.keys.open(ctx, raw, gcpiapFailure)
	if err == nil {
		err = g.check.check(claims, g.now())
	}
	if err != nil {
		return Result{}, err
	}
	return Result{
		Session: Session{Subject: member(claims, "sub")}, Profile: Profile{Email: member(claims, "email")},
		Claims: claims, Info: map[string]any{"iapToken": claims},
	}, nil
}
