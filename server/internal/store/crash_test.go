package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"testing"

	"stagedoor/server/internal/signin"
)

// writeForEver runs in the child of TestKilledProcessLosesNothing: it prints the id of each session once its creation and its
// refresh are acknowledged.
func writeForEver(path, prefix string) {
	ctx := context.Background()
	s, err := Open(ctx, Options{Path: path})
	for i := 0; err == nil; i++ {
		id := fmt.Sprint(prefix, i)
		if err = createAndRefresh(ctx, s, id); err == nil {
			fmt.Println(id)
		}
	}
	fmt.Fprintln(os.Stderr, "child:", err)
}

func createAndRefresh(ctx context.Context, s *Store, id string) error {
	if err := s.AdoptSession(ctx, session(id)); err != nil {
		return err
	}
	l := signin.Lease{Session: id, Owner: "child", TTL: DefaultTimeout}
	if _, err := s.AcquireLease(ctx, l); err != nil {
		return err
	}
	return s.FinishLease(ctx, l, signin.Renewal{Tokens: []byte("refreshed " + id)})
}

func TestKilledProcessLosesNothing(t *testing.T) {
	path := file(t)
	var acknowledged []string
	for round := range 3 {
		acknowledged = append(acknowledged, killAfter(t, 20+30*round, path, fmt.Sprint(round, "/"))...)
		s := open(t, Options{Path: path})
		for _, id := range acknowledged {
			got, err := s.Session(t.Context(), id)
			if err != nil || string(got.Tokens) != "refreshed "+id {
				t.Errorf("session %s: tokens %q, %v", id, got.Tokens, err)
			}
		}
		var verdict string
		must(t, lite(s).writer.QueryRowContext(t.Context(), "pragma integrity_check").Scan(&verdict))
		if verdict != "ok" {
			t.Errorf("integrity check: %s", verdict)
		}
	}
}

// killAfter lets a child write, kills it after some lines, and returns all that it printed until then.
func killAfter(t *testing.T, lines int, path, prefix string) (ids []string) {
	t.Helper()
	cmd := child(t, "write", path, prefix)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	for scan := bufio.NewScanner(out); scan.Scan(); {
		if ids = append(ids, scan.Text()); len(ids) == lines {
			must(t, cmd.Process.Kill())
		}
	}
	if err := cmd.Wait(); err == nil || len(ids) < lines {
		t.Fatalf("child ended after %d lines: %v", len(ids), err)
	}
	return ids
}
