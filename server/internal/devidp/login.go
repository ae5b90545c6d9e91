package devidp

import (
	"net/http"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

var sameOriginOnly = http.NewCrossOriginProtection()

// showLogin answers at once if the browser is signed in here and the request is content with that; otherwise it shows the
// people to choose from.
func (p *Provider) showLogin(w http.ResponseWriter, r *http.Request) {
	request, ok := p.ownRequest(w, r, r.URL.Query().Get("request"))
	if !ok {
		return
	}
	if signedIn, ok := p.session(r); ok && p.isEnough(request, signedIn) {
		p.finish(w, r, request.id, signedIn)
		return
	}
	if request.silent() {
		p.refuse(w, r, &request, oidc.ErrLoginRequired().WithDescription("nobody is signed in"))
		return
	}
	p.render(w, http.StatusOK, "login", p.loginView(request))
}

// isEnough reports whether a session answers the request without asking anybody.
func (p *Provider) isEnough(request authRequest, signedIn session) bool {
	if p.ask && !request.silent() {
		return false
	}
	return request.accepts(signedIn.authTime, p.store.now())
}

// decideLogin takes the answer of the login page.
func (p *Provider) decideLogin(w http.ResponseWriter, r *http.Request) {
	if err := sameOriginOnly.Check(r); err != nil {
		p.notice(w, http.StatusForbidden, "This answer came from another page", "Go back to the application and start again.")
		return
	}
	request, ok := p.ownRequest(w, r, r.PostFormValue("request"))
	if !ok {
		return
	}
	person, known := p.store.people[r.PostFormValue("person")]
	declined := r.PostForm.Has("deny") || person.Declines
	if !known && !declined {
		p.notice(w, http.StatusBadRequest, "Nobody was chosen", "Go back and choose one of the people.")
		return
	}
	if declined {
		p.refuse(w, r, &request, oidc.ErrAccessDenied().WithDescription("The sign-in was declined."))
		return
	}
	p.finish(w, r, request.id, p.startSession(w, r, person.Subject))
}

// ownRequest finds an open request of the browser that sent r, and tells the person if there is none.
func (p *Provider) ownRequest(w http.ResponseWriter, r *http.Request, id string) (authRequest, bool) {
	request, ok := p.store.request(id)
	if ok && !request.Done() && isBrowser(r, request.browser) {
		return request, true
	}
	p.notice(w, http.StatusBadRequest, "This sign-in is over",
		"It has expired, was answered already, or was started in another browser. Go back to the application and start again.")
	return authRequest{}, false
}

func (p *Provider) finish(w http.ResponseWriter, r *http.Request, requestID string, by session) {
	request, ok := p.store.complete(requestID, by)
	if !ok {
		p.notice(w, http.StatusConflict, "This sign-in is over", "It was answered already.")
		return
	}
	p.grant(w, r, &request)
}
