package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"stagedoor/server/internal/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The second signal is the impatient one: it ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

// run is the command: it returns the exit code, 0 after an orderly stop, 1 if the server could not run, 2 for wrong arguments.
func run(ctx context.Context, args []string, stderr *os.File) int {
	if len(args) > 0 && args[0] == "explain" {
		return runExplain(ctx, args[1:], os.Stdout, stderr)
	}
	paths, err := parseArgs(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	log := newLogger(stderr, os.Getenv("LOG_LEVEL"))
	slog.SetDefault(log) // for the libraries that have no other way
	src := source{
		load: func(files *fileSet) (*config.Config, error) { return loadConfig(paths, files) }, every: watchEvery, ask: hangUps(ctx),
	}
	if err := serve(ctx, src, log); err != nil {
		complain(stderr, log, err)
		return 1
	}
	return 0
}

// hangUps passes SIGHUP on until ctx ends: whoever changed a file need not wait until it is looked at.
func hangUps(ctx context.Context) <-chan struct{} {
	signals, asked := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	context.AfterFunc(ctx, func() { signal.Stop(signals) })
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			select {
			case <-ctx.Done():
				return
			case asked <- struct{}{}:
			}
		}
	}()
	return asked
}

// loadConfig reads the configuration. Whoever has to correct it sees everything that is wrong at once, the providers included.
func loadConfig(paths []string, files *fileSet) (*config.Config, error) {
	cfg, err := config.Load(config.LoadInput{
		Paths: paths, Dir: ".", Env: os.LookupEnv, Environ: os.Environ(), ReadFile: files.read,
	})
	if err != nil && cfg != nil {
		_, providersErr := buildProviders(cfg, slog.New(slog.DiscardHandler))
		err = errors.Join(err, providersErr)
	}
	return cfg, err
}

// complain tells why the server cannot run: a list of problems is for reading, and so is not squeezed into one log line on a
// terminal.
func complain(stderr *os.File, log *slog.Logger, err error) {
	if errors.Is(err, errServing) {
		log.Error("stopped with an error", "error", err)
		return
	}
	if isTerminal(stderr) {
		_, _ = fmt.Fprintf(stderr, "stagedoor cannot start:\n%s\n", err)
		return
	}
	log.Error("cannot start", "error", err)
}

// pathList collects a flag that may be given more than once.
type pathList []string

func (p *pathList) String() string { return strings.Join(*p, ",") }

func (p *pathList) Set(path string) error {
	if strings.Contains(path, "://") {
		return errors.New("want a file: configuration is not loaded from URLs")
	}
	*p = append(*p, path)
	return nil
}

func parseArgs(args []string, out io.Writer) ([]string, error) {
	var paths pathList
	fs := flag.NewFlagSet("stagedoor", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.Var(&paths, "config", "an app-config `file`; may be repeated, later files win (default app-config.yaml and its companions)")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		err := fmt.Errorf("unknown argument %q", fs.Arg(0))
		_, _ = fmt.Fprintln(out, err)
		return nil, err
	}
	return paths, nil
}

// newLogger writes lines for people on a terminal and JSON anywhere else. The level is Backstage's LOG_LEVEL.
func newLogger(w *os.File, level string) *slog.Logger {
	opts := &slog.HandlerOptions{Level: slog.LevelInfo}
	var l slog.Level
	if l.UnmarshalText([]byte(level)) == nil {
		opts.Level = l
	}
	if isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
