package browsertest

import (
	"strings"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
)

// Problem is something that a page did wrong and the console shows as an error.
type Problem struct {
	// Source is "exception" for one that nobody caught, "console" for console.error, and else the part of the browser that
	// complains: "network" for a resource that did not load (a status from 400 counts), "security" for what a policy
	// forbids, and so on.
	Source string
	// Text is the message, and URL the document or resource that it is about, "" where the browser names none.
	Text, URL string
}

// IsPolicyViolation tells whether the browser refused something because of the page's Content-Security-Policy.
func (p Problem) IsPolicyViolation() bool { return strings.Contains(p.Text, "Content Security Policy") }

// Problems returns the problems of the tab since it was opened, in order. A popup's first moments, before it is attached
// to, are not part of it.
func (tab *Tab) Problems() []Problem {
	tab.browser.t.Helper()
	// Events and answers come in order: after this answer, whatever happened before it has been noted.
	Eval[bool](tab, "true")
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return append([]Problem(nil), tab.problems...)
}

// note is called with every event of the tab, one after the other.
func (tab *Tab) note(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		tab.add(exception(e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			tab.add(Problem{Source: "console", Text: arguments(e.Args)})
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			tab.add(Problem{Source: string(e.Entry.Source), Text: e.Entry.Text, URL: e.Entry.URL})
		}
	}
}

func (tab *Tab) add(p Problem) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.problems = append(tab.problems, p)
}

func exception(details *runtime.ExceptionDetails) Problem {
	text := details.Text
	if details.Exception != nil {
		text += " " + details.Exception.Description
	}
	return Problem{Source: "exception", Text: text, URL: details.URL}
}

// arguments is what the console shows of a call: strings as they are, of anything else its description.
func arguments(args []*runtime.RemoteObject) string {
	parts := make([]string, len(args))
	for i, arg := range args {
		parts[i] = strings.Trim(string(arg.Value), `"`)
		if arg.Description != "" {
			parts[i] = arg.Description
		}
	}
	return strings.Join(parts, " ")
}
