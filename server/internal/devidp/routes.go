package devidp

import (
	"net/http"

	"github.com/zitadel/oidc/v3/pkg/op"
)

// The paths below Provider.Path. All but the login page and the start page are named in the discovery document.
const (
	homePath          = "/"
	discoveryPath     = "/.well-known/openid-configuration"
	authorizationPath = "/authorize"
	loginPath         = "/login"
	tokenPath         = "/oauth/token"
	userinfoPath      = "/userinfo"
	revocationPath    = "/revoke"
	endSessionPath    = "/end_session"
	keysPath          = "/keys"
)

// maxBody is the largest request body in bytes; a form with a few tokens has a few thousand.
const maxBody = 1 << 20

func (p *Provider) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, h http.HandlerFunc, methods ...string) {
		for _, method := range methods {
			mux.HandleFunc(method+" "+p.path+path, h)
		}
	}
	handle(homePath+"{$}", p.home, http.MethodGet)
	handle(discoveryPath, p.discovery, http.MethodGet)
	handle(keysPath, p.keySet, http.MethodGet)
	handle(authorizationPath, p.authorize, http.MethodGet, http.MethodPost)
	handle(loginPath, p.showLogin, http.MethodGet)
	handle(loginPath, p.decideLogin, http.MethodPost)
	handle(tokenPath, p.token, http.MethodPost)
	handle(userinfoPath, p.userinfo, http.MethodGet, http.MethodPost)
	handle(revocationPath, p.revoke, http.MethodPost)
	handle(endSessionPath, p.endSession, http.MethodGet, http.MethodPost)
	return p.frame(mux)
}

// frame is around every handler: a bounded body, the issuer where op looks for it, and nothing cached.
func (p *Provider) frame(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r.WithContext(op.ContextWithIssuer(r.Context(), p.issuer)))
	})
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request)  { op.Exchange(w, r, p.op) }
func (p *Provider) revoke(w http.ResponseWriter, r *http.Request) { op.Revoke(w, r, p.op) }
func (p *Provider) keySet(w http.ResponseWriter, r *http.Request) { op.Keys(w, r, p.store) }

func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	op.Userinfo(bearerWriter{w}, r, p.op)
}

// bearerWriter refuses a dead access token as RFC 6750 §3.1 says, where op would answer 403.
type bearerWriter struct{ http.ResponseWriter }

func (w bearerWriter) WriteHeader(status int) {
	if status == http.StatusForbidden || status == http.StatusUnauthorized {
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	w.ResponseWriter.WriteHeader(status)
}
