package config

import (
	"regexp"
	"strconv"
	"strings"
)

// form is what a node holds.
type form uint8

const (
	// null is written, and says that there is no value.
	null form = iota
	// unset is a value that an unset environment variable took away: as if the key had not been written.
	unset
	text
	number
	boolean
	list
	object
)

// String names the form as it is called in messages.
func (f form) String() string {
	return [...]string{"null", "nothing", "a string", "a number", "a boolean", "a list", "an object"}[f]
}

// node is one value and where it was written. Nodes are shared between trees and never changed once they are made.
type node struct {
	form form
	at   Position
	// text is the value of a string, the source of a number, "true" or "false".
	text string
	// vars are the environment variables that the value was made of, or would have been.
	vars   []string
	items  []*node
	fields []field
}

// field is one key of an object, in the order of the file.
type field struct {
	name  string
	at    Position
	value *node
}

// absent is true for what counts as not written. A nil node is absent.
func (n *node) absent() bool { return n == nil || n.form == null || n.form == unset }

// get returns the value of a key, nil if there is none or n is no object.
func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	for _, f := range n.fields {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

// find follows a dotted path of keys.
func (n *node) find(path string) *node {
	for name := range strings.SplitSeq(path, ".") {
		n = n.get(name)
	}
	return n
}

// variables tells, for a message, which environment variables a value depends on.
func (n *node) variables() string {
	if n == nil || len(n.vars) == 0 {
		return ""
	}
	if len(n.vars) == 1 {
		return "environment variable " + n.vars[0]
	}
	return "one of the environment variables " + strings.Join(n.vars, ", ")
}

// plainKey is what a key looks like. A line such as {clientSecret:hunter2}, where a space is missing, makes a key out of
// a secret; so other keys are not repeated in messages.
var plainKey = regexp.MustCompile(`^[$A-Za-z0-9_.-]{1,64}$`)

func shown(name string) string {
	if plainKey.MatchString(name) {
		return name
	}
	return "<key>"
}

func dotted(parent, name string) string {
	if parent == "" {
		return shown(name)
	}
	return parent + "." + shown(name)
}

func indexed(parent string, i int) string { return parent + "[" + strconv.Itoa(i) + "]" }
