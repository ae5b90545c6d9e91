package api

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
)

// resubmitHTML sends a form once more, by itself where scripts run, else with a button. It goes to the page's own address.
//
//go:embed resubmit.html
var resubmitHTML string

var resubmitPage = template.Must(template.New("resubmit").Parse(resubmitHTML))

// resubmit is the page that sends the fields of a SAML answer again, from here (docs/saml.md).
//
// Its policy has no form-action: Chromium holds the redirects behind a form to it as well, and a sign-in may end with one to any
// allowed origin, of which patterns know more than a policy can say.
func resubmit(form url.Values) (reply, error) {
	var page bytes.Buffer
	fields := struct{ Response, RelayState string }{form.Get("SAMLResponse"), form.Get("RelayState")}
	if err := resubmitPage.Execute(&page, fields); err != nil {
		return reply{}, fmt.Errorf("render page: %w", err)
	}
	return reply{http.StatusOK, map[string]string{
		"Content-Type":            typeHTML,
		"Cache-Control":           noStore,
		"Content-Security-Policy": scriptPolicy(page.String()),
		"Referrer-Policy":         "no-referrer",
		"X-Frame-Options":         "sameorigin",
	}, page.Bytes()}, nil
}
