package providers

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// github.go: sign-in through a GitHub OAuth App or GitHub App, cloud or Enterprise Server. Docs:
// https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps; contract/providers.md 1.1.
//
// Deviations: an OAuth App issues no refresh token and its access tokens do not end, so the access token is held. A private email is
// read from /user/emails where the scope allows. organizations is ours.

func init() {
	register(Kind{
		ID: "github", Title: "GitHub", New: newGithub,
		Scopes: Scopes{Required: []string{"read:user"}, Persist: true}, Resolvers: resolversFor("github"),
	})
}

// githubConfig are the keys of auth.providers.<id>.<env>.
type githubConfig struct {
	oauth2Client
	// EnterpriseURL is the address of an Enterprise Server; empty means github.com.
	EnterpriseURL string `config:"enterpriseInstanceUrl"`
	// Organizations adds the logins of the user's organizations to the userinfo, for rules. It needs the scope read:org.
	Organizations bool `config:"organizations"`
}

// githubUser reads about the owner of a token.
type githubUser struct {
	api           string
	organizations bool
}

// githubErrors are GitHub's own names, which come with status 200.
var githubErrors = map[string]string{
	"bad_verification_code": "invalid_grant", "bad_refresh_token": "invalid_grant", "incorrect_client_credentials": "invalid_client",
}

func newGithub(s Setup) (Provider, error) {
	var c githubConfig
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	site, err := checkBase("enterpriseInstanceUrl", cmp.Or(c.EnterpriseURL, "https://github.com"))
	if err != nil {
		return nil, err
	}
	api := "https://api.github.com"
	if c.EnterpriseURL != "" {
		api = site + "/api/v3"
	}
	return oauth2Spec{
		authorize: site + "/login/oauth/authorize", token: site + "/login/oauth/access_token", errors: githubErrors,
		hold: holdLasting, owns: githubApps(api).own, user: githubUser{api, c.Organizations}.ask, read: readGithubUser,
	}.open(s, c.oauth2Client)
}

func (g githubUser) ask(ctx context.Context, api oauth2API) (oauth2User, error) {
	user, err := readGithubUser(api.object(ctx, g.api+"/user"))
	if err != nil {
		return user, err
	}
	if user.profile.Email == "" {
		if user.profile.Email, err = g.email(ctx, api); err != nil {
			return user, err
		}
	}
	if g.organizations {
		user.info["organizations"], err = g.logins(ctx, api)
	}
	return user, err
}

func readGithubUser(info map[string]any, err error) (oauth2User, error) {
	if err != nil {
		return oauth2User{}, err
	}
	id, err := userID(info, "id")
	login := member(info, "login")
	p := Profile{
		Email: member(info, "email"), Username: login, DisplayName: cmp.Or(member(info, "name"), login), Picture: member(info, "avatar_url"),
	}
	return oauth2User{profile: p, subject: id, info: info}, err
}

// githubApps is the address of the API, which tells an app about its tokens.
type githubApps string

// own asks for the token as the app that it has to be of
// (https://docs.github.com/en/rest/apps/oauth-applications#check-a-token).
func (g githubApps) own(ctx context.Context, up *upstream, c oauth2Client, token string) (bool, error) {
	body, err := json.Marshal(map[string]string{"access_token": token})
	if err != nil {
		return false, fmt.Errorf("encode token: %w", err)
	}
	credentials := base64.StdEncoding.EncodeToString([]byte(c.ID + ":" + c.Secret))
	a, err := up.do(ctx, http.MethodPost, string(g)+"/applications/"+url.PathEscape(c.ID)+"/token", http.Header{
		"Accept": {"application/json"}, "Content-Type": {"application/json"}, "Authorization": {"Basic " + credentials},
	}, bytes.NewReader(body))
	switch {
	case err != nil:
		return false, err
	case a.status == http.StatusOK:
		return true, nil
	case a.status == http.StatusNotFound, a.status == http.StatusUnprocessableEntity:
		return false, nil
	}
	return false, unavailable(CodeUpstream, "the identity provider cannot tell about the token now", fmt.Errorf("status %d", a.status))
}

// email is the primary verified address, empty if the granted scopes keep it from us.
func (g githubUser) email(ctx context.Context, api oauth2API) (string, error) {
	granted := SplitScope(api.token.Scope)
	if !slices.Contains(granted, "user") && !slices.Contains(granted, "user:email") {
		return "", nil
	}
	emails, err := api.list(ctx, g.api+"/user/emails")
	for _, e := range emails {
		if e["primary"] == true && e["verified"] == true {
			return member(e, "email"), nil
		}
	}
	return "", err
}

// logins are those of the user's organizations, of the first hundred.
func (g githubUser) logins(ctx context.Context, api oauth2API) ([]any, error) {
	organizations, err := api.list(ctx, g.api+"/user/orgs?per_page=100")
	logins := make([]any, 0, len(organizations))
	for _, o := range organizations {
		logins = append(logins, member(o, "login"))
	}
	return logins, err
}
