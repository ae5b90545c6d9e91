package config

import (
	"path/filepath"
	"strconv"
)

// Position says where a setting was written.
type Position struct {
	// File is the path as it was given or found; the name of the variable if the setting came from APP_CONFIG_*.
	File string
	// Line and Column count from 1, in characters; both are 0 where a position has no lines.
	Line, Column int
}

// String is file:line:column, or the file alone.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}

// resolve makes path relative to the directory of the file at p.
func (p Position) resolve(path string) string {
	if filepath.IsAbs(path) || p.Line == 0 {
		return path
	}
	return filepath.Join(filepath.Dir(p.File), path)
}
