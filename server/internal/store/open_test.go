package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := open(t, Options{Path: filepath.Join(dir, "auth.db")})
	must(t, s.CreateSession(t.Context(), session("a")))
	entries, err := os.ReadDir(dir)
	must(t, err)
	got := map[string]os.FileMode{}
	for _, e := range entries {
		info, err := e.Info()
		must(t, err)
		got[e.Name()] = info.Mode()
	}
	want := map[string]os.FileMode{"auth.db": 0o600, "auth.db-wal": 0o600, "auth.db-shm": 0o600}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modes differ (-want +got):\n%s", diff)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if info, err := os.Stat(d); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: mode %v, %v", d, info.Mode(), err)
		}
	}
}

func TestOddPaths(t *testing.T) {
	for _, name := range []string{"a b.db", "a?b=c&d.db", "a#b.db", "a%41.db", "é😀.db", "a:b.db", "memory:"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			open(t, Options{Path: path})
			if info, err := os.Stat(path); err != nil || info.Size() == 0 {
				t.Errorf("nothing was written to %q: %v", path, err)
			}
		})
	}
	t.Run("relative", func(t *testing.T) {
		t.Chdir(t.TempDir())
		open(t, Options{Path: "auth.db"})
		if info, err := os.Stat("auth.db"); err != nil || info.Size() == 0 {
			t.Errorf("nothing was written: %v", err)
		}
	})
}

// wantOpenError checks what Open says about the file at path.
func wantOpenError(t *testing.T, err error, path, code string, cause error) {
	t.Helper()
	got, ok := errors.AsType[*OpenError](err)
	if !ok {
		t.Fatalf("error is %v, want an *OpenError", err)
	}
	if got.Path != path || got.Code != code || !strings.Contains(got.Error(), path) {
		t.Errorf("error is %v, want code %s of %s", got, code, path)
	}
	if cause != nil && (!errors.Is(err, cause) || got.Advice == "") {
		t.Errorf("error is %v, want %v with advice", err, cause)
	}
}

func TestOpenLocked(t *testing.T) {
	path := file(t)
	release := lock(t, path)
	_, err := Open(t.Context(), Options{Path: path, BusyTimeout: time.Millisecond})
	wantOpenError(t, err, path, "database_locked", ErrBusy)
	release()
	open(t, Options{Path: path})
}

func TestOpenDamaged(t *testing.T) {
	path := file(t)
	good, err := Open(t.Context(), Options{Path: path})
	must(t, err)
	for i := range 100 {
		must(t, good.CreateSession(t.Context(), session(fmt.Sprint(i))))
	}
	must(t, good.Close())
	whole, err := os.ReadFile(path)
	must(t, err)

	tests := []struct {
		name    string
		content []byte
	}{
		{"no database", []byte(strings.Repeat("backend: {}\n", 1000))},
		{"zeros", make([]byte, 8192)},
		{"cut short", whole[:len(whole)/2]},
		{"schema overwritten", overwritten(whole, 100, 4096)},
		{"all but the header overwritten", overwritten(whole, 4096, len(whole))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := file(t)
			must(t, os.WriteFile(path, tt.content, 0o600))
			_, err := Open(t.Context(), Options{Path: path})
			wantOpenError(t, err, path, "database_corrupt", ErrCorrupt)
			left, err := os.ReadFile(path)
			must(t, err)
			if !bytes.Equal(left, tt.content) {
				t.Error("the file was changed")
			}
		})
	}
}

func overwritten(whole []byte, from, to int) []byte {
	b := bytes.Clone(whole)
	for i := from; i < to; i++ {
		b[i] = 0xa5
	}
	return b
}

func TestOpenEmptyFile(t *testing.T) {
	path := file(t)
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, open(t, Options{Path: path}).Ping(t.Context()))
}

func TestOpenNeitherFileNorRoom(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(t.Context(), Options{Path: dir})
	wantOpenError(t, err, dir, "database_unavailable", nil)

	path := filepath.Join(dir, "file", "auth.db")
	must(t, os.WriteFile(filepath.Dir(path), nil, 0o600))
	_, err = Open(t.Context(), Options{Path: path})
	wantOpenError(t, err, path, "database_unavailable", nil)
}

// nobody is a user without rights, for tests that run as root, who may write everything.
const nobody = 65534

func TestOpenReadOnly(t *testing.T) {
	tests := []struct {
		name              string
		fileMode, dirMode os.FileMode
	}{
		{"file", 0o400, 0o700},
		{"directory", 0o600, 0o500},
		{"directory without file", 0, 0o500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := file(t)
			if tt.fileMode != 0 {
				s, err := Open(t.Context(), Options{Path: path})
				must(t, err)
				must(t, s.Close())
				giveAway(t, path, tt.fileMode)
			}
			giveAway(t, filepath.Dir(path), tt.dirMode)
			must(t, os.Chmod(filepath.Dir(filepath.Dir(path)), 0o755))
			out, err := child(t, "open", path).Output()
			must(t, err)
			if !strings.Contains(string(out), path+" [database_read_only]") {
				t.Errorf("open says %q", out)
			}
		})
	}
}

// giveAway sets the mode, and as root the owner, so that the mode counts. The directory can be removed afterwards.
func giveAway(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if os.Getuid() == 0 {
		must(t, os.Chown(path, nobody, nobody))
	}
	must(t, os.Chmod(path, mode))
	t.Cleanup(func() { must(t, os.Chmod(path, 0o700)) })
}

// openUnprivileged runs in the child of TestOpenReadOnly and prints what Open says.
func openUnprivileged(path string) {
	if os.Getuid() == 0 {
		if err := syscall.Setuid(nobody); err != nil {
			fmt.Println("drop rights:", err)
			return
		}
	}
	s, err := Open(context.Background(), Options{Path: path})
	fmt.Println(err)
	if s != nil {
		_ = s.Close()
	}
}
