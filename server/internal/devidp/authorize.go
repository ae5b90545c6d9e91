package devidp

import (
	"net/http"
	"net/url"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// authorize checks the request and sends the browser to the login page, which is its own from here on.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	from := asker{browser: p.newBrowser(w), state: r.FormValue("state")}
	r.Form.Del("state") // op writes the state of a refused request to the log; see responseWriter.
	op.Authorize(p.response(w, from.state), r.WithContext(withAsker(r.Context(), from)), p.op)
}

func (p *Provider) loginURL(requestID string) string {
	return p.path + loginPath + "?" + url.Values{"request": {requestID}}.Encode()
}

// grant sends the browser back to the client with a code.
func (p *Provider) grant(w http.ResponseWriter, r *http.Request, request *authRequest) {
	p.forgetBrowser(w, request.browser)
	p.log.InfoContext(r.Context(), "development sign-in", "client", request.ClientID)
	op.AuthResponse(request, p.op, p.response(w, request.State), r)
}

// refuse sends the browser back to the client with an error, and ends the request.
func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, request *authRequest, why *oidc.Error) {
	p.forgetBrowser(w, request.browser)
	p.store.forgetRequest(request.id)
	op.AuthRequestError(p.response(w, request.State), r, request, why, p.op)
}

func (p *Provider) response(w http.ResponseWriter, state string) responseWriter {
	return responseWriter{ResponseWriter: w, issuer: p.issuer, state: state}
}

// responseWriter adds `state` (RFC 6749 §4.1.2) and `iss` (RFC 9207 §2) to every redirect that leaves the provider. Those to
// the login page are relative.
type responseWriter struct {
	http.ResponseWriter
	issuer, state string
}

func (w responseWriter) WriteHeader(status int) {
	to, err := url.Parse(w.Header().Get("Location"))
	if err == nil && to.IsAbs() {
		query := to.Query()
		query.Set("iss", w.issuer)
		if w.state != "" {
			query.Set("state", w.state)
		}
		to.RawQuery = query.Encode()
		w.Header().Set("Location", to.String())
	}
	if status == http.StatusFound {
		status = http.StatusSeeOther // Some clients would post the login form on to the application (RFC 9700 §4.12).
	}
	w.ResponseWriter.WriteHeader(status)
}
