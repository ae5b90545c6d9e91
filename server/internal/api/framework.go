package api

import (
	"context"
	"net/http"
	"time"

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

// GetAttempt tells an operator why a sign-in failed (design D14).
func (o operations) GetAttempt(ctx context.Context, req gen.GetAttemptRequestObject) (gen.GetAttemptResponseObject, error) {
	who, err := o.callers.Recognise(ctx, bearer(exchangeOf(ctx).header.Get("Authorization")))
	if err == nil {
		err = who.RequireAdmin()
	}
	if err != nil {
		return nil, err
	}
	a, err := o.signIn.Attempt(req.AttemptID)
	if err != nil {
		return nil, err
	}
	out := gen.Attempt{
		AttemptID: a.ID, Time: a.Time.UTC().Format(time.RFC3339), What: a.What, Provider: a.Provider, Env: a.Env, Code: a.Code,
		Message: a.Message, Advice: filled(a.Advice), Steps: []gen.AttemptStep{},
	}
	for _, s := range a.Steps {
		out.Steps = append(out.Steps, gen.AttemptStep{Name: s.Name, Lookup: filled(s.Lookup), Outcome: s.Outcome, Code: filled(s.Code)})
	}
	return jsonReply(http.StatusOK, out, true)
}
