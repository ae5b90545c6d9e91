package devidp

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Denied is the person whom Login takes for the button that denies the sign-in.
const Denied = "deny"

// The longest way through Login is start, authorize, login page, answer.
const maxHops = 10

var (
	errNoWay    = errors.New("the way ended before the redirect URI")
	errNoPerson = errors.New("the login page has no button for the person")
)

// Login walks from startURL through the login page as a browser does: it follows redirects, presses the button of person (a
// subject or an e-mail address, or Denied) and returns the address of the application's callback, code and state included,
// without calling it. startURL is the authorization URL, or any page that redirects there. Cookies go into client.Jar, which
// must be set, and which a browser that is signed in brings along: then no button is pressed.
func Login(client *http.Client, startURL, person string) (callbackURL string, err error) {
	walker := walk{client: *client}
	walker.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	request, err := http.NewRequest(http.MethodGet, startURL, http.NoBody)
	for range maxHops {
		if err != nil {
			return "", fmt.Errorf("walk to login page: %w", err)
		}
		walker.noteCallback(request.URL)
		if walker.isCallback(request.URL) {
			return request.URL.String(), nil
		}
		request, err = walker.step(request, person)
	}
	return "", errNoWay
}

type walk struct {
	client   http.Client
	callback *url.URL
}

func (w *walk) noteCallback(at *url.URL) {
	if to, err := url.Parse(at.Query().Get("redirect_uri")); err == nil && to.IsAbs() {
		w.callback = to
	}
}

func (w *walk) isCallback(at *url.URL) bool {
	return w.callback != nil && at.Scheme == w.callback.Scheme && at.Host == w.callback.Host && at.Path == w.callback.Path
}

// step makes one request and returns the next one: where the answer redirects, or the answer to its form.
func (w *walk) step(request *http.Request, person string) (*http.Request, error) {
	response, err := w.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if to, err := response.Location(); err == nil {
		return http.NewRequestWithContext(request.Context(), http.MethodGet, to.String(), http.NoBody)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answer %s of %s: %w", response.Status, request.URL.Path, errNoWay)
	}
	form, err := readForm(response.Body)
	if err != nil {
		return nil, err
	}
	return form.press(request, person)
}

// loginForm is the form of the login page. Each button is its name and value, and the text that it shows.
type loginForm struct {
	action  string
	hidden  url.Values
	buttons []button
}

type button struct{ name, value, text string }

// readForm reads the one form of the page, which is well-formed enough for a lenient XML reader.
func readForm(page io.Reader) (loginForm, error) {
	form := loginForm{hidden: url.Values{}}
	decoder := xml.NewDecoder(page)
	decoder.Strict, decoder.AutoClose, decoder.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return form, nil
		}
		if err != nil {
			return form, fmt.Errorf("read login page: %w", err)
		}
		form.note(token)
	}
}

func (f *loginForm) note(token xml.Token) {
	switch t := token.(type) {
	case xml.StartElement:
		switch t.Name.Local {
		case "form":
			f.action = attribute(t, "action")
		case "input":
			f.hidden.Set(attribute(t, "name"), attribute(t, "value"))
		case "button":
			f.buttons = append(f.buttons, button{name: attribute(t, "name"), value: attribute(t, "value")})
		}
	case xml.CharData:
		if last := len(f.buttons) - 1; last >= 0 {
			f.buttons[last].text += string(t) + " "
		}
	}
}

func attribute(t xml.StartElement, name string) string {
	i := slices.IndexFunc(t.Attr, func(a xml.Attr) bool { return a.Name.Local == name })
	if i < 0 {
		return ""
	}
	return t.Attr[i].Value
}

func (f loginForm) press(page *http.Request, person string) (*http.Request, error) {
	i := slices.IndexFunc(f.buttons, func(b button) bool { return b.is(person) })
	if i < 0 {
		return nil, errNoPerson
	}
	action, err := page.URL.Parse(f.action)
	if err != nil {
		return nil, fmt.Errorf("parse form action: %w", err)
	}
	f.hidden.Set(f.buttons[i].name, f.buttons[i].value)
	body := strings.NewReader(f.hidden.Encode())
	next, err := http.NewRequestWithContext(page.Context(), http.MethodPost, action.String(), body)
	if err != nil {
		return nil, fmt.Errorf("answer login page: %w", err)
	}
	next.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	next.Header.Set("Origin", action.Scheme+"://"+action.Host)
	return next, nil
}

func (b button) is(person string) bool {
	if person == Denied {
		return b.name == Denied
	}
	return b.name == "person" && (b.value == person || slices.Contains(strings.Fields(b.text), person))
}
