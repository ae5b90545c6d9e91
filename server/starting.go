package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"stagedoor/server/internal/api"
	"stagedoor/server/internal/config"
	"stagedoor/server/internal/store"
)

// How long a start waits between two attempts to reach the database, at first and at most.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 5 * time.Second
)

// lobbyAfter is how long a start may take before the server listens all the same: the migration of a large table takes its time.
const lobbyAfter = 2 * time.Second

// newLobby is a house without rooms: it says that it lives, and that it is not ready.
func newLobby(in reading, log *slog.Logger) (*house, error) {
	h := &house{log: log, seams: in.seams.orReal()}
	certificate, err := tlsCertificate(in.cfg, nil)
	if err != nil {
		return nil, err
	}
	handler, err := api.NewStarting(api.Config{
		Ready: h.ready, CORS: cors(in.cfg.Backend.CORS), ContentSecurityPolicy: policy(in.cfg.Backend.CSP),
		ReferrerPolicy: strings.Join(in.cfg.Backend.ReferrerPolicy, ","), Now: h.seams.now, Log: log,
	})
	h.now.Store(&generation{Handler: handler, cfg: in.cfg, files: in.files, certificate: certificate})
	return h, err
}

// settle makes the rooms, as often as it takes while all that is wrong is that the database is not there: it may come later, and
// whoever looks should find a server that says so and not a process that ends again and again. listen is called as soon as that is
// known. Anything else that is wrong is the error.
func (h *house) settle(ctx context.Context, in reading, listen func()) error {
	built, err := buildProviders(in.cfg, h.log)
	if err != nil {
		return err
	}
	if in.cfg.Database.Client == config.Postgres {
		defer time.AfterFunc(lobbyAfter, listen).Stop()
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := h.open(ctx, in.cfg, in.files, built)
		if err == nil || !mayCome(in.cfg, err) || ctx.Err() != nil {
			return err
		}
		listen()
		h.log.Warn("the database cannot be reached, trying again", "error", err, "pause", pause.String())
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		if !in.files.changed(false) {
			continue
		}
		if in, err = in.again(); err == nil {
			built, err = buildProviders(in.cfg, h.log)
		}
		if err != nil {
			return err
		}
	}
}

// again reads a configuration that has changed. Its files are set beside an error as well: they are those to look at from now on.
func (in reading) again() (reading, error) {
	before := in.cfg
	in.files = &fileSet{}
	var err error
	if in.cfg, err = in.load(in.files); err == nil {
		err = sameFiles(before.Source, in.cfg.Source)
	}
	return in, err
}

// mayCome reports whether an error of the start says no more than that the database server is down, starting, too busy or not to be
// reached. An SQLite file that cannot be opened now will not be later either.
func mayCome(cfg *config.Config, err error) bool {
	if cfg.Database.Client != config.Postgres {
		return false
	}
	return errors.Is(err, store.ErrUnreachable) || errors.Is(err, store.ErrBusy) || errors.Is(err, context.DeadlineExceeded)
}

// seams are where tests put something of their own in the place of what the process has. The zero value is the real thing.
type seams struct {
	// now is the clock of the rooms, keys and after are those of the signing keys of user tokens: tests put clocks wrong, and let keys
	// age faster.
	now, keys func() time.Time
	after     func(time.Duration) <-chan time.Time
	// migrations are those of a younger version.
	migrations fs.FS
}

func (s seams) orReal() seams {
	if s.now == nil {
		s.now = time.Now
	}
	if s.keys == nil {
		s.keys = s.now
	}
	return s
}
