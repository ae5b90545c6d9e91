package providertest

import (
	"errors"
	"maps"
	"net/url"
	"reflect"
	"slices"

	"stagedoor/providers"
)

// view is a Result as fixtures show it: flat, without what is empty. Lifetimes are in seconds.
type view struct {
	AccessToken  string            `json:"accessToken,omitempty"`
	IDToken      string            `json:"idToken,omitempty"`
	RefreshToken string            `json:"refreshToken,omitempty"`
	Scope        string            `json:"scope,omitempty"`
	ExpiresIn    float64           `json:"expiresIn,omitempty"`
	Subject      string            `json:"subject,omitempty"`
	Email        string            `json:"email,omitempty"`
	DisplayName  string            `json:"displayName,omitempty"`
	Picture      string            `json:"picture,omitempty"`
	Username     string            `json:"username,omitempty"`
	Info         map[string]any    `json:"info,omitempty"`
	Identity     map[string]any    `json:"identity,omitempty"`
	Headers      map[string]string `json:"headers,omitempty"`
}

func viewOf(r providers.Result) view {
	s, p := r.Session, r.Profile
	return view{
		s.AccessToken, s.IDToken, s.RefreshToken, s.Scope, s.ExpiresIn.Seconds(), s.Subject,
		p.Email, p.DisplayName, p.Picture, p.Username, r.Info, lookupView(r.Identity), r.Headers,
	}
}

// lookupView are the members of a look-up that are set, nil without one.
func lookupView(l *providers.Lookup) map[string]any {
	if l == nil {
		return nil
	}
	members := map[string]any{}
	for field, value := range reflect.ValueOf(*l).Fields() {
		if !value.IsZero() {
			members[field.Name] = value.Interface()
		}
	}
	return members
}

// Code returns the code of a provider's error; empty for nil and for any other error.
func Code(err error) string {
	if e, ok := errors.AsType[*providers.Error](err); ok {
		return e.Code
	}
	return ""
}

func keys(v url.Values) []string { return slices.Collect(maps.Keys(v)) }
