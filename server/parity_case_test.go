package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// parityCase is one recorded conversation.
type parityCase struct {
	// differs are the differences that the case declares, in lines "differs key (where it was decided): in words".
	differs []string
	steps   []parityStep
}

// parityStep is one request and what is known of its answer. In the file the request comes first, as it goes over the wire,
// with {names} of what earlier steps kept; behind a line --- each line is a fact (see parityFacts) or "keep {name} what"
// (see replay.keep). What Backstage answers and we do not on purpose follows a line "differs key": a fact with - in front was
// recorded and must not hold, one with + holds instead. A line that begins with a tab continues the one before.
//
// The method LOGIN is a person who signs in at the provider: "LOGIN person address". Its answer has a Location alone.
type parityStep struct {
	name, method, target, body string
	header                     [][2]string
	facts                      []parityFact
	keeps                      []parityKeep
}

type parityFact struct {
	// sign is '-', '+', or a space for what holds here and there.
	sign byte
	// differs is the difference that a signed fact is part of.
	differs    string
	word, text string
}

type parityKeep struct{ name, what, text string }

var (
	differsLine = regexp.MustCompile(`^differs ([a-z-]+) \([^)]+\): .+$`)
	keepLine    = regexp.MustCompile(`^keep \{([a-z-]+)\} ([a-z]+) ?(.*)$`)
)

func parseParityCase(data []byte) (parityCase, error) {
	archive := txtar.Parse(data)
	var c parityCase
	for line := range strings.Lines(string(archive.Comment)) {
		line = strings.TrimRight(line, "\n")
		found := differsLine.FindStringSubmatch(line)
		switch {
		case line == "" || line[0] == '#':
		case found == nil || slices.Contains(c.differs, found[1]):
			return c, fmt.Errorf("the heading has %q", line)
		default:
			c.differs = append(c.differs, found[1])
		}
	}
	if !strings.HasPrefix(string(archive.Comment), "# ") {
		return c, errors.New("nothing says what was recorded")
	}
	for _, f := range archive.Files {
		s, err := parseParityStep(f.Name, string(f.Data))
		if err != nil {
			return c, fmt.Errorf("step %q: %w", f.Name, err)
		}
		c.steps = append(c.steps, s)
	}
	return c, c.check()
}

// check demands steps, and that the differences of heading and steps are the same ones.
func (c parityCase) check() error {
	if len(c.steps) == 0 {
		return errors.New("no steps")
	}
	used := map[string]bool{}
	for _, s := range c.steps {
		for _, f := range s.facts {
			if f.differs != "" && !slices.Contains(c.differs, f.differs) {
				return fmt.Errorf("step %q: the heading does not declare %s", s.name, f.differs)
			}
			used[f.differs] = true
		}
	}
	for _, key := range c.differs {
		if !used[key] {
			return fmt.Errorf("no step shows the difference %s", key)
		}
	}
	return nil
}

func parseParityStep(name, text string) (parityStep, error) {
	s := parityStep{name: name}
	request, facts, ok := strings.Cut(text, "\n---\n")
	if !ok {
		return s, errors.New("no line --- between request and facts")
	}
	head, body, _ := strings.Cut(request, "\n\n")
	s.body = body
	for i, line := range strings.Split(head, "\n") {
		separator, pair := ": ", [2]string{}
		if i == 0 {
			separator = " "
		}
		if pair[0], pair[1], ok = strings.Cut(line, separator); !ok {
			return s, fmt.Errorf("the request has %q", line)
		}
		if i == 0 {
			s.method, s.target = pair[0], pair[1]
		} else {
			s.header = append(s.header, pair)
		}
	}
	if err := s.parseFacts(facts); err != nil {
		return s, err
	}
	return s, s.check()
}

// parseFacts reads the lines behind the request.
func (s *parityStep) parseFacts(text string) error {
	differs := ""
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\n\t", ""), "\n") {
		f, found := parityFact{sign: ' ', differs: differs}, keepLine.FindStringSubmatch(line)
		switch key, opens := strings.CutPrefix(line, "differs "); {
		case line == "" || line[0] == '#':
			continue
		case opens:
			differs = key
			continue
		case found != nil:
			s.keeps = append(s.keeps, parityKeep{found[1], found[2], found[3]})
			continue
		case strings.HasPrefix(line, "- "), strings.HasPrefix(line, "+ "):
			f.sign, line = line[0], line[2:]
		}
		if (f.sign == ' ') != (differs == "") {
			return fmt.Errorf("%q belongs to no difference, or stands behind one", line)
		}
		f.word, f.text, _ = strings.Cut(line, " ")
		if parityFacts[f.word] == nil {
			return fmt.Errorf("no such fact: %q", f.word)
		}
		s.facts = append(s.facts, f)
	}
	return nil
}

// bodyFacts say what the body is.
var bodyFacts = map[string]bool{"json": true, "posted": true, "text": true, "begins": true, "empty": true}

// check demands that a step says of its answer what there is to say.
func (s *parityStep) check() error {
	stated := map[string]int{}
	for _, f := range s.facts {
		switch {
		case f.sign == '-':
		case bodyFacts[f.word]:
			stated["body"]++
		default:
			stated[f.word]++
		}
	}
	if s.method == loginMethod {
		return nil
	}
	if stated["status"] != 1 || stated["body"] != 1 {
		return fmt.Errorf("%d facts about the status and %d about the body, want one each", stated["status"], stated["body"])
	}
	return nil
}
