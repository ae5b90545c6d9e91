package providers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// oauth2Client are the config keys of every plain OAuth 2.0 vendor. PKCE and Timeout are ours.
type oauth2Client struct {
	Common
	ID string `config:"clientId,required"`
	// Secret may be left out of a public client, which PKCE has to protect.
	Secret string `config:"clientSecret"`
	// PKCE sends a code challenge (RFC 7636), always S256.
	PKCE bool `config:"pkce"`
	// Timeout bounds each call; 0 means 10 seconds.
	Timeout time.Duration `config:"timeout"`
}

// oauth2Credentials is where the client's secret goes in token requests (RFC 6749 section 2.3.1).
type oauth2Credentials int

const (
	credentialsInBody oauth2Credentials = iota
	credentialsInHeader
	credentialsInBoth
	// credentialsEmpty is both as well, and the secret of a client that has none is there, empty.
	credentialsEmpty
)

func (c oauth2Client) timeout() time.Duration { return cmp.Or(c.Timeout, oidcTimeout) }

// auth checks the keys against each other.
func (c oauth2Client) auth(where oauth2Credentials, now func() time.Time) ([]*clientAuth, error) {
	methods := map[oauth2Credentials][]oidc.AuthMethod{
		credentialsInBody:   {oidc.AuthMethodPost},
		credentialsInHeader: {oidc.AuthMethodBasic},
		credentialsInBoth:   {oidc.AuthMethodPost, oidc.AuthMethodBasic},
		credentialsEmpty:    {oidc.AuthMethodPost, oidc.AuthMethodBasic},
	}[where]
	switch {
	case c.Timeout < 0:
		return nil, errors.New("timeout is negative")
	case c.Secret == "" && !c.PKCE:
		return nil, errors.New("clientSecret is missing; a public client, which has none, needs pkce: true")
	case c.Secret == "" && where != credentialsEmpty:
		methods = []oidc.AuthMethod{oidc.AuthMethodNone}
	}
	var all []*clientAuth
	for _, method := range methods {
		// Not newClientAuth, which knows no empty secret. What else it looks at is not among these methods.
		all = append(all, &clientAuth{id: c.ID, secret: c.Secret, method: method, now: now})
	}
	return all, nil
}

// checkAddress accepts an absolute http or https address, which key holds.
func checkAddress(key, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("%s is not an http or https address", key)
	}
	return nil
}

// checkHost accepts a host, perhaps with a port, which key holds and which is reached over https.
func checkHost(key, host string) error {
	u, err := url.Parse("https://" + host)
	if err != nil || u.Host != host || u.Hostname() == "" || strings.HasSuffix(host, ":") {
		return fmt.Errorf("%s is not a host: leave out https:// and the path", key)
	}
	return nil
}

// checkBase accepts an address to which paths are added, and returns it without the slash at its end.
func checkBase(key, address string) (string, error) {
	if err := checkAddress(key, address); err != nil {
		return "", err
	}
	if strings.Contains(address, "?") {
		return "", fmt.Errorf("%s must not have a query", key)
	}
	return strings.TrimRight(address, "/"), nil
}

// tokens calls the token endpoint, once; invalidGrant is what its error of that name means for the grant.
func (o *oauth2Provider) tokens(ctx context.Context, form url.Values, invalidGrant *Error) (tokenAnswer, error) {
	header := http.Header{"Accept": {"application/json"}}
	for _, auth := range o.auth {
		if err := auth.apply(header, form, o.spec.token); err != nil {
			return tokenAnswer{}, err
		}
	}
	a, err := o.upstream.post(ctx, o.spec.token, header, form)
	if err != nil {
		return tokenAnswer{}, err
	}
	return a.standard(o.spec.errors).tokens(invalidGrant)
}

// standard is a token answer as RFC 6749 has it: some vendors answer in form encoding, and have names of their own for errors.
func (a answer) standard(names map[string]string) answer {
	m, err := a.object()
	if err != nil {
		m = formObject(a.body)
	}
	if own, _ := m["error"].(string); names[own] != "" {
		m["error"] = names[own]
	}
	if m == nil {
		return a
	}
	if body, err := json.Marshal(m); err == nil {
		a.body = body
	}
	return a
}

// formObject reads a form-encoded answer; nil if it is none.
func formObject(body []byte) map[string]any {
	form, err := url.ParseQuery(string(body))
	if err != nil || !form.Has("access_token") && !form.Has("error") {
		return nil
	}
	m := map[string]any{}
	for key := range form {
		m[key] = form.Get(key)
	}
	return m
}

// readCallback returns the code of the authorization response (RFC 6749 section 4.1.2), or the *Error that it brings, in the words
// of contract/providers.md 0.5.
func (o *oauth2Provider) readCallback(q url.Values) (string, error) {
	if err := checkCallback(q); err != nil {
		return "", err
	}
	if o.spec.issuer != "" && q.Has("iss") && !o.spec.issuer.matchesAny(q.Get("iss")) {
		return "", fail(CodeCallbackIssuer, "Authentication failed, iss mismatch, expected "+string(o.spec.issuer), nil)
	}
	switch code := q.Get("code"); {
	case q.Has("error"):
		return "", oauth2CallbackError(q.Get("error"), q.Get("error_description"))
	case code == "":
		return "", fail(CodeCallback, "Unexpected redirect", nil)
	default:
		return code, nil
	}
}

func oauth2CallbackError(code, description string) *Error {
	e := callbackError(code, description)
	words := "Authentication failed, "
	if code == "access_denied" {
		words = "Authentication rejected, "
	}
	e.Message = words + oauthError(code, description)
	return e
}
