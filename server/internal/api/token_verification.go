package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"stagedoor/gen"
	"stagedoor/server/internal/fault"
	"stagedoor/server/internal/op"
)

// GetJwks answers the key set under the path of the first API document.
func (o operations) GetJwks(ctx context.Context, _ gen.GetJwksRequestObject) (gen.GetJwksResponseObject, error) {
	return jwks(ctx, o.keys)
}

// GetJwksWellKnown answers the key set where every Backstage backend asks for it (contract/core.md T10).
func (o operations) GetJwksWellKnown(ctx context.Context, _ gen.GetJwksWellKnownRequestObject) (gen.GetJwksWellKnownResponseObject, error) {
	return jwks(ctx, o.keys)
}

// jwks answers a key set, or that the client has it already.
//
// Differs from Backstage: it sends no Cache-Control and a weak ETag (contract/core.md R15).
func jwks(ctx context.Context, keys Keys) (reply, error) {
	set, err := keys.JWKS(ctx)
	if err != nil {
		return reply{}, fault.New(fault.ServiceUnavailable, "keys_unavailable", "Signing keys are not available", err)
	}
	r := reply{http.StatusOK, map[string]string{
		"Content-Type":  typeJSON,
		"Cache-Control": "public, max-age=" + strconv.Itoa(int(set.MaxAge.Seconds())),
		"ETag":          set.ETag,
	}, set.Body}
	if matchesETag(exchangeOf(ctx).header.Values("If-None-Match"), set.ETag) {
		r.status, r.body = http.StatusNotModified, nil
		delete(r.header, "Content-Type")
	}
	return r, nil
}

// matchesETag is the weak comparison of If-None-Match (RFC 9110 section 13.1.2). A comma inside of a foreign tag only cuts
// that tag in two.
func matchesETag(ifNoneMatch []string, etag string) bool {
	for _, line := range ifNoneMatch {
		for tag := range strings.SplitSeq(line, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
				return true
			}
		}
	}
	return false
}

// GetOpenidConfiguration answers the provider metadata (OpenID Connect Discovery 1.0 section 4.2).
func (o operations) GetOpenidConfiguration(context.Context, gen.GetOpenidConfigurationRequestObject) (gen.GetOpenidConfigurationResponseObject, error) {
	d := o.op.Discovery()
	return jsonReply(http.StatusOK, gen.OpenidConfiguration{
		Issuer: d.Issuer, JwksURI: d.JWKSURI, UserinfoEndpoint: d.UserinfoEndpoint,
		ResponseTypesSupported: d.ResponseTypes, SubjectTypesSupported: d.SubjectTypes,
		IDTokenSigningAlgValuesSupported: d.IDTokenSigningAlgorithms, ClaimsSupported: d.Claims,
	}, false)
}

// GetUserInfo answers what is stored about the bearer; nothing stored is a page of text, as Express sends it
// (contract/core.md R16 to R21).
func (o operations) GetUserInfo(ctx context.Context, _ gen.GetUserInfoRequestObject) (gen.GetUserInfoResponseObject, error) {
	claims, err := o.op.UserInfo(ctx, bearer(exchangeOf(ctx).header.Get("Authorization")))
	if errors.Is(err, op.ErrNoUserInfo) {
		header := map[string]string{"Content-Type": typeHTML, "Cache-Control": noStore}
		return reply{http.StatusNotFound, header, []byte("User info not found")}, nil
	}
	if err != nil {
		return nil, err
	}
	return jsonReply(http.StatusOK, userInfo(claims), true)
}

// bearer takes the token out of an Authorization header: the scheme in any case, spaces, one run of anything but white
// space (contract/core.md R20). Anything else is no token.
func bearer(authorization string) string {
	const scheme = "bearer "
	if len(authorization) < len(scheme) || !strings.EqualFold(authorization[:len(scheme)], scheme) {
		return ""
	}
	token := strings.TrimLeft(authorization[len(scheme):], " ")
	if strings.ContainsAny(token, " \t\r\n\v\f") {
		return ""
	}
	return token
}

// userInfo shapes stored claims as the document does. Both members are there whatever was stored: every plugin demands ent
// to be a list (contract/core.md T25).
func userInfo(claims map[string]any) gen.UserInfoResponse {
	out := gen.UserInfoClaims{Ent: []string{}, AdditionalProperties: map[string]any{}}
	for name, claim := range claims {
		switch name {
		case "sub":
			out.Sub, _ = claim.(string)
		case "ent":
			out.Ent = stringsOf(claim)
		default:
			out.AdditionalProperties[name] = claim
		}
	}
	return gen.UserInfoResponse{Claims: out}
}

func stringsOf(list any) []string {
	values, _ := list.([]any)
	out := make([]string, 0, len(values))
	for _, v := range values {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
