package devidp

import (
	"context"
	"slices"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// SetUserinfoFromToken says who is behind an access token, as far as its scopes allow (OpenID Connect Core 1.0 §5.4).
func (s *storage) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, tokenID, subject, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, ok := s.access.get(tokenID, s.now())
	if !ok {
		return errUnknownToken
	}
	granted, ok := s.grants.get(token.grantID, s.now())
	person, known := s.people[granted.subject]
	if !ok || !known || granted.subject != subject {
		return errUnknownToken
	}
	person.describe(info, token.scopes)
	return nil
}

func (p Person) describe(info *oidc.UserInfo, scopes []string) {
	info.Subject = p.Subject
	if slices.Contains(scopes, oidc.ScopeProfile) {
		info.Name, info.GivenName, info.FamilyName = p.Name, p.GivenName, p.FamilyName
		info.PreferredUsername, info.Picture = p.Username, p.Picture
	}
	if slices.Contains(scopes, oidc.ScopeEmail) {
		info.Email = p.Email
		// As a further claim, because the field of that name leaves false out.
		info.AppendClaims("email_verified", p.EmailVerified)
	}
}

// SetUserinfoFromScopes does nothing, as op asks of it.
func (s *storage) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

// SetUserinfoFromRequest gives the id_token its subject, which op takes from here. The profile is left to userinfo.
func (s *storage) SetUserinfoFromRequest(
	_ context.Context, info *oidc.UserInfo, request op.IDTokenRequest, _ []string,
) error {
	info.Subject = request.GetSubject()
	return nil
}

var _ op.CanSetUserinfoFromRequest = (*storage)(nil)
