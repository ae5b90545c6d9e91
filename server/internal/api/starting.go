package api

import (
	"net/http"

	"stagedoor/server/internal/fault"
)

// NewStarting makes the handler of a server that has nothing to answer from yet: liveness is good, readiness says what
// Config.Ready says, and everything else is 503 with Retry-After. Of cfg it needs what is about answers alone: Ready, CORS, the two
// policies, Limits, Now and Log.
func NewStarting(cfg Config) (http.Handler, error) {
	s, err := newServer(cfg)
	if err != nil {
		return nil, err
	}
	return starting{s, operations{ready: cfg.Ready, log: cfg.Log}}, nil
}

type starting struct {
	*Server
	ops operations
}

var errStarting = fault.New(fault.ServiceUnavailable, "starting", "Backend has not started yet", nil)

// ServeHTTP answers one request.
func (s starting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := s.receive(w, r)
	defer s.end(x)
	switch {
	case r.URL.Path == healthPath+"liveness":
		s.probe(x, s.ops.liveness)
	case r.URL.Path == healthPath+"readiness":
		s.probe(x, func() (reply, error) { return s.ops.readiness(r.Context(), x.id) })
	case s.cors.answer(x, r):
	default: // not logged at each request: whoever waits for what has said so
		s.render(x, errStarting)
	}
}

func (s starting) probe(x *exchange, answer func() (reply, error)) {
	r, err := answer()
	if err == nil {
		err = r.write(x)
	}
	if err != nil {
		s.log.DebugContext(x.request.Context(), "answer not sent", "request", x.id, "error", err)
	}
}
