package providers

// ClaimsReader is a provider that can say, without a network, what a sign-in with the given claims would be: for a dry run of the
// sign-in rules. Nothing is verified; nobody is signed in by it.
type ClaimsReader interface {
	// ReadClaims returns what Handle would make of a verified id_token and userinfo answer. userinfo may be nil: the claims then
	// stand for both. A provider that does not ask for userinfo ignores it.
	ReadClaims(claims, userinfo map[string]any) Result
}

// ReadClaims is the dry run of an OpenID Connect sign-in.
func (o *oidcProvider) ReadClaims(claims, userinfo map[string]any) Result {
	switch {
	case !o.spec.userInfo:
		userinfo = nil
	case userinfo == nil:
		userinfo = claims
	}
	subject, _ := claims["sub"].(string)
	return Result{
		Session: Session{Subject: subject}, Profile: o.profile(userinfo), Claims: claims, UserInfo: userinfo,
	}
}

var _ ClaimsReader = (*oidcProvider)(nil)
