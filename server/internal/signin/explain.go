package signin

import (
	"context"
	"errors"

	"stagedoor/providers"
	"stagedoor/server/internal/fault"
)

// ExplainInput is one dry run.
type ExplainInput struct {
	Provider, Env string
	// Claims and UserInfo are what the provider would have said; either may be nil.
	Claims, UserInfo map[string]any
	// Show leaves the values in the explanation readable.
	Show bool
}

// Explanation is the way to an identity, or as far as it went.
type Explanation struct {
	Provider, Env string
	// Saw is what rules and resolvers see of the user, a line each.
	Saw   []string
	Steps []Step
	// UserRef and Ownership are the identity; UserRef is empty if there is none.
	UserRef   string
	Ownership []string
}

// Explain goes the way from claims to an identity as a sign-in would, asking the real catalog, and signs nobody in: no token, no
// session, no user info. The error is the *fault.Error that the sign-in would have ended in; the Explanation is complete beside it.
func (f *Flow) Explain(ctx context.Context, in ExplainInput) (Explanation, error) {
	e, err := f.entry(in.Provider, in.Env)
	if err != nil {
		return Explanation{}, err
	}
	out := Explanation{Provider: e.ID, Env: e.Env}
	result, err := e.readClaims(ctx, in)
	if err != nil {
		return out, classify(err)
	}
	if len(e.Resolvers) == 0 && result.Identity == nil {
		return out, fault.New(fault.Failed, "no_resolver", "The provider has no sign-in resolver", nil)
	}
	var t trace
	out.Saw = result.Describe(in.Show)
	user, err := f.resolve(ctx, e, result, &t)
	out.Steps = t.read(in.Show)
	if err != nil {
		return out, classify(err)
	}
	out.UserRef, out.Ownership = user.Ref, user.Ownership
	return out, nil
}

// readClaims is the provider's own reading of the claims, or that of OpenID Connect's standard claims. A provider that asks nobody
// who the user is (guest) needs none.
func (e *Entry) readClaims(ctx context.Context, in ExplainInput) (providers.Result, error) {
	if r, ok := e.Provider.(providers.ClaimsReader); ok {
		return r.ReadClaims(in.Claims, in.UserInfo)
	}
	if e.Kind.Resolvers == nil {
		return e.Provider.Handle(ctx, providers.Request{})
	}
	info := in.UserInfo
	if info == nil {
		info = in.Claims
	}
	text := func(key string) string { s, _ := info[key].(string); return s }
	r := providers.Result{Claims: in.Claims, UserInfo: info, Profile: providers.Profile{
		DisplayName: text("name"), Picture: text("picture"), Username: text("preferred_username"),
	}}
	if verified, _ := info["email_verified"].(bool); verified {
		r.Profile.Email = text("email")
	}
	return r, nil
}

// IsPassing reports whether the same sign-in may succeed later without anybody changing anything.
func IsPassing(err error) bool {
	f, ok := errors.AsType[*fault.Error](err)
	return ok && f.Kind == fault.ServiceUnavailable && f.Code != "catalog_refused"
}
