package providers_test

import (
	"testing"

	"stagedoor/providers"
)

// TestReadClaims: a dry run makes of each vendor's answer what a sign-in makes of it, and refuses what it would refuse.
func TestReadClaims(t *testing.T) {
	type object = map[string]any
	const mine = "jane@corp.example"
	jane := providers.Profile{DisplayName: "Jane", Username: "jane", Email: mine}
	without := func(p providers.Profile, email, username bool) providers.Profile {
		if email {
			p.Email = ""
		}
		if username {
			p.Username = ""
		}
		return p
	}
	standard := object{"sub": "1", "name": "Jane", "preferred_username": "jane", "email": mine, "email_verified": true}
	for _, tt := range []struct {
		name, kind, config string
		claims, userinfo   object
		want               providers.Profile
		code               string
	}{
		{"github", "github", client, nil, object{"id": 1.0, "login": "jane", "name": "Jane", "email": mine}, jane, ""},
		{"github, private email", "github", client, nil, object{"id": 1.0, "login": "jane", "name": "Jane"}, without(jane, true, false), ""},
		{"github, no id", "github", client, nil, object{"login": "jane"}, providers.Profile{}, providers.CodeUserInfo},
		{"gitlab", "gitlab", client, nil, object{"id": 1.0, "username": "jane", "name": "Jane", "email": mine}, jane, ""},
		{"gitlab, unconfirmed", "gitlab", client, nil, object{"id": 1.0, "username": "jane", "name": "Jane", "email": mine, "confirmed_at": nil}, without(jane, true, false), ""},
		{"microsoft", "microsoft", client + "tenantId: corp.example\n", nil, object{"id": "1", "displayName": "Jane", "mail": mine}, without(jane, false, true), ""},
		{"microsoft, any tenant", "microsoft", client + "tenantId: common\n", standard, object{"id": "1", "displayName": "Jane", "mail": mine}, without(jane, true, true), ""},
		{"microsoft, id_token alone", "microsoft", client + "tenantId: corp.example\nskipUserProfile: true\n", object{"oid": "1", "name": "Jane", "email": mine}, nil, without(jane, false, true), ""},
		{"bitbucket", "bitbucket", client, nil, object{"uuid": "1", "display_name": "Jane", "username": "jane"}, without(jane, true, false), ""},
		{"bitbucket, email by claims", "bitbucket", client, object{"email": mine}, object{"uuid": "1", "display_name": "Jane", "username": "jane"}, jane, ""},
		{"atlassian", "atlassian", client, nil, object{"account_id": "1", "name": "Jane", "email": mine}, without(jane, false, true), ""},
		{"openshift", "openshift", generic + "openshiftApiServerUrl: " + issuer + "\n", nil, object{"metadata": object{"name": "1"}}, providers.Profile{DisplayName: "1"}, ""},
		{"google", "google", client, standard, nil, jane, ""},
		{"google, of another", "google", client, object{"sub": "2"}, standard, providers.Profile{}, providers.CodeUserInfoSubject},
		{"onelogin, no sub", "onelogin", client + "issuer: " + issuer + "\n", nil, object{"name": "Jane"}, providers.Profile{}, providers.CodeUserInfo},
		{"oauth2", "oauth2", generic, standard, object{"sub": "2"}, jane, ""},
		{
			"oauth2 with names", "oauth2", generic + "userInfoUrl: " + issuer + "/me\nclaims: {subject: n, displayName: full, username: login, email: mail, emailVerified: ok}\n", nil,
			object{"n": 1.0, "full": "Jane", "login": "jane", "mail": mine, "ok": true},
			jane, "",
		},
		{"oidc", "oidc", confidential, nil, standard, jane, ""},
		{"oidc, of another", "oidc", confidential, object{"sub": "2"}, standard, providers.Profile{}, providers.CodeUserInfoSubject},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := newIDP(t).mustOpenKind(tt.kind, tt.config).(providers.ClaimsReader).ReadClaims(tt.claims, tt.userinfo)
			wantCode(t, err, tt.code)
			if got.Profile != tt.want || (got.Session.Subject == "1") != (tt.code == "") {
				t.Errorf("got %+v, subject %q", got.Profile, got.Session.Subject)
			}
		})
	}
}
