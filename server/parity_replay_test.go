package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"strings"
	"testing"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/devidp"
)

// loginMethod is that of a step in which somebody signs in at the provider.
const loginMethod = "LOGIN"

// replay speaks one case.
type replay struct {
	t      *testing.T
	client *apitest.Client
	base   string
	// kept are the values of {names}.
	kept map[string]string
}

// run replays the steps in order. A later one needs what an earlier one kept, so the first that fails is the last.
func (r *replay) run(c parityCase) {
	r.t.Helper()
	for _, s := range c.steps {
		a, err := r.send(s)
		if err != nil {
			r.t.Fatalf("step %q: %v", s.name, err)
		}
		if err := r.judge(s, a); err != nil {
			r.t.Errorf("step %q: %v\nanswer: %d %v\n%s", s.name, err, a.Status, a.Header, a.Body)
		}
		for _, k := range s.keeps {
			if r.kept[k.name], err = a.value(k.what, k.text); err != nil {
				r.t.Fatalf("step %q: keep {%s}: %v", s.name, k.name, err)
			}
		}
	}
}

var placeholder = regexp.MustCompile(`\{[a-z-]+\}`)

// fill puts the kept values in.
func (r *replay) fill(text string) (string, error) {
	var err error
	filled := placeholder.ReplaceAllStringFunc(text, func(name string) string {
		value, ok := r.kept[strings.Trim(name, "{}")]
		if !ok {
			err = fmt.Errorf("nothing was kept as %s", name)
		}
		return value
	})
	return filled, err
}

// send makes the request of a step.
func (r *replay) send(s parityStep) (*parityAnswer, error) {
	target, err := r.fill(s.target)
	if err != nil {
		return nil, err
	}
	if s.method == loginMethod {
		return r.login(target)
	}
	var edits []func(*http.Request)
	if s.body != "" {
		edits = append(edits, apitest.Body("", s.body))
	}
	for _, h := range s.header {
		value, err := r.fill(h[1])
		if err != nil {
			return nil, err
		}
		edits = append(edits, func(q *http.Request) { q.Header.Set(h[0], value) })
	}
	return newParityAnswer(r.client.Send(s.method, strings.TrimPrefix(target, r.base), edits...))
}

// login signs a person in at the provider, in a new browser, and answers where that sends it.
func (r *replay) login(target string) (*parityAnswer, error) {
	person, address, _ := strings.Cut(target, " ")
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	to, err := devidp.Login(&http.Client{Jar: jar}, address, person)
	if err != nil {
		return nil, err
	}
	return newParityAnswer(apitest.Response{Header: http.Header{"Location": {to}}})
}

// judge holds all facts against an answer.
func (r *replay) judge(s parityStep, a *parityAnswer) error {
	var errs []error
	for _, first := range []bool{true, false} {
		for _, f := range s.facts {
			// What only we put into an error is taken out before its recorded members are compared.
			if first == (f.word == "code" || f.word == "attempt") {
				errs = append(errs, r.judgeFact(f, a))
			}
		}
	}
	if s.method != loginMethod {
		errs = append(errs, a.checkUsualHeaders(s.facts))
	}
	return errors.Join(append(errs, a.checkUnstated())...)
}

func (r *replay) judgeFact(f parityFact, a *parityAnswer) error {
	text, err := r.fill(f.text)
	if err != nil {
		return err
	}
	if f.sign == '-' {
		a = a.untouched()
	}
	err = parityFacts[f.word](a, text)
	switch {
	case f.sign != '-' || errors.Is(err, errMalformed):
		return f.explain(err)
	case err == nil:
		return fmt.Errorf("the difference %s is gone: %s %s", f.differs, f.word, f.text)
	}
	return nil
}

// explain names the fact that failed.
func (f parityFact) explain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%c %s: %w", f.sign, f.word, err)
}
