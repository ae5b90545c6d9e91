package providers

import (
	"context"
	"net/url"
	"strings"
)

// bitbucketserver.go: sign-in through Bitbucket Server or Data Center. Docs:
// https://confluence.atlassian.com/bitbucketserver/bitbucket-oauth-2-0-provider-api-1108483661.html; contract/providers.md 1.10.
//
// Deviations: the picture may be on another host; no message repeats the name of the user.

func init() {
	register(Kind{ID: "bitbucketServer", Title: "Bitbucket Server", New: newBitbucketServer, Resolvers: resolversFor("bitbucketServer")})
}

// bitbucketServerConfig are the keys of auth.providers.<id>.<env>.
type bitbucketServerConfig struct {
	oauth2Client
	// Host is that of the server, perhaps with a port; it is reached over https.
	Host string `config:"host,required"`
}

// bitbucketServerSite is the address of a server.
type bitbucketServerSite string

func newBitbucketServer(s Setup) (Provider, error) {
	var c bitbucketServerConfig
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	if err := checkHost("host", c.Host); err != nil {
		return nil, err
	}
	site := "https://" + c.Host
	return oauth2Spec{
		authorize: site + "/rest/oauth2/latest/authorize", token: site + "/rest/oauth2/latest/token",
		user: bitbucketServerSite(site).user, read: bitbucketServerSite(site).read,
	}.open(s, c.oauth2Client)
}

// user takes two steps: the server has no endpoint for the user who asks, but names them in a header.
func (b bitbucketServerSite) user(ctx context.Context, api oauth2API) (oauth2User, error) {
	header, err := api.demand(ctx, string(b)+"/plugins/servlet/applinks/whoami")
	if err != nil {
		return oauth2User{}, err
	}
	name := header.Get("X-Ausername")
	if name == "" {
		return oauth2User{}, fail(CodeUserInfo, "Failed to retrieve the username of the logged in user", nil)
	}
	return b.read(api.object(ctx, string(b)+"/rest/api/latest/users/"+url.PathEscape(name)+"?avatarSize=256"))
}

func (b bitbucketServerSite) read(info map[string]any, err error) (oauth2User, error) {
	if err != nil {
		return oauth2User{}, err
	}
	id, err := userID(info, "id")
	p := Profile{
		Email: member(info, "emailAddress"), DisplayName: member(info, "displayName"), Username: member(info, "name"),
		Picture: b.picture(member(info, "avatarUrl")),
	}
	return oauth2User{profile: p, subject: id, info: info}, err
}

// picture is on the server, unless the server says otherwise.
func (b bitbucketServerSite) picture(avatar string) string {
	if strings.HasPrefix(avatar, "/") {
		return string(b) + avatar
	}
	return avatar
}
