package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"stagedoor/server/internal/fault"
)

// end closes the exchange: it contains a panic, and writes the access line. It must be deferred itself, or it would not see
// the panic.
func (s *Server) end(x *exchange) {
	if value := recover(); value != nil {
		s.contain(x, value)
	}
	ctx := x.request.Context()
	if !s.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	s.log.LogAttrs(ctx, slog.LevelDebug, "request",
		slog.String("request", x.id), slog.String("method", clip(x.request.Method)), slog.String("operation", x.operation),
		slog.Int("status", x.status), slog.Int64("bytes", x.written), slog.Int64("tookMs", s.now().Sub(x.started).Milliseconds()))
}

// logFailure writes the one line of a failed request: ours with the cause, the caller's only for those who debug. Neither
// path nor query nor any header is in it, and therefore not the message either: it may name what the caller asked for. The
// code says as much.
func (s *Server) logFailure(x *exchange, f *fault.Error, err error) {
	ctx, level := x.request.Context(), slog.LevelDebug
	// A caller who has gone is no failure of ours, and neither is a route that a provider does not have.
	gone := errors.Is(err, context.Canceled) && ctx.Err() != nil
	// An attempt of the sign-in has its own line, which says why.
	if f.AttemptID == "" && f.Kind.Status >= http.StatusInternalServerError && f.Kind.Status != http.StatusNotImplemented && !gone {
		level = slog.LevelError
	}
	if !s.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("request", x.id), slog.String("method", clip(x.request.Method)), slog.String("operation", x.operation),
		slog.Int("status", f.Kind.Status), slog.String("code", f.Code),
	}
	if f.Cause != nil && f.AttemptID == "" {
		attrs = append(attrs, slog.Any("error", f.Cause))
	}
	if f.AttemptID != "" {
		attrs = append(attrs, slog.String("attempt", f.AttemptID))
	}
	if p, ok := errors.AsType[*panicked](err); ok {
		attrs = append(attrs, slog.String("stack", p.stack))
	}
	s.log.LogAttrs(ctx, level, "request failed", attrs...)
}
