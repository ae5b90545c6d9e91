package api

import (
	"math"
	"time"

	"stagedoor/gen"
	"stagedoor/server/internal/signin"
)

// authResponse is a session as the front end keeps it (contract/core.md section 4.1); nil is the empty object that a
// refresh with optional answers where nobody is signed in.
func authResponse(s *signin.SessionInfo) gen.AuthResponse {
	if s == nil {
		return gen.AuthResponse{}
	}
	return gen.AuthResponse{
		Profile: &gen.Profile{
			Email: filled(s.Profile.Email), DisplayName: filled(s.Profile.DisplayName), Picture: filled(s.Profile.Picture),
		},
		ProviderInfo:      providerInfo(s.ProviderInfo),
		BackstageIdentity: backstageIdentity(s.Identity),
	}
}

// providerInfo always names access token and scope where a provider has any (contract/core.md J2): the front end compares
// an empty scope, too (U9).
func providerInfo(p *signin.ProviderInfo) *gen.ProviderInfo {
	switch {
	case p == nil:
		return nil
	case p.Extra != nil:
		return &gen.ProviderInfo{AdditionalProperties: p.Extra}
	}
	info := &gen.ProviderInfo{AccessToken: &p.AccessToken, Scope: &p.Scope, IDToken: filled(p.IDToken)}
	if p.ExpiresIn != 0 {
		info.ExpiresInSeconds = seconds(p.ExpiresIn)
	}
	return info
}

func backstageIdentity(i *signin.Identity) *gen.BackstageIdentity {
	if i == nil {
		return nil
	}
	return &gen.BackstageIdentity{
		Token: i.Token, ExpiresInSeconds: seconds(i.ExpiresIn),
		Identity: gen.Identity{
			Type: gen.User, UserEntityRef: i.UserRef, OwnershipEntityRefs: append([]string{}, i.Ownership...),
		},
	}
}

// seconds rounds as Backstage does (contract/core.md J4).
func seconds(d time.Duration) *float64 {
	s := float64(math.Round(d.Seconds()))
	return &s
}

// filled is a member that is left out where it is empty (contract/core.md P7).
func filled(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
