package providers

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// oauth2User is what a vendor tells about the owner of an access token.
type oauth2User struct {
	profile Profile
	// disowned says that the email is not the user's, whoever else names it.
	disowned bool
	// subject is the vendor's id of the user, empty if it has none.
	subject string
	// info is the vendor's answer, under its own names.
	info map[string]any
	// refreshToken is the one to keep, if finding out about the user has replaced it; also beside an error.
	refreshToken string
	// claims are those of an id_token that came on the way, where the first token answer had none.
	claims map[string]any
}

// oauth2API reads a vendor's API in the name of the user who signs in.
type oauth2API struct {
	upstream *upstream
	token    tokenAnswer
	// claims are those of the id_token, nil without one.
	claims map[string]any
	// refreshToken is the last one known, empty without one.
	refreshToken string
	// renew trades it for an access token with another scope.
	renew func(ctx context.Context, refreshToken, scope string) (tokenAnswer, error)
	// verify returns the claims of the id_token in such an answer, nil without one.
	verify func(ctx context.Context, t tokenAnswer) (map[string]any, error)
}

// errTokenRefused says that the vendor's API does not accept the access token.
var errTokenRefused = errors.New("status 401")

// identify verifies the id_token, if there is one, and asks the vendor about the user; refreshToken is the last one known. The
// Result beside an error may hold a refresh token that was replaced.
func (o *oauth2Provider) identify(ctx context.Context, t tokenAnswer, refreshToken string, check idTokenCheck) (Result, error) {
	before := check.subject
	check.subject = "" // who the user is, is compared below: a vendor's own id need not be the sub of the id_token
	claims, err := o.claims(ctx, t, check)
	if err != nil {
		return Result{}, err
	}
	verify := func(ctx context.Context, t tokenAnswer) (map[string]any, error) {
		return o.claims(ctx, t, idTokenCheck{})
	}
	user, err := o.user(ctx, oauth2API{o.upstream, t, claims, refreshToken, o.renew, verify})
	if err != nil {
		return Result{Session: Session{RefreshToken: user.refreshToken}}, err
	}
	if before != "" && user.subject != "" && user.subject != before {
		return Result{Session: Session{RefreshToken: user.refreshToken}},
			fail(CodeSubject, "the renewed session is about another user", nil)
	}
	if claims == nil {
		claims = user.claims
	}
	session := t.session()
	session.Subject, session.RefreshToken = user.subject, cmp.Or(user.refreshToken, o.spec.hold.refreshToken(t))
	return Result{Session: session, Profile: user.profile, Claims: claims, UserInfo: user.info}, nil
}

// user is what the vendor's API and the id_token tell together.
func (o *oauth2Provider) user(ctx context.Context, api oauth2API) (oauth2User, error) {
	claims := api.claims
	if o.spec.user == nil {
		return o.combined(o.signed(claims), claims)
	}
	user, err := o.spec.user(ctx, api)
	if err != nil {
		return user, err
	}
	if claims == nil {
		claims = user.claims
	}
	return o.combined(user, claims)
}

// signed is what the id_token tells.
func (o *oauth2Provider) signed(claims map[string]any) oauth2User {
	user := standardUser(claims)
	if o.spec.strictEmail && !vouched(claims, "email_verified") {
		user.profile.Email = ""
	}
	return user
}

// combined is what both answers say, once they are there.
func (o *oauth2Provider) combined(user oauth2User, claims map[string]any) (oauth2User, error) {
	if err := sameSubject(user.info, claims); err != nil {
		return user, err
	}
	user.profile = filled(user, o.signed(claims).profile)
	user.subject = cmp.Or(user.subject, scalarText(claims[cmp.Or(o.spec.subject, "sub")]))
	if o.spec.vouches != nil && !o.spec.vouches(claims) {
		user.profile.Email = ""
	}
	return user, nil
}

// claims returns those of the id_token, nil without one, which only a sign-in with a nonce does not allow. Without published keys the
// token counts because it came straight from the vendor (OpenID Connect Core section 3.1.3.7, number 6).
func (o *oauth2Provider) claims(ctx context.Context, t tokenAnswer, check idTokenCheck) (map[string]any, error) {
	switch {
	case t.IDToken == "" && check.nonce != "":
		return nil, fail(CodeIDTokenMissing, "id_token not present in the token answer", nil)
	case t.IDToken == "":
		return nil, nil
	}
	check.clientID, check.now, check.accessToken = o.client.ID, o.now(), t.AccessToken
	if o.keys == nil {
		return check.read(t.IDToken)
	}
	check.issuer, check.alg, check.keys = o.spec.issuer, o.alg(), o.keys
	return check.verify(ctx, t.IDToken)
}

func (o *oauth2Provider) alg() jose.SignatureAlgorithm {
	return jose.SignatureAlgorithm(cmp.Or(o.spec.alg, defaultAlg))
}

// read checks an id_token whose signature nobody can check.
func (c idTokenCheck) read(raw string) (map[string]any, error) {
	claims, err := unverifiedClaims(raw)
	if err != nil {
		return nil, malformed(err)
	}
	for _, check := range []func(map[string]any) error{c.checkAudience, c.checkTimes, c.checkSubject, c.checkNonce} {
		if err := check(claims); err != nil {
			return nil, err
		}
	}
	return claims, nil
}

// unverifiedClaims reads a JWT without looking at its signature. The error does not quote it.
func unverifiedClaims(raw string) (map[string]any, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, errors.New("not a JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, errors.New("not base64url")
	}
	return jsonObject(payload)
}

// sameSubject compares the two answers about the user, where both are OpenID Connect's (Core section 5.3.2).
func sameSubject(info, claims map[string]any) error {
	told, signed := scalarText(info["sub"]), scalarText(claims["sub"])
	if told != "" && signed != "" && told != signed {
		return fail(CodeUserInfoSubject, "userinfo sub mismatch", nil)
	}
	return nil
}

// standardUser reads the standard claims (OpenID Connect Core section 5.1).
func standardUser(info map[string]any) oauth2User {
	p := Profile{
		DisplayName: member(info, "name"), Picture: member(info, "picture"), Username: member(info, "preferred_username"),
	}
	if !disowned(info) {
		p.Email = member(info, "email")
	}
	return oauth2User{profile: p, info: info}
}

// userInfoOf reads a userinfo endpoint with the members of OpenID Connect.
func userInfoOf(address string) func(context.Context, oauth2API) (oauth2User, error) {
	return func(ctx context.Context, api oauth2API) (oauth2User, error) {
		return standardUserOf(api.object(ctx, address))
	}
}

// standardUserOf demands a sub of a userinfo answer.
func standardUserOf(info map[string]any, err error) (oauth2User, error) {
	if err != nil {
		return oauth2User{}, err
	}
	user := standardUser(info)
	user.subject, err = userID(info, "sub")
	return user, err
}

// filled takes what the vendor's API leaves out from the id_token. An email that the API disowns stays away (contract/providers.md 0.4).
func filled(u oauth2User, from Profile) Profile {
	p := u.profile
	if !u.disowned && !disowned(u.info) {
		p.Email = cmp.Or(p.Email, from.Email)
	}
	p.DisplayName, p.Picture = cmp.Or(p.DisplayName, from.DisplayName), cmp.Or(p.Picture, from.Picture)
	return p
}

// vouched is true if the member of that name says that the vendor verified the email.
func vouched(info map[string]any, name string) bool {
	return info[name] == true || info[name] == "true"
}

// disowned is true if the vendor says that it did not verify the email.
func disowned(info map[string]any) bool {
	_, told := info["email_verified"]
	return told && !vouched(info, "email_verified")
}

// member is a string of foreign JSON, empty if it is not there or something else.
func member(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

// object reads address as the user.
func (a oauth2API) object(ctx context.Context, address string) (map[string]any, error) {
	got, err := a.upstream.get(ctx, address, a.header("application/json"))
	return readUser(got, err)
}

// posted is object for a vendor that wants a POST with an empty body.
func (a oauth2API) posted(ctx context.Context, address string) (map[string]any, error) {
	got, err := a.upstream.post(ctx, address, a.header("application/json"), url.Values{})
	return readUser(got, err)
}

// list reads address, which answers with a list of objects, as extra does.
func (a oauth2API) list(ctx context.Context, address string) ([]map[string]any, error) {
	var items []map[string]any
	err := a.extra(ctx, address, &items)
	return items, err
}

// extra reads into what one can do without, and leaves it alone if the vendor refuses to tell. An answer that is none is an error: to
// take it for a refusal would end sessions of people who have an email, or who are in a group, that was not told.
func (a oauth2API) extra(ctx context.Context, address string, into any) error {
	got, err := a.upstream.get(ctx, address, a.header("application/json"))
	switch {
	case err != nil:
		return err
	case got.passing():
		return unavailable(CodeUpstream, "the identity provider cannot tell about the user now", fmt.Errorf("status %d", got.status))
	case got.status == http.StatusOK && json.Unmarshal(got.body, into) != nil:
		return fail(CodeUserInfo, "an answer about the user is malformed", nil)
	}
	return nil
}

// demand reads address, whose body does not matter: that the user may, and what the header says.
func (a oauth2API) demand(ctx context.Context, address string) (http.Header, error) {
	got, err := a.upstream.get(ctx, address, a.header("application/json"))
	return got.header, answered(got, err)
}

func (a oauth2API) header(accept string) http.Header {
	return http.Header{"Accept": {accept}, "Authorization": {"Bearer " + a.token.AccessToken}}
}

// answered sorts what is no answer about the user.
func answered(a answer, err error) error {
	status := fmt.Errorf("status %d", a.status)
	switch {
	case err != nil:
		return err
	case a.passing():
		return unavailable(CodeUpstream, "the identity provider cannot tell about the user now", status)
	case a.status == http.StatusUnauthorized:
		return fail(CodeUserInfo, "the identity provider refused to tell about the user", errTokenRefused)
	case a.status != http.StatusOK:
		return fail(CodeUserInfo, "the identity provider refused to tell about the user", status)
	}
	return nil
}

func readUser(a answer, err error) (map[string]any, error) {
	if err := answered(a, err); err != nil {
		return nil, err
	}
	info, err := a.object()
	if err != nil {
		return nil, fail(CodeUserInfo, "the userinfo answer is malformed", err)
	}
	return info, nil
}

// userID demands the vendor's id of the user, without which nobody is known.
func userID(info map[string]any, key string) (string, error) {
	id := scalarText(info[key])
	if id == "" {
		return "", fail(CodeUserInfo, "the userinfo answer has no "+key, nil)
	}
	return id, nil
}
