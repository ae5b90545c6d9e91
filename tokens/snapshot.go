package tokens

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Document is the public key set as it is served: a JWK set (RFC 7517 section 5).
type Document struct {
	// Body is the JSON text. It is shared by all callers and must not be changed.
	Body []byte
	// ETag is a strong entity tag, quotes included (RFC 9110 section 8.8.3). It changes with Body, and is the same on
	// every replica that serves the same keys.
	ETag string
	// MaxAge is how long shared caches may keep the body; a new key signs only when the last such copy is gone.
	MaxAge time.Duration
}

// snapshot is the keys at one moment, never changed after it is made.
type snapshot struct {
	// byID holds every stored key, byHeader the published ones by the encoded headers of their tokens.
	byID, byHeader map[string]*signingKey
	// published are the keys of the set, oldest first; signers are those of them with a private half.
	published, signers []*signingKey
	doc                Document
	// own are all stored keys of ours, without a neighbour's.
	own []*signingKey
}

// newSnapshot publishes those of our own keys that are readable and not expired, and behind them those of a neighbour. What
// is served is taken over from before if it is the same.
func newSnapshot(own, foreign []*signingKey, now time.Time, maxAge time.Duration, before *snapshot) (*snapshot, error) {
	s := &snapshot{byID: map[string]*signingKey{}, byHeader: map[string]*signingKey{}, own: own}
	for _, k := range own {
		s.byID[k.ID] = k
		if k.jwk != nil && !k.expired(now) {
			s.admit(k)
		}
	}
	for _, k := range living(foreign, now) {
		if s.byID[k.ID] == nil { // a name is given once, and ours is ours
			s.byID[k.ID] = k
			s.admit(k)
		}
	}
	if before != nil && slices.EqualFunc(s.published, before.published, samePublic) {
		s.doc = before.doc
		return s, nil
	}
	var err error
	if s.doc, err = newDocument(s.published, maxAge); err != nil {
		return nil, err
	}
	return s, nil
}

func samePublic(a, b *signingKey) bool { return a.ID == b.ID && bytes.Equal(a.Public, b.Public) }

func (s *snapshot) admit(k *signingKey) {
	s.published = append(s.published, k)
	for _, header := range k.headers {
		s.byHeader[header] = k
	}
	if k.private != nil {
		s.signers = append(s.signers, k)
	}
}

func newDocument(keys []*signingKey, maxAge time.Duration) (Document, error) {
	set := jwk.NewSet()
	for _, k := range keys {
		if err := set.AddKey(k.jwk); err != nil {
			return Document{}, fmt.Errorf("publish key %s: %w", k.ID, err)
		}
	}
	body, err := json.Marshal(set)
	if err != nil {
		return Document{}, fmt.Errorf("encode key set: %w", err)
	}
	sum := sha256.Sum256(body)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	return Document{Body: body, ETag: tag, MaxAge: maxAge}, nil
}

// signer returns the key to sign with: the youngest whose time has come. It is nil if there is none.
func (s *snapshot) signer(now time.Time, lifetime time.Duration) *signingKey {
	var early *signingKey
	for _, k := range slices.Backward(s.signers) {
		if !k.lasts(now, lifetime) {
			continue
		}
		if !k.SignsFrom.After(now) {
			return k
		}
		early = k
	}
	// Our clock is behind that of the replica which made the first key.
	return early
}
