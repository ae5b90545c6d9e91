package caller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"stagedoor/server/internal/fault"
	"stagedoor/tokens"
)

// CookieName is the name of the limited-user cookie (contract/core.md R23). Session cookies have the same name on other paths.
const CookieName = "backstage-auth"

const (
	// cookieLife is what the browser's cookie must have left for a new one to be needless (contract/core.md R24).
	cookieLife = 5 * time.Minute
	// maxCookies bounds how many cookies of the name are looked at.
	maxCookies = 8
)

// Cookies issues the limited-user cookie (contract/core.md R22 to R25).
type Cookies struct {
	callers *Recogniser
	host    string
	// secure also asks for SameSite=None: plugins that show things in frames need it, and browsers want both or neither.
	secure bool
}

// NewCookies makes the cookies of the auth API at baseURL, which is absolute and as browsers see it.
func NewCookies(callers *Recogniser, baseURL string) (*Cookies, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Hostname() == "" {
		return nil, errors.New("make cookies: the address of the API is not an absolute URL")
	}
	host := strings.ToLower(u.Hostname())
	return &Cookies{callers, host, u.Scheme == "https" || host == "localhost"}, nil
}

// UserCookie is the answer of the cookie endpoint.
type UserCookie struct {
	// SetCookie is a value for the Set-Cookie header, empty if the browser's cookie is good for longer.
	SetCookie string
	// ExpiresAt is the end of the cookie that the browser then has.
	ExpiresAt time.Time
}

// Issue makes the cookie for the user behind a bearer token; existing are the values of the cookies of this name that came
// with the request. The error is a *fault.Error: those of Recogniser.Recognise, and for anything but a full user those of
// Principal.RequireUser.
//
// Differs from Backstage: a cookie of another user is replaced, however long it is good for.
func (c *Cookies) Issue(ctx context.Context, bearer string, existing []string) (UserCookie, error) {
	who, err := c.callers.recognise(ctx, bearer)
	if err != nil {
		return UserCookie{}, err
	}
	if err := who.RequireUser(); err != nil {
		return UserCookie{}, err
	}
	if end := c.longest(ctx, who.Subject, existing); !end.Before(c.callers.cfg.Now().Add(cookieLife)) {
		return UserCookie{ExpiresAt: end}, nil
	}
	value, err := limited(who.userToken)
	if err != nil {
		return UserCookie{}, fault.New(fault.Authentication, "token_proof_missing",
			"Failed to create limited user token, missing user identity proof", err)
	}
	return UserCookie{SetCookie: c.header(value, who.ExpiresAt), ExpiresAt: who.ExpiresAt}, nil
}

// Clear is a value for the Set-Cookie header that removes the cookie (contract/core.md R25). It asks for no credentials.
func (c *Cookies) Clear() string { return c.header("", time.Unix(0, 0)) }

// limited makes a limited token of a full one; what is one already stays as it is.
func limited(raw string) (string, error) {
	value, err := tokens.LimitedToken(raw)
	if errors.Is(err, tokens.ErrUnrecognised) {
		return raw, nil
	}
	if err != nil {
		return "", fmt.Errorf("limit token: %w", err)
	}
	return value, nil
}

// longest is the latest end of the user's tokens among values, the zero time if there is none.
func (c *Cookies) longest(ctx context.Context, subject string, values []string) time.Time {
	var end time.Time
	for _, v := range values[:min(len(values), maxCookies)] {
		who, err := c.callers.cfg.Users.Verify(ctx, v)
		if err == nil && who.Subject == subject && who.ExpiresAt.After(end) {
			end = who.ExpiresAt
		}
	}
	return end
}

// header writes the cookie. net/http knows neither Priority, which Backstage sends, nor an IPv6 address as a domain, which is
// left out: without a domain a cookie is the host's alone (RFC 6265 section 5.3), and an address has no subdomains.
func (c *Cookies) header(value string, expires time.Time) string {
	cookie := &http.Cookie{
		Name: CookieName, Value: value, Domain: c.host, Path: "/", Expires: expires.UTC(), HttpOnly: true, Secure: c.secure,
		SameSite: http.SameSiteLaxMode,
	}
	if c.secure {
		cookie.SameSite = http.SameSiteNoneMode
	}
	if ip := net.ParseIP(c.host); ip != nil && ip.To4() == nil {
		cookie.Domain = ""
	}
	return cookie.String() + "; Priority=High"
}
