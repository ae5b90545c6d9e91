package signin

import (
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// StartInput is one call of the start route.
type StartInput struct {
	Provider, Env, Scope, Flow, RedirectURL string
	// Origin is nil if the query has none, which is not the same as an empty one.
	Origin *string
	// Query is the whole query, for providers that read more of it.
	Query url.Values
	// Cookies are those of the request.
	Cookies []*http.Cookie
}

// StartOutput sends the browser to the provider.
type StartOutput struct {
	URL     string
	Cookies []*http.Cookie
}

// FinishInput is one call of the callback.
type FinishInput struct {
	// Env is the query's, repeated ones joined by a comma.
	Provider, Env string
	// Query is as it was sent, repeated keys included. Form is nil unless the callback came as one; Posted is true if it came by
	// POST.
	Query, Form url.Values
	Posted      bool
	Header      http.Header
	Cookies     []*http.Cookie
}

// FinishOutput is how a sign-in ends: with a page that sends the form again if Resubmit is set, with a redirect if RedirectURL is,
// else with the page that posts Session or Err to Origin. Cookies are set in every case.
type FinishOutput struct {
	// Resubmit is true if the browser left our cookies out because a page of another site made it post the form. From a page of
	// ours it brings them along.
	Resubmit    bool
	RedirectURL string
	// Origin is where the page may post to: never empty, always allowed.
	Origin string
	// Session is nil on failure, Err on success.
	Session *SessionInfo
	Err     error
	Cookies []*http.Cookie
}

// RefreshInput is one call of the refresh route.
type RefreshInput struct {
	Provider, Env, Scope string
	// Optional asks for an empty answer instead of a 401 if nobody is signed in (design D7).
	Optional bool
	// Header gives X-Requested-With, Origin, Sec-Fetch-Site, and to proxy providers what the proxy said.
	Header http.Header
	// Peer is the address that the request came from, which decides whether a proxy is believed.
	Peer    netip.Addr
	Query   url.Values
	Cookies []*http.Cookie
}

// RefreshOutput is a refreshed session, or nothing: Session is nil if nobody is signed in and the caller did not mind.
// Cookies are set whether or not there is an error beside it.
type RefreshOutput struct {
	Session *SessionInfo
	Cookies []*http.Cookie
}

// LogoutInput is one call of the logout route.
type LogoutInput struct {
	Provider, Env string
	Header        http.Header
	Cookies       []*http.Cookie
}

// LogoutOutput is how a session ended. LogoutURL is empty unless the browser should visit the provider as well.
// Cookies are set whether or not there is an error beside it.
type LogoutOutput struct {
	LogoutURL string
	Cookies   []*http.Cookie
}

// SessionInfo is what the front end is told of a session (contract/core.md section 4.1). Nil and zero members are left out of
// the JSON.
type SessionInfo struct {
	Profile      ProfileInfo
	ProviderInfo *ProviderInfo
	Identity     *Identity
}

// ProfileInfo is the person, as the provider describes them.
type ProfileInfo struct{ Email, DisplayName, Picture string }

// ProviderInfo is the provider's tokens, or for proxy providers whatever Extra holds instead.
type ProviderInfo struct {
	AccessToken, IDToken, Scope string
	// ExpiresIn is zero if the provider gives no lifetime.
	ExpiresIn time.Duration
	// Extra replaces the other members if it is not nil.
	Extra map[string]any
}

// Identity is the user in the portal.
type Identity struct {
	Token     string
	ExpiresIn time.Duration
	UserRef   string
	Ownership []string
}

// Description is one configured provider, for those who build a sign-in page.
type Description struct {
	ID, Type, Title string
	// Environments are the values that env may take, sorted; empty for a provider without environments.
	Environments []string
	// Flows are popup and redirect, or proxied.
	Flows []string
}
