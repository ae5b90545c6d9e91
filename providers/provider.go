package providers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Provider is one configured upstream: one entry auth.providers.<id>.<env>.
type Provider interface {
	// Handle authenticates: from what the browser brought back, or from a trusted proxy's headers.
	Handle(ctx context.Context, r Request) (Result, error)
}

// Starter is a provider that a browser can be sent to. One without it is a proxy provider: its refresh calls Handle, and
// start and callback answer 501 as Backstage does.
type Starter interface {
	// Start returns where to send the browser.
	Start(ctx context.Context, in StartInput) (Redirect, error)
}

// Refresher is a provider that can renew a session.
type Refresher interface {
	// Refresh trades in.RefreshToken for a fresh Session (RFC 6749 section 6).
	//
	// Session.ExpiresIn is zero if the upstream gives no lifetime; Session.RefreshToken is empty if the old one stays
	// valid. The error is ErrExpired if the upstream no longer accepts the token, ErrUnavailable if asking again later
	// may succeed.
	//
	// The upstream may have replaced the refresh token before a later step failed. Then the Result beside the error has
	// a Session with the new token, which the caller must keep or the session is lost; any other Result is empty.
	Refresh(ctx context.Context, in RefreshInput) (Result, error)
}

// Logouter is a provider that can be told that the user leaves.
type Logouter interface {
	// Logout revokes what can be revoked, and returns the page of the upstream that the browser should visit next, if
	// there is one. The address may be returned together with an error of the revocation.
	Logout(ctx context.Context, in LogoutInput) (afterURL string, err error)
}

// Unsolicited is a provider that may sign in a user who did not start here.
type Unsolicited interface {
	// AcceptsUnsolicited is true if the config wants that.
	AcceptsUnsolicited() bool
}

// Describer is a provider that describes us to the upstream.
type Describer interface {
	// Describe returns a SAML metadata document.
	Describe() ([]byte, error)
}

// StartInput is what one sign-in asks of the upstream.
type StartInput struct {
	// State returns unchanged in Request.Query["state"]. It is opaque.
	State string
	// Scope is the final scope string, separated by single spaces.
	Scope string
	// Query is what the front end sent to our start route. A provider reads only the keys it documents.
	Query url.Values
}

// Redirect is where a sign-in continues.
type Redirect struct {
	// URL is absolute.
	URL string
	// Memo returns in Request.Memo: PKCE verifier, OIDC nonce. It travels sealed.
	Memo []byte
}

// Request is what the browser brought back, or what a proxy in front of us sent.
type Request struct {
	Query, Form url.Values
	Header      http.Header
	// Peer is who opened the connection, not whom a header names; the zero Addr if unknown, which no proxy provider trusts.
	Peer netip.Addr
	Memo []byte
}

// RefreshInput is what is known of the session to renew.
type RefreshInput struct {
	// RefreshToken is the last one the upstream gave.
	RefreshToken string
	// Scope is the final scope string that the renewed session should have.
	Scope string
	// ScopeGranted is true if every scope in Scope was granted before.
	ScopeGranted bool
	// Subject is the upstream's user id at sign-in, empty if unknown. An answer about somebody else is refused.
	Subject string
}

// LogoutInput is what is known of the session that ends.
type LogoutInput struct {
	RefreshToken, IDToken string
	// Claims are those of the sign-in, nil if they are not known.
	Claims map[string]any
	// ReturnTo is the app's address, where the upstream's logout page may lead back to.
	ReturnTo string
}

// Result is an authenticated user, as the upstream describes them.
type Result struct {
	Session Session
	Profile Profile
	// Claims are those of the verified id_token, or of the verified assertion of a proxy. UserInfo is the userinfo answer,
	// or what the upstream's own API tells about the user, under the upstream's names. Both may be nil.
	Claims, UserInfo map[string]any
	// Headers are the headers of a trusted proxy that say who the user is, and no others, under lower-case names. They are
	// for resolvers; nil for every other provider.
	Headers map[string]string
	// Info is the free-form providerInfo of a provider that has no tokens to show: a proxy, SAML. It is nil for OAuth providers,
	// whose Session is shown instead.
	Info map[string]any
	// Once is what may be presented only one time; nil if there is nothing of that kind.
	Once *Once
	// Identity is set by a provider that decides itself who the user is (guest); no resolver is asked then.
	Identity *Lookup
}

// Once is proof that is good for one sign-in: the caller remembers it over all replicas, and refuses it if it came before.
type Once struct {
	// ID is unique to the proof.
	ID string
	// Until is when the provider refuses it by itself.
	Until time.Time
}

// Session holds the upstream's tokens.
type Session struct {
	AccessToken, IDToken, RefreshToken string
	// Scope is what the upstream says it granted, separated by single spaces; empty if it does not say.
	Scope string
	// ExpiresIn is the lifetime of the access token, zero if unknown.
	ExpiresIn time.Duration
	// Subject is the upstream's user id (OIDC sub), empty if it has none.
	Subject string
}

// Profile is what the upstream tells about the person. Email is set only if the upstream vouches for it.
type Profile struct {
	Email, DisplayName, Picture string
	// Username is the upstream's login name. It is for resolvers and never leaves the server.
	Username string
}

// Setup is all that a provider gets from outside.
type Setup struct {
	// ID is the route segment and config key, Env the environment ("" for a flat entry).
	ID, Env string
	// CallbackURL is the redirect_uri.
	CallbackURL string
	// Decode reads this entry's config. Unknown keys, wrong types and missing keys are errors that name the dotted key
	// and its position.
	Decode func(into any) error
	// HTTP is the only way to the network.
	HTTP *http.Client
	Now  func() time.Time
	Log  *slog.Logger
	// Development is true where a provider may relax what protects production.
	Development bool
}

// What went wrong, where the caller branches on it.
var (
	// ErrDenied says that the user or the upstream's policy said no.
	ErrDenied = errors.New("denied by the provider")
	// ErrExpired says that the upstream will never accept this token again.
	ErrExpired = errors.New("no longer accepted by the provider")
	// ErrNoMatch says that a resolver has nothing to say about this user, and the next one should be asked.
	ErrNoMatch = errors.New("resolver does not match")
	// ErrUnavailable says that the upstream could not answer; later it may.
	ErrUnavailable = errors.New("provider unavailable")
	// ErrForbidden says that our own configuration or policy does not let this user, or anybody, in (403).
	ErrForbidden = errors.New("not allowed by the configuration")
	// ErrUnauthenticated says that the request lacks the proof of who is asking, or brings a wrong one (401).
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrInput says that the request itself is malformed (400).
	ErrInput = errors.New("malformed request")
)

// Error is a failure with a stable code. Errors of a Provider that are not an *Error are internal.
type Error struct {
	// Kind is one of the sentinels above, or nil for an answer that was refused.
	Kind error
	// Code is one of the Code constants: stable snake_case, listed by Codes.
	Code string
	// Message is for the user, as Backstage words it where it has words. It holds no token and no claim value.
	Message string
	// Err is for the log. It must not hold a token, a code or a claim value either.
	Err error
}

// Error is the line for the log.
func (e *Error) Error() string {
	s := e.Message + " [" + e.Code + "]"
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.Kind, e.Err} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// onceID names a proof by what it is and what is unique about it.
func onceID(what string, about ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(about, "\x00")))
	return what + "-" + hex.EncodeToString(sum[:])
}
