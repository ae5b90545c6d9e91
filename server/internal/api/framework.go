package api

import (
	"context"
	"net/http"

	"stagedoor/gen"
	"stagedoor/server/internal/caller"
)

// isoMillis is a time as JavaScript writes it: UTC, with milliseconds.
const isoMillis = "2006-01-02T15:04:05.000Z"

// GetPluginJwks answers the keys of our plugin tokens (contract/core.md T27, T28).
func (o operations) GetPluginJwks(ctx context.Context, _ gen.GetPluginJwksRequestObject) (gen.GetPluginJwksResponseObject, error) {
	return jwks(ctx, o.pluginKeys)
}

// IssueUserCookie puts the limited form of the caller's token into a cookie (contract/core.md R22 to R24).
func (o operations) IssueUserCookie(ctx context.Context, _ gen.IssueUserCookieRequestObject) (gen.IssueUserCookieResponseObject, error) {
	x := exchangeOf(ctx)
	var existing []string
	for _, c := range x.request.CookiesNamed(caller.CookieName) {
		existing = append(existing, c.Value)
	}
	out, err := o.cookies.Issue(ctx, bearer(x.header.Get("Authorization")), existing)
	if err != nil {
		return nil, err
	}
	if out.SetCookie != "" {
		x.Header().Add("Set-Cookie", out.SetCookie)
	}
	return jsonReply(http.StatusOK, gen.UserCookie{ExpiresAt: out.ExpiresAt.UTC().Format(isoMillis)}, true)
}

// ClearUserCookie removes it, whoever asks (contract/core.md R25).
func (o operations) ClearUserCookie(ctx context.Context, _ gen.ClearUserCookieRequestObject) (gen.ClearUserCookieResponseObject, error) {
	exchangeOf(ctx).Header().Add("Set-Cookie", o.cookies.Clear())
	return reply{http.StatusNoContent, map[string]string{"Cache-Control": noStore}, nil}, nil
}
