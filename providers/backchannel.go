package providers

import (
	"context"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// backchannel.go: the provider tells this server, without a browser, that a session there has ended. Docs: OpenID Connect Back-Channel
// Logout 1.0.

// BackchannelLogouter is a provider that may tell by itself that a user has left.
type BackchannelLogouter interface {
	// ReadLogoutToken verifies a logout token (OpenID Connect Back-Channel Logout 1.0 section 2.6). The error is an *Error of
	// kind ErrInput if the token is refused, of ErrUnavailable if it cannot be checked now.
	ReadLogoutToken(ctx context.Context, raw string) (LogoutToken, error)
}

// LogoutToken says whose sessions have ended.
type LogoutToken struct {
	// Subject is the user's id at the provider, SessionID the provider's id of one session. One of them may be empty; with both, it is
	// that session alone.
	Subject, SessionID string
	// Once tells the same token again.
	Once Once
}

const (
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
	// logoutTokenLife is how old a logout token may be: section 2.7 recommends two minutes.
	logoutTokenLife = 2 * time.Minute
)

// ReadLogoutToken holds the token to what an id_token of this client would be, and to what makes it none.
func (o *oidcProvider) ReadLogoutToken(ctx context.Context, raw string) (LogoutToken, error) {
	party, err := o.discovery.current(ctx)
	if err != nil {
		return LogoutToken{}, err
	}
	claims, err := verifyJWT(ctx, raw, jose.SignatureAlgorithm(o.config.Alg), party.keys, "logout token")
	if err != nil {
		return LogoutToken{}, refusedLogout(err)
	}
	check := idTokenCheck{issuer: party.issuer, clientID: o.config.ID, now: o.now()}
	for _, c := range []func(map[string]any) error{check.checkIssuer, check.checkAudience, check.checkTimes, checkLogoutEvent} {
		if err := c(claims); err != nil {
			return LogoutToken{}, refusedLogout(err)
		}
	}
	return o.logoutToken(claims)
}

// checkLogoutEvent wants the event, and no nonce: an id_token must not pass for a logout token.
func checkLogoutEvent(claims map[string]any) error {
	events, _ := claims["events"].(map[string]any)
	if _, is := events[logoutEvent].(map[string]any); !is {
		return fail(CodeLogoutToken, "the token is not about a logout", nil)
	}
	if _, there := claims["nonce"]; there {
		return fail(CodeLogoutToken, "the token has a nonce, as only an id_token has", nil)
	}
	return nil
}

func (o *oidcProvider) logoutToken(claims map[string]any) (LogoutToken, error) {
	t := LogoutToken{Subject: member(claims, "sub"), SessionID: member(claims, "sid")}
	id := member(claims, "jti")
	issued, _ := dateOf(claims, "iat")
	switch {
	case t.Subject == "" && t.SessionID == "" || id == "":
		return LogoutToken{}, refusedLogout(fail(CodeLogoutToken, "the token has no jti, or neither sub nor sid", nil))
	case o.now().Sub(issued) > logoutTokenLife+clockSkew:
		return LogoutToken{}, refusedLogout(fail(CodeLogoutToken, "the token is too old", nil))
	}
	t.Once = Once{ID: onceID("logout", o.config.MetadataURL, o.config.ID, id), Until: issued.Add(logoutTokenLife + clockSkew)}
	return t, nil
}

// refusedLogout is what was found wrong, as a mistake of the request.
func refusedLogout(err error) error {
	e, ok := err.(*Error)
	if !ok || e.Kind == ErrUnavailable {
		return err
	}
	own := *e
	own.Kind = ErrInput
	return &own
}
