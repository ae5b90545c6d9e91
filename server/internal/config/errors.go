package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	// Position is the zero value if nothing was written that could be pointed at.
	Position Position
	// Key is dotted: auth.providers.github.development.clientId, auth.session.secret[1]. It is empty for a file that
	// cannot be read or parsed.
	Key string
	// Message says what is wrong and what would be right. It never holds a value.
	Message string
}

// String is one line: file:line:column key: message.
func (p Problem) String() string {
	where := strings.TrimSpace(p.Position.String() + " " + p.Key)
	if p.Position == (Position{}) {
		// Without a place the message names the key itself.
		return p.Message
	}
	return where + ": " + p.Message
}

// Errors is everything that is wrong, in the order in which it was found. It is never empty.
type Errors struct {
	Problems []Problem
}

// Error lists one problem per line.
func (e *Errors) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// problems collects what is wrong while work goes on.
type problems struct {
	list []Problem
	seen map[Problem]bool
}

// add notes a problem. One mistake that is met twice, through an anchor or by two settings, is told once.
func (ps *problems) add(at Position, key, format string, args ...any) {
	p := Problem{Position: at, Key: key, Message: fmt.Sprintf(format, args...)}
	if ps.seen[p] {
		return
	}
	if ps.seen == nil {
		ps.seen = map[Problem]bool{}
	}
	ps.seen[p] = true
	ps.list = append(ps.list, p)
}

// err is nil if nothing was added.
func (ps *problems) err() error {
	if len(ps.list) == 0 {
		return nil
	}
	return &Errors{Problems: slices.Clone(ps.list)}
}
