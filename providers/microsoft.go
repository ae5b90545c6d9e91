package providers

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// microsoft.go: sign-in through Microsoft Entra ID, with the profile of Microsoft Graph. Docs:
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow; contract/providers.md 1.4.
//
// Deviations: the id_token is verified; a photo counts only if Graph answers 200; where every tenant may sign in, an email counts only
// if Entra says that the tenant owns its domain (xms_edov), since a foreign administrator may write any address there.

func init() {
	register(Kind{
		ID: "microsoft", Title: "Microsoft", New: newMicrosoft,
		Scopes: Scopes{
			Required: []string{"email", "openid", "offline_access", "user.read"}, Transform: microsoftScopes,
		},
		Resolvers: resolversFor("microsoft"),
	})
}

const (
	microsoftLogin = "https://login.microsoftonline.com/"
	microsoftGraph = "https://graph.microsoft.com/"
	// microsoftGraphID is the audience of access tokens for Graph.
	microsoftGraphID = "00000003-0000-0000-c000-000000000000"
	// microsoftConsumers is the id of the tenant of everybody's personal accounts.
	microsoftConsumers = "9188040d-6c67-4c5b-b112-36a304b66dad"
)

// microsoftConfig are the keys of auth.providers.<id>.<env>.
type microsoftConfig struct {
	oauth2Client
	// TenantID is the id or a domain of a tenant, or common, organizations or consumers.
	TenantID string `config:"tenantId,required"`
	// DomainHint makes Entra skip the choice of an account.
	DomainHint string `config:"domainHint"`
	// SkipUserProfile leaves Graph alone: the id_token tells.
	SkipUserProfile bool `config:"skipUserProfile"`
}

func newMicrosoft(s Setup) (Provider, error) {
	var c microsoftConfig
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	if url.PathEscape(c.TenantID) != c.TenantID || strings.Trim(c.TenantID, ".") == "" {
		return nil, errors.New("tenantId is neither an id nor a domain of a tenant")
	}
	c.TenantID = strings.ToLower(c.TenantID) // Entra takes either case, and answers in lower case
	base := microsoftLogin + c.TenantID
	v := oauth2Spec{
		authorize: base + "/oauth2/v2.0/authorize", token: base + "/oauth2/v2.0/token",
		issuer: microsoftIssuer(c.TenantID), keys: base + "/discovery/v2.0/keys", subject: "oid",
	}
	if c.DomainHint != "" {
		v.params = map[string]string{"domain_hint": c.DomainHint}
	}
	if !c.SkipUserProfile {
		v.user, v.read = microsoftUser, readGraphUser
	}
	if slices.Contains([]string{"common", "organizations", "consumers", microsoftConsumers}, c.TenantID) {
		v.vouches = ownsDomain
	}
	return v.open(s, c.oauth2Client)
}

// microsoftIssuer is exact for a tenant's id; under any other name the id_token tells which tenant it is.
func microsoftIssuer(tenant string) oidcIssuer {
	if !tenantID.MatchString(tenant) {
		tenant = tenantPlaceholder
	}
	return oidcIssuer(microsoftLogin + tenant + "/v2.0")
}

func ownsDomain(claims map[string]any) bool {
	return slices.Contains([]string{"1", "true"}, scalarText(claims["xms_edov"])) || claims["xms_edov"] == true
}

// microsoftScopes asks for the scopes of another API alone: an access token of Entra has one audience.
func microsoftScopes(requested, granted, required, additional []string) []string {
	if slices.ContainsFunc(requested, func(s string) bool { return strings.Contains(s, "/") }) {
		return append(slices.Clone(requested), "offline_access")
	}
	return concatScopes(requested, granted, required, additional)
}

// microsoftUser reads Graph. An access token for another API cannot, so the refresh token is traded for one that can; the session
// keeps the first access token and the last refresh token.
func microsoftUser(ctx context.Context, api oauth2API) (oauth2User, error) {
	var user oauth2User
	if !readsGraph(api.token.AccessToken) {
		if api.refreshToken == "" {
			return user, nil
		}
		t, err := api.renew(ctx, api.refreshToken, "openid email User.Read offline_access")
		user.refreshToken = t.RefreshToken
		if errors.Is(err, ErrExpired) {
			// The first call was granted, so what is refused is Graph and not the session: consent may be missing.
			return user, fail(CodeUserInfo, "the identity provider refused a token for Microsoft Graph", nil)
		}
		if err != nil || !readsGraph(t.AccessToken) {
			return user, err
		}
		if user.claims, err = api.verify(ctx, t); err != nil {
			return user, err
		}
		api.token = t
	}
	read, err := readGraphUser(api.object(ctx, microsoftGraph+"v1.0/me/"))
	read.refreshToken, read.claims = user.refreshToken, user.claims
	if err == nil {
		read.profile.Picture = microsoftPhoto(ctx, api)
	}
	return read, err
}

func readGraphUser(info map[string]any, err error) (oauth2User, error) {
	if err != nil {
		return oauth2User{}, err
	}
	id, err := userID(info, "id")
	p := Profile{Email: member(info, "mail"), DisplayName: member(info, "displayName")}
	return oauth2User{profile: p, subject: id, info: info}, err
}

// readsGraph looks into an access token. One that cannot be read may be good for Graph, and is tried.
func readsGraph(token string) bool {
	claims, err := unverifiedClaims(token)
	if err != nil {
		return true
	}
	for _, scope := range SplitScope(strings.ToLower(member(claims, "scp"))) {
		scope = strings.TrimPrefix(scope, microsoftGraph)
		if member(claims, "aud") == microsoftGraphID && (scope == "user.read" || scope == "user.read.all") {
			return true
		}
	}
	return false
}

// microsoftPhoto is a data URL; without a photo, or if it cannot be read, empty.
func microsoftPhoto(ctx context.Context, api oauth2API) string {
	a, err := api.upstream.get(ctx, microsoftGraph+"v1.0/me/photos/96x96/$value", api.header("image/jpeg"))
	if err != nil || a.status != http.StatusOK {
		return ""
	}
	return "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(a.body)
}
