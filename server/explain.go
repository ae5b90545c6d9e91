package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"text/tabwriter"

	"stagedoor/server/internal/fault"
	"stagedoor/server/internal/signin"
)

// Exit codes of explain, beside 1 for a server that cannot start and 2 for wrong arguments.
const (
	exitSignedIn = 0
	exitRefused  = 3
	exitPassing  = 4
)

// explainArgs are the arguments of explain.
type explainArgs struct {
	paths                     pathList
	provider, env             string
	claims, userinfo          string
	show                      bool
	claimsValue, userinfoJSON map[string]any
}

// runExplain is the dry run: which rule and resolver would say what of these claims, and why (see docs/explain.md).
func runExplain(ctx context.Context, args []string, stdout io.Writer, stderr *os.File) int {
	in, err := parseExplain(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 2
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	cfg, err := loadConfig(in.paths, &fileSet{})
	if err != nil {
		complain(stderr, log, err)
		return 1
	}
	h, err := build(ctx, cfg, &fileSet{}, log)
	if err != nil {
		complain(stderr, log, err)
		return 1
	}
	code := explain(ctx, h.now.Load().flow, in, stdout)
	if err := h.close(); err != nil {
		complain(stderr, log, err)
		return 1
	}
	return code
}

func parseExplain(args []string, out io.Writer) (explainArgs, error) {
	var in explainArgs
	fs := flag.NewFlagSet("stagedoor explain", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.Var(&in.paths, "config", "an app-config `file`; may be repeated, later files win")
	fs.StringVar(&in.provider, "provider", "", "the provider's `id`, as under auth.providers")
	fs.StringVar(&in.env, "env", "", "its `environment`; default auth.environment")
	fs.StringVar(&in.claims, "claims", "", "a JSON `file` with the claims of an id_token; - is standard input")
	fs.StringVar(&in.userinfo, "userinfo", "", "a JSON `file` with the vendor's answer about the user; default the claims")
	fs.BoolVar(&in.show, "show-values", false, "print values instead of masking them")
	if err := fs.Parse(args); err != nil {
		return in, err
	}
	if in.provider == "" || in.claims+in.userinfo == "" || fs.NArg() > 0 {
		return in, errors.New("want --provider and --claims, --userinfo or both, and nothing else but flags")
	}
	var claimsErr, userinfoErr error
	if in.claims != "" {
		in.claimsValue, claimsErr = readObject(in.claims)
	}
	if in.userinfo != "" {
		in.userinfoJSON, userinfoErr = readObject(in.userinfo)
	}
	return in, errors.Join(claimsErr, userinfoErr)
}

// maxClaims is how much of a file of claims is read, in bytes.
const maxClaims = 1 << 20

func readObject(path string) (map[string]any, error) {
	r := io.Reader(os.Stdin)
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read claims: %w", err)
		}
		defer func() { _ = f.Close() }()
		r = f
	}
	var object map[string]any
	if err := json.NewDecoder(io.LimitReader(r, maxClaims)).Decode(&object); err != nil || object == nil {
		return nil, fmt.Errorf("read claims: %s does not hold one JSON object", path)
	}
	return object, nil
}

// explain prints the way from the claims to an identity and returns the exit code.
func explain(ctx context.Context, flow *signin.Flow, in explainArgs, w io.Writer) int {
	got, err := flow.Explain(ctx, signin.ExplainInput{
		Provider: in.provider, Env: in.env, Claims: in.claimsValue, UserInfo: in.userinfoJSON, Show: in.show,
	})
	for _, line := range got.Saw {
		_, _ = fmt.Fprintf(w, "saw %s\n", line)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, s := range got.Steps {
		_, _ = fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", i+1, s.Name, s.Lookup, s.Outcome, s.Code)
	}
	_ = t.Flush()
	if err == nil {
		_, _ = fmt.Fprintf(w, "signed in as %s\nowning through %v\n", got.UserRef, got.Ownership)
		return exitSignedIn
	}
	code, message := fault.Code(err), err.Error()
	if f, ok := errors.AsType[*fault.Error](err); ok {
		message = f.Message
	}
	_, _ = fmt.Fprintf(w, "refused [%s]: %s\n", code, message)
	if a := signin.Advice(code); a != "" {
		_, _ = fmt.Fprintf(w, "what to change: %s\n", a)
	}
	if signin.IsPassing(err) {
		return exitPassing
	}
	return exitRefused
}
