package providers

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// google.go: sign-in with Google accounts. Docs: https://developers.google.com/identity/protocols/oauth2/web-server;
// contract/providers.md 1.3.
//
// Deviations: the id_token is verified; tokens travel in a header and a body where the Node backend has them in the address.

func init() {
	const scope = "https://www.googleapis.com/auth/userinfo."
	register(Kind{
		ID: "google", Title: "Google", New: newGoogle,
		Scopes: Scopes{Required: []string{"openid", scope + "email", scope + "profile"}}, Resolvers: resolversFor("google"),
	})
}

func newGoogle(s Setup) (Provider, error) {
	var c oauth2Client
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	return oauth2Spec{
		authorize: "https://accounts.google.com/o/oauth2/v2/auth", token: "https://www.googleapis.com/oauth2/v4/token",
		issuer: "https://accounts.google.com", keys: "https://www.googleapis.com/oauth2/v3/certs",
		// Only a consent makes Google give a refresh token.
		params: map[string]string{"access_type": "offline", "prompt": "consent", "include_granted_scopes": "true"},
		user:   userInfoOf("https://www.googleapis.com/oauth2/v3/userinfo"), logout: googleRevoke,
	}.open(s, c)
}

func googleRevoke(ctx context.Context, up *upstream, in LogoutInput) (string, error) {
	if in.RefreshToken == "" {
		return "", nil
	}
	a, err := up.post(ctx, "https://oauth2.googleapis.com/revoke", http.Header{}, url.Values{"token": {in.RefreshToken}})
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("revoke token: status %d", a.status)
	}
	return "", err
}
