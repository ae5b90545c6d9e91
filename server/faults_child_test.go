package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"stagedoor/server/internal/config"
)

// What a replica's process is told beside its configuration. Keys age speed times as fast as everything else since epoch, and the two
// clocks may be wrong.
const (
	fleetProcess    = "STAGEDOOR_TEST_FLEET"
	fleetEpoch      = "STAGEDOOR_TEST_EPOCH"
	fleetSpeed      = "STAGEDOOR_TEST_SPEED"
	fleetWrong      = "STAGEDOOR_TEST_WRONG"
	fleetKeysWrong  = "STAGEDOOR_TEST_KEYS_WRONG"
	fleetMigrations = "STAGEDOOR_TEST_MIGRATIONS"
)

// runReplica is the server as main runs it, with what the environment puts in the place of its clocks.
func runReplica(path string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := newLogger(os.Stderr, "warn")
	if err := tellNumbers(); err != nil {
		log.Error("no numbers", "error", err)
		return 1
	}
	loud := newLogger(os.Stderr, "info")
	src := source{seams: seamsOfEnvironment(), load: func(files *fileSet) (*config.Config, error) { return loadConfig([]string{path}, files) }}
	if err := serve(ctx, src, loud); err != nil {
		complain(os.Stderr, log, err)
		return 1
	}
	return 0
}

func seamsOfEnvironment() seams {
	var s seams
	wrong, _ := time.ParseDuration(os.Getenv(fleetWrong))
	keysWrong, _ := time.ParseDuration(os.Getenv(fleetKeysWrong))
	s.now = func() time.Time { return time.Now().Add(wrong) }
	v := virtualOf(os.Getenv(fleetEpoch), os.Getenv(fleetSpeed))
	s.keys = func() time.Time { return v.now().Add(keysWrong) }
	s.after = func(d time.Duration) <-chan time.Time { return time.After(d / time.Duration(v.speed)) }
	if dir := os.Getenv(fleetMigrations); dir != "" {
		s.migrations = os.DirFS(dir)
	}
	return s
}

// virtual is a clock that is right at epoch and goes faster from there.
type virtual struct {
	epoch time.Time
	speed int
}

func virtualOf(epoch, speed string) virtual {
	at, _ := strconv.ParseInt(epoch, 10, 64) // this process's parent wrote both
	n, _ := strconv.Atoi(speed)
	return virtual{time.Unix(0, at), max(n, 1)}
}

func (v virtual) now() time.Time { return v.epoch.Add(time.Since(v.epoch) * time.Duration(v.speed)) }

// numbers is what a process says of itself.
type numbers struct {
	Goroutines int
	Heap       uint64
}

// tellNumbers answers on a port of its own, which it logs.
func tellNumbers() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // as long as the process
	if err != nil {
		return err
	}
	slog.New(slog.NewJSONHandler(os.Stderr, nil)).Info("numbers", "address", ln.Addr().String())
	go func() {
		_ = http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { //nolint:gosec // on loopback, for the parent
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			_ = json.NewEncoder(w).Encode(numbers{runtime.NumGoroutine(), m.HeapAlloc})
		}))
	}()
	return nil
}
