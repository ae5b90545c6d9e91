package api

import (
	"context"
	"net/http"
	"time"

	"stagedoor/gen"
	"stagedoor/server/internal/signin"
)

// requireOperator refuses everybody but external callers with the permission to administrate.
func (o operations) requireOperator(ctx context.Context) error {
	who, err := o.callers.Recognise(ctx, bearer(exchangeOf(ctx).header.Get("Authorization")))
	if err != nil {
		return err
	}
	return who.RequireAdmin()
}

// GetAttempt tells an operator why a sign-in failed (design D14).
func (o operations) GetAttempt(ctx context.Context, req gen.GetAttemptRequestObject) (gen.GetAttemptResponseObject, error) {
	if err := o.requireOperator(ctx); err != nil {
		return nil, err
	}
	a, err := o.signIn.Attempt(ctx, req.AttemptID)
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

// ListSessions shows who is signed in.
func (o operations) ListSessions(ctx context.Context, req gen.ListSessionsRequestObject) (gen.ListSessionsResponseObject, error) {
	if err := o.requireOperator(ctx); err != nil {
		return nil, err
	}
	p := req.Params
	page, err := o.signIn.Sessions(ctx, signin.SessionInput{
		UserRef: value(p.UserEntityRef), Provider: value(p.Provider), After: value(p.Cursor), Limit: value(p.Limit),
	})
	if err != nil {
		return nil, err
	}
	out := gen.SessionList{Sessions: []gen.SessionSummary{}, NextCursor: filled(page.Next)}
	for _, s := range page.Sessions {
		out.Sessions = append(out.Sessions, sessionSummary(s))
	}
	return jsonReply(http.StatusOK, out, true)
}

func sessionSummary(s signin.Session) gen.SessionSummary {
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	return gen.SessionSummary{
		ID: s.ID, Provider: s.Provider, Env: s.Env, UserEntityRef: filled(s.UserRef),
		CreatedAt: at(s.CreatedAt), UsedAt: at(s.UsedAt), RefreshedAt: at(s.RefreshedAt), ExpiresAt: at(s.ExpiresAt),
	}
}

// EndSessionsOfUser signs a user out everywhere.
func (o operations) EndSessionsOfUser(ctx context.Context, req gen.EndSessionsOfUserRequestObject) (gen.EndSessionsOfUserResponseObject, error) {
	if err := o.requireOperator(ctx); err != nil {
		return nil, err
	}
	n, err := o.signIn.EndSessionsOf(ctx, req.Params.UserEntityRef)
	if err != nil {
		return nil, err
	}
	return jsonReply(http.StatusOK, gen.EndedSessions{Ended: n}, true)
}

// EndSession signs one browser out.
func (o operations) EndSession(ctx context.Context, req gen.EndSessionRequestObject) (gen.EndSessionResponseObject, error) {
	if err := o.requireOperator(ctx); err != nil {
		return nil, err
	}
	if err := o.signIn.EndSession(ctx, req.SessionID); err != nil {
		return nil, err
	}
	return reply{http.StatusNoContent, map[string]string{"Cache-Control": noStore}, nil}, nil
}

// BackchannelLogout hears from a provider who has left (OpenID Connect Back-Channel Logout 1.0 section 2.8).
func (o operations) BackchannelLogout(ctx context.Context, req gen.BackchannelLogoutRequestObject) (gen.BackchannelLogoutResponseObject, error) {
	if err := o.signIn.BackchannelLogout(ctx, req.Provider, value(req.Params.Env), req.Body.LogoutToken); err != nil {
		return nil, err
	}
	return reply{http.StatusOK, map[string]string{"Cache-Control": noStore}, nil}, nil
}
