package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"stagedoor/server/internal/config"
	"stagedoor/server/internal/fault"
)

// How long the parts of a stop may take.
const (
	// defaultShutdownDelay is the time between readiness turning false and the listener closing, in production: a load
	// balancer needs it to look away. backend.lifecycle.serverShutdownDelay replaces it.
	defaultShutdownDelay = 5 * time.Second
	// drainTime is how long requests that are under way may take to finish.
	drainTime = 40 * time.Second
)

// errServing marks an error of a server that had started.
var errServing = errors.New("serving ended")

// serve reads the configuration, listens as it says and serves until ctx ends.
func serve(ctx context.Context, src source, log *slog.Logger) error {
	files := &fileSet{}
	cfg, err := src.load(files)
	if err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Backend.Listen.String())
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return serveOn(ctx, ln, reading{src, cfg, files}, log)
}

// reading is a configuration that was read.
type reading struct {
	source
	cfg   *config.Config
	files *fileSet
}

// serveOn builds the rooms, serves on ln until ctx ends, drains, and returns nil after an orderly stop.
func serveOn(ctx context.Context, ln net.Listener, in reading, log *slog.Logger) (err error) {
	cfg := in.cfg
	defer func() { err = errors.Join(err, closed(ln.Close())) }()
	announceMode(log, cfg)
	h, err := newLobby(in, log)
	if err != nil {
		return err
	}
	srv := newServer(cfg, h, log)
	failed := make(chan error, 1)
	begin := sync.OnceFunc(func() { go func() { failed <- listen(srv, ln) }() })
	err = h.settle(ctx, in, begin)
	if err != nil && ctx.Err() != nil { // whatever it was, it came from being told to stop
		log.Info("stopped while starting", "error", err)
		return srv.Close()
	}
	if err != nil {
		return errors.Join(err, srv.Close())
	}
	defer func() { err = errors.Join(err, h.close()) }()
	cfg = h.now.Load().cfg
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	h.working.Go(func() { h.store.Run(background) })
	h.enter(background, h.now.Load())
	h.working.Go(func() { h.watch(background, in.source) })
	defer h.working.Wait()
	defer stopBackground()

	h.state.Store(serving)
	begin()
	log.Info("listening", "address", ln.Addr().String(), "api", cfg.AuthURL())
	if cfg.Development {
		log.Info("open the playground at " + cfg.Backend.BaseURL + "/")
	}
	select {
	case err := <-failed:
		return fmt.Errorf("%w: %w", errServing, err)
	case <-ctx.Done():
		return drain(srv, h, cfg, log)
	}
}

func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func listen(srv *http.Server, ln net.Listener) error {
	if srv.TLSConfig != nil {
		return srv.ServeTLS(ln, "", "")
	}
	return srv.Serve(ln)
}

// drain turns readiness off, gives load balancers time to notice, and lets what is under way finish.
func drain(srv *http.Server, h *house, cfg *config.Config, log *slog.Logger) error {
	h.state.Store(stopping)
	delay := shutdownDelay(cfg)
	log.Info("stopping", "delay", delay.String())
	if delay > 0 {
		time.Sleep(delay)
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return fmt.Errorf("%w: drain: %w", errServing, errors.Join(err, srv.Close()))
	}
	// A caller may have hung up on a refresh that is still under way: it holds the only copy of a rotated token.
	if err := h.now.Load().flow.Drain(ctx); err != nil {
		return fmt.Errorf("%w: drain: %w", errServing, err)
	}
	log.Info("stopped")
	return nil
}

func shutdownDelay(cfg *config.Config) time.Duration {
	switch configured := cfg.Backend.Lifecycle.ServerShutdownDelay; {
	case configured != nil:
		return *configured
	case cfg.Development:
		return 0
	default:
		return defaultShutdownDelay
	}
}

// announceMode says in which of the two modes the server runs and why (design D17).
func announceMode(log *slog.Logger, cfg *config.Config) {
	switch {
	case cfg.Source.Defaults:
		log.Info("development mode: there is no app-config.yaml, the built-in development configuration is used")
	case cfg.Development:
		log.Info("development mode: NODE_ENV is development", "config", cfg.Source.Files)
	default:
		log.Info("production mode: NODE_ENV is not development", "config", cfg.Source.Files)
	}
}

// phase is where the process is in its life.
type phase int32

const (
	starting phase = iota
	serving
	stopping
)

// lifecycle is the phase, shared by the server and the probes.
type lifecycle struct{ phase atomic.Int32 }

// Store moves on to p.
func (l *lifecycle) Store(p phase) { l.phase.Store(int32(p)) }

// ready is nil while traffic may come, with Backstage's words otherwise (contract/core.md R29).
func (l *lifecycle) ready() error {
	switch phase(l.phase.Load()) {
	case starting:
		return fault.New(fault.ServiceUnavailable, "starting", "Backend has not started yet", nil)
	case stopping:
		return fault.New(fault.ServiceUnavailable, "stopping", "Backend is shutting down", nil)
	default:
		return nil
	}
}
