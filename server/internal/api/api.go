package api

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"stagedoor/server/internal/caller"
	"stagedoor/server/internal/op"
	"stagedoor/server/internal/signin"
	"stagedoor/tokens"
)

// SignIn is the relying party behind the provider routes. Errors are a *fault.Error, or unclassified and then a 500.
type SignIn interface {
	// Known returns nil for a configured provider, else the fault of every route below its id (contract/core.md R10 to R12).
	Known(provider string) error
	// Start sends the browser to the provider.
	Start(ctx context.Context, in signin.StartInput) (signin.StartOutput, error)
	// Finish ends the sign-in. The error is for requests that cannot be answered with a page; a sign-in that failed is no
	// error here but FinishOutput.Err, which the room has logged itself. Cookies count beside an error, too.
	Finish(ctx context.Context, in signin.FinishInput) (signin.FinishOutput, error)
	// Refresh answers the session with fresh tokens. Cookies count beside an error, too.
	Refresh(ctx context.Context, in signin.RefreshInput) (signin.RefreshOutput, error)
	// Logout ends the session. Cookies count beside an error, too.
	Logout(ctx context.Context, in signin.LogoutInput) (signin.LogoutOutput, error)
	// DescribeUs returns our SAML metadata at a provider, LoggedOut where a browser goes on that comes back from its logout.
	DescribeUs(provider, env string) ([]byte, error)
	LoggedOut(provider string) (string, error)
	// Describe lists the configured providers.
	Describe() []signin.Description
	// Sessions, EndSession and EndSessionsOf are for operators, BackchannelLogout for providers.
	Sessions(ctx context.Context, in signin.SessionInput) (signin.SessionList, error)
	EndSession(ctx context.Context, id string) error
	EndSessionsOf(ctx context.Context, userRef string) (int, error)
	BackchannelLogout(ctx context.Context, provider, env, token string) error
	// Attempt returns a failed sign-in or refresh that is remembered here.
	Attempt(ctx context.Context, id string) (signin.Attempt, error)
}

// Callers recognises who is behind a bearer token. Errors are a *fault.Error.
type Callers interface {
	Recognise(ctx context.Context, bearer string) (caller.Principal, error)
}

// Cookies is the limited-user cookie of every Backstage plugin. Errors are a *fault.Error.
type Cookies interface {
	// Issue makes the cookie for the user behind a bearer token.
	Issue(ctx context.Context, bearer string, existing []string) (caller.UserCookie, error)
	// Clear is a value for the Set-Cookie header that removes it.
	Clear() string
}

// OP is the OpenID Provider behind discovery and user info.
type OP interface {
	// Discovery returns the provider metadata.
	Discovery() op.Discovery
	// UserInfo returns the claims stored for the bearer; "" means that the request had none. The error is op.ErrNoUserInfo if
	// the token is good and nothing is stored, else a *fault.Error.
	UserInfo(ctx context.Context, bearer string) (map[string]any, error)
}

// Keys publishes the key set.
type Keys interface {
	// JWKS returns the set as it is served. Its bytes must not be changed afterwards.
	JWKS(ctx context.Context) (tokens.Document, error)
}

// Config is what the room needs. Fields are required unless their comment says otherwise.
type Config struct {
	SignIn SignIn
	OP     OP
	Keys   Keys
	// PluginKeys publishes the keys of our plugin tokens.
	PluginKeys Keys
	Cookies    Cookies
	Callers    Callers
	// Ready returns nil while traffic may be sent here. The message of a *fault.Error is what the probe reads; any other error
	// is logged and answered with a fixed text (contract/core.md R29).
	Ready func(context.Context) error
	// Outside answers what is neither below /api/auth nor a health route; nil means an empty 404 (contract/core.md R13).
	Outside http.Handler
	// CORS is off in its zero value.
	CORS CORS
	// ContentSecurityPolicy and ReferrerPolicy replace the default headers of contract/core.md R32 unless they are empty.
	ContentSecurityPolicy, ReferrerPolicy string
	// Limits are the defaults of design section 5 where they are zero.
	Limits Limits
	Now    func() time.Time
	Log    *slog.Logger
}

// Limits bound what a stranger can make us read.
type Limits struct {
	// URL is the longest path and query together, in bytes; 0 means 16 KiB. Beyond it the answer is 414.
	URL int
	// Body is the longest request body, in bytes; 0 means 1 MiB. Beyond it the answer is 413.
	Body int64
}

// Server is the room as an http.Handler. It is safe for concurrent use.
type Server struct {
	signIn  SignIn
	outside http.Handler
	limits  Limits
	headers fixedHeaders
	cors    *crossOrigin
	now     func() time.Time
	log     *slog.Logger

	echo  *echo.Echo
	flags map[string]bool   // query parameters that may come without a value
	root  map[string]bool   // routes outside of the mount, lower case
	allow map[string]string // Allow header by route
}

// New builds the routes from the generated code and the document. It fails if the two do not belong together, or if a CORS
// origin cannot be understood.
func New(cfg Config) (*Server, error) {
	s, err := newServer(cfg)
	if err != nil {
		return nil, err
	}
	if s.outside == nil {
		s.outside = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	}
	s.echo.HTTPErrorHandler = func(err error, c echo.Context) { s.fail(exchangeOf(c.Request().Context()), s.routed(c, err)) }
	if err := s.addRoutes(operations{
		cfg.SignIn, cfg.OP, cfg.Keys, cfg.PluginKeys, cfg.Cookies, cfg.Callers, cfg.Ready, cfg.Log,
	}); err != nil {
		return nil, err
	}
	return s, nil
}

// newServer makes what does not depend on the routes.
func newServer(cfg Config) (*Server, error) {
	cross, err := newCrossOrigin(cfg.CORS)
	if err != nil {
		return nil, err
	}
	return &Server{
		signIn: cfg.SignIn, outside: cfg.Outside, limits: cfg.Limits.orDefault(), cors: cross, now: cfg.Now, log: cfg.Log,
		headers: newFixedHeaders(cfg.ContentSecurityPolicy, cfg.ReferrerPolicy),
		echo:    echo.New(), root: map[string]bool{}, allow: map[string]string{},
	}, nil
}

func (l Limits) orDefault() Limits {
	if l.URL == 0 {
		l.URL = 16 << 10
	}
	if l.Body == 0 {
		l.Body = 1 << 20
	}
	return l
}

// ServeHTTP answers one request. A panic in a handler is answered with a 500; http.ErrAbortHandler passes through, as
// net/http wants it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := s.receive(w, r)
	defer s.end(x)
	s.dispatch(x)
}

// receive begins an exchange, with the headers that every answer has.
func (s *Server) receive(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{ResponseWriter: w, request: r, id: requestID(r), started: s.now()}
	h := w.Header()
	s.headers.write(h)
	h[headerRequestID] = []string{x.id}
	return x
}

// dispatch sends the request to the room it is for: the API, or whoever answers outside.
func (s *Server) dispatch(x *exchange) {
	escaped := x.request.URL.EscapedPath()
	if err := s.limits.check(x.request, len(escaped)); err != nil {
		s.fail(x, err)
		return
	}
	to := s.locate(escaped)
	x.segment = to.segment
	switch {
	case to.outside:
		s.outside.ServeHTTP(x, s.limits.bounded(x.request.Context(), x, x.request))
	case s.cors.answer(x, x.request):
	case to.path == "":
		s.nowhere(x)
	default:
		s.echo.ServeHTTP(x, s.prepare(x, to.path))
	}
}

// nowhere answers a path that no route can match: with nothing at the mount itself, else as every unknown path
// (contract/core.md R10, R13).
func (s *Server) nowhere(x *exchange) {
	if x.segment == "" {
		x.WriteHeader(http.StatusNotFound)
		return
	}
	s.fail(x, s.unknownPath(x.segment))
}

// requestID takes over the caller's id where it is harmless, so that one id runs through all logs, and makes one up else.
func requestID(r *http.Request) string {
	id := r.Header.Get(headerRequestID)
	if id == "" || len(id) > 64 {
		return rand.Text()
	}
	for i := range len(id) {
		if !isUnreserved(id[i]) {
			return rand.Text()
		}
	}
	return id
}

// isUnreserved is the character class of RFC 3986 section 2.3.
func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
