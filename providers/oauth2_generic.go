package providers

import (
	"cmp"
	"context"
	"errors"
)

// oauth2_generic.go: any OAuth 2.0 vendor whose endpoints are configured. Docs: contract/providers.md 1.5.
//
// Deviations: userInfoUrl, claims, issuer and jwksUrl are ours. disableRefresh is accepted and does nothing, as in the Node backend.

func init() {
	register(Kind{ID: "oauth2", Title: "OAuth 2.0", New: newGenericOAuth2, Resolvers: resolversFor("oauth2")})
}

// genericOAuth2Config are the keys of auth.providers.<id>.<env>.
type genericOAuth2Config struct {
	oauth2Client
	AuthorizationURL string `config:"authorizationUrl,required"`
	TokenURL         string `config:"tokenUrl,required"`
	// IncludeBasicAuth sends the credentials in the header as well.
	IncludeBasicAuth bool `config:"includeBasicAuth"`
	DisableRefresh   bool `config:"disableRefresh"`
	// UserInfoURL answers a GET with the access token with an object about the user; without it the id_token tells.
	UserInfoURL string `config:"userInfoUrl"`
	// Claims are the names under which userInfoUrl tells what a profile needs.
	Claims genericClaims `config:"claims"`
	// Issuer and JWKSURL are what id_tokens are verified with.
	Issuer  string `config:"issuer"`
	JWKSURL string `config:"jwksUrl"`
	// TrustUnverifiedEmail takes the email whether or not the vendor vouches for it.
	TrustUnverifiedEmail bool `config:"trustUnverifiedEmail"`
}

// genericClaims name the members of a userinfo answer; empty ones are those of OpenID Connect.
type genericClaims struct {
	Subject string `config:"subject"`
	Email   string `config:"email"`
	// EmailVerified is true, or "true", where the email counts.
	EmailVerified string `config:"emailVerified"`
	DisplayName   string `config:"displayName"`
	Picture       string `config:"picture"`
	Username      string `config:"username"`
}

func newGenericOAuth2(s Setup) (Provider, error) {
	var c genericOAuth2Config
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	if err := c.check(s); err != nil {
		return nil, err
	}
	v := oauth2Spec{authorize: c.AuthorizationURL, token: c.TokenURL, issuer: oidcIssuer(c.Issuer), keys: c.JWKSURL, strictEmail: !c.TrustUnverifiedEmail}
	if c.IncludeBasicAuth {
		v.credentials = credentialsInBoth
	}
	if c.UserInfoURL != "" {
		v.read = c.readUser
		v.user = func(ctx context.Context, api oauth2API) (oauth2User, error) {
			return c.readUser(api.object(ctx, c.UserInfoURL))
		}
	}
	return v.open(s, c.oauth2Client)
}

func (c genericOAuth2Config) check(s Setup) error {
	errs := []error{
		c.refuseScope(s, "oauth2"), checkAddress("authorizationUrl", c.AuthorizationURL), checkAddress("tokenUrl", c.TokenURL),
	}
	if c.UserInfoURL != "" {
		errs = append(errs, checkAddress("userInfoUrl", c.UserInfoURL))
	}
	if c.Issuer != "" {
		errs = append(errs, checkAddress("issuer", c.Issuer))
	}
	if c.JWKSURL != "" {
		errs = append(errs, checkAddress("jwksUrl", c.JWKSURL))
	}
	if (c.Issuer == "") != (c.JWKSURL == "") {
		errs = append(errs, errors.New("issuer and jwksUrl need each other"))
	}
	if c.UserInfoURL == "" && c.Claims != (genericClaims{}) {
		errs = append(errs, errors.New("claims needs userInfoUrl"))
	}
	return errors.Join(errs...)
}

func (c genericOAuth2Config) readUser(info map[string]any, err error) (oauth2User, error) {
	if err != nil {
		return oauth2User{}, err
	}
	subject, err := userID(info, cmp.Or(c.Claims.Subject, "sub"))
	if err != nil {
		return oauth2User{}, err
	}
	p := Profile{
		DisplayName: scalarText(info[cmp.Or(c.Claims.DisplayName, "name")]),
		Picture:     scalarText(info[cmp.Or(c.Claims.Picture, "picture")]),
		Username:    scalarText(info[cmp.Or(c.Claims.Username, "preferred_username")]),
	}
	// Differs from Backstage: an email needs somebody to vouch for it (design D12).
	if c.TrustUnverifiedEmail && !disowned(info) || vouched(info, cmp.Or(c.Claims.EmailVerified, "email_verified")) {
		p.Email = member(info, cmp.Or(c.Claims.Email, "email"))
	}
	return oauth2User{profile: p, subject: subject, info: info}, nil
}
