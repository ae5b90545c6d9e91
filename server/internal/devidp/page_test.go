package devidp

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// outline is what assistive technology and the keyboard find on a page.
type outline struct {
	lang, title, viewport string
	headings              int
	mains                 int
	focus                 string // The value of the button with autofocus.
	buttons               []string
	scripts               []string
	external              []string
}

func readOutline(t *testing.T, page string) outline {
	t.Helper()
	var o outline
	var inside string
	decoder := xml.NewDecoder(strings.NewReader(page))
	decoder.Strict, decoder.AutoClose, decoder.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return o
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			inside = token.Name.Local
			o.note(token)
		case xml.CharData:
			if inside == "title" {
				o.title += string(token)
			}
		case xml.EndElement:
			inside = ""
		}
	}
}

func (o *outline) note(e xml.StartElement) {
	switch e.Name.Local {
	case "html":
		o.lang = attribute(e, "lang")
	case "meta":
		if attribute(e, "name") == "viewport" {
			o.viewport = attribute(e, "content")
		}
	case "h1":
		o.headings++
	case "main":
		o.mains++
	case "script":
		o.scripts = append(o.scripts, e.Name.Local)
	case "button":
		o.buttons = append(o.buttons, attribute(e, "value"))
		if slices.ContainsFunc(e.Attr, func(a xml.Attr) bool { return a.Name.Local == "autofocus" }) {
			o.focus += attribute(e, "value")
		}
	}
	for _, name := range []string{"src", "href", "onclick"} {
		if value := attribute(e, name); value != "" {
			o.external = append(o.external, value)
		}
	}
}

func TestLoginPage(t *testing.T) {
	for _, test := range []struct{ name, hint, focus string }{
		{"first", "", "jane-doe"},
		{"hinted", "sam.poe@example.com", "sam-poe"},
		{"hinted at nobody", "x@example.com", "jane-doe"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t)
			_, page := r.loginPage(t, "login_hint", test.hint)
			want := outline{
				lang: "en", title: "Choose a person – Development sign-in", viewport: "width=device-width, initial-scale=1",
				headings: 1, mains: 1, focus: test.focus,
				buttons: []string{"jane-doe", "john-roe", "sam-poe", "unknown", "mary-moe", "1"},
			}
			if diff := cmp.Diff(want, readOutline(t, page), cmp.AllowUnexported(outline{})); diff != "" {
				t.Errorf("outline (-want +got):\n%s", diff)
			}
			for _, text := range []string{"E-mail not verified", "Not in the catalog", "Declines the sign-in", publicID} {
				if !strings.Contains(page, text) {
					t.Errorf("the page does not say %q", text)
				}
			}
		})
	}
}

func TestPageHeaders(t *testing.T) {
	r := newRig(t)
	address, _ := r.loginPage(t)
	for _, target := range []string{address, r.Issuer() + homePath, r.Issuer() + loginPath, r.Issuer() + endSessionPath} {
		response, page := r.page(t, target)
		got := map[string]string{}
		for _, name := range []string{"Cache-Control", "Content-Type", "Referrer-Policy", "X-Content-Type-Options"} {
			got[name] = response.Header.Get(name)
		}
		want := map[string]string{
			"Cache-Control": "no-store", "Content-Type": "text/html; charset=utf-8",
			"Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s headers (-want +got):\n%s", target, diff)
		}
		policy := response.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s policy is %q", target, policy)
		}
		if !strings.Contains(page, "<style>"+pageStyle+"</style>") {
			t.Errorf("%s does not hold the style that the policy allows", target)
		}
	}
}

func TestPageIsInertToNames(t *testing.T) {
	const evil = `<script>alert("1")</script>&'`
	r := newRig(t, func(o *Options) {
		o.People = []Person{{Subject: "x", Name: evil, Email: evil, Note: evil}}
	})
	_, page := r.loginPage(t)
	if got := readOutline(t, page); len(got.scripts) > 0 || len(got.buttons) != 2 {
		t.Errorf("a name became markup: %+v", got)
	}
}

func TestPersonWithoutName(t *testing.T) {
	r := newRig(t, func(o *Options) { o.People = []Person{{Subject: "x", Email: "x@example.com"}} })
	if _, page := r.loginPage(t); !strings.Contains(page, `<span class="name">x@example.com</span>`) {
		t.Error("a person without a name has no label")
	}
}
