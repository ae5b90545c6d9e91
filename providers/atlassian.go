package providers

import "context"

// atlassian.go: sign-in with Atlassian accounts. Docs: https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/;
// contract/providers.md 1.8.
//
// Deviations: none. Both calls must succeed, as in the Node backend: who can reach no site of Atlassian has no use for the token.

func init() {
	register(Kind{
		ID: "atlassian", Title: "Atlassian", New: newAtlassian,
		Scopes:    Scopes{Required: []string{"offline_access", "read:me", "read:jira-work", "read:jira-user"}},
		Resolvers: resolversFor("atlassian"),
	})
}

// atlassianConfig are the keys of auth.providers.<id>.<env>.
type atlassianConfig struct {
	oauth2Client
	// Audience is read and ignored, as in the Node backend.
	Audience string `config:"audience"`
}

const atlassianAPI = "https://api.atlassian.com"

func newAtlassian(s Setup) (Provider, error) {
	var c atlassianConfig
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	if err := c.refuseScope(s, "atlassian"); err != nil {
		return nil, err
	}
	return oauth2Spec{
		authorize: "https://auth.atlassian.com/authorize", token: "https://auth.atlassian.com/oauth/token",
		params: map[string]string{"audience": "api.atlassian.com", "prompt": "consent"}, user: atlassianUser, read: readAtlassianUser,
	}.open(s, c.oauth2Client)
}

func atlassianUser(ctx context.Context, api oauth2API) (oauth2User, error) {
	user, err := readAtlassianUser(api.object(ctx, atlassianAPI+"/me"))
	if err == nil {
		_, err = api.demand(ctx, atlassianAPI+"/oauth/token/accessible-resources")
	}
	return user, err
}

func readAtlassianUser(info map[string]any, err error) (oauth2User, error) {
	if err != nil {
		return oauth2User{}, err
	}
	id, err := userID(info, "account_id")
	user := standardUser(info)
	user.subject, user.profile.Username = id, ""
	return user, err
}
