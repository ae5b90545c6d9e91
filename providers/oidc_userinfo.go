package providers

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// userInfo reads the userinfo endpoint (OpenID Connect Core section 5.3). Its sub must be subject, unless that is empty
// because a refresh has no way to know: then it only has to be there.
func (o *oidcProvider) userInfo(ctx context.Context, p *oidcParty, accessToken, subject string) (map[string]any, error) {
	a, err := o.upstream.get(ctx, p.meta.UserinfoEndpoint, http.Header{
		"Accept": {"application/json, application/jwt"}, "Authorization": {"Bearer " + accessToken},
	})
	if err != nil {
		return nil, err
	}
	info, err := o.readUserInfo(ctx, p, a)
	if err != nil {
		return nil, err
	}
	sub, err := text(info, "sub")
	switch {
	case err != nil || sub == "":
		return nil, fail(CodeUserInfo, "userinfo has no sub", err)
	case subject != "" && sub != subject:
		return nil, fail(CodeUserInfoSubject, "userinfo sub mismatch", nil)
	}
	return info, nil
}

func (o *oidcProvider) readUserInfo(ctx context.Context, p *oidcParty, a answer) (map[string]any, error) {
	status := fmt.Errorf("status %d", a.status)
	if a.passing() {
		return nil, unavailable(CodeUpstream, "the identity provider cannot tell about the user now", status)
	}
	if a.status != http.StatusOK {
		return nil, fail(CodeUserInfo, "the identity provider refused to tell about the user", status)
	}
	if mediaType, _, err := mime.ParseMediaType(a.header.Get("Content-Type")); err == nil && mediaType == "application/jwt" {
		return o.signedUserInfo(ctx, p, string(a.body))
	}
	info, err := a.object()
	if err != nil {
		return nil, fail(CodeUserInfo, "the userinfo answer is malformed", err)
	}
	return info, nil
}

// signedUserInfo verifies a userinfo JWT: signature, and issuer and audience if it names them (section 5.3.4).
func (o *oidcProvider) signedUserInfo(ctx context.Context, p *oidcParty, raw string) (map[string]any, error) {
	info, err := verifyJWT(ctx, raw, jose.SignatureAlgorithm(o.config.Alg), p.keys, "userinfo answer")
	if err != nil {
		return nil, recoded(err)
	}
	audience, err := audienceOf(info)
	if err != nil || len(audience) > 0 && !slices.Contains(audience, o.config.ID) {
		return nil, fail(CodeUserInfo, "the userinfo answer is not meant for this client", err)
	}
	tenant, _ := info["tid"].(string)
	if iss, err := text(info, "iss"); err != nil || iss != "" && !p.issuer.matches(iss, tenant) {
		return nil, fail(CodeUserInfo, "the userinfo answer is from another issuer", err)
	}
	return info, nil
}

// recoded turns the id_token's codes into those of userinfo.
func recoded(err error) error {
	e, ok := err.(*Error)
	if !ok || e.Kind != nil {
		return err
	}
	own := *e
	own.Code = CodeUserInfo
	if e.Code == CodeIDTokenSignature || e.Code == CodeIDTokenAlg {
		own.Code = CodeUserInfoSignature
	}
	return &own
}

// profile is what is shown and resolved. An email that the provider does not vouch for is left out: whoever may type any
// address there could sign in as anybody.
func (o *oidcProvider) profile(info map[string]any) Profile {
	claim := func(key string) string { s, _ := info[key].(string); return s }
	p := Profile{DisplayName: claim("name"), Picture: claim("picture"), Username: claim("preferred_username")}
	if verified, _ := info["email_verified"].(bool); verified || o.config.TrustUnverifiedEmail {
		p.Email = claim("email")
	}
	return p
}
