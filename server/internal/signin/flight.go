package signin

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"stagedoor/providers"
	"stagedoor/server/internal/fault"
)

// How a refresh is shared (design D6).
const (
	// minAccess is what an access token must still live to be handed out again: the front end asks anew below that
	// (contract/core.md U8).
	minAccess = 3 * time.Minute
	// leaseLife is how long a crashed replica blocks a session; it is renewed while the provider is being asked.
	leaseLife = 5 * time.Second
	// waitLife bounds the wait for somebody else's lease, askLife what follows once it is ours: the provider's answer and its
	// storing. They are two bounds, since a token that was spent with no time left for the answer would be lost.
	waitLife = 30 * time.Second
	askLife  = 30 * time.Second
	// storeLife is how long a store that does not answer is asked to take a rotated token, of which there is no other copy, and storePoll
	// how often: when the store comes back, whoever takes the lease over must not be faster with the token that was spent.
	storeLife = 5 * time.Minute
	storePoll = 4 * leasePoll
	// answerLife is how long a caller waits for a flight, in any case less than the server gives an answer.
	answerLife = 45 * time.Second
	// leasePoll is how often a held lease is looked at again.
	leasePoll = 50 * time.Millisecond
)

var errBusy = fault.New(fault.ServiceUnavailable, "refresh_busy", "Another refresh of this session is still under way", nil)

// material returns the provider's tokens for the session, fresh enough and with the asked scopes: from the row if its answer may
// be used again, else from the provider, whom only one flight over all replicas asks.
func (r *refresh) material(ctx context.Context, s Session) (material, Session, error) {
	m, err := r.openMaterial(s)
	if err != nil {
		return material{}, s, errUnsealed
	}
	if r.reusable(s, m) {
		return m, s, nil
	}
	if _, ok := r.Provider.(providers.Refresher); !ok || m.RefreshToken == "" {
		return r.held(ctx, s, m)
	}
	// The flight outlives the caller who began it: others wait for it, and the provider may have rotated the token.
	detached := context.WithoutCancel(ctx)
	r.flying.Add(1) // from here, as the flight itself may begin when its caller has gone
	defer r.flying.Done()
	result := r.flights.DoChan(s.ID+" "+r.in.Scope, fault.Contained(func() (any, error) {
		f := flight{refresh: r, seen: s.RefreshedAt, lease: Lease{Session: s.ID, Owner: rand.Text(), TTL: leaseLife}}
		return f.fly(detached)
	}))
	late := time.NewTimer(answerLife)
	defer late.Stop()
	select {
	case <-ctx.Done():
		r.flying.Go(func() { <-result })
		return material{}, s, storeFault(ctx.Err())
	case <-late.C:
		return material{}, s, errBusy
	case res := <-result:
		if res.Err != nil {
			return material{}, s, res.Err
		}
		got := res.Val.(landed)
		return got.material, got.session, nil
	}
}

// reusable reports whether the stored answer serves this request: it is younger than the reuse window, has the asked scopes, and
// lives long enough for the front end not to ask again at once.
func (r *refresh) reusable(s Session, m material) bool {
	now := r.cfg.Now()
	return m.AccessToken != "" && m.covers(r.in.Scope) && now.Sub(s.RefreshedAt) < r.cfg.RefreshReuse &&
		(m.Expires.IsZero() || m.Expires.Sub(now) >= minAccess)
}

// held answers from what the session holds where nothing can be renewed: until the access token, or the provider's session, ends,
// and with the scopes it has.
//
// Differs from Backstage: without a refresh token it has no session at all (design D6).
func (r *refresh) held(ctx context.Context, s Session, m material) (material, Session, error) {
	if m.Expires.IsZero() && m.AccessToken == "" || !m.Expires.IsZero() && !r.cfg.Now().Before(m.Expires) {
		r.drop(ctx, s.ID)
		return material{}, s, errExpired
	}
	if !m.covers(r.in.Scope) {
		return material{}, s, fault.New(fault.Failed, "scope_not_granted",
			"Refresh failed, session has not been granted the requested scope", nil)
	}
	return m, s, nil
}

// flight is the one call of a session's refresh in this process.
type flight struct {
	*refresh
	// seen is the row's RefreshedAt when the flight began.
	seen  time.Time
	lease Lease
}

// answers reports whether the row holds an answer that came while this flight was waiting. It is good however short the access
// token lives; no clocks are compared, so replicas whose clocks differ agree.
func (f *flight) answers(s Session, m material) bool {
	return f.reusable(s, m) || (!s.RefreshedAt.Equal(f.seen) && m.covers(f.in.Scope))
}

// landed is what a flight brings back.
type landed struct {
	material material
	session  Session
}

// fly takes the lease, or waits until whoever holds it has an answer, and asks the provider.
func (f *flight) fly(ctx context.Context) (landed, error) {
	wait, cancel := context.WithTimeout(ctx, waitLife)
	defer cancel()
	for {
		s, err := f.cfg.Sessions.AcquireLease(wait, f.lease)
		switch {
		case err == nil:
			return f.ask(ctx, s)
		case errors.Is(err, ErrNoSession):
			return landed{}, errUnknown
		case wait.Err() != nil:
			return landed{}, errBusy
		case !errors.Is(err, ErrNotOwner):
			return landed{}, storeFault(err)
		}
		select {
		case <-wait.Done():
			return landed{}, errBusy
		case <-time.After(leasePoll):
		}
		got, err := f.answered(wait)
		if wait.Err() != nil {
			return landed{}, errBusy
		}
		if err != nil || got.material.AccessToken != "" {
			return got, err
		}
	}
}

// answered looks whether the holder of the lease has stored an answer that serves this flight too.
func (f *flight) answered(ctx context.Context) (landed, error) {
	s, err := f.cfg.Sessions.Session(ctx, f.lease.Session)
	if errors.Is(err, ErrNoSession) {
		return landed{}, errUnknown
	}
	if err != nil {
		return landed{}, storeFault(err)
	}
	m, err := f.openMaterial(s)
	if err != nil {
		return landed{}, errUnsealed
	}
	if !f.answers(s, m) {
		return landed{}, nil
	}
	return landed{m, s}, nil
}

// ask spends the refresh token, with the lease held. The row is read under the lease: somebody may have been faster.
func (f *flight) ask(ctx context.Context, s Session) (landed, error) {
	ctx, cancel := context.WithTimeout(ctx, askLife)
	defer cancel()
	defer f.keepLease(ctx)()
	m, err := f.openMaterial(s)
	if err != nil {
		f.release(ctx)
		return landed{}, errUnsealed
	}
	if f.answers(s, m) {
		f.release(ctx)
		return landed{m, s}, nil
	}
	asked := f.scope(f.in.Scope, s.Scope)
	r, err := f.renew(ctx, providers.RefreshInput{
		RefreshToken: m.RefreshToken, Scope: asked, ScopeGranted: f.Kind.Scopes.Covers(s.Scope, asked), Subject: m.Subject,
	})
	ctx, cancel = afterwards(ctx)
	defer cancel()
	switch {
	case err == nil:
		return f.land(ctx, s, m, r, asked)
	case r.Session.RefreshToken != "":
		return landed{}, f.keep(ctx, s, m, r.Session.RefreshToken, err)
	default:
		return f.refused(ctx, s, err)
	}
}

// renew asks the provider. A panic there is its error, so that the lease is given back.
func (f *flight) renew(ctx context.Context, in providers.RefreshInput) (providers.Result, error) {
	r, err := fault.Contained(func() (any, error) { return f.Provider.(providers.Refresher).Refresh(ctx, in) })()
	result, _ := r.(providers.Result)
	return result, err
}

// afterwards is time to note what a flight learned, also when its own time is up: the provider may have rotated the token, and
// nobody else knows the new one.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), askLife)
}

// keep stores a refresh token that the provider gave before the refresh failed at a later step, and gives the lease back: the old
// one may be spent. The answer itself counts as not given, and err is returned.
func (f *flight) keep(ctx context.Context, s Session, m material, token string, err error) error {
	m.RefreshToken = token
	sealed, sealErr := f.sealMaterial(s.ID, m)
	if sealErr == nil {
		sealErr = f.store(ctx, Renewal{
			Scope: s.Scope, Tokens: sealed, RefreshedAt: s.RefreshedAt, SubjectKey: s.SubjectKey, UpstreamKey: s.UpstreamKey,
		})
	}
	if sealErr != nil {
		f.cfg.Log.WarnContext(ctx, "rotated refresh token not stored", "error", sealErr)
	}
	return err
}

// store gives the lease back with what the provider said. It is the only copy of a rotated token, so a store that does not answer is
// asked again for longer than anybody waits for the answer.
func (f *flight) store(ctx context.Context, r Renewal) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLife)
	defer cancel()
	for pause := leasePoll; ; pause = storePoll {
		err := f.cfg.Sessions.FinishLease(ctx, f.lease, r)
		if err == nil || errors.Is(err, ErrNotOwner) || errors.Is(err, ErrNoSession) {
			return err
		}
		if pause == leasePoll {
			f.cfg.Log.WarnContext(ctx, "refreshed session not stored, trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			f.cfg.Log.ErrorContext(ctx, "refreshed session given up: its user signs in again", "error", err)
			return err
		case <-time.After(pause):
		}
	}
}

// land stores the answer and gives the lease back.
func (f *flight) land(ctx context.Context, s Session, old material, r providers.Result, asked string) (landed, error) {
	now := f.cfg.Now()
	m := newMaterial(f.Entry, r, asked, now)
	if m.RefreshToken == "" {
		m.RefreshToken = old.RefreshToken
	}
	if m.IDToken == "" { // RP-initiated logout needs the last one; RFC 6749 lets a refresh leave it out
		m.IDToken, m.Claims = old.IDToken, old.Claims
		if m.Profile == (providers.Profile{}) && m.UserInfo == nil { // where the id_token alone tells, nothing was told
			m.Profile, m.UserInfo = old.Profile, old.UserInfo
		}
	}
	if m.Subject == "" {
		m.Subject = old.Subject
	}
	s.Scope, s.RefreshedAt, s.SubjectKey, s.UpstreamKey = m.Scope, now, m.subjectKey(f.Entry), m.upstreamKey(f.Entry)
	var err error
	if s.Tokens, err = f.sealMaterial(s.ID, m); err != nil {
		return landed{}, err
	}
	err = f.store(ctx, Renewal{
		Scope: s.Scope, Tokens: s.Tokens, RefreshedAt: now, SubjectKey: s.SubjectKey, UpstreamKey: s.UpstreamKey,
	})
	switch {
	case err == nil:
		return landed{m, s}, nil
	case errors.Is(err, ErrNoSession): // ended while the provider was asked: that counts
		return landed{}, errUnknown
	case errors.Is(err, ErrNotOwner): // this process was stopped for longer than the lease, and another one took over
		return f.winner(ctx)
	default:
		return landed{}, storeFault(err)
	}
}

// winner is the answer of whoever took the lease over, if it is there by now.
func (f *flight) winner(ctx context.Context) (landed, error) {
	got, err := f.answered(ctx)
	if err == nil && got.material.AccessToken == "" {
		err = errBusy
	}
	return got, err
}

// refused ends the session if the provider will never accept its token again, and only if the lease is still ours: else the token
// that was refused is not the current one, and the winner's must live.
func (f *flight) refused(ctx context.Context, s Session, err error) (landed, error) {
	if !errors.Is(err, providers.ErrExpired) {
		f.release(ctx)
		return landed{}, err
	}
	switch leaseErr := f.cfg.Sessions.RenewLease(ctx, f.lease); {
	case leaseErr == nil:
		return landed{}, f.over(ctx, s, err)
	case errors.Is(leaseErr, ErrNotOwner):
		return f.winner(ctx)
	default:
		return landed{}, storeFault(leaseErr)
	}
}

func (f *flight) release(ctx context.Context) {
	if err := f.cfg.Sessions.ReleaseLease(ctx, f.lease); err != nil {
		f.cfg.Log.WarnContext(ctx, "refresh lease not given back, it runs out by itself", "error", err)
	}
}

// keepLease renews the lease until the returned function is called, which waits for the last renewal.
func (f *flight) keepLease(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(leaseLife / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := f.cfg.Sessions.RenewLease(ctx, f.lease); err != nil && ctx.Err() == nil {
					f.cfg.Log.WarnContext(ctx, "refresh lease not renewed", "error", err)
				}
			}
		}
	}()
	return func() { cancel(); <-done }
}
