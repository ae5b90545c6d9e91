package config

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// LoadInput is where the configuration comes from.
type LoadInput struct {
	// Paths are the values of --config, in order; later files win. If there is one, no default file is read.
	Paths []string
	// Dir is where the default files are looked up: app-config.yaml and its companions (contract/core.md C5).
	Dir string
	// Env reads one environment variable, as os.LookupEnv does. Nil means that none is set.
	Env func(name string) (value string, ok bool)
	// Environ lists the environment as os.Environ does, for APP_CONFIG_*.
	Environ []string
	// ReadFile reads a file of at most 1 MiB; nil is the function of that name. A file that is not there must give fs.ErrNotExist.
	ReadFile func(path string) ([]byte, error)
}

// Source says what was read.
type Source struct {
	// Files are the config files in the order of the merge, without those that they include.
	Files []string
	// Defaults is true if there was no file at all, and the built-in development configuration is used.
	Defaults bool
}

// String lists the files for a message.
func (s Source) String() string { return strings.Join(s.Files, ", ") }

// defaultsFile is how positions in the built-in configuration are shown.
const defaultsFile = "defaults.yaml (built in)"

//go:embed defaults.yaml
var defaults []byte

var errTooLarge = errors.New("file is larger than 1 MiB")

// loader reads one configuration.
type loader struct {
	in       LoadInput
	problems problems
	source   Source
	// nodes counts the values so far.
	nodes int
}

// load reads and merges everything.
func (l *loader) load() *node {
	root := &node{form: object}
	for _, f := range l.files() {
		tree := parse(f.path, f.src, &l.problems)
		if tree == nil {
			continue
		}
		if tree.absent() {
			tree = &node{form: object, at: tree.at}
		}
		if tree.form != object {
			l.problems.add(tree.at, "", "want an object, found %s", tree.form)
			continue
		}
		root = merge(root, l.transform(tree, "", nil))
	}
	return merge(root, l.overrides())
}

type sourceFile struct {
	path string
	src  []byte
}

// files reads the config files, or the built-in one if there is none.
func (l *loader) files() []sourceFile {
	files := l.readAll()
	if len(files) == 0 && len(l.problems.list) == 0 {
		l.source.Defaults = true
		files = []sourceFile{{defaultsFile, defaults}}
	}
	for _, f := range files {
		l.source.Files = append(l.source.Files, f.path)
	}
	return files
}

func (l *loader) readAll() []sourceFile {
	if len(l.in.Paths) > 0 {
		return l.readGiven()
	}
	paths := l.defaultPaths()
	main, ok := l.readOptional(paths[0])
	var overlays []sourceFile
	for _, path := range paths[1:] {
		if f, found := l.readOptional(path); found {
			overlays = append(overlays, f)
		}
	}
	if ok {
		return append([]sourceFile{main}, overlays...)
	}
	for _, f := range overlays {
		// Alone, it would be a configuration that nobody meant.
		l.problems.add(Position{File: f.path}, "", "found without %s, which it belongs to", paths[0])
	}
	return nil
}

// readOptional reads a file that need not be there.
func (l *loader) readOptional(path string) (sourceFile, bool) {
	src, err := l.read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.problems.add(Position{File: path}, "", "the file %s", reason(err))
	}
	return sourceFile{path, src}, err == nil
}

func (l *loader) readGiven() []sourceFile {
	var files []sourceFile
	for _, path := range l.in.Paths {
		if strings.Contains(path, "://") {
			l.problems.add(Position{}, "", "want a file for --config: loading configuration from a URL is not supported")
			continue
		}
		src, err := l.read(path)
		if err != nil {
			l.problems.add(Position{File: path}, "", "the file %s", reason(err))
			continue
		}
		files = append(files, sourceFile{path, src})
	}
	return files
}

// defaultPaths are the files that are read without --config; only the first must be there (contract/core.md C5).
func (l *loader) defaultPaths() []string {
	names, locals := []string{"app-config.yaml"}, []string{"app-config.local.yaml"}
	envs, _ := l.env("BACKSTAGE_ENV")
	for env := range strings.SplitSeq(envs, ",") {
		if env = strings.TrimSpace(env); env != "" {
			names = append(names, fmt.Sprintf("app-config.%s.yaml", env))
			locals = append(locals, fmt.Sprintf("app-config.%s.local.yaml", env))
		}
	}
	paths := append(names, locals...)
	for i := range paths {
		paths[i] = filepath.Join(l.in.Dir, paths[i])
	}
	return paths
}

// read reads one file through the input's reader.
func (l *loader) read(path string) ([]byte, error) {
	if l.in.ReadFile != nil {
		return l.in.ReadFile(path)
	}
	return ReadFile(path)
}

// pipeTime is how long a pipe may take to say what it has to say.
const pipeTime = 10 * time.Second

// ReadFile reads a file of at most 1 MiB from the disk, or what a pipe holds. It does not wait for somebody to write into one: a running
// server reads its files again, and whatever stands in their place must not hold it up.
func ReadFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open config file: %w", err)
	}
	defer func() { _ = f.Close() }()
	_ = f.SetReadDeadline(time.Now().Add(pipeTime)) // a file has none, and needs none
	src, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read config file: %w", err)
	}
	if len(src) > maxFile {
		return nil, errTooLarge
	}
	return src, nil
}
