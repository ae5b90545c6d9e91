package tokens

import "time"

const (
	// MaxLifetime is the longest life of a token under any configuration (contract/core.md T5). A key stays published for
	// that long after it signed last, so that a replica with a longer setting, or the one before a restart, is covered.
	MaxLifetime = 24 * time.Hour

	// clockSkew is how far the clocks of replicas and verifiers may differ without a token failing.
	clockSkew = 5 * time.Minute
)

// schedule decides about the life of keys. It has no state: every replica comes to its decisions from what is stored,
// and the store settles ties.
type schedule struct {
	algorithm                        string
	lifetime, rotation, publishAhead time.Duration
}

// reloadEvery is the time between two looks into the store. One may fail without consequence: lead counts on every
// second.
func (s schedule) reloadEvery() time.Duration { return s.publishAhead / 4 }

// maxAge is how long shared caches may keep the key set.
func (s schedule) maxAge() time.Duration { return s.publishAhead / 2 }

// lead is the time from a key's creation to its first signature. Until the last verifier knows the key, these add up: the
// slowest replica's next look into the store (publishAhead/2), caches on the way (maxAge), and the verifier's own cache
// (publishAhead). A replica with a fast clock signs early.
func (s schedule) lead() time.Duration {
	return s.publishAhead/2 + s.maxAge() + s.publishAhead + clockSkew
}

// plan is what there is to do about a set of stored keys.
type plan struct {
	// create asks for a new key of that generation that signs from signsFrom.
	create     bool
	generation int64
	signsFrom  time.Time
	retire     []retirement
	remove     []string
}

type retirement struct {
	id string
	at time.Time
}

func (p plan) empty() bool { return !p.create && len(p.retire) == 0 && len(p.remove) == 0 }

// plan compares the stored keys, oldest generation first, with what should be stored.
func (s schedule) plan(keys []*signingKey, now time.Time) plan {
	p := plan{generation: 1}
	p.signsFrom, p.create = s.next(keys, now)
	for i, k := range keys {
		p.generation = k.Generation + 1
		switch {
		case k.RetireAt.IsZero() && i+1 < len(keys):
			p.retire = append(p.retire, retirement{k.ID, keys[i+1].SignsFrom.Add(MaxLifetime + clockSkew)})
		case k.expired(now):
			p.remove = append(p.remove, k.ID)
		}
	}
	return p
}

// next says when the next key has to sign, if it has to be created now.
func (s schedule) next(keys []*signingKey, now time.Time) (signsFrom time.Time, create bool) {
	var last *signingKey // the youngest that signs with the configured algorithm
	able := false
	for _, k := range keys {
		if k.private == nil || !k.lasts(now, s.lifetime) {
			continue
		}
		able = true
		if k.Algorithm == s.algorithm {
			last = k
		}
	}
	earliest := now.Add(s.lead())
	switch {
	case !able: // nobody could sign in until then, so verifiers have to cope
		return now, true
	case last == nil:
		return earliest, true
	}
	return earliest, !s.end(last).After(earliest)
}

// end is when a key should sign no longer.
func (s schedule) end(k *signingKey) time.Time {
	end := k.SignsFrom.Add(s.rotation)
	if k.RetireAt.IsZero() {
		return end
	}
	// A younger key follows that this replica cannot use: it was sealed with another secret.
	if last := k.RetireAt.Add(-s.lifetime); last.Before(end) {
		return last
	}
	return end
}
