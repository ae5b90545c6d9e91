package signin

import (
	"net/http"
	"slices"

	"stagedoor/providers"
	"stagedoor/server/internal/fault"
)

// posted.go: callbacks that come as a form which the provider's page posts (SAML's HTTP-POST binding). The browser leaves cookies
// with SameSite=Lax out of such a request. So that the sign-in still ends in the browser in which it began, the form is sent once
// more, from a page of ours.

// againField marks a form that our page has sent.
const againField = "again"

// checkForm refuses a callback in another form than the kind's.
func checkForm(e *Entry, in FinishInput) error {
	switch {
	case e.Kind.StateField == "" || in.Form != nil:
		return nil
	case in.Posted:
		return fault.New(fault.UnsupportedMediaType, "media_type_unsupported", "The callback of this provider is a form", nil)
	default:
		return fault.New(fault.MethodNotAllowed, "method_not_allowed", "The callback of this provider comes by POST", nil)
	}
}

// state is where the kind's upstream puts it.
func (in FinishInput) state(e *Entry) string {
	if field := e.Kind.StateField; field != "" {
		return in.Form.Get(field)
	}
	return in.Query.Get("state")
}

// lacksCookies reports whether the form may have come without the cookie of its transaction because of where it came from.
func (in FinishInput) lacksCookies(e *Entry, state string) bool {
	if e.Kind.StateField == "" || in.Form.Has(againField) || !looksLikeState(state) {
		return false
	}
	name := transactionName(e.ID, state)
	return !slices.ContainsFunc(in.Cookies, func(c *http.Cookie) bool { return c.Name == name })
}

// unsolicited is the transaction of a sign-in that did not start here, if it is at a provider that may begin one: then the state is
// none of ours. Nobody's window waits for what the config allows, so it ends in the app. What it does not allow the provider refuses.
func (f *Flow) unsolicited(in FinishInput, state string) (tx transaction, ok bool) {
	e, err := f.entry(in.Provider, in.Env)
	if err != nil || looksLikeState(state) {
		return transaction{}, false
	}
	p, ok := e.Provider.(providers.Unsolicited)
	if ok && p.AcceptsUnsolicited() {
		tx.RedirectURL = f.cfg.AppURL
	}
	tx.Env = e.Env
	return tx, ok
}

var errUsedBefore = fault.New(fault.NotAllowed, "saml_replayed", "This proof of a sign-in was used before", nil)
