package signin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"stagedoor/providers"
	"stagedoor/server/internal/catalog"
	"stagedoor/server/internal/fault"
)

// Step is one question on the way to a user's identity: an admission, a rule or a resolver.
type Step struct {
	// Name is the rule's or resolver's, as the config names it.
	Name string
	// Lookup is what it asked the catalog for, "" if it did not come to that. Values are masked unless Explain was told not to.
	Lookup string
	// Outcome says what came of it, in a few words.
	Outcome string
	// Code is that of the error it ended in, "" if it did not.
	Code string
}

// Attempt is a failed sign-in or refresh, for whoever has to find out why.
type Attempt struct {
	ID, What, Provider, Env string
	Time                    time.Time
	// Message is what the user saw.
	Code, Message string
	// Advice is what an operator can do about it, "" if there is nothing to say.
	Advice string
	// Steps hold no value that was not masked.
	Steps []Step
}

// What is remembered of failed attempts.
const (
	maxAttempts = 1000
	attemptLife = 24 * time.Hour
)

// attempts is the memory of the last failed attempts of this process. It is safe for concurrent use.
type attempts struct {
	mu   sync.Mutex
	ring [maxAttempts]*Attempt
	next int
	byID map[string]*Attempt
}

// add remembers a and forgets the oldest one if there are too many.
func (m *attempts) add(a *Attempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byID == nil {
		m.byID = map[string]*Attempt{}
	}
	if old := m.ring[m.next]; old != nil && m.byID[old.ID] == old {
		delete(m.byID, old.ID)
	}
	m.ring[m.next], m.byID[a.ID] = a, a
	m.next = (m.next + 1) % maxAttempts
}

// How many failed attempts are stored, for the other replicas: failing costs a stranger nothing, a row costs us something.
const savesPerSecond, savesBurst = 5, 100

// remember keeps a here, and where the other replicas find it. It is best effort: what has failed has failed.
func (f *Flow) remember(ctx context.Context, a *Attempt) {
	f.failed.add(a)
	if a.Code == "store_unavailable" || !f.saving.AllowN(f.cfg.Now(), 1) {
		return
	}
	f.flying.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveLife)
		defer cancel()
		text, err := json.Marshal(a)
		if err == nil {
			err = f.cfg.Attempts.SaveAttempt(ctx, a.ID, text, a.Time.Add(attemptLife))
		}
		if err != nil {
			f.cfg.Log.DebugContext(ctx, "failed attempt not stored", "attempt", a.ID, "error", err)
		}
	})
}

// saveLife bounds how long storing a failed attempt may take. Nobody waits for it.
const saveLife = 5 * time.Second

// Attempt returns a failed attempt of the last 24 hours: of the last thousand of this process, or one that any process has stored. The
// error is a *fault.Error, NotFound or ServiceUnavailable.
func (f *Flow) Attempt(ctx context.Context, id string) (Attempt, error) {
	out, err := f.recall(ctx, id)
	switch {
	case errors.Is(err, ErrNoAttempt), err == nil && f.cfg.Now().Sub(out.Time) >= attemptLife:
		return Attempt{}, fault.New(fault.NotFound, "attempt_unknown", "No such attempt is remembered", nil)
	case err != nil:
		return Attempt{}, storeFault(err)
	}
	out.Advice = Advice(out.Code)
	return out, nil
}

func (f *Flow) recall(ctx context.Context, id string) (Attempt, error) {
	if a, ok := f.failed.get(id); ok {
		return a, nil
	}
	text, err := f.cfg.Attempts.Attempt(ctx, id)
	if err != nil {
		return Attempt{}, err
	}
	var a Attempt
	if err := json.Unmarshal(text, &a); err != nil {
		return Attempt{}, fmt.Errorf("decode attempt: %w", err)
	}
	return a, nil
}

func (m *attempts) get(id string) (Attempt, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a := m.byID[id]; a != nil {
		return *a, true
	}
	return Attempt{}, false
}

// trace collects the steps of one attempt. It belongs to one goroutine, and costs next to nothing until somebody reads it.
type trace struct{ steps []*step }

// step is one step under way.
type step struct {
	name    string
	lookups []providers.Lookup
	user    catalog.User
	outcome string
	err     error
}

// step begins the next one.
func (t *trace) step(name string) *step {
	s := &step{name: name}
	t.steps = append(t.steps, s)
	return s
}

// read renders the steps, with values only if show says so.
func (t *trace) read(show bool) []Step {
	steps := []Step{}
	for _, s := range t.steps {
		steps = append(steps, s.read(show))
	}
	return steps
}

func (s *step) read(show bool) Step {
	out := Step{Name: s.name, Outcome: s.outcome}
	for i, l := range s.lookups {
		if i > 0 {
			out.Lookup += ", then "
		}
		out.Lookup += l.Describe(show)
	}
	switch {
	case s.user.Ref != "" && show:
		out.Outcome += ": " + s.user.Ref
	case s.err != nil:
		f := classify(s.err)
		out.Code, out.Outcome = f.Code, cmp.Or(s.outcome, f.Message)
		if why := cause(s.err); why != "" && s.outcome == "" {
			out.Outcome += ": " + why
		}
	}
	return out
}

// finds notes the user that the step came to.
func (s *step) finds(user catalog.User, outcome string) catalog.User {
	s.user, s.outcome = user, outcome
	return user
}

// passes notes that the resolver has nothing to say.
func (s *step) passes(err error) { s.outcome, s.err = "does not apply", err }

// ends notes the error that the step ended in, and returns it.
func (s *step) ends(err error) error {
	s.err = err
	switch {
	case errors.Is(err, errNobody):
		s.outcome = "no user found"
	case fault.Code(err) == "catalog_ambiguous":
		s.outcome = "more than one user found"
	}
	return err
}
