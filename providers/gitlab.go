package providers

import (
	"cmp"
	"context"
)

// gitlab.go: sign-in through gitlab.com or a GitLab of one's own. Docs: https://docs.gitlab.com/api/oauth2/;
// contract/providers.md 1.2.
//
// Deviations: the id_token, which comes with the scope openid, is verified; a slash at the end of audience does no harm; an email
// that GitLab says was never confirmed is left out.

func init() {
	register(Kind{
		ID: "gitlab", Title: "GitLab", New: newGitlab,
		Scopes: Scopes{Required: []string{"read_user"}}, Resolvers: resolversFor("gitlab"),
	})
}

// gitlabConfig are the keys of auth.providers.<id>.<env>.
type gitlabConfig struct {
	oauth2Client
	// Audience is the address of the GitLab; empty means gitlab.com.
	Audience string `config:"audience"`
}

func newGitlab(s Setup) (Provider, error) {
	var c gitlabConfig
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	site, err := checkBase("audience", cmp.Or(c.Audience, "https://gitlab.com"))
	if err != nil {
		return nil, err
	}
	return oauth2Spec{
		authorize: site + "/oauth/authorize", token: site + "/oauth/token",
		issuer: oidcIssuer(site), keys: site + "/oauth/discovery/keys",
		read: readGitlabUser,
		user: func(ctx context.Context, api oauth2API) (oauth2User, error) {
			return readGitlabUser(api.object(ctx, site+"/api/v4/user"))
		},
	}.open(s, c.oauth2Client)
}

func readGitlabUser(info map[string]any, err error) (oauth2User, error) {
	if err != nil {
		return oauth2User{}, err
	}
	id, err := userID(info, "id")
	p := Profile{DisplayName: member(info, "name"), Username: member(info, "username"), Picture: member(info, "avatar_url")}
	p.DisplayName = cmp.Or(p.DisplayName, p.Username)
	_, told := info["confirmed_at"]
	unconfirmed := told && member(info, "confirmed_at") == ""
	if !unconfirmed {
		p.Email = member(info, "email")
	}
	return oauth2User{profile: p, disowned: unconfirmed, subject: id, info: info}, err
}
