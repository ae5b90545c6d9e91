package providers

// onelogin.go: sign-in through OneLogin. Docs: https://developers.onelogin.com/openid-connect; contract/providers.md 1.11.
//
// Deviations: the id_token is verified.

func init() {
	register(Kind{
		ID: "onelogin", Title: "OneLogin", New: newOnelogin,
		Scopes: Scopes{Required: []string{"openid"}, Transform: oneloginScopes}, Resolvers: resolversFor("onelogin"),
	})
}

// oneloginConfig are the keys of auth.providers.<id>.<env>.
type oneloginConfig struct {
	oauth2Client
	// Issuer is the address under which all endpoints are, https://<subdomain>.onelogin.com/oidc/2.
	Issuer string `config:"issuer,required"`
}

func newOnelogin(s Setup) (Provider, error) {
	var c oneloginConfig
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	base, err := checkBase("issuer", c.Issuer)
	if err != nil {
		return nil, err
	}
	return oauth2Spec{
		authorize: base + "/auth", token: base + "/token", issuer: oidcIssuer(base), keys: base + "/certs",
		user: userInfoOf(base + "/me"),
	}.open(s, c.oauth2Client)
}

// oneloginScopes asks for openid, whatever else is wanted.
func oneloginScopes(_, _, required, _ []string) []string { return required }
