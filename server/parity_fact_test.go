package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"stagedoor/server/internal/api/apitest"
)

// errMalformed is a fact that cannot be read, which is neither true nor false.
var errMalformed = errors.New("malformed fact")

// parityFacts are what a case can say of an answer. Whatever Set-Cookie or parameter of a location nobody states is an error.
var parityFacts = map[string]func(*parityAnswer, string) error{
	"status":    (*parityAnswer).isStatus,    // 200
	"header":    (*parityAnswer).isHeader,    // Name: value
	"match":     (*parityAnswer).matchHeader, // Name: regular expression for the whole value
	"absent":    (*parityAnswer).lacksHeader, // Name
	"cookie":    (*parityAnswer).setsCookie,  // regular expression for the name: value; Attribute=value; Attribute
	"location":  (*parityAnswer).isLocation,  // address without query
	"parameter": (*parityAnswer).isParameter, // name: value, of the location's query
	"json":      (*parityAnswer).isJSON,      // the body
	"posted":    (*parityAnswer).isPosted,    // origin message, of the popup page
	"text":      (*parityAnswer).isText,      // the body
	"begins":    (*parityAnswer).begins,      // the body's beginning
	"empty":     (*parityAnswer).isEmpty,     // there is no body
	"code":      (*parityAnswer).takeCode,    // error.code of body or message, which are compared without it then
	"attempt":   (*parityAnswer).takeAttempt, // error.attemptId, likewise
}

// usualHeaders were recorded on every answer, unless its case has a fact about them.
var usualHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'self';base-uri 'self';font-src 'self' https: data:;frame-ancestors 'self';" +
		"img-src 'self' data:;object-src 'none';script-src 'self' 'unsafe-eval';script-src-attr 'none';" +
		"style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests;connect-src 'self' http: https:",
	"Referrer-Policy":                   "no-referrer",
	"Strict-Transport-Security":         "max-age=15552000; includeSubDomains",
	"X-Content-Type-Options":            "nosniff",
	"X-DNS-Prefetch-Control":            "off",
	"X-Download-Options":                "noopen",
	"X-Frame-Options":                   "SAMEORIGIN",
	"X-Permitted-Cross-Domain-Policies": "none",
	"X-XSS-Protection":                  "0",
}

// parityAnswer is an answer and what was made of it.
type parityAnswer struct {
	apitest.Response
	location *url.URL
	// document is the JSON body, or the message that the popup page posts to the origin target.
	document any
	target   string
	// stated are the Set-Cookie headers and parameters that a fact was about.
	stated map[string]bool
}

func newParityAnswer(res apitest.Response) (*parityAnswer, error) {
	a := &parityAnswer{Response: res, stated: map[string]bool{}}
	var err error
	if a.location, err = url.Parse(res.Header.Get("Location")); err != nil {
		return nil, err
	}
	switch kind := res.Header.Get("Content-Type"); {
	case len(res.Body) == 0:
	case strings.HasPrefix(kind, "application/json"):
		a.document, err = decodeJSON(string(res.Body))
	case strings.HasPrefix(kind, "text/html") && strings.Contains(string(res.Body), "<script>"):
		a.document, a.target, err = readPage(string(res.Body))
	}
	return a, err
}

// untouched is the answer as if nothing was stated about it.
func (a *parityAnswer) untouched() *parityAnswer {
	own := *a
	own.stated = map[string]bool{}
	return &own
}

func (a *parityAnswer) isStatus(text string) error { return wantText(text, strconv.Itoa(a.Status)) }

func (a *parityAnswer) headerValue(name string) string {
	return strings.Join(a.Header.Values(name), ", ")
}

func (a *parityAnswer) isHeader(text string) error {
	name, value, ok := strings.Cut(text, ": ")
	if !ok {
		return errMalformed
	}
	return wantText(value, a.headerValue(name))
}

func (a *parityAnswer) matchHeader(text string) error {
	name, pattern, ok := strings.Cut(text, ": ")
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	if !ok || err != nil {
		return errMalformed
	}
	if got := a.headerValue(name); !re.MatchString(got) {
		return fmt.Errorf("%s is %q", name, got)
	}
	return nil
}

func (a *parityAnswer) lacksHeader(name string) error { return wantText("", a.headerValue(name)) }

// checkUsualHeaders passes over the headers that the step's own facts name.
func (a *parityAnswer) checkUsualHeaders(own []parityFact) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(usualHeaders)) {
		named := slices.ContainsFunc(own, func(f parityFact) bool {
			header, _, _ := strings.Cut(f.text, ":")
			return (f.word == "header" || f.word == "match" || f.word == "absent") && strings.EqualFold(header, name)
		})
		if err := wantText(usualHeaders[name], a.headerValue(name)); err != nil && !named {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// setsCookie finds a Set-Cookie that no other fact is about. The attributes must be the same ones; only when a cookie expires
// is not compared.
func (a *parityAnswer) setsCookie(text string) error {
	pattern, rest, ok := strings.Cut(text, ": ")
	name, err := regexp.Compile("^(?:" + pattern + ")$")
	if !ok || err != nil {
		return errMalformed
	}
	want := strings.Split(rest, "; ")
	slices.Sort(want[1:])
	for i, line := range a.Header["Set-Cookie"] {
		gotName, value, attributes := readSetCookie(line)
		key := "cookie " + strconv.Itoa(i)
		if a.stated[key] || !name.MatchString(gotName) || !slices.Equal(attributes, want[1:]) {
			continue
		}
		same, err := matchesPattern(want[0], value)
		if err != nil {
			return err
		}
		if same {
			a.stated[key] = true
			return nil
		}
	}
	return fmt.Errorf("no such cookie in %q", a.Header["Set-Cookie"])
}

// readSetCookie returns the attributes sorted, Expires without its value.
func readSetCookie(line string) (name, value string, attributes []string) {
	attributes = strings.Split(line, "; ")
	name, value, _ = strings.Cut(attributes[0], "=")
	attributes = attributes[1:]
	for i, attribute := range attributes {
		if strings.HasPrefix(attribute, "Expires=") {
			attributes[i] = "Expires"
		}
	}
	slices.Sort(attributes)
	return name, value, attributes
}

func (a *parityAnswer) isLocation(text string) error {
	u := *a.location
	u.RawQuery = ""
	a.stated["location"] = true
	return wantText(text, u.String())
}

func (a *parityAnswer) isParameter(text string) error {
	name, want, ok := strings.Cut(text, ": ")
	if !ok {
		return errMalformed
	}
	a.stated["parameter "+name] = true
	values := a.location.Query()[name]
	if len(values) != 1 {
		return fmt.Errorf("%s has the values %q", name, values)
	}
	same, err := matchesPattern(want, values[0])
	if err == nil && !same {
		err = fmt.Errorf("%s is %q, want %s", name, values[0], want)
	}
	return err
}

// checkUnstated finds what the answer has and no fact is about.
func (a *parityAnswer) checkUnstated() error {
	var errs []error
	for i, line := range a.Header["Set-Cookie"] {
		if !a.stated["cookie "+strconv.Itoa(i)] {
			errs = append(errs, fmt.Errorf("no fact is about Set-Cookie: %s", line))
		}
	}
	for name := range a.location.Query() {
		if a.stated["location"] && !a.stated["parameter "+name] {
			errs = append(errs, fmt.Errorf("no fact is about the parameter %s", name))
		}
	}
	return errors.Join(errs...)
}

func (a *parityAnswer) isText(text string) error { return wantText(text, string(a.Body)) }

func (a *parityAnswer) begins(text string) error {
	return wantText(text, string(a.Body[:min(len(text), len(a.Body))]))
}

func (a *parityAnswer) isEmpty(text string) error {
	if text != "" {
		return errMalformed
	}
	return wantText("", string(a.Body))
}

// value is what a step keeps: "location", "parameter name", "header name", "member path.in.the.document", "cut" of a member,
// which is all but its last four characters, or "cookie name-pattern", which is the pair of name and value, ready to be sent.
func (a *parityAnswer) value(what, text string) (string, error) {
	switch what {
	case "location":
		return a.location.String(), nil
	case "parameter":
		return a.location.Query().Get(text), nil
	case "header":
		return a.headerValue(text), nil
	case "member":
		return member(a.document, strings.Split(text, "."))
	case "cut":
		whole, err := member(a.document, strings.Split(text, "."))
		return whole[:max(0, len(whole)-4)], err
	case "cookie":
		return a.cookiePair(text)
	}
	return "", errMalformed
}

// cookiePair finds the first cookie of the name that is set and not removed.
func (a *parityAnswer) cookiePair(pattern string) (string, error) {
	name, err := regexp.Compile("^(?:" + pattern + ")$")
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(a.Cookies, func(c *http.Cookie) bool { return c.MaxAge > 0 && name.MatchString(c.Name) })
	if i < 0 {
		return "", errors.New("no such cookie")
	}
	return a.Cookies[i].Name + "=" + a.Cookies[i].Value, nil
}

func wantText(want, got string) error {
	if got != want {
		return fmt.Errorf("got %q, want %q", got, want)
	}
	return nil
}
