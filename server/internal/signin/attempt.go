package signin

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"stagedoor/providers"
	"stagedoor/server/internal/fault"
)

// attempt is one sign-in or refresh, for whoever has to find out later what became of it.
type attempt struct {
	id      string
	what    string
	started time.Time
	log     *slog.Logger
	flow    *Flow
	entry   *Entry
	// peer is who opened the connection of a proxied sign-in; the zero Addr otherwise, or if unknown.
	peer netip.Addr
	// trace is what the resolvers said so far.
	trace trace
}

func (f *Flow) newAttempt(what, id string, e *Entry) *attempt {
	if id == "" {
		id = strings.ToLower(rand.Text()[:16])
	}
	return &attempt{
		id: id, what: what, started: f.cfg.Now(), flow: f, entry: e,
		log: f.cfg.Log.With("attempt", id, "provider", e.ID, "env", e.Env),
	}
}

// end writes the attempt's one line, puts its id on the error and remembers it. It never logs whom the attempt was about.
func (a *attempt) end(ctx context.Context, err error) error {
	now := a.flow.cfg.Now()
	took := slog.Int64("tookMs", now.Sub(a.started).Milliseconds())
	if err == nil {
		a.log.InfoContext(ctx, a.what+" succeeded", took)
		return nil
	}
	f := classify(err)
	f.AttemptID = a.id
	level := slog.LevelInfo
	switch {
	case errors.Is(err, context.Canceled): // the caller hung up
		level = slog.LevelDebug
	case f.Kind == fault.ServiceUnavailable || f.Code == "internal_error": // not what the user or the configuration said
		level = slog.LevelWarn
	}
	about := []any{"code", f.Code, took}
	if f.Code == providers.CodeProxyPeer { // somebody went past the proxy, or trustedProxies is wrong (security P01)
		level, about = slog.LevelWarn, append(about, "peer", a.peer.String())
	}
	if c := cause(err); c != "" {
		about = append(about, "cause", c)
	}
	a.log.Log(ctx, level, a.what+" failed", about...)
	reason := f
	if cause, ok := errors.AsType[*fault.Error](f.Cause); ok {
		reason = cause
	}
	a.flow.remember(ctx, &Attempt{
		ID: a.id, What: a.what, Provider: a.entry.ID, Env: a.entry.Env, Time: now, Code: f.Code, Message: reason.Message,
		Steps: a.trace.read(false),
	})
	return f
}

// cause is what the log says beside the code. Messages are for the user and may repeat what a provider said about them.
func cause(err error) string {
	switch e := err.(type) { //nolint:errorlint // the layers are peeled off one by one
	case nil:
		return ""
	case *fault.Error:
		return cause(e.Cause)
	case *providers.Error:
		return cause(e.Err)
	case ended:
		return cause(e.error)
	default:
		return e.Error()
	}
}

// classify turns any error of a sign-in into a fault of its own, which may be changed.
func classify(err error) *fault.Error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		own := *f
		return &own
	}
	p, ok := errors.AsType[*providers.Error](err)
	if !ok {
		return fault.New(fault.Failed, "internal_error", "An internal error occurred", err)
	}
	kind := fault.Failed
	switch {
	case errors.Is(p, providers.ErrUnavailable):
		kind = fault.ServiceUnavailable
	case errors.Is(p, providers.ErrForbidden):
		kind = fault.NotAllowed
	case errors.Is(p, providers.ErrUnauthenticated):
		kind = fault.Authentication
	case errors.Is(p, providers.ErrInput):
		kind = fault.Input
	}
	return fault.New(kind, p.Code, p.Message, err)
}
