package devidp

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"
	"unicode/utf8"
)

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle string

var pages = template.Must(template.New("page").Funcs(template.FuncMap{"title": newTop}).Parse(pageSource))

// top is what the head of every page needs.
type top struct {
	Title string
	Style template.CSS
}

func newTop(title string, style template.CSS) top { return top{title, style} }

// pagePolicy lets the page have its own style and nothing else: no script, no image, no frame. There is no form-action,
// since browsers hold it against every redirect after the form, and the last of those goes where only the application knows.
var pagePolicy = "default-src 'none'; style-src 'sha256-" + styleHash() + "'; base-uri 'none'; frame-ancestors 'none'"

func styleHash() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// loginView is what the login page shows.
type loginView struct {
	Client, Action, Request string
	People                  []personView
}

type personView struct {
	Person
	Initials string
	Notes    []string
	Focus    bool
}

type noticeView struct{ Heading, Text string }

type homeView struct{ Name, SignOut string }

func (p *Provider) loginView(request authRequest) loginView {
	view := loginView{Client: request.ClientID, Action: p.path + loginPath, Request: request.id}
	focus := 0
	for i, person := range p.people {
		if request.LoginHint != "" && (request.LoginHint == person.Email || request.LoginHint == person.Subject) {
			focus = i
		}
		view.People = append(view.People, personView{Person: person, Initials: initials(person), Notes: notes(person)})
	}
	view.People[focus].Focus = true
	return view
}

// Label is the name, or the e-mail address of somebody without one.
func (v personView) Label() string {
	if v.Name == "" {
		return v.Email
	}
	return v.Name
}

func notes(p Person) []string {
	var all []string
	if p.Note != "" {
		all = append(all, p.Note)
	}
	if !p.EmailVerified {
		all = append(all, "E-mail not verified")
	}
	if p.Declines {
		all = append(all, "Declines the sign-in")
	}
	return all
}

func initials(p Person) string {
	var out strings.Builder
	for i, word := range strings.Fields(p.Name) {
		if first, _ := utf8.DecodeRuneInString(word); i < 2 {
			out.WriteRune(first)
		}
	}
	return out.String()
}

// home says who is signed in at the provider, and lets them sign out.
func (p *Provider) home(w http.ResponseWriter, r *http.Request) {
	view := homeView{SignOut: p.path + endSessionPath}
	if signedIn, ok := p.session(r); ok {
		view.Name = personView{Person: p.store.people[signedIn.subject]}.Label()
	}
	p.render(w, http.StatusOK, "home", view)
}

func (p *Provider) notice(w http.ResponseWriter, status int, heading, text string) {
	p.render(w, status, "notice", noticeView{heading, text})
}

func (p *Provider) render(w http.ResponseWriter, status int, name string, view any) {
	var page bytes.Buffer
	err := pages.ExecuteTemplate(&page, name, struct {
		Style template.CSS
		View  any
	}{template.CSS(pageStyle), view})
	if err != nil {
		p.log.Error("render development page", "page", name, "error", err)
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", pagePolicy)
	// The login form must tell its origin, which no-referrer would turn into "null".
	header.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // The browser has gone; nobody is left to tell.
}
