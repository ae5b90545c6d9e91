package providers

import (
	"net/url"
	"strings"
)

// readCallback returns the code of the authorization response (RFC 6749 section 4.1.2), or the *Error that it brings.
func readCallback(q url.Values, p *oidcParty) (code string, err error) {
	if err := checkCallback(q); err != nil {
		return "", err
	}
	if err := checkIssParameter(q, p); err != nil {
		return "", err
	}
	switch code := q.Get("code"); {
	case q.Has("error"):
		return "", callbackError(q.Get("error"), q.Get("error_description"))
	case code == "":
		return "", fail(CodeCallback, "Authentication rejected, code missing from response", nil)
	default:
		return code, nil
	}
}

// checkCallback refuses what can be read in two ways.
func checkCallback(q url.Values) error {
	for _, name := range []string{"code", "error", "error_description", "iss", "state"} {
		if len(q[name]) > 1 {
			return fail(CodeCallback, "Authentication rejected, "+name+" is repeated in the response", nil)
		}
	}
	if q.Get("code") != "" && q.Has("error") {
		return fail(CodeCallback, "Authentication rejected, both code and error in the response", nil)
	}
	return nil
}

// checkIssParameter keeps a code of one provider from being sent to another (RFC 9207 section 2.4).
//
// Differs from Backstage: the message does not repeat the foreign issuer, which is whatever the sender of a link wanted.
func checkIssParameter(q url.Values, p *oidcParty) error {
	switch {
	case !q.Has("iss") && p.meta.IssParameter:
		return fail(CodeCallbackIssuer, "Authentication rejected, iss missing from the response", nil)
	case q.Has("iss") && !p.issuer.matchesAny(q.Get("iss")):
		return fail(CodeCallbackIssuer, "Authentication rejected, iss mismatch, expected "+string(p.issuer), nil)
	}
	return nil
}

// callbackError sorts the provider's error codes (RFC 6749 section 4.1.2.1, OpenID Connect Core section 3.1.2.6). The
// opening words follow contract/providers.md 0.5.
func callbackError(code, description string) *Error {
	words := "Authentication rejected, "
	if code == "server_error" || strings.HasPrefix(code, "invalid") {
		words = "Authentication failed, "
	}
	e := &Error{Code: CodeRefused, Message: words + oauthError(code, description)}
	switch code {
	case "access_denied":
		e.Kind, e.Code = ErrDenied, CodeDenied
	case "login_required", "interaction_required", "consent_required", "account_selection_required":
		e.Kind, e.Code = ErrDenied, CodeLoginRequired
	case "server_error", "temporarily_unavailable":
		e.Kind, e.Code = ErrUnavailable, CodeUpstream
	}
	return e
}
