package main

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// ledger holds every token that was issued and has not expired, and verifies all of them again and again as Backstage's backends
// would: each verifier keeps the key set for as long as publishAhead says that it may, and never looks earlier, whatever it meets. One
// verifier is bound to each replica; the last one asks the load balancer.
type ledger struct {
	f *fleet

	mu        sync.Mutex
	tokens    map[string]*entry
	verifiers []*verifier
	issued    int
	checks    int
	refusals  []string
	kids      map[string]bool
	// published are the kids that any key set had.
	published map[string]bool
}

// entry is a token in the ledger.
type entry struct {
	kid     string
	jws     *jose.JSONWebSignature
	expires time.Time
	// by are the thumbprints of the keys that verified it.
	by map[string]bool
}

// verifyingKey is a public key and its RFC 7638 thumbprint.
type verifyingKey struct {
	jose.JSONWebKey
	print string
}

// verifier is a backend with its cache of the key set.
type verifier struct {
	name string
	// from picks the replica that is asked; nil is none at the moment.
	from func() *slot
	keys map[string]verifyingKey
	read time.Time // by the keys' clock
	// down says that there was nobody to ask when the cache ended.
	down bool
}

func newLedger(f *fleet) *ledger {
	l := &ledger{f: f, tokens: map[string]*entry{}, kids: map[string]bool{}, published: map[string]bool{}}
	for _, s := range f.slots {
		l.verifiers = append(l.verifiers, &verifier{name: s.name, from: func() *slot {
			if s.up.Load() {
				return s
			}
			return nil
		}})
	}
	l.verifiers = append(l.verifiers, &verifier{name: "any", from: func() *slot {
		for _, s := range f.slots {
			if s.up.Load() {
				return s
			}
		}
		return nil
	}})
	return l
}

// add verifies a token the moment that it was issued, with the caches as they are.
func (l *ledger) add(raw string) {
	jws, err := jose.ParseSigned(raw, []jose.SignatureAlgorithm{jose.ES256})
	var claims struct{ Exp int64 }
	if err == nil {
		err = json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &claims)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.refusals = append(l.refusals, "not a token: "+err.Error())
		return
	}
	e := &entry{kid: jws.Signatures[0].Header.KeyID, jws: jws, expires: time.Unix(claims.Exp, 0), by: map[string]bool{}}
	if l.tokens[raw] == nil {
		l.tokens[raw] = e
		l.issued++
	}
	l.kids[e.kid] = true
	for _, v := range l.verifiers {
		l.judge(v, e)
	}
}

// judge verifies one token, under mu.
func (l *ledger) judge(v *verifier, e *entry) {
	now := l.f.clock.now()
	if v.keys == nil || v.down || now.Sub(v.read) > fleetCache {
		return // about to be read; the next round judges
	}
	l.checks++
	key, ok := v.keys[e.kid]
	switch {
	case !now.Before(e.expires):
	case !ok:
		l.refuse(v, e, "its key is not in the set")
	case !e.by[key.print]:
		if _, err := e.jws.Verify(key.JSONWebKey); err != nil {
			l.refuse(v, e, err.Error())
			return
		}
		e.by[key.print] = true
	}
}

func (l *ledger) refuse(v *verifier, e *entry, why string) {
	l.refusals = append(l.refusals, fmt.Sprintf("verifier %s, key %s, set read %v before (by the keys' clock): %s", v.name, e.kid, l.f.clock.now().Sub(v.read), why))
}

// run reads key sets whose time is up and verifies everything, until ctx ends.
func (l *ledger) run(ctx context.Context) {
	for n := 0; breathe(ctx) == nil; n++ {
		for _, v := range l.verifiers {
			if v.keys == nil || l.f.clock.now().Sub(v.read) > fleetCache-3*time.Second {
				l.renew(ctx, v)
			}
		}
		if n%10 == 0 {
			l.round()
		}
	}
}

func (l *ledger) round() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.f.clock.now()
	for raw, e := range l.tokens {
		if !now.Before(e.expires) {
			delete(l.tokens, raw)
			continue
		}
		for _, v := range l.verifiers {
			l.judge(v, e)
		}
	}
}

// renew reads the key set. That nobody can be asked is no refusal while a replica is being replaced, and one for a portal whose
// replicas are ready.
func (l *ledger) renew(ctx context.Context, v *verifier) {
	s := v.from()
	if s == nil {
		l.mu.Lock()
		v.down = true
		l.mu.Unlock()
		return
	}
	asked := l.f.clock.now()
	keys, err := readKeys(ctx, s.at())
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		v.keys, v.read, v.down = keys, asked, false
		for kid := range keys {
			l.published[kid] = true
		}
	case ctx.Err() != nil || !s.up.Load(): // it has just ended
		v.down = true
	default:
		v.down = true
		if _, status := errors.AsType[statusError](err); status {
			l.refusals = append(l.refusals, fmt.Sprintf("verifier %s: key set of a ready replica: %v", v.name, err))
		}
	}
}

// statusError is an answer that is no key set.
type statusError int

// Error names the status.
func (e statusError) Error() string { return fmt.Sprint("status ", int(e)) }

func readKeys(ctx context.Context, base string) (map[string]verifyingKey, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+keysPath, http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, statusError(res.StatusCode)
	}
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil {
		return nil, err
	}
	keys := map[string]verifyingKey{}
	for _, k := range set.Keys {
		print, err := k.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, err
		}
		keys[k.KeyID] = verifyingKey{k, string(print)}
	}
	return keys, nil
}
