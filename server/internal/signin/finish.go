package signin

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"stagedoor/providers"
	"stagedoor/server/internal/fault"
)

// supersededLife is how long a session lives on after the same browser signed in anew: the refreshes that were under way
// with its cookie still succeed.
const supersededLife = time.Minute

// clockSkew is how far the clocks of replicas may differ: what was consumed is remembered that much longer than anybody accepts it.
const clockSkew = 5 * time.Minute

// Finish takes what the provider sent back through the browser and ends the sign-in (contract/core.md section 2.6, design D4).
//
// The error is about the address alone: an unknown provider or environment, or a provider that has no callback. Everything
// else is FinishOutput.Err, for the page.
func (f *Flow) Finish(ctx context.Context, in FinishInput) (FinishOutput, error) {
	e, err := f.callbackEntry(in.Provider, in.Env)
	if err != nil {
		return FinishOutput{}, err
	}
	if err := checkForm(e, in); err != nil {
		return FinishOutput{}, err
	}
	out := FinishOutput{Origin: f.origins.app}
	state := in.state(e)
	if out.Resubmit = in.lacksCookies(e, state); out.Resubmit {
		return out, nil
	}
	tx, err := f.accept(ctx, e, in, state)
	if own := f.providers[strings.ToLower(e.ID)].envs[tx.Env]; own != nil {
		e = own
	}
	a := f.newAttempt("sign-in", tx.Attempt, e)
	if err == nil || isStale(err) {
		out.Cookies = append(out.Cookies, f.clearTransaction(e, state))
	}
	if f.origins.allows(tx.Origin) {
		out.Origin = tx.Origin
	}
	if err == nil {
		err = f.finish(ctx, a, in, tx, &out)
	}
	out.Err = a.end(ctx, err)
	if tx.RedirectURL != "" && f.origins.checkRedirect(tx.RedirectURL) == nil {
		out.RedirectURL = redirectWith(tx.RedirectURL, out.Err)
	}
	return out, nil
}

// callbackEntry picks the entry that the callback's address names; without env any will do until the transaction tells.
func (f *Flow) callbackEntry(id, env string) (*Entry, error) {
	if err := f.Known(id); err != nil {
		return nil, err
	}
	var e *Entry
	p := f.providers[strings.ToLower(id)]
	if env != "" && p.envs[""] == nil {
		if e = p.envs[env]; e == nil {
			return nil, unknownEnv(env)
		}
	}
	for _, any := range p.envs {
		e = cmp.Or(e, any)
	}
	_, err := starter(e)
	return e, err
}

// accept opens the transaction and consumes it: after accept without error, nobody else comes this far with this state.
func (f *Flow) accept(ctx context.Context, e *Entry, in FinishInput, state string) (transaction, error) {
	if err := checkRepeated(in.Query); err != nil {
		return transaction{}, err
	}
	if tx, ok := f.unsolicited(in, state); ok {
		return tx, nil
	}
	tx, err := f.openTransaction(e, state, in.Cookies)
	if err != nil {
		return tx, err
	}
	if f.providers[strings.ToLower(e.ID)].envs[tx.Env] == nil {
		return tx, unknownEnv(tx.Env) // the configuration changed while the user was at the provider
	}
	if in.Env != "" && in.Env != tx.Env {
		return tx, fault.New(fault.NotAllowed, "env_mismatch", "The callback is for another environment than the start", nil)
	}
	if tx.Origin != "" && !f.origins.allows(tx.Origin) {
		return tx, fault.New(fault.NotAllowed, "origin_not_allowed", "Origin '"+tx.Origin+"' is not allowed", nil)
	}
	if tx.RedirectURL != "" {
		if err := f.origins.checkRedirect(tx.RedirectURL); err != nil {
			return tx, err
		}
	}
	return tx, f.consume(ctx, hex.EncodeToString(stateHash(e.ID, state)), tx.Expires, errReplayed)
}

// consume refuses with replayed what came before, to whichever replica; nobody accepts it after until.
func (f *Flow) consume(ctx context.Context, id string, until time.Time, replayed error) error {
	err := f.cfg.Transactions.Consume(ctx, id, until.Add(clockSkew))
	switch {
	case errors.Is(err, ErrConsumed):
		return replayed
	case err != nil:
		return storeFault(err)
	}
	return nil
}

// checkRepeated refuses a callback whose OAuth parameters could be read in two ways (RFC 6749 section 3.1).
func checkRepeated(query url.Values) error {
	for _, name := range []string{"code", "state", "error", "error_description", "iss"} {
		n := len(query[name])
		for key := range query {
			if strings.HasPrefix(key, name+"[") {
				n += 2
			}
		}
		if n > 1 {
			return fault.New(fault.Input, "parameter_repeated", "The callback holds the parameter '"+name+"' more than once", nil)
		}
	}
	if query.Has("code") && query.Has("error") {
		return fault.New(fault.Input, "parameter_conflict", "The callback holds both a code and an error", nil)
	}
	return nil
}

// finish asks the provider who came, resolves the user and creates the session.
func (f *Flow) finish(ctx context.Context, a *attempt, in FinishInput, tx transaction, out *FinishOutput) error {
	e := a.entry
	r, err := e.Provider.Handle(ctx, providers.Request{Query: in.Query, Form: in.Form, Header: in.Header, Memo: tx.Memo})
	if err != nil {
		return err
	}
	if r.Once != nil {
		if err := f.consume(ctx, r.Once.ID, r.Once.Until, errUsedBefore); err != nil {
			return err
		}
	}
	id, err := f.identify(ctx, e, r, &a.trace)
	if err != nil {
		return err
	}
	m := newMaterial(e, r, tx.Scope, f.cfg.Now())
	c, err := f.createSession(ctx, e, in.Cookies, id, m, out.Origin)
	if err != nil {
		return err
	}
	out.Cookies = append(out.Cookies, f.clearNode(e, in.Cookies, out.Origin)...)
	out.Cookies = append(out.Cookies, c)
	out.Session = &SessionInfo{Profile: m.profile(), ProviderInfo: m.info(f.cfg.Now()), Identity: id}
	return nil
}

// createSession stores a new session under a new name, whatever the browser brought (no fixation), and lets the ones that it
// replaces run out.
func (f *Flow) createSession(ctx context.Context, e *Entry, cookies []*http.Cookie, id *Identity, m material, origin string) (*http.Cookie, error) {
	now, value := f.cfg.Now(), randomToken()
	s := Session{
		ID: rowID(value), Provider: e.ID, Env: e.Env, Scope: m.Scope,
		CreatedAt: now, UsedAt: now, RefreshedAt: now, ExpiresAt: now.Add(e.SessionDuration),
		SubjectKey: m.subjectKey(e), UpstreamKey: m.upstreamKey(e),
	}
	if id != nil {
		s.UserRef = id.UserRef
	}
	var err error
	if s.Tokens, err = f.sealMaterial(s.ID, m); err != nil {
		return nil, err
	}
	if err := f.cfg.Sessions.CreateSession(ctx, s); err != nil {
		return nil, storeFault(err)
	}
	f.supersede(ctx, e, cookies)
	return f.sessionCookie(e, value, s.ExpiresAt, origin), nil
}

// supersede lets the sessions that the browser brought run out, and what it had from the Node backend be forgotten. A browser that
// brings several has one that is not its own: those end at once.
func (f *Flow) supersede(ctx context.Context, e *Entry, cookies []*http.Cookie) {
	old := sessionIDs(cookies)
	until := f.cfg.Now().Add(supersededLife)
	if len(old) > 1 {
		until = f.cfg.Now()
	}
	for _, id := range old {
		prev, err := f.cfg.Sessions.Session(ctx, id)
		if err == nil && prev.Provider == e.ID {
			err = f.cfg.Sessions.ExpireSession(ctx, id, until)
		}
		if err != nil && !errors.Is(err, ErrNoSession) {
			f.cfg.Log.WarnContext(ctx, "replaced session not ended, it runs out by itself", "provider", e.ID, "error", err)
		}
	}
	if err := f.forgetNode(ctx, e, cookies); err != nil {
		f.cfg.Log.WarnContext(ctx, "session of the Node backend not forgotten", "provider", e.ID, "error", err)
	}
}

// redirectWith adds what went wrong to the app's address; on success it is left as it was (F40, F41).
func redirectWith(to string, err error) string {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return to
	}
	u, ok := parseAbsolute(to)
	if !ok {
		return to
	}
	var kept []string
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		key, _, _ := strings.Cut(pair, "=")
		if key != "" && key != "error" && key != "error_code" && key != "attempt_id" {
			kept = append(kept, pair)
		}
	}
	for _, p := range [][2]string{{"error", f.Message}, {"error_code", f.Code}, {"attempt_id", f.AttemptID}} {
		kept = append(kept, p[0]+"="+url.QueryEscape(p[1]))
	}
	u.RawQuery = strings.Join(kept, "&")
	return u.String()
}
