package signin

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
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
	now     func() time.Time
}

func (f *Flow) newAttempt(what, id string, e *Entry) attempt {
	if id == "" {
		id = strings.ToLower(rand.Text()[:16])
	}
	return attempt{id, what, f.cfg.Now(), f.cfg.Log.With("attempt", id, "provider", e.ID, "env", e.Env), f.cfg.Now}
}

// end writes the attempt's one line and puts its id on the error. It never logs whom the attempt was about.
func (a attempt) end(ctx context.Context, err error) error {
	took := slog.Int64("tookMs", a.now().Sub(a.started).Milliseconds())
	if err == nil {
		a.log.InfoContext(ctx, a.what+" succeeded", took)
		return nil
	}
	f := classify(err)
	f.AttemptID = a.id
	level := slog.LevelInfo
	if f.Kind.Status >= 500 {
		level = slog.LevelWarn
	}
	a.log.Log(ctx, level, a.what+" failed", "code", f.Code, took, "error", err)
	return f
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
