package providers

import "cmp"

// ClaimsReader is a provider that can say, without a network, what a sign-in with the given claims would be: for a dry run of the
// sign-in rules. Nothing is verified; nobody is signed in by it.
type ClaimsReader interface {
	// ReadClaims returns what Handle would make of a verified id_token and a userinfo answer, or the *Error that it would refuse them
	// with. Either may be nil: without userinfo the claims stand for both, without claims there is no id_token. A provider that does
	// not ask for userinfo ignores it.
	ReadClaims(claims, userinfo map[string]any) (Result, error)
}

// ReadClaims is the dry run of an OpenID Connect sign-in.
func (o *oidcProvider) ReadClaims(claims, userinfo map[string]any) (Result, error) {
	switch {
	case !o.spec.userInfo:
		userinfo = nil
	case userinfo == nil:
		userinfo = claims
	}
	if err := sameSubject(userinfo, claims); err != nil {
		return Result{}, err
	}
	subject := cmp.Or(member(claims, "sub"), member(userinfo, "sub"))
	return Result{
		Session: Session{Subject: subject}, Profile: o.profile(userinfo), Claims: claims, UserInfo: userinfo,
	}, nil
}

// ReadClaims is the dry run of a sign-in at a plain OAuth 2.0 vendor. userinfo is the first answer of the vendor's API about the user;
// where a sign-in would ask for more, such as GitHub's emails, claims may say it. A vendor that is not asked has no userinfo.
func (o *oauth2Provider) ReadClaims(claims, userinfo map[string]any) (Result, error) {
	read := o.spec.read
	if read == nil {
		read = standardUserOf
	}
	if userinfo == nil {
		userinfo = claims
	}
	user, err := o.signed(claims), error(nil)
	if o.spec.user != nil {
		user, err = read(userinfo, nil)
	}
	if err == nil {
		user, err = o.combined(user, claims)
	}
	if err != nil {
		return Result{}, err
	}
	return Result{Session: Session{Subject: user.subject}, Profile: user.profile, Claims: claims, UserInfo: user.info}, nil
}

var (
	_ ClaimsReader = (*oidcProvider)(nil)
	_ ClaimsReader = (*oauth2Provider)(nil)
	_ ClaimsReader = oauth2Leaver{}
)
