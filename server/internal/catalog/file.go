package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"stagedoor/providers"
)

// maxFile is how much of a catalog file is read, in bytes.
const maxFile = 16 << 20

// recheck is how long a file is trusted before its date is looked at again.
const recheck = time.Second

// errEmptied keeps a file that is just being written from signing everybody out.
var errEmptied = errors.New("there are no users in it any more")

// File is a catalog in a YAML file. It is read again when it changes; a new content that cannot be read leaves the old one
// in force, with a line in the log. It is safe for concurrent use.
type File struct {
	path string
	now  func() time.Time
	log  *slog.Logger

	mu      sync.Mutex
	index   *index
	looked  time.Time
	version os.FileInfo
}

// OpenFile reads the catalog file at path.
func OpenFile(path string, now func() time.Time, log *slog.Logger) (*File, error) {
	f := &File{path: path, now: now, log: log}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open catalog file: %w", err)
	}
	if f.index, err = load(path); err != nil {
		return nil, err
	}
	f.version, f.looked = info, now()
	return f, nil
}

// NewStatic is a catalog of the given text, which never changes.
func NewStatic(text []byte) (*File, error) {
	ix, err := parse(text)
	if err != nil {
		return nil, err
	}
	return &File{index: ix}, nil
}

func load(path string) (*index, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open catalog file: %w", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("catalog file %s is larger than %d bytes", path, maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read catalog file: %w", err)
	}
	ix, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ix, nil
}

// FindUser returns the one user that l describes. The error is ErrNotFound, ErrAmbiguous or ErrLookup. Values are compared
// without regard to case, as the catalog compares them; l.Then and l.Fallback are the caller's business.
func (f *File) FindUser(_ context.Context, l providers.Lookup) (User, error) {
	ix := f.current()
	if l.EntityRef != "" {
		return ix.user(completeRef(l.EntityRef, "user"))
	}
	all, err := conditions(l)
	if err != nil {
		return User{}, err
	}
	user, err := ix.find(all, ix.fields, condition.key)
	if !l.Exact || errors.Is(err, ErrNotFound) {
		return user, err
	}
	if user, err = ix.find(all, ix.exact, condition.exactKey); errors.Is(err, ErrNotFound) {
		err = ErrInexact
	}
	return user, err
}

// EntitiesExist returns those of the given references that no entity of the file has. The error is always nil.
func (f *File) EntitiesExist(_ context.Context, refs []string) (missing []string, err error) {
	return missingFrom(refs, f.current().entities), nil
}

// find returns the user that fulfils every condition, which are looked up in fields by their key.
func (ix *index) find(all []condition, fields map[string][]string, key func(condition) string) (User, error) {
	refs := slices.Clone(fields[key(all[0])])
	for _, c := range all[1:] {
		refs = slices.DeleteFunc(refs, func(ref string) bool { return !slices.Contains(fields[key(c)], ref) })
	}
	switch len(refs) {
	case 0:
		return User{}, ErrNotFound
	case 1:
		return ix.user(refs[0])
	default:
		return User{}, ErrAmbiguous
	}
}

// user returns the user with that reference, with an ownership list of the caller's own.
func (ix *index) user(ref string) (User, error) {
	u, ok := ix.users[ref]
	if !ok {
		return User{}, ErrNotFound
	}
	u.Ownership = slices.Clone(u.Ownership)
	return u, nil
}

// current returns the index, read again if the file has changed.
func (f *File) current() *index {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.path == "" || f.now().Sub(f.looked) < recheck {
		return f.index
	}
	f.looked = f.now()
	info, err := os.Stat(f.path)
	if err != nil {
		f.log.Warn("catalog file is gone, keeping what was read", "file", f.path, "error", err)
		return f.index
	}
	if info.ModTime().Equal(f.version.ModTime()) && info.Size() == f.version.Size() {
		return f.index
	}
	f.version = info
	ix, err := load(f.path)
	if err == nil && len(ix.users) == 0 && len(f.index.users) > 0 {
		err = errEmptied
	}
	if err != nil {
		f.log.Error("catalog file cannot be read, keeping what was read before", "error", err)
		return f.index
	}
	f.index = ix
	f.log.Info("catalog file read again", "file", f.path, "users", len(ix.users))
	return ix
}
