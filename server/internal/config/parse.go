package config

import (
	"bytes"
	"errors"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// maxFile is the largest config file, in bytes.
	maxFile = 1 << 20
	// maxTokens is how many keys, values and signs one file may hold. The parser's time grows with the square of the keys
	// of an object; this many, some 10,000 lines of settings, take it a second or two at the worst.
	maxTokens = 40_000
	// maxDepth is how deep objects and lists may nest.
	maxDepth = 64
)

// parse turns YAML, of which JSON is a part, into a tree. An empty file is an empty object. What is wrong is added to
// ps; the tree then holds what could be understood, or is nil.
func parse(file string, src []byte, ps *problems) *node {
	start := Position{File: file, Line: 1, Column: 1}
	if len(src) > maxFile {
		ps.add(Position{File: file}, "", "is larger than 1 MiB")
		return nil
	}
	tokens := rejoin(lexer.Tokenize(string(bytes.TrimPrefix(src, []byte("\ufeff")))))
	if len(tokens) > maxTokens {
		ps.add(Position{File: file}, "", "holds more than %d keys, values and signs", maxTokens)
		return nil
	}
	if at, deep := tooDeep(tokens); deep {
		ps.add(positionOf(file, at), "", "nests deeper than %d levels", maxDepth)
		return nil
	}
	// Duplicate keys are found by the conversion, which knows their dotted names and finds all of them.
	parsed, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		ps.add(syntaxPosition(file, err), "", "invalid YAML: %s", syntaxMessage(err))
		return nil
	}
	bodies := documents(parsed)
	switch len(bodies) {
	case 0:
		return &node{form: object, at: start}
	case 1:
		c := converter{file: file, problems: ps, anchors: map[string]*node{}}
		return c.convert(bodies[0], "", 0)
	}
	ps.add(positionOf(file, bodies[1].GetToken()), "", "want one YAML document, found another one")
	return nil
}

// documents returns what stands in a file besides comments and directives.
func documents(f *ast.File) []ast.Node {
	var bodies []ast.Node
	for _, doc := range f.Docs {
		switch doc.Body.(type) {
		case nil, *ast.DirectiveNode, *ast.CommentGroupNode:
		default:
			bodies = append(bodies, doc.Body)
		}
	}
	return bodies
}

// tooDeep finds nesting that is cheap to write and dear to parse: the parser recurses, and keeps the whole path for each
// level. Indentation needs no such check, since n levels take n²/2 bytes.
func tooDeep(tokens token.Tokens) (*token.Token, bool) {
	brackets, run := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		}
		switch {
		case t.Type != token.SequenceEntryType && t.Type != token.MappingKeyType:
			run = 0
		case t.Prev != nil && t.Prev.Position.Line == t.Position.Line:
			run++
		}
		if brackets > maxDepth || run > maxDepth {
			return t, true
		}
	}
	return nil, false
}

func positionOf(file string, t *token.Token) Position {
	if t == nil || t.Position == nil {
		return Position{File: file}
	}
	return Position{File: file, Line: t.Position.Line, Column: t.Position.Column}
}

func syntaxPosition(file string, err error) Position {
	if e, ok := errors.AsType[yaml.Error](err); ok {
		return positionOf(file, e.GetToken())
	}
	return Position{File: file}
}

var quoted = regexp.MustCompile(`\s*(?:"(?:[^"\\]|\\.)*"|'[0-9A-Za-z]')`)

// syntaxMessage is the parser's message without what it quotes from the file, which may be part of a secret.
func syntaxMessage(err error) string {
	e, ok := errors.AsType[yaml.Error](err)
	if !ok {
		return "cannot be parsed"
	}
	return strings.TrimSpace(quoted.ReplaceAllString(e.GetMessage(), ""))
}
