package providers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"
)

// cfaccess.go: behind Cloudflare Access. Docs: contract/providers.md 3.3.
//
// Deviations: a token that is not good is a 401, where Backstage answers 500; an identity that is about somebody else than
// the token is refused; identities are remembered for five minutes, where Backstage keeps them as long as its cache does.

func init() {
	register(Kind{ID: "cfaccess", Title: "Cloudflare Access", Flat: true, New: newCFAccess, Resolvers: resolversFor("cfaccess")})
}

var _ Provider = (*cfaccess)(nil)

// cfaccessConfig are the keys of auth.providers.cfaccess.
type cfaccessConfig struct {
	proxyConfig
	// Team is the part of <team>.cloudflareaccess.com.
	Team string `config:"teamName,required"`
	// Audience is the application's AUD tag.
	Audience string `config:"audience,required"`
	// Services are the service tokens that may sign in.
	Services []cfaccessService `config:"serviceTokens"`
	// Header and Cookie hold the token; empty means cf-access-jwt-assertion and CF_Authorization.
	Header string `config:"jwtHeaderName"`
	Cookie string `config:"authorizationCookieName"`
}

// cfaccessService is one service token: its client id, and the email that stands for it.
type cfaccessService struct {
	Token   string `config:"token,required"`
	Subject string `config:"subject,required"`
}

const (
	cfaccessHeader  = "cf-access-jwt-assertion"
	cfaccessCookie  = "CF_Authorization"
	cfaccessFailure = "The token of Cloudflare Access is not valid"
	// cfaccessLife is how long an identity is believed; cfaccessMost is how many are.
	cfaccessLife, cfaccessMost = 5 * time.Minute, 4096
)

var cfaccessTeam = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

type cfaccess struct {
	config   cfaccessConfig
	base     string
	upstream *upstream
	keys     assertionKeys
	check    assertionCheck
	now      func() time.Time

	flight     singleflight.Group
	mu         sync.Mutex
	identities map[string]cfaccessIdentity
}

type cfaccessIdentity struct {
	identity map[string]any
	read     time.Time
}

func newCFAccess(s Setup) (Provider, error) {
	var c cfaccessConfig
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	c.Header, c.Cookie = cmp.Or(c.Header, cfaccessHeader), cmp.Or(c.Cookie, cfaccessCookie)
	if !cfaccessTeam.MatchString(c.Team) {
		return nil, errors.New("teamName is not the first part of <team>.cloudflareaccess.com")
	}
	if err := checkHeaderName("jwtHeaderName", c.Header); err != nil {
		return nil, err
	}
	base, u := "https://"+c.Team+".cloudflareaccess.com", newUpstream(s.HTTP, proxyTimeout)
	return &cfaccess{
		config: c, base: base, upstream: u, now: s.Now, identities: map[string]cfaccessIdentity{},
		keys:  assertionKeys{jose.RS256: newKeySet(u, base+"/cdn-cgi/access/certs", jose.RS256, s.Now)},
		check: assertionCheck{message: cfaccessFailure, issuer: base, audience: c.Audience, skew: clockSkew, issuedAt: true},
	}, nil
}

// Handle signs in the user, or the service, whom the token names. The token is verified every time.
func (c *cfaccess) Handle(ctx context.Context, r Request) (Result, error) {
	raw, err := c.token(r.Header)
	if err != nil {
		return Result{}, err
	}
	claims, err := c.keys.open(ctx, raw, cfaccessFailure)
	if err == nil {
		err = c.check.check(claims, c.now())
	}
	if err != nil {
		return Result{}, err
	}
	identity, err := c.identity(ctx, claims, raw)
	if err != nil {
		return Result{}, err
	}
	return cfaccessResult(claims, identity, raw), nil
}

func cfaccessResult(claims, identity map[string]any, raw string) Result {
	exp, _ := claims["exp"].(float64)
	iat, _ := claims["iat"].(float64)
	return Result{
		Session: Session{Subject: cmp.Or(member(claims, "sub"), member(claims, "common_name"))},
		Profile: Profile{Email: member(identity, "email"), DisplayName: member(identity, "name")},
		Claims:  claims, UserInfo: identity,
		Info: map[string]any{"claims": claims, "cfIdentity": identity, "expiresInSeconds": exp - iat, "token": raw},
	}
}

// token is in the header, or else in the cookie.
func (c *cfaccess) token(h http.Header) (string, error) {
	raw, err := soleHeader(h, c.config.Header)
	if err != nil || raw != "" {
		return raw, err
	}
	switch cookies := (&http.Request{Header: h}).CookiesNamed(c.config.Cookie); {
	case len(cookies) > 1:
		return "", ambiguousHeader("Cookie")
	case len(cookies) == 1 && cookies[0].Value != "":
		return cookies[0].Value, nil
	}
	return "", unauthenticated(CodeProxyHeader,
		"Missing "+c.config.Header+" and "+c.config.Cookie+" from Cloudflare Access", nil)
}

func (c *cfaccess) identity(ctx context.Context, claims map[string]any, raw string) (map[string]any, error) {
	switch sub, name := member(claims, "sub"), member(claims, "common_name"); {
	case sub != "":
		return c.user(ctx, sub, raw)
	case name != "":
		return c.service(name)
	}
	return nil, unauthenticated(CodeAssertionClaim, cfaccessFailure, errors.New("neither sub nor common_name is there"))
}

// service is the identity of a service token, which Access knows nothing more about.
func (c *cfaccess) service(name string) (map[string]any, error) {
	for _, s := range c.config.Services {
		if s.Token == name {
			return map[string]any{"id": name, "name": "Bot", "email": s.Subject, "groups": []any{}}, nil
		}
	}
	return nil, unauthenticated(CodeAssertionUser, "The client is not a permitted Service Token.", nil)
}

// user asks Access who sub is, unless it was asked a moment ago: once for all who need to know at the same time, as the tabs of a
// portal do. The call outlives the caller who began it. All of them proved to be sub before, so any one's token may ask.
func (c *cfaccess) user(ctx context.Context, sub, raw string) (map[string]any, error) {
	if known := c.remembered(sub); known != nil {
		return known, nil
	}
	done := c.flight.DoChan(sub, contained(func() (any, error) { return c.fetch(context.WithoutCancel(ctx), sub, raw) }))
	return await[map[string]any](ctx, done)
}

func (c *cfaccess) fetch(ctx context.Context, sub, raw string) (map[string]any, error) {
	if known := c.remembered(sub); known != nil { // somebody else's call has just ended
		return known, nil
	}
	a, err := c.upstream.get(ctx, c.base+"/cdn-cgi/access/get-identity", http.Header{
		http.CanonicalHeaderKey(cfaccessHeader): {raw}, "Cookie": {cfaccessCookie + "=" + raw}, "Accept": {"application/json"},
	})
	if err != nil {
		return nil, err
	}
	identity, err := cfaccessAnswer(a, sub)
	if err == nil {
		c.remember(sub, identity)
	}
	return identity, err
}

func cfaccessAnswer(a answer, sub string) (map[string]any, error) {
	status := fmt.Errorf("status %d", a.status)
	switch {
	case a.passing():
		return nil, unavailable(CodeUpstream, "Cloudflare Access cannot say who the user is", status)
	case a.status != http.StatusOK:
		return nil, unauthenticated(CodeAssertionUser, "Cloudflare Access does not know the user", status)
	}
	identity, err := a.object()
	if err != nil {
		return nil, unavailable(CodeAnswer, "the identity from Cloudflare Access is malformed", err)
	}
	if id := member(identity, "user_uuid"); id != "" && id != sub {
		return nil, unauthenticated(CodeAssertionUser, "The identity from Cloudflare Access is about another user", nil)
	}
	return identity, nil
}

func (c *cfaccess) remembered(sub string) map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, ok := c.identities[sub]; ok && c.now().Sub(k.read) < cfaccessLife {
		return k.identity
	}
	return nil
}

func (c *cfaccess) remember(sub string, identity map[string]any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.identities) >= cfaccessMost {
		clear(c.identities)
	}
	c.identities[sub] = cfaccessIdentity{identity, c.now()}
}
