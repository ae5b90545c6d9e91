package providers

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// openshift.go: sign-in through the OAuth server of an OpenShift cluster. Docs:
// https://docs.openshift.com/container-platform/latest/authentication/configuring-oauth-clients.html; contract/providers.md 1.12.
//
// Deviations: a logout without a session does nothing; one deletes the token without asking first whose it is.

func init() {
	register(Kind{
		ID: "openshift", Title: "OpenShift", New: newOpenshift,
		Scopes: Scopes{Required: []string{"user:full"}}, Resolvers: resolversFor("openshift"),
	})
}

// openshiftConfig are the keys of auth.providers.<id>.<env>.
type openshiftConfig struct {
	oauth2Client
	AuthorizationURL string `config:"authorizationUrl,required"`
	TokenURL         string `config:"tokenUrl,required"`
	APIServerURL     string `config:"openshiftApiServerUrl,required"`
}

// openshiftCluster is the API server of a cluster.
type openshiftCluster string

func newOpenshift(s Setup) (Provider, error) {
	var c openshiftConfig
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	base, err := checkBase("openshiftApiServerUrl", c.APIServerURL)
	err = errors.Join(checkAddress("authorizationUrl", c.AuthorizationURL), checkAddress("tokenUrl", c.TokenURL), err)
	if err != nil {
		return nil, err
	}
	cluster := openshiftCluster(base)
	return oauth2Spec{
		authorize: c.AuthorizationURL, token: c.TokenURL, hold: holdAlways, user: cluster.user, read: readOpenshiftUser,
		logout: cluster.forget,
	}.open(s, c.oauth2Client)
}

func (c openshiftCluster) user(ctx context.Context, api oauth2API) (oauth2User, error) {
	return readOpenshiftUser(api.object(ctx, string(c)+"/apis/user.openshift.io/v1/users/~"))
}

func readOpenshiftUser(info map[string]any, err error) (oauth2User, error) {
	if err != nil {
		return oauth2User{}, err
	}
	metadata, _ := info["metadata"].(map[string]any)
	name, err := userID(metadata, "name")
	return oauth2User{profile: Profile{DisplayName: name}, subject: name, info: info}, err
}

// forget deletes the access token, whose name at the API server is a hash of it.
func (c openshiftCluster) forget(ctx context.Context, up *upstream, in LogoutInput) (string, error) {
	if in.RefreshToken == "" {
		return "", nil
	}
	const prefix = "sha256~"
	sum := sha256.Sum256([]byte(strings.TrimPrefix(in.RefreshToken, prefix)))
	address := string(c) + "/apis/oauth.openshift.io/v1/oauthaccesstokens/" + prefix + base64.RawURLEncoding.EncodeToString(sum[:])
	a, err := up.do(ctx, http.MethodDelete, address, http.Header{"Authorization": {"Bearer " + in.RefreshToken}}, nil)
	if err == nil && a.status != http.StatusOK && a.status != http.StatusNotFound {
		err = fmt.Errorf("delete token: status %d", a.status)
	}
	return "", err
}
