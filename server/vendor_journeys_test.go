package main

import (
	"maps"
	"net/http"
	"testing"
	"time"

	"stagedoor/providers/providertest"
)

// vendorProviders are the providers of TestVendors. %CLIENT% is who we are there.
const vendorProviders = `
    github:
      production: {%CLIENT%, signIn: {resolvers: [{resolver: usernameMatchingUserEntityName}]}}
    ghe:
      production:
        {type: github, enterpriseInstanceUrl: "https://ghe.corp.example/", %CLIENT%, signIn: {resolvers: [{resolver: userIdMatchingUserEntityAnnotation}]}}
    google:
      production: {%CLIENT%, signIn: {resolvers: [{resolver: emailMatchingUserEntityAnnotation}]}}
    microsoft:
      production:
        tenantId: 11111111-2222-4333-8444-555555555555
        domainHint: corp.example
        clientId: portal
        clientSecret: "s3cret/+"
        signIn: {resolvers: [{resolver: userIdMatchingUserEntityAnnotation}]}
    okta:
      production: {audience: "https://acme.okta.com", authServerId: aus1, idp: 0oa1, %CLIENT%, signIn: {resolvers: [{resolver: emailMatchingUserEntityProfileEmail}]}}
    oauth2:
      production:
        authorizationUrl: https://sso.example/authorize?realm=a
        tokenUrl: https://sso.example/token
        includeBasicAuth: true
        clientId: portal
        clientSecret: "s3cret/+"
        signIn: {resolvers: [{resolver: emailLocalPartMatchingUserEntityName}]}
    codehub:
      production:
        type: oauth2
        authorizationUrl: https://codehub.example/oauth/authorize
        tokenUrl: https://codehub.example/oauth/token
        userInfoUrl: https://api.codehub.example/me
        claims: {subject: uid, emailVerified: confirmed, username: nick, displayName: full_name}
        clientId: portal
        clientSecret: "s3cret/+"
        signIn: {resolvers: [{resolver: usernameMatchingUserEntityName}]}
    awsalb:
      issuer: https://sso.example
      region: eu-west-1
      signer: arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/a/1
      signIn: {resolvers: [{resolver: emailMatchingUserEntityProfileEmail}]}
    oauth2Proxy: {trustedProxies: [127.0.0.1], signIn: {resolvers: [{resolver: forwardedPreferredUsernameMatchingUserEntityName}]}}
    edge: {type: oauth2Proxy, trustedProxies: [192.0.2.0/24], signIn: {resolvers: [{resolver: forwardedUserMatchingUserEntityName}]}}
`

// Addresses of the vendors, as contract/providers.md 1.1 to 1.6 has them.
const (
	githubToken = "POST github.com/login/oauth/access_token"
	githubMe    = "GET api.github.com/user"

	googleToken  = "POST www.googleapis.com/oauth2/v4/token"
	googleKeys   = "GET www.googleapis.com/oauth2/v3/certs"
	googleMe     = "GET www.googleapis.com/oauth2/v3/userinfo"
	googleRevoke = "POST oauth2.googleapis.com/revoke"
	googleScope  = "openid https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/userinfo.profile"

	entraTenant    = "11111111-2222-4333-8444-555555555555"
	entraToken     = "POST login.microsoftonline.com/" + entraTenant + "/oauth2/v2.0/token"
	entraKeys      = "GET login.microsoftonline.com/" + entraTenant + "/discovery/v2.0/keys"
	entraScope     = "email openid offline_access user.read"
	microsoftMe    = "GET graph.microsoft.com/v1.0/me/"
	microsoftPhoto = "GET graph.microsoft.com/v1.0/me/photos/96x96/$value"
	janeAtEntra    = "0a1b2c3d-0000-4000-8000-000000000001"
)

// vendorKeys signs as the vendors do, and publishes the key.
type vendorKeys struct {
	t   *testing.T
	key providertest.Key
	set vendorAnswer
}

func newVendorKeys(t *testing.T) vendorKeys {
	t.Helper()
	key, err := providertest.RSAKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	set, err := providertest.KeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	return vendorKeys{t, key, vendorAnswer{http.StatusOK, "application/json", set}}
}

// token is a JWT of claims for us, from now on for an hour.
func (k vendorKeys) token(claims map[string]any) string {
	k.t.Helper()
	now := time.Now()
	all := map[string]any{"aud": vendorClient, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	token, err := k.key.Sign(all)
	if err != nil {
		k.t.Fatal(err)
	}
	return token
}

// jane is what all tell of her in common; edit sets the rest.
func jane(edit func(*signedIn)) signedIn {
	in := signedIn{User: "user:default/jane", Groups: []string{"user:default/jane", "group:default/team-a"}}
	edit(&in)
	return in
}

func journeys(t *testing.T) []journey {
	t.Helper()
	k := newVendorKeys(t)
	return []journey{
		githubJourney("github", "github.com", "api.github.com"), githubJourney("ghe", "ghe.corp.example", "ghe.corp.example/api/v3"),
		googleJourney(k), microsoftJourney(k), oktaJourney(k), oauth2Journey(k), codehubJourney(),
	}
}

// githubJourney is a GitHub App with tokens that expire, on either address: the answers are form-encoded, expires_in is text there and
// a number in ours, and errors come with 200 (1.1). Its scope is the granted one.
func githubJourney(id, host, api string) journey {
	token, me := "POST "+host+"/login/oauth/access_token", "GET "+api+"/user"
	form := func(access, refresh string) vendorAnswer {
		return vendorAnswer{
			http.StatusOK, "application/x-www-form-urlencoded",
			"access_token=" + access + "&expires_in=28800&refresh_token=" + refresh + "&refresh_token_expires_in=15897600&scope=&token_type=bearer",
		}
	}
	want := func(access string) signedIn {
		return jane(func(in *signedIn) {
			in.Email, in.DisplayName, in.Picture = "jane@example.com", "Jane Doe", "https://avatars.example/jane"
			in.AccessToken, in.Scope, in.Minutes = access, "read:user", 480
		})
	}
	return journey{
		id: id, authorize: "https://" + host + "/login/oauth/authorize", parameters: map[string]string{"scope": "read:user"},
		sites: map[string]site{me: bearer(says(http.StatusOK, map[string]any{
			"id": 583231, "node_id": "U_kgDOB", "login": "jane", "name": "Jane Doe", "email": "jane@example.com", "avatar_url": "https://avatars.example/jane",
		}), "ghu_1", "ghu_2")},
		token: token, granted: form("ghu_1", "ghr_1"), renewed: form("ghu_2", "ghr_2"), credentials: inBody,
		scope: "read:user", refreshTokens: [2]string{"ghr_1", "ghr_2"}, asks: []string{me}, asksAgain: []string{me},
		signedIn: want("ghu_1"), refreshed: want("ghu_2"),
		revoked: says(http.StatusOK, map[string]any{"error": "bad_refresh_token", "error_description": "The refresh token passed is incorrect or expired."}),
	}
}

// googleJourney: a refresh brings no new refresh token, and the old one stays; the logout revokes it (1.3).
func googleJourney(k vendorKeys) journey {
	id := k.token(map[string]any{"iss": "https://accounts.google.com", "sub": "1001", "email": "jane@gmail.example", "email_verified": true})
	want := func(access string) signedIn {
		return jane(func(in *signedIn) {
			in.Email, in.DisplayName, in.Picture = "jane@gmail.example", "Jane Doe", "https://lh3.example/jane"
			in.AccessToken, in.IDToken, in.Scope, in.Minutes = access, id, googleScope, 60
		})
	}
	return journey{
		id: "google", authorize: "https://accounts.google.com/o/oauth2/v2/auth", parameters: map[string]string{
			"scope": googleScope, "access_type": "offline", "prompt": "consent", "include_granted_scopes": "true",
		},
		sites: map[string]site{
			googleKeys: always(k.set), googleRevoke: always(says(http.StatusOK, map[string]any{})),
			googleMe: bearer(says(http.StatusOK, map[string]any{
				"sub": "1001", "name": "Jane Doe", "email": "jane@gmail.example", "email_verified": true, "picture": "https://lh3.example/jane",
			}), "ya29.1", "ya29.2"),
		},
		token: googleToken, credentials: inBody,
		granted: says(http.StatusOK, map[string]any{"access_token": "ya29.1", "id_token": id, "refresh_token": "1//r", "scope": googleScope, "expires_in": 3599}),
		renewed: says(http.StatusOK, map[string]any{"access_token": "ya29.2", "id_token": id, "scope": googleScope, "expires_in": 3599}),
		scope:   googleScope, refreshTokens: [2]string{"1//r", "1//r"},
		asks: []string{googleKeys, googleMe}, asksAgain: []string{googleMe}, leaves: []string{googleRevoke}, leaving: map[string]string{"token": "1//r"},
		signedIn: want("ya29.1"), refreshed: want("ya29.2"), revoked: invalidGrant,
	}
}

// graphToken is an access token of Entra that can read Graph (1.4).
func graphToken(k vendorKeys, jti string) string {
	return k.token(map[string]any{"aud": "00000003-0000-0000-c000-000000000000", "scp": "email openid User.Read", "jti": jti})
}

// microsoftJourney: Graph tells who it is and has no photo (1.4).
func microsoftJourney(k vendorKeys) journey {
	first, second := graphToken(k, "1"), graphToken(k, "2")
	id := k.token(map[string]any{
		"iss": "https://login.microsoftonline.com/" + entraTenant + "/v2.0", "tid": entraTenant, "sub": "pairwise", "oid": janeAtEntra,
		"email": "jane@example.com", "name": "Jane Doe",
	})
	want := func(access string) signedIn {
		return jane(func(in *signedIn) {
			in.Email, in.DisplayName = "jane@corp.example", "Doe, Jane"
			in.AccessToken, in.IDToken, in.Scope, in.Minutes = access, id, "email openid User.Read", 90
		})
	}
	answer := func(access, refresh string) vendorAnswer {
		return says(http.StatusOK, map[string]any{
			"access_token": access, "refresh_token": refresh, "id_token": id, "scope": "email openid User.Read", "expires_in": 5400, "token_type": "Bearer",
		})
	}
	return journey{
		id: "microsoft", authorize: "https://login.microsoftonline.com/" + entraTenant + "/oauth2/v2.0/authorize",
		parameters: map[string]string{"scope": entraScope, "domain_hint": "corp.example"},
		sites: map[string]site{
			entraKeys: always(k.set), microsoftPhoto: always(says(http.StatusNotFound, map[string]any{"error": map[string]any{"code": "ImageNotFound"}})),
			microsoftMe: bearer(says(http.StatusOK, map[string]any{
				"id": janeAtEntra, "displayName": "Doe, Jane", "mail": "jane@corp.example", "userPrincipalName": "jd@corp.example",
			}), first, second),
		},
		token: entraToken, granted: answer(first, "0.A1"), renewed: answer(second, "0.A2"), credentials: inBody,
		scope: entraScope, refreshTokens: [2]string{"0.A1", "0.A2"},
		asks: []string{entraKeys, microsoftMe, microsoftPhoto}, asksAgain: []string{microsoftMe, microsoftPhoto},
		signedIn: want(first), refreshed: want(second), revoked: invalidGrant,
	}
}

// oktaJourney: a custom authorization server, credentials in the header of both token calls, userinfo by POST (1.6).
func oktaJourney(k vendorKeys) journey {
	const base = "acme.okta.com/oauth2/aus1"
	const scope = "openid email profile offline_access"
	id := k.token(map[string]any{"iss": "https://" + base, "sub": "00u1", "picture": "https://acme.okta.com/jane.png"})
	want := func(access string) signedIn {
		return jane(func(in *signedIn) {
			in.Email, in.DisplayName, in.Picture = "jane@example.com", "Jane Doe", "https://acme.okta.com/jane.png"
			in.AccessToken, in.IDToken, in.Scope, in.Minutes = access, id, scope, 60
		})
	}
	answer := func(access, refresh string) vendorAnswer {
		return says(http.StatusOK, map[string]any{"access_token": access, "refresh_token": refresh, "id_token": id, "scope": scope, "expires_in": 3600})
	}
	return journey{
		id: "okta", authorize: "https://" + base + "/v1/authorize", parameters: map[string]string{"scope": scope, "idp": "0oa1"},
		sites: map[string]site{
			"GET " + base + "/v1/keys": always(k.set),
			"POST " + base + "/v1/userinfo": bearer(says(http.StatusOK, map[string]any{
				"sub": "00u1", "name": "Jane Doe", "preferred_username": "jane@acme", "email": "jane@example.com", "email_verified": true,
			}), "okta1", "okta2"),
		},
		token: "POST " + base + "/v1/token", granted: answer("okta1", "or1"), renewed: answer("okta2", "or2"), authorization: inHeader,
		scope: scope, refreshTokens: [2]string{"or1", "or2"},
		asks: []string{"GET " + base + "/v1/keys", "POST " + base + "/v1/userinfo"}, asksAgain: []string{"POST " + base + "/v1/userinfo"},
		signedIn: want("okta1"), refreshed: want("okta2"), revoked: invalidGrant,
	}
}

// oauth2Journey: without userInfoUrl the id_token tells everything, and a query of authorizationUrl is kept; includeBasicAuth sends the
// credentials twice; no scope is asked for, so that none is sent (1.5).
func oauth2Journey(k vendorKeys) journey {
	id := k.token(map[string]any{"sub": "u1", "email": "jane@example.com", "email_verified": true, "name": "Jane Doe", "picture": "https://sso.example/jane.png"})
	want := func(access string) signedIn {
		return jane(func(in *signedIn) {
			in.Email, in.DisplayName, in.Picture = "jane@example.com", "Jane Doe", "https://sso.example/jane.png"
			in.AccessToken, in.IDToken = access, id
		})
	}
	answer := func(access, refresh string) vendorAnswer {
		return says(http.StatusOK, map[string]any{"access_token": access, "refresh_token": refresh, "id_token": id, "token_type": "Bearer"})
	}
	return journey{
		id: "oauth2", authorize: "https://sso.example/authorize", parameters: map[string]string{"realm": "a"},
		token: "POST sso.example/token", granted: answer("a1", "r1"), renewed: answer("a2", "r2"), credentials: inBody, authorization: inHeader,
		refreshTokens: [2]string{"r1", "r2"}, signedIn: want("a1"), refreshed: want("a2"), revoked: invalidGrant,
	}
}

// codehubJourney: a vendor without id_tokens, whose userInfoUrl has names of its own (1.5, userInfoUrl is ours).
func codehubJourney() journey {
	want := func(access string) signedIn {
		return jane(func(in *signedIn) {
			in.Email, in.DisplayName, in.AccessToken, in.Scope, in.Minutes = "jane@example.com", "Jane Doe", access, "read write", 120
		})
	}
	answer := func(access, refresh string) vendorAnswer {
		return says(http.StatusOK, map[string]any{"access_token": access, "refresh_token": refresh, "scope": "read write", "expires_in": "7200"})
	}
	const me = "GET api.codehub.example/me"
	return journey{
		id: "codehub", authorize: "https://codehub.example/oauth/authorize",
		sites: map[string]site{me: bearer(says(http.StatusOK, map[string]any{
			"uid": 7, "nick": "jane", "full_name": "Jane Doe", "email": "jane@example.com", "confirmed": true,
		}), "c1", "c2")},
		token: "POST codehub.example/oauth/token", granted: answer("c1", "cr1"), renewed: answer("c2", "cr2"), credentials: inBody,
		refreshTokens: [2]string{"cr1", "cr2"}, asks: []string{me}, asksAgain: []string{me},
		signedIn: want("c1"), refreshed: want("c2"), revoked: invalidGrant,
	}
}
