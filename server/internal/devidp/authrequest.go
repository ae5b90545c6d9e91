package devidp

import (
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// authRequest is one authorization request on its way from the authorization endpoint to the token endpoint. The storage
// hands out copies, so nothing here needs a lock.
type authRequest struct {
	oidc.AuthRequest
	id string
	// browser is the hash of the cookie of the browser that asked. The login page answers no other one, or whoever learned
	// the id could fetch the code (CVE-2022-39222).
	browser string
	// subject is empty until somebody has signed in, and authTime then says when.
	subject  string
	authTime time.Time
}

var _ op.AuthRequest = (*authRequest)(nil)

func (a *authRequest) GetID() string          { return a.id }
func (a *authRequest) GetACR() string         { return "" }
func (a *authRequest) GetAMR() []string       { return nil } // Nobody proves anything here.
func (a *authRequest) GetAudience() []string  { return []string{a.ClientID} }
func (a *authRequest) GetAuthTime() time.Time { return a.authTime }
func (a *authRequest) GetClientID() string    { return a.ClientID }
func (a *authRequest) GetNonce() string       { return a.Nonce }
func (a *authRequest) GetScopes() []string    { return a.Scopes }
func (a *authRequest) GetSubject() string     { return a.subject }
func (a *authRequest) Done() bool             { return a.subject != "" }

// GetState is empty for op, which would log it: responseWriter adds the state.
func (a *authRequest) GetState() string { return "" }

func (a *authRequest) GetCodeChallenge() *oidc.CodeChallenge {
	if a.CodeChallenge == "" {
		return nil
	}
	return &oidc.CodeChallenge{Challenge: a.CodeChallenge, Method: a.CodeChallengeMethod}
}

// silent reports whether no page may be shown (prompt=none, OpenID Connect Core 1.0 §3.1.2.1).
func (a *authRequest) silent() bool { return slices.Contains(a.Prompt, oidc.PromptNone) }

// accepts reports whether a sign-in of the age since authTime is fresh enough for this request.
func (a *authRequest) accepts(authTime, now time.Time) bool {
	for _, ask := range []string{oidc.PromptLogin, oidc.PromptConsent, oidc.PromptSelectAccount} {
		if slices.Contains(a.Prompt, ask) {
			return false
		}
	}
	return a.MaxAge == nil || now.Sub(authTime) <= time.Duration(*a.MaxAge)*time.Second
}

// check refuses what zitadel's op lets through and this provider does not do.
func (a *authRequest) check(c Client) error {
	switch {
	case a.ResponseMode != "" && a.ResponseMode != oidc.ResponseModeQuery:
		return oidc.ErrInvalidRequest().WithDescription("response_mode query is the only one")
	case a.CodeChallenge == "" && c.Secret == "":
		return oidc.ErrInvalidRequest().WithDescription("a public client must send a code_challenge")
	case a.CodeChallenge != "" && a.CodeChallengeMethod != oidc.CodeChallengeMethodS256:
		return oidc.ErrInvalidRequest().WithDescription("code_challenge_method S256 is the only one")
	}
	return nil
}
