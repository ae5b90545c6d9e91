package tokens

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"
)

// Neighbour is where another program that issues tokens for the same Backstage keeps the public keys that it verifies with:
// the table of the Node backend, all replicas of which serve what is in there (contract/core.md K2, K4, 6.1). It is safe for
// concurrent use.
type Neighbour interface {
	// PublicKeys returns all keys, ours included, oldest first.
	PublicKeys(ctx context.Context) ([]PublicKey, error)
	// Publish stores keys of ours, and replaces those with the same ID.
	Publish(ctx context.Context, keys ...PublicKey) error
	// Withdraw deletes keys of ours. Unknown ids are ignored.
	Withdraw(ctx context.Context, ids ...string) error
}

// PublicKey is a key of a Neighbour.
type PublicKey struct {
	// ID is the kid.
	ID string
	// JWK is the public key as JSON.
	JWK []byte
	// CreatedAt is the second from which the neighbour counts the key's life.
	CreatedAt time.Time
}

const (
	// neighbourLives is how many lifetimes of a token a key counts after its CreatedAt (contract/core.md K4). Whoever lists
	// an older one, removes it.
	neighbourLives = 3
	// neighbourRenewal is how old the CreatedAt of a key of ours becomes. The shortest life of a key is six times that: three
	// lifetimes of ten minutes.
	neighbourRenewal = 5 * time.Minute
	// neighbourTimeout bounds whatever is done with the neighbour's keys, as requests wait for it.
	neighbourTimeout = 2 * time.Second
	// neighbourPause is the time after a failed look in which no request causes another.
	neighbourPause = 10 * time.Second
)

// neighbourhood is what a ring has to do with a Neighbour. Nothing that fails there keeps our own keys from anything.
type neighbourhood struct {
	Neighbour
	purpose purpose
	life    time.Duration
	now     func() time.Time
	log     *slog.Logger

	// keys are the neighbour's, without ours, as they were read last.
	keys atomic.Pointer[[]*signingKey]
	// begun counts the looks. It is changed by whoever has the turn, as is everything below.
	begun atomic.Int64
	turn  chan struct{}
	// unread and unpublished are why the last attempts failed, unread at failedAt.
	unread, unpublished error
	failedAt            time.Time
	// unreadable are the keys about which was complained.
	unreadable map[string]bool
}

func newNeighbourhood(n Neighbour, p purpose, c ringConfig) *neighbourhood {
	if n == nil {
		return nil
	}
	return &neighbourhood{
		Neighbour: n, purpose: p, life: neighbourLives * c.lifetime, now: c.now, log: c.log, turn: make(chan struct{}, 1),
		unreadable: map[string]bool{},
	}
}

// known returns the neighbour's keys as they were read last. There is none without a neighbour.
func (n *neighbourhood) known() []*signingKey {
	if n == nil {
		return nil
	}
	if keys := n.keys.Load(); keys != nil {
		return *keys
	}
	return nil
}

// take waits for the turn.
func (n *neighbourhood) take(ctx context.Context) error {
	select {
	case n.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *neighbourhood) giveBack() { <-n.turn }

// look reads the neighbour's keys. It finds every key that was stored before the call, because they sign as soon as they
// are: a look that began before may have missed it, one that began since serves all who wait. So however many ask, there is
// one look at a time.
func (n *neighbourhood) look(ctx context.Context, own map[string]*signingKey) error {
	seen := n.begun.Load()
	if err := n.take(ctx); err != nil {
		return err
	}
	defer n.giveBack()
	pausing := n.unread != nil && n.now().Sub(n.failedAt).Abs() < neighbourPause
	if n.begun.Load() > seen || pausing {
		return n.unread
	}
	_, err := n.read(context.WithoutCancel(ctx), own)
	return err
}

// sync reads the neighbour's keys, and puts ours among them where they are missing or old. Failures are logged.
func (n *neighbourhood) sync(ctx context.Context, own []*signingKey) {
	if n == nil || n.take(ctx) != nil {
		return
	}
	defer n.giveBack()
	ctx, cancel := context.WithTimeout(ctx, neighbourTimeout)
	defer cancel()
	ours := make(map[string]*signingKey, len(own))
	for _, k := range own {
		ours[k.ID] = k
	}
	stored, err := n.read(ctx, ours)
	if err != nil {
		return
	}
	due, err := n.due(own, stored)
	if err == nil && len(due) > 0 {
		err = n.Publish(ctx, due...)
	}
	if changed(n.unpublished, err) {
		n.tell(ctx, err, "signing keys could not be published for the Node backend", "signing keys are published for the Node backend again")
	}
	n.unpublished = err
}

// read replaces what is known of the neighbour. Failures are logged.
func (n *neighbourhood) read(ctx context.Context, own map[string]*signingKey) ([]PublicKey, error) {
	n.begun.Add(1)
	ctx, cancel := context.WithTimeout(ctx, neighbourTimeout)
	defer cancel()
	stored, err := n.PublicKeys(ctx)
	if err != nil {
		err = fmt.Errorf("list keys of the Node backend: %w", err)
	}
	if changed(n.unread, err) {
		n.tell(ctx, err, "signing keys of the Node backend could not be read", "signing keys of the Node backend are read again")
	}
	if n.unread = err; err != nil {
		n.failedAt = n.now()
		return nil, err
	}
	keys := n.open(ctx, stored, own)
	n.keys.Store(&keys)
	return stored, nil
}

// open makes the neighbour's keys usable: those that are not ours, can be read, and count at all.
func (n *neighbourhood) open(ctx context.Context, stored []PublicKey, own map[string]*signingKey) []*signingKey {
	var keys []*signingKey
	unreadable := map[string]bool{}
	for _, row := range stored {
		if own[row.ID] != nil {
			continue
		}
		k, err := n.purpose.foreignKey(row, n.life)
		if err == nil {
			keys = append(keys, k)
			continue
		}
		unreadable[row.ID] = true
		if !n.unreadable[row.ID] {
			n.log.WarnContext(ctx, "signing key of the Node backend cannot be used", "kid", row.ID, "error", err)
		}
	}
	n.unreadable = unreadable
	return keys
}

// due returns the keys of ours that are to be published, again or at all. One that is about to be removed is none: another
// replica, whose clock is ahead, may have taken it away already.
func (n *neighbourhood) due(own []*signingKey, stored []PublicKey) ([]PublicKey, error) {
	now := n.now()
	rows := make(map[string]PublicKey, len(stored))
	for _, row := range stored {
		rows[row.ID] = row
	}
	var due []PublicKey
	for _, k := range own {
		if k.jwk == nil || k.expired(now.Add(clockSkew)) {
			continue
		}
		text, err := k.asNode()
		if err != nil {
			return nil, err
		}
		if row := rows[k.ID]; !bytes.Equal(row.JWK, text) || now.Sub(row.CreatedAt) >= neighbourRenewal {
			due = append(due, PublicKey{ID: k.ID, JWK: text, CreatedAt: now.UTC().Truncate(time.Second)})
		}
	}
	return due, nil
}

// withdraw removes keys of ours. What stays because of a failure is the neighbour's to remove when its time is over.
func (n *neighbourhood) withdraw(ctx context.Context, ids []string) {
	if n == nil || len(ids) == 0 {
		return
	}
	if err := n.Withdraw(ctx, ids...); err != nil {
		n.log.WarnContext(ctx, "expired signing keys could not be withdrawn from the Node backend", "error", err)
	}
}

// changed says whether an attempt went another way than the one before.
func changed(before, after error) bool { return (before == nil) != (after == nil) }

func (n *neighbourhood) tell(ctx context.Context, err error, failed, again string) {
	if err != nil {
		n.log.WarnContext(ctx, failed, "error", err)
		return
	}
	n.log.InfoContext(ctx, again)
}

var errForeignKey = errors.New("not a public key for signatures with an ID and an algorithm")

// foreignKey makes a neighbour's key usable, which verifies and does not sign. It is known by the kid in the document, as
// that is what the neighbour serves.
func (p purpose) foreignKey(row PublicKey, life time.Duration) (*signingKey, error) {
	f, ok := parseForeignKey(row.JWK)
	if !ok || f.id == "" {
		return nil, errForeignKey
	}
	alg, err := algorithmByName(f.algorithm)
	if err != nil {
		return nil, errForeignKey
	}
	k := Key{ID: f.id, Algorithm: f.algorithm, Public: row.JWK, CreatedAt: row.CreatedAt, RetireAt: row.CreatedAt.Add(life)}
	s, err := p.newSigningKey(k, alg, f.public)
	if err != nil {
		return nil, err
	}
	s.foreign = true
	return s, nil
}

// nodeMembers are the members of a public JWK in the order in which Node writes them (contract/core.md K5).
var nodeMembers = []string{"kty", "n", "e", "x", "y", "crv", "kid", "alg"}

// asNode is the public JWK as the Node backend would have stored it.
func (s *signingKey) asNode() ([]byte, error) {
	text, err := json.Marshal(s.jwk)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	var m map[string]string
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	o := newObject(len(text))
	for _, name := range nodeMembers {
		if value, there := m[name]; there {
			o.set(name, value)
		}
	}
	return o.end()
}

// accept says whether the neighbour's key verifies a token under a header that we would not have written: Backstage's
// verifier does not care for the order of its members (contract/core.md T11 to T14).
func (s *signingKey) accept(h header) error {
	if !s.foreign || h.alg != s.Algorithm || h.critical {
		return fmt.Errorf("%w: header is not ours", ErrInvalid)
	}
	return nil
}

// published returns the copy with the neighbour's keys as they are now. Where they cannot be read, those from before count.
func (r *ring) published(ctx context.Context) (*snapshot, error) {
	s, err := r.keys(ctx, r.now())
	if err != nil || r.neighbours == nil {
		return s, err
	}
	if r.neighbours.look(ctx, s.byOwnID()) != nil { // logged there
		return r.current.Load(), nil
	}
	return r.recompose(), nil
}

// recompose puts what is known of the neighbour beside our own keys, whoever else changes the copy meanwhile.
func (r *ring) recompose() *snapshot {
	for {
		s := r.current.Load()
		if r.neighbours == nil {
			return s
		}
		next, err := newSnapshot(s.own, r.neighbours.known(), r.now(), r.maxAge(), s)
		if err != nil {
			return s // every key of it could be published before
		}
		if r.current.CompareAndSwap(s, next) {
			return next
		}
	}
}

// maxAge is how long shared caches may keep the key set. A neighbour's key signs at once, so with one they may not.
func (r *ring) maxAge() time.Duration {
	if r.neighbours != nil {
		return 0
	}
	return r.schedule.maxAge()
}

// reloadEvery is the time between two looks into the store.
func (r *ring) reloadEvery() time.Duration {
	if every := r.schedule.reloadEvery(); r.neighbours == nil || every < neighbourRenewal {
		return every
	}
	return neighbourRenewal
}

// byOwnID are our keys alone.
func (s *snapshot) byOwnID() map[string]*signingKey {
	own := make(map[string]*signingKey, len(s.own))
	for _, k := range s.own {
		own[k.ID] = k
	}
	return own
}

// living are those keys of a neighbour that still count.
func living(keys []*signingKey, now time.Time) []*signingKey {
	return slices.DeleteFunc(slices.Clone(keys), func(k *signingKey) bool { return k.expired(now) })
}
