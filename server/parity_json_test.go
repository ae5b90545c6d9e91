package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// valuePatterns stand for values that are new every time.
var valuePatterns = map[string]*regexp.Regexp{
	"<text>":   regexp.MustCompile(`^(?s:.+)$`),
	"<jwt>":    regexp.MustCompile(`^[\w-]+\.[\w-]+\.[\w-]+$`),
	"<uuid>":   regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`),
	"<hex>":    regexp.MustCompile(`^(?:[0-9a-f]{2})+$`),
	"<random>": regexp.MustCompile(`^[\w-]{43}$`), // 256 bits, base64url
	"<hour>":   regexp.MustCompile(`^(?:359\d|3600)$`),
	"<day>":    regexp.MustCompile(`^(?:2879\d|28800)$`), // of work
}

// numberPatterns are those of valuePatterns that stand for numbers.
var numberPatterns = map[string]bool{"<hour>": true, "<day>": true}

// matchesPattern compares a string or a number with a text, or with one of valuePatterns.
func matchesPattern(want string, got any) (bool, error) {
	if !strings.HasPrefix(want, "<") || !strings.HasSuffix(want, ">") {
		return want == got, nil
	}
	pattern := valuePatterns[want]
	if pattern == nil {
		return false, fmt.Errorf("%w: no pattern %s", errMalformed, want)
	}
	text, isText := got.(string)
	if number, isNumber := got.(json.Number); isNumber && numberPatterns[want] {
		return pattern.MatchString(number.String()), nil
	}
	return isText && !numberPatterns[want] && pattern.MatchString(text), nil
}

func decodeJSON(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return v, nil
}

// sameDocument compares whole documents.
func sameDocument(want string, got any) error {
	wanted, err := decodeJSON(want)
	if err != nil {
		return err
	}
	if wanted, err = settle(wanted, got); err != nil {
		return err
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		return fmt.Errorf("-want +got:\n%s", diff)
	}
	return nil
}

// settle puts the actual values in place of the patterns that they match.
func settle(want, got any) (any, error) {
	var errs []error
	switch w := want.(type) {
	case string:
		ok, err := matchesPattern(w, got)
		if ok {
			return got, err
		}
		return w, err
	case []any:
		g, _ := got.([]any)
		for i := range min(len(w), len(g)) {
			settled, err := settle(w[i], g[i])
			w[i], errs = settled, append(errs, err)
		}
	case map[string]any:
		g, _ := got.(map[string]any)
		for key := range w {
			settled, err := settle(w[key], g[key])
			w[key], errs = settled, append(errs, err)
		}
	}
	return want, errors.Join(errs...)
}

func (a *parityAnswer) isJSON(text string) error {
	return errors.Join(
		a.isHeader("Content-Type: application/json; charset=utf-8"),
		sameDocument(text, a.document),
	)
}

func (a *parityAnswer) isPosted(text string) error {
	origin, message, ok := strings.Cut(text, " ")
	if !ok {
		return errMalformed
	}
	return errors.Join(wantText(origin, a.target), sameDocument(message, a.document))
}

// readPage returns what the popup page posts, and to which origin: its two literals, in this order (contract/core.md P3).
func readPage(page string) (message any, target string, err error) {
	found := literals.FindAllStringSubmatch(page, -1)
	if len(found) != 2 {
		return nil, "", fmt.Errorf("a page with %d literals", len(found))
	}
	text, err := url.PathUnescape(found[0][1])
	if err != nil {
		return nil, "", err
	}
	if message, err = decodeJSON(text); err != nil {
		return nil, "", err
	}
	target, err = url.PathUnescape(found[1][1])
	return message, target, err
}

// member follows the names into a document.
func member(document any, path []string) (string, error) {
	for _, name := range path {
		object, _ := document.(map[string]any)
		document = object[name]
	}
	text, ok := document.(string)
	if !ok {
		return "", fmt.Errorf("no text at %v", path)
	}
	return text, nil
}

func (a *parityAnswer) takeCode(text string) error { return a.takeFromError("code", text) }

func (a *parityAnswer) takeAttempt(text string) error {
	if text != "" {
		return errMalformed
	}
	return a.takeFromError("attemptId", "<text>")
}

// takeFromError removes a member of the error that Backstage does not have.
func (a *parityAnswer) takeFromError(name, want string) error {
	document, _ := a.document.(map[string]any)
	failure, _ := document["error"].(map[string]any)
	got := failure[name]
	delete(failure, name)
	ok, err := matchesPattern(want, got)
	if err == nil && !ok {
		err = fmt.Errorf("error.%s is %v, want %s", name, got, want)
	}
	return err
}
