package providertest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/template"
	"time"

	"stagedoor/providers/samltest"
)

// call is one listed request and its answer.
type call struct {
	name, method, address string
	header, form          []string // key=value, in order of the fixture
	status                int
	answer                http.Header
	body                  *template.Template
	made                  bool
}

// upstream answers the listed calls, and no others. It is safe for concurrent use.
type upstream struct {
	mu    sync.Mutex
	calls []*call
	nonce string
	now   time.Time
	// key signs id_tokens, ec those of providers and proxies that use ES256.
	key, ec Key
	// idp makes SAML documents, request is what it was asked.
	idp     *samltest.IdP
	request samltest.Request
	// unlisted are the calls that should not have been made.
	unlisted []string
}

// RoundTrip answers the first listed call that fits, preferring one that was not made yet.
func (u *upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	form, err := readForm(r)
	if err != nil {
		return nil, err
	}
	var fits *call
	for _, c := range u.calls {
		if c.fits(r, form) && (fits == nil || fits.made && !c.made) {
			fits = c
		}
	}
	if fits == nil {
		u.unlisted = append(u.unlisted, fmt.Sprintf("%s %s %v", r.Method, r.URL, form))
		return nil, fmt.Errorf("call is not listed")
	}
	fits.made = true
	var body bytes.Buffer
	if err := fits.body.Execute(&body, struct{ Nonce string }{u.nonce}); err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: fits.status, Header: fits.answer.Clone(),
		Body: io.NopCloser(&body), Request: r,
	}, nil
}

func readForm(r *http.Request) (url.Values, error) {
	if r.Body == nil {
		return url.Values{}, nil
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	return url.ParseQuery(string(b))
}

// fits demands the listed headers, and the listed form fields and no others.
func (c *call) fits(r *http.Request, form url.Values) bool {
	if c.method != r.Method || c.address != r.URL.String() || len(form) != len(c.form) {
		return false
	}
	header := func(line string) bool { k, v, _ := strings.Cut(line, "="); return fits(v, r.Header.Get(k)) }
	field := func(line string) bool { k, v, _ := strings.Cut(line, "="); return fits(v, form.Get(k)) }
	return !slices.ContainsFunc(c.header, func(l string) bool { return !header(l) }) &&
		!slices.ContainsFunc(c.form, func(l string) bool { return !field(l) })
}

func fits(want, got string) bool { return want == got || want == "*" && got != "" }

// parseCall reads an upstream file.
func (u *upstream) parseCall(name, text string) (*call, error) {
	head, answer, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	c := &call{name: name}
	c.method, c.address, _ = strings.Cut(lines[0], " ")
	for _, l := range lines[1:] {
		l = strings.TrimPrefix(l, "> ")
		if key, value, isHeader := strings.Cut(l, ": "); isHeader {
			c.header = append(c.header, key+"="+value)
		} else {
			c.form = append(c.form, l)
		}
	}
	first, body, _ := strings.Cut(answer, "\n")
	status, contentType, _ := strings.Cut(first, " ")
	c.answer = http.Header{"Content-Type": {contentType}}
	var err error
	if c.status, err = strconv.Atoi(status); err != nil {
		return nil, fmt.Errorf("read status of %s: %w", name, err)
	}
	for strings.HasPrefix(body, "< ") {
		first, body, _ = strings.Cut(body, "\n")
		key, value, _ := strings.Cut(first[len("< "):], ": ")
		c.answer.Add(key, value)
	}
	c.body, err = u.template(name, body)
	return c, err
}

func (u *upstream) template(name, text string) (*template.Template, error) {
	return template.New(name).Funcs(template.FuncMap{
		"idToken": u.idToken, "jwks": u.jwks, "ecJWKS": u.ecJWKS, "ecToken": u.ecToken, "ecPEM": u.ec.PEM,
		"samlMetadata": u.idp.Metadata, "samlResponse": u.samlResponse,
	}).Parse(text)
}

// expand makes the tokens in text.
func (u *upstream) expand(text string) (string, error) {
	t, err := u.template("text", text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, nil)
	return b.String(), err
}

// idToken is signed by the upstream's key, was issued now and lives an hour.
func (u *upstream) idToken(pairs ...string) (string, error) { return u.sign(u.key, pairs) }

// ecToken is an idToken signed with ES256.
func (u *upstream) ecToken(pairs ...string) (string, error) { return u.sign(u.ec, pairs) }

func (u *upstream) sign(key Key, pairs []string) (string, error) {
	claims := map[string]any{"iat": u.now.Unix(), "exp": u.now.Add(time.Hour).Unix()}
	for pair := range slices.Chunk(pairs, 2) {
		claims[pair[0]] = pair[1]
	}
	return key.Sign(claims)
}

// samlResponse answers the request that the suite made, to its sender, with these attributes; nameID, inResponseTo, acs and audience
// are not attributes but parts of the answer.
func (u *upstream) samlResponse(pairs ...string) (string, error) {
	a := samltest.Answer{
		InResponseTo: u.request.ID, ACS: u.request.ACS, Audience: u.request.Issuer, Attributes: map[string][]string{},
	}
	parts := map[string]*string{"nameID": &a.NameID, "inResponseTo": &a.InResponseTo, "acs": &a.ACS, "audience": &a.Audience}
	for pair := range slices.Chunk(pairs, 2) {
		if part := parts[pair[0]]; part != nil {
			*part = pair[1]
		} else {
			a.Attributes[pair[0]] = append(a.Attributes[pair[0]], pair[1])
		}
	}
	return u.idp.Encode(a)
}

func (u *upstream) jwks() (string, error) { return KeySet(u.key) }

func (u *upstream) ecJWKS() (string, error) { return KeySet(u.ec) }
