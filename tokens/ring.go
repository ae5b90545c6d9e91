package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// loadTimeout bounds one look into the store.
	loadTimeout = 10 * time.Second
	// retryEvery is the time between two looks into a store that does not answer. It is short, because a store that was away for
	// long may hold a key that has begun to sign meanwhile, and that some replicas have yet to publish.
	retryEvery = 5 * time.Second
	// loadRounds bounds the attempts to agree with other replicas in one look; each lost race costs one.
	loadRounds = 8
	// unknownKeyCooldown is the least time between two looks that tokens with an unknown key cause. Keys are published
	// long before they sign, so such a token is nearly always forged.
	unknownKeyCooldown = 10 * time.Second
)

var errNoSigner = errors.New("no key can sign")

// ring is the keys of this process: a copy of the store in memory, renewed in the background.
type ring struct {
	purpose  purpose
	store    KeyStore // nil if the keys are static
	sealer   Sealer
	schedule schedule
	// neighbours is nil without a Neighbour.
	neighbours *neighbourhood
	now        func() time.Time
	after      func(time.Duration) <-chan time.Time
	log        *slog.Logger

	current atomic.Pointer[snapshot]
	flight  singleflight.Group
	// tried is when the store was last asked, in Unix nanoseconds.
	tried atomic.Int64
	// unread is why the store could not be read the last time, nil if it could.
	unread atomic.Pointer[error]
	// running says that run keeps the copy fresh, so that no request has to wait for the store.
	running atomic.Bool
}

// keys returns the copy. The error is the store's, and only possible before the first success.
func (r *ring) keys(ctx context.Context, now time.Time) (*snapshot, error) {
	s := r.current.Load()
	switch {
	case s == nil:
		return r.load(ctx, 0)
	case r.store == nil || r.running.Load() || !r.due(now, r.reloadEvery()):
		return s, nil
	}
	if fresh, err := r.load(ctx, r.reloadEvery()); err == nil {
		return fresh, nil
	}
	return s, nil
}

// signer returns the key that signs a token now.
func (r *ring) signer(ctx context.Context, now time.Time) (*signingKey, error) {
	s, err := r.keys(ctx, now)
	if err != nil {
		return nil, err
	}
	if key := s.signer(now, r.schedule.lifetime); key != nil {
		return key, nil
	}
	return nil, errNoSigner
}

// document returns the public key set as it is served.
func (r *ring) document(ctx context.Context) (Document, error) {
	s, err := r.published(ctx)
	if err != nil {
		return Document{}, err
	}
	return s.doc, nil
}

// period is the life of a token that is signed now.
func (r *ring) period(now time.Time) period {
	return period{iat: now.Unix(), exp: now.Unix() + int64(r.schedule.lifetime/time.Second)}
}

// verifier finds the key of a token by its encoded header, byte for byte. No member of a header that somebody else wrote
// has a say in how a token is verified: not its alg, not a key in it, not a second kid.
func (r *ring) verifier(ctx context.Context, encoded string) (*signingKey, error) {
	s, err := r.keys(ctx, r.now())
	if err != nil {
		return nil, fmt.Errorf("verify token: %w", err)
	}
	if key := s.byHeader[encoded]; key != nil {
		return key, nil
	}
	h, err := decodeHeader(encoded)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(r.purpose.typs, h.typ) {
		return nil, ErrUnrecognised
	}
	if key := s.byID[h.kid]; key != nil {
		return key, key.accept(h)
	}
	if s, err = r.renewed(ctx); err != nil {
		return nil, fmt.Errorf("verify token: %w", err)
	}
	if key := s.byHeader[encoded]; key != nil {
		return key, nil
	}
	if key := s.byID[h.kid]; key != nil && key.foreign {
		return key, key.accept(h)
	}
	return nil, ErrUnknownKey
}

// renewed returns the copy after a look into the store, of which it causes at most one per unknownKeyCooldown. The error
// says that the store did not answer when it was last asked, so that a key that is not in the copy may exist.
func (r *ring) renewed(ctx context.Context) (*snapshot, error) {
	if r.store == nil {
		return r.current.Load(), nil
	}
	s, err := r.load(ctx, unknownKeyCooldown)
	if err != nil {
		return nil, err
	}
	if unread := r.unread.Load(); unread != nil {
		return s, *unread
	}
	if r.neighbours == nil {
		return s, nil
	}
	if err := r.neighbours.look(ctx, s.byOwnID()); err != nil {
		return s, err
	}
	return r.recompose(), nil
}

// run renews the copy until ctx ends. Failures are logged and tried again.
func (r *ring) run(ctx context.Context) error {
	if r.store == nil {
		<-ctx.Done()
		return nil
	}
	r.running.Store(true)
	defer r.running.Store(false)
	for {
		next := r.after(r.reloadEvery())
		_, _ = r.load(ctx, 0) // logged there
		var soon <-chan time.Time
		if r.unread.Load() != nil {
			soon = r.after(retryEvery)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-soon:
		case <-next:
		}
	}
}

// due says whether the store was last asked that long ago. A clock that was set back makes it true.
func (r *ring) due(now time.Time, age time.Duration) bool {
	passed := now.Sub(time.Unix(0, r.tried.Load()))
	return passed < 0 || passed >= age
}

// load asks the store unless it was asked within age. Callers at the same time share one look, which none of them can
// cancel for the others.
func (r *ring) load(ctx context.Context, age time.Duration) (*snapshot, error) {
	done := r.flight.DoChan("", contained(func() (any, error) {
		if s := r.current.Load(); s != nil && !r.due(r.now(), age) {
			return s, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		return r.renew(ctx)
	}))
	select {
	case result := <-done:
		s, _ := result.Val.(*snapshot)
		return s, result.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// renew replaces the copy by what the store holds. A failure on the way is returned only if no copy exists that can
// sign, because old keys are better than none.
func (r *ring) renew(ctx context.Context) (*snapshot, error) {
	now := r.now()
	r.tried.Store(now.UnixNano())
	before := r.current.Load()
	s, err := r.reconcile(ctx, before)
	switch {
	case err != nil && r.unread.Load() == nil: // told once, until it works again
		r.log.ErrorContext(ctx, "signing keys could not be renewed", "error", err)
	case err == nil && r.unread.Load() != nil:
		r.log.InfoContext(ctx, "signing keys can be renewed again")
	}
	if s == nil {
		r.unread.Store(&err)
	} else {
		r.unread.Store(nil)
	}
	if s == nil || s.signer(now, r.schedule.lifetime) == nil {
		s = before
	}
	switch {
	case s != nil:
		r.neighbours.sync(ctx, s.own) // before the first key of all signs
		r.current.Store(s)
		return r.recompose(), nil
	case err != nil:
		return nil, err
	}
	return nil, errNoSigner
}

// reconcile reads the store and changes it as the schedule wants, until nothing is left to do. If a change fails, what was
// read comes with the error; if reading does, nothing.
func (r *ring) reconcile(ctx context.Context, before *snapshot) (*snapshot, error) {
	known := map[string]*signingKey{}
	if before != nil {
		known = maps.Clone(before.byID)
	}
	var keys []*signingKey
	for range loadRounds {
		stored, err := r.store.Keys(ctx)
		if err != nil {
			return nil, fmt.Errorf("list signing keys: %w", err)
		}
		keys = r.open(ctx, stored, known)
		p := r.schedule.plan(keys, r.now())
		if p.empty() {
			return r.snapshotOf(keys, before)
		}
		if err := r.carryOut(ctx, p); err != nil {
			s, failed := r.snapshotOf(keys, before)
			return s, errors.Join(err, failed)
		}
	}
	// Others keep changing the store; the next look goes on from here.
	return r.snapshotOf(keys, before)
}

func (r *ring) snapshotOf(own []*signingKey, before *snapshot) (*snapshot, error) {
	return newSnapshot(own, r.neighbours.known(), r.now(), r.maxAge(), before)
}

// open makes stored keys usable, and adds them to known. What opened before is taken over: of a row only RetireAt ever
// changes. What did not is tried again, but not complained about again.
func (r *ring) open(ctx context.Context, stored []Key, known map[string]*signingKey) []*signingKey {
	keys := make([]*signingKey, 0, len(stored))
	for _, k := range stored {
		if old := known[k.ID]; old != nil && old.private != nil {
			renewed := *old
			renewed.Key = k
			keys = append(keys, &renewed)
			continue
		}
		s, err := r.purpose.openKey(k, r.sealer)
		if err != nil && known[k.ID] == nil {
			r.log.WarnContext(ctx, "stored signing key cannot sign", "kid", k.ID, "published", s.jwk != nil, "error", err)
		}
		known[k.ID] = s
		keys = append(keys, s)
	}
	return keys
}

// carryOut does what p says. That another replica was faster is no error: the next round reads its result.
func (r *ring) carryOut(ctx context.Context, p plan) error {
	if p.create {
		if err := r.create(ctx, p); err != nil {
			return err
		}
	}
	for _, x := range p.retire {
		if err := r.store.RetireKey(ctx, x.id, x.at); err != nil {
			return fmt.Errorf("retire signing key: %w", err)
		}
	}
	if len(p.remove) > 0 {
		r.neighbours.withdraw(ctx, p.remove)
		if err := r.store.RemoveKeys(ctx, p.remove...); err != nil {
			return fmt.Errorf("remove expired signing keys: %w", err)
		}
	}
	return nil
}

func (r *ring) create(ctx context.Context, p plan) error {
	alg, err := algorithmByName(r.schedule.algorithm)
	if err != nil {
		return err
	}
	k, err := r.purpose.generateKey(alg, r.sealer)
	if err != nil {
		return err
	}
	// Stores keep milliseconds, and all replicas have to mean the same instant.
	k.Generation, k.CreatedAt = p.generation, stamp(r.now())
	k.SignsFrom = stamp(p.signsFrom)
	switch err := r.store.AddKey(ctx, k); {
	case errors.Is(err, ErrConflict):
		return nil
	case err != nil:
		return fmt.Errorf("add signing key: %w", err)
	}
	r.log.InfoContext(ctx, "signing key created", "kid", k.ID, "alg", k.Algorithm, "signsFrom", k.SignsFrom)
	return nil
}

func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
