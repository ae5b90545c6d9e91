package signin

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
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
	values := r.adoptedValues(r.Entry, token)
	for _, value := range values {
		s, err := r.cfg.Sessions.Session(ctx, rowID(value))
		if err == nil {
			return s, value, r.alive(ctx, s)
		}
		if !errors.Is(err, ErrNoSession) {
			return Session{}, "", storeFault(err)
		}
	}
	value := values[0]
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

// adoptedValues are the cookie values of the session that a Node refresh token becomes, one for each secret; the first is made now.
func (f *Flow) adoptedValues(e *Entry, token string) []string {
	var values []string
	for _, v := range f.deriveRow.Derive([]byte(e.ID + "\x00" + e.Env + "\x00" + token)) {
		values = append(values, base64.RawURLEncoding.EncodeToString(v))
	}
	return values
}

// forgetNode makes what the browser had from the Node backend useless in every environment of the provider: never to be adopted
// again, and ended where it was or is just being adopted.
func (f *Flow) forgetNode(ctx context.Context, e *Entry, cookies []*http.Cookie) error {
	token := nodeCookie(cookies, e.ID+"-refresh-token")
	if token == "" {
		return nil
	}
	for _, env := range f.providers[strings.ToLower(e.ID)].envs {
		for _, value := range f.adoptedValues(env, token) {
			now := f.cfg.Now()
			mark := Session{
				ID: rowID(value), Provider: env.ID, Env: env.Env, CreatedAt: now, UsedAt: now, RefreshedAt: now,
				ExpiresAt: now.Add(env.SessionDuration),
			}
			if err := f.cfg.Sessions.AdoptSession(ctx, mark); err != nil && !errors.Is(err, ErrConsumed) {
				return fmt.Errorf("mark as adopted: %w", err)
			}
			if err := f.cfg.Sessions.DeleteSession(ctx, mark.ID); err != nil {
				return fmt.Errorf("end adopted session: %w", err)
			}
		}
	}
	return nil
}
