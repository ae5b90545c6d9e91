package main

import (
	"crypto/sha256"
	"maps"
	"os"
	"sync"

	"stagedoor/server/internal/config"
)

// fileSet remembers the files that were read, so that a change is noticed. It is safe for concurrent use.
type fileSet struct {
	mu   sync.Mutex
	sums map[string]fileSum
	// seen is what they held when they were last looked at.
	seen map[string]fileSum
}

// fileSum is what a file held; a file that cannot be read has none.
type fileSum struct {
	readable bool
	sum      [sha256.Size]byte
}

// read reads a file as config does, and remembers it: also if it is not there, as it may come.
func (f *fileSet) read(path string) ([]byte, error) {
	text, err := config.ReadFile(path)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sums == nil {
		f.sums = map[string]fileSum{}
	}
	f.sums[path] = sumOf(text, err)
	return text, err
}

func sumOf(text []byte, err error) fileSum {
	if err != nil {
		return fileSum{}
	}
	return fileSum{true, sha256.Sum256(text)}
}

// now is what the same files hold at this moment.
func (f *fileSet) now() map[string]fileSum {
	f.mu.Lock()
	paths := maps.Clone(f.sums)
	f.mu.Unlock()
	for path := range paths {
		if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
			continue // a pipe says what it says once
		}
		paths[path] = sumOf(config.ReadFile(path))
	}
	return paths
}

// changed reports whether a file holds something else than when it was read. Unless it is asked for as it is, what it holds must be what
// it held at the last look as well: a file that is being written is not all there.
func (f *fileSet) changed(asIs bool) bool {
	now := f.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	still := maps.Equal(f.seen, now)
	f.seen = now
	return !maps.Equal(f.sums, now) && (asIs || still)
}
