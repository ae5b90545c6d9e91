package providers

import (
	"context"
	"slices"
)

// bitbucket.go: sign-in through Bitbucket Cloud. Docs: https://developer.atlassian.com/cloud/bitbucket/oauth-2/;
// contract/providers.md 1.9.
//
// Deviations: the primary confirmed email is read where the scope email was granted.

func init() {
	register(Kind{
		ID: "bitbucket", Title: "Bitbucket", New: newBitbucket,
		Scopes: Scopes{Required: []string{"account"}, Persist: true}, Resolvers: resolversFor("bitbucket"),
	})
}

const bitbucketAPI = "https://api.bitbucket.org/2.0/user"

func newBitbucket(s Setup) (Provider, error) {
	var c oauth2Client
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	const site = "https://bitbucket.org/site/oauth2"
	return oauth2Spec{
		authorize: site + "/authorize", token: site + "/access_token", credentials: credentialsInBoth,
		user: bitbucketUser, read: readBitbucketUser,
	}.open(s, c)
}

func bitbucketUser(ctx context.Context, api oauth2API) (oauth2User, error) {
	user, err := readBitbucketUser(api.object(ctx, bitbucketAPI))
	if err == nil {
		user.profile.Email, err = bitbucketEmail(ctx, api)
	}
	return user, err
}

func readBitbucketUser(info map[string]any, err error) (oauth2User, error) {
	if err != nil {
		return oauth2User{}, err
	}
	id, err := userID(info, "uuid")
	p := Profile{DisplayName: member(info, "display_name"), Username: member(info, "username")}
	return oauth2User{profile: p, subject: id, info: info}, err
}

// bitbucketEmail is the primary confirmed address, empty if Bitbucket keeps it from us. Its token answers need not say what was granted:
// then it is tried.
func bitbucketEmail(ctx context.Context, api oauth2API) (string, error) {
	if granted := SplitScope(api.token.Scope); len(granted) > 0 && !slices.Contains(granted, "email") {
		return "", nil
	}
	var page map[string]any
	err := api.extra(ctx, bitbucketAPI+"/emails", &page)
	values, _ := page["values"].([]any)
	for _, v := range values {
		if e, ok := v.(map[string]any); ok && e["is_primary"] == true && e["is_confirmed"] == true {
			return member(e, "email"), nil
		}
	}
	return "", err
}
