package api

import (
	"context"
	"net/http"
	"net/netip"

	"stagedoor/gen"
	"stagedoor/server/internal/fault"
	"stagedoor/server/internal/signin"
)

// StartProviderAuth sends the browser to the provider (contract/core.md F8 to F12).
func (o operations) StartProviderAuth(ctx context.Context, req gen.StartProviderAuthRequestObject) (gen.StartProviderAuthResponseObject, error) {
	x, p := exchangeOf(ctx), req.Params
	out, err := o.signIn.Start(ctx, signin.StartInput{
		Provider: req.Provider, Env: value(p.Env), Scope: value(p.Scope), Flow: value(p.Flow),
		RedirectURL: value(p.RedirectURL), Origin: p.Origin, Query: x.query, Cookies: x.request.Cookies(),
	})
	if err != nil {
		return nil, err
	}
	x.setCookies(out.Cookies)
	return redirect(out.URL, ""), nil
}

// HandleProviderFrame is the callback (contract/core.md F34 to F42).
func (o operations) HandleProviderFrame(ctx context.Context, req gen.HandleProviderFrameRequestObject) (gen.HandleProviderFrameResponseObject, error) {
	return o.finish(ctx, signin.FinishInput{Provider: req.Provider, Env: value(req.Params.Env)})
}

// HandleProviderFramePost is the callback with a form; only SAML reads anything of it (contract/core.md R8, U19).
func (o operations) HandleProviderFramePost(ctx context.Context, req gen.HandleProviderFramePostRequestObject) (gen.HandleProviderFramePostResponseObject, error) {
	return o.finish(ctx, signin.FinishInput{
		Provider: req.Provider, Env: value(req.Params.Env), Form: exchangeOf(ctx).form, Posted: true,
	})
}

// finish hands the query on as it was sent: whether a code that came twice is a code is the sign-in's question.
func (o operations) finish(ctx context.Context, in signin.FinishInput) (reply, error) {
	x := exchangeOf(ctx)
	in.Query, in.Header, in.Cookies = x.query, x.header, x.request.Cookies()
	out, err := o.signIn.Finish(ctx, in)
	x.setCookies(out.Cookies)
	switch {
	case err != nil:
		if !in.Posted && classify(err).Kind == fault.MethodNotAllowed {
			x.ResponseWriter.Header().Set("Allow", http.MethodPost)
		}
		return reply{}, err
	case out.Resubmit:
		return resubmit(in.Form)
	case out.RedirectURL != "":
		return redirect(out.RedirectURL, "Found"), nil
	}
	return frame(out)
}

// RefreshProviderToken answers the session with fresh tokens (contract/core.md section 2.7, design D6 and D7).
func (o operations) RefreshProviderToken(ctx context.Context, req gen.RefreshProviderTokenRequestObject) (gen.RefreshProviderTokenResponseObject, error) {
	return o.refresh(ctx, req.Provider, req.Params)
}

// RefreshProviderTokenPost is the same (contract/core.md R7).
func (o operations) RefreshProviderTokenPost(ctx context.Context, req gen.RefreshProviderTokenPostRequestObject) (gen.RefreshProviderTokenPostResponseObject, error) {
	return o.refresh(ctx, req.Provider, gen.RefreshProviderTokenParams(req.Params))
}

func (o operations) refresh(ctx context.Context, provider string, p gen.RefreshProviderTokenParams) (reply, error) {
	x := exchangeOf(ctx)
	out, err := o.signIn.Refresh(ctx, signin.RefreshInput{
		Provider: provider, Env: value(p.Env), Scope: value(p.Scope), Optional: value(p.Optional),
		Header: x.header, Peer: peer(x.request.RemoteAddr), Query: x.query, Cookies: x.request.Cookies(),
	})
	x.setCookies(out.Cookies)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(http.StatusOK, authResponse(out.Session), true)
}

// LogoutProvider ends the session (contract/core.md section 2.8).
func (o operations) LogoutProvider(ctx context.Context, req gen.LogoutProviderRequestObject) (gen.LogoutProviderResponseObject, error) {
	x := exchangeOf(ctx)
	out, err := o.signIn.Logout(ctx, signin.LogoutInput{
		Provider: req.Provider, Env: value(req.Params.Env), Header: x.header, Cookies: x.request.Cookies(),
	})
	x.setCookies(out.Cookies)
	if err != nil {
		return nil, err
	}
	if out.LogoutURL == "" {
		return reply{http.StatusOK, map[string]string{"Cache-Control": noStore}, nil}, nil
	}
	return jsonReply(http.StatusOK, gen.LogoutResponse{LogoutURL: &out.LogoutURL}, true)
}

// GetProviderMetadata describes us to the provider's administrator (SAML Metadata section 2.4.4).
func (o operations) GetProviderMetadata(_ context.Context, req gen.GetProviderMetadataRequestObject) (gen.GetProviderMetadataResponseObject, error) {
	document, err := o.signIn.DescribeUs(req.Provider, value(req.Params.Env))
	if err != nil {
		return nil, err
	}
	return reply{http.StatusOK, map[string]string{"Content-Type": "application/samlmetadata+xml"}, document}, nil
}

// FinishProviderLogout takes a browser home that comes from the provider's logout page.
func (o operations) FinishProviderLogout(_ context.Context, req gen.FinishProviderLogoutRequestObject) (gen.FinishProviderLogoutResponseObject, error) {
	to, err := o.signIn.LoggedOut(req.Provider)
	if err != nil {
		return nil, err
	}
	return redirect(to, "Found"), nil
}

// peer is the address that the connection came from: the only one that no header can make up. It is invalid if there is none.
func peer(remote string) netip.Addr {
	at, _ := netip.ParseAddrPort(remote)
	return at.Addr().Unmap()
}

// value is what an optional parameter says, or the zero value.
func value[T any](p *T) T {
	if p == nil {
		var none T
		return none
	}
	return *p
}
