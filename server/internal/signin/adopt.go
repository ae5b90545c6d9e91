package signin

import (
	"context"
	"encoding/base64"
	"errors"
	"time"
)

// adopt takes over the cookies of the Node backend: its refresh token becomes a session here, so that a switch logs nobody out
// (design D5, "Moving in from Node").
//
// The session's cookie value is derived from the token, not drawn: however many tabs and replicas adopt one token at the same
// time, they end with one session. The store remembers that it was adopted, so the same cookies are of no use once that session
// has ended. errNoCookie says that there is nothing to adopt.
func (r *refresh) adopt(ctx context.Context) (Session, string, error) {
	token := nodeCookie(r.in.Cookies, r.ID+"-refresh-token")
	if token == "" {
		return Session{}, "", errNoCookie
	}
	values := r.deriveRow.Derive([]byte(r.ID + "\x00" + r.Env + "\x00" + token))
	for _, v := range values {
		value := base64.RawURLEncoding.EncodeToString(v)
		s, err := r.cfg.Sessions.Session(ctx, rowID(value))
		if err == nil {
			return s, value, r.alive(ctx, s)
		}
		if !errors.Is(err, ErrNoSession) {
			return Session{}, "", storeFault(err)
		}
	}
	value := base64.RawURLEncoding.EncodeToString(values[0])
	s, err := r.adoptRow(value, token)
	if err != nil {
		return Session{}, "", err
	}
	err = r.cfg.Sessions.AdoptSession(ctx, s)
	switch {
	case err == nil:
		return s, value, nil
	case !errors.Is(err, ErrConsumed):
		return Session{}, "", storeFault(err)
	}
	s, err = r.cfg.Sessions.Session(ctx, s.ID) // another request adopted it a moment ago, or it has ended
	if errors.Is(err, ErrNoSession) {
		return Session{}, "", errUnknown
	}
	if err != nil {
		return Session{}, "", storeFault(err)
	}
	return s, value, nil
}

func (r *refresh) adoptRow(value, token string) (Session, error) {
	now := r.cfg.Now()
	s := Session{
		ID: rowID(value), Provider: r.ID, Env: r.Env, CreatedAt: now, UsedAt: now, RefreshedAt: time.Unix(0, 0),
		ExpiresAt: now.Add(r.SessionDuration), Scope: nodeCookie(r.in.Cookies, r.ID+"-granted-scope"),
	}
	var err error
	s.Tokens, err = r.sealMaterial(s.ID, material{RefreshToken: token})
	return s, err
}
