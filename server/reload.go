package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"time"

	"stagedoor/server/internal/config"
	"stagedoor/server/internal/signin"
)

// watchEvery is how often the files of the configuration are looked at: mounted secrets change by renaming a directory, which no
// notification of a file shows.
const watchEvery = 5 * time.Second

// source is where the configuration comes from, now and later.
type source struct {
	// load reads all of it, every file through files.
	load func(files *fileSet) (*config.Config, error)
	// every is how often the files are looked at; 0 is never.
	every time.Duration
	// ask makes the files be looked at now; nil if nobody asks.
	ask <-chan struct{}
	seams
}

// generation is everything that is made from one reading of the configuration. The store, the listener and the phase of life are not:
// they outlive it.
type generation struct {
	http.Handler
	cfg   *config.Config
	files *fileSet
	flow  *signin.Flow
	// work runs in the background, until stop.
	work []func(context.Context)
	stop context.CancelFunc
	// certificate is nil without TLS.
	certificate *tls.Certificate
	// secrets are those that open what is stored, the first of which seals.
	secrets []string
	// kept outlives the rooms, see keep.
	kept *kept
}

// ServeHTTP answers from the rooms as they are now. A request that is under way stays in those in which it began.
func (h *house) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.now.Load().ServeHTTP(w, r) }

// certificate is the one of the moment, for new connections.
func (h *house) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return h.now.Load().certificate, nil
}

// enter makes r the rooms of the moment and starts their work. Those before end theirs.
func (h *house) enter(ctx context.Context, r *generation) {
	ctx, r.stop = context.WithCancel(ctx)
	for _, work := range r.work {
		h.working.Go(func() { work(ctx) })
	}
	if before := h.now.Swap(r); before != r && before.stop != nil {
		before.stop()
	}
}

// watch looks at the files until ctx ends, and reads the configuration anew when one has changed. What cannot be read, or is wrong, is
// told once, and everything stays as it is.
func (h *house) watch(ctx context.Context, src source) {
	if src.every <= 0 && src.ask == nil {
		return
	}
	var tick <-chan time.Time
	if src.every > 0 {
		t := time.NewTicker(src.every)
		defer t.Stop()
		tick = t.C
	}
	w := watcher{house: h, source: src, files: h.now.Load().files}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
			w.look(ctx, false)
		case <-src.ask:
			w.look(ctx, true)
		}
	}
}

// watcher is what the last attempt to read the configuration has left.
type watcher struct {
	*house
	source
	// files are those to look at: of the last attempt, whatever came of it.
	files *fileSet
	// again is true if it failed where it may yet succeed, with the store's help. told is its error, "" if there was none.
	again bool
	told  string
}

// look reads the configuration again if there is a reason to. Asked, it takes the files as they are.
func (w *watcher) look(ctx context.Context, asked bool) {
	changed := w.files.changed(asked)
	switch {
	case w.again && w.store.Ping(ctx) != nil: // not before it answers
		return
	case !changed && !w.again && !w.now.Load().kept.due(time.Now()):
		return
	}
	err := w.reload(ctx)
	switch {
	case err == nil:
		w.again, w.told = false, ""
		return
	case changed || err.Error() != w.told:
		w.log.Error("the changed configuration cannot be used, the one before stays in force", "error", err)
	}
	_, unfurnished := errors.AsType[unfurnishedError](err)
	w.again, w.told = unfurnished && !w.again, err.Error()
}

// unfurnishedError says that a configuration which could be read could not be put to use. That may have been the store's fault.
type unfurnishedError struct{ error }

func (w *watcher) reload(ctx context.Context) error {
	before := w.now.Load()
	in, err := reading{source: w.source, cfg: before.cfg}.again()
	w.files = in.files
	if err != nil {
		return err
	}
	r, err := w.furnish(ctx, in.cfg, in.files, before)
	if err != nil {
		return unfurnishedError{err}
	}
	warnOfRestart(w.log, before.cfg, in.cfg)
	w.enter(ctx, r)
	w.log.Info("the configuration was read again and is in force", "files", in.cfg.Source.Files)
	return nil
}

// sameFiles refuses a configuration without a file that the one before had. Whoever replaces a file by hand removes it for a moment:
// what the others say would count without it, and without any the built-in development configuration, which lets everybody in.
func sameFiles(before, now config.Source) error {
	for _, file := range before.Files {
		if !slices.Contains(now.Files, file) {
			return fmt.Errorf("%s is no longer read: if that is meant, start the server again", file)
		}
	}
	return nil
}

// warnOfRestart names what a reload does not change.
func warnOfRestart(log *slog.Logger, before, after *config.Config) {
	for _, section := range []struct {
		key         string
		before, now any
	}{
		{"backend.database", before.Database, after.Database},
		{"backend.listen", before.Backend.Listen, after.Backend.Listen},
		{"backend.server", before.Backend.Server, after.Backend.Server},
		{"backend.https", before.Backend.HTTPS == nil, after.Backend.HTTPS == nil},
		{"auth.session.idle", before.Auth.Session.Idle, after.Auth.Session.Idle},
	} {
		if !reflect.DeepEqual(section.before, section.now) {
			log.Warn("a changed setting counts from the next start only", "key", section.key)
		}
	}
}

// tlsCertificate reads the certificate of a backend with TLS, nil without. A listener that has begun with TLS goes on with it.
func tlsCertificate(cfg *config.Config, before *generation) (*tls.Certificate, error) {
	switch {
	case cfg.Backend.HTTPS == nil && before != nil:
		return before.certificate, nil
	case cfg.Backend.HTTPS == nil:
		return nil, nil
	case cfg.Backend.HTTPS.SelfSigned && before != nil && before.certificate != nil:
		return before.certificate, nil
	}
	c, err := certificate(cfg.Backend)
	if err != nil {
		return nil, fmt.Errorf("backend.https: %w", err)
	}
	return &c, nil
}
