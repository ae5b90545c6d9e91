package signin_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"time"

	"stagedoor/providers"
	"stagedoor/server/internal/signin"
)

// ids lists the sessions of a page.
func ids(list signin.SessionList) []string {
	var all []string
	for _, s := range list.Sessions {
		all = append(all, s.ID)
	}
	return all
}

// TestSessions: an operator sees live sessions without their tokens, by user and provider, page by page.
func TestSessions(t *testing.T) {
	w := newWorld(t)
	rows := []string{w.rowOf(w.signIn()), w.rowOf(w.signIn()), w.rowOf(w.signIn())}
	slices.Sort(rows)
	list, err := w.Sessions(t.Context(), signin.SessionInput{UserRef: "User:default/Jane", Provider: "idp", Limit: 2})
	if err != nil || !slices.Equal(ids(list), rows[:2]) || list.Next != rows[1] {
		t.Fatalf("%v, next %q, %v", ids(list), list.Next, err)
	}
	if s := list.Sessions[0]; s.Tokens != nil || s.UserRef != "user:default/jane" || s.Provider != "idp" || s.Env != "development" {
		t.Errorf("session %+v", s)
	}
	list, err = w.Sessions(t.Context(), signin.SessionInput{After: list.Next})
	if err != nil || !slices.Equal(ids(list), rows[2:]) || list.Next != "" {
		t.Errorf("%v, next %q, %v", ids(list), list.Next, err)
	}
	for _, none := range []signin.SessionInput{{UserRef: "user:default/twin1"}, {Provider: "other"}} {
		if list, err := w.Sessions(t.Context(), none); err != nil || len(list.Sessions) > 0 {
			t.Errorf("%+v: %v, %v", none, ids(list), err)
		}
	}
	w.clock.add(31 * 24 * time.Hour)
	if list, err := w.Sessions(t.Context(), signin.SessionInput{}); err != nil || len(list.Sessions) > 0 {
		t.Errorf("unused for a month: %v, %v", ids(list), err)
	}
	for _, text := range []string{"\x00", "user:default/\xff"} {
		_, err = w.Sessions(t.Context(), signin.SessionInput{UserRef: text})
		wantCode(t, err, "parameter_invalid")
		_, err = w.Sessions(t.Context(), signin.SessionInput{After: text})
		wantCode(t, err, "parameter_invalid")
		_, err = w.EndSessionsOf(t.Context(), text)
		wantCode(t, err, "parameter_invalid")
	}
	w.store.breakWith(errors.New("gone"))
	_, err = w.Sessions(t.Context(), signin.SessionInput{})
	wantCode(t, err, "store_unavailable")
}

// TestEndSession: a session that an operator ends is over on every replica, and the provider is told.
func TestEndSession(t *testing.T) {
	w := newWorld(t)
	mine, bystander := w.signIn(), w.signIn()
	if err := w.replica().EndSession(t.Context(), w.rowOf(mine)); err != nil {
		t.Fatal(err)
	}
	_, err := w.again(mine)
	wantCode(t, err, "session_unknown")
	if _, err := w.again(bystander); err != nil {
		t.Errorf("another session: %v", err)
	}
	wantCode(t, w.EndSession(t.Context(), "nosuch"), "session_not_found")
}

// TestEndSessionsOf: all of a user's end, also while one is being refreshed, and each is revoked with its own token.
func TestEndSessionsOf(t *testing.T) {
	w := newWorld(t, func(c *signin.Config) { c.RefreshReuse = 0 })
	jars := []jar{w.signIn(), w.signIn(), w.signIn()}
	last := jars[2]
	gate := make(chan struct{})
	w.up.set(func(u *upstream) { u.gate = gate })
	done := make(chan error, 1)
	go func() {
		_, err := w.again(last)
		done <- err
	}()
	for {
		if _, refreshed := w.up.calls(); refreshed > 0 {
			break
		}
		runtime.Gosched()
	}
	n, err := w.EndSessionsOf(t.Context(), "user:default/jane")
	if err != nil || n != 3 {
		t.Fatalf("%d, %v", n, err)
	}
	close(gate)
	wantCode(t, <-done, "session_unknown")
	for _, j := range jars[:2] {
		_, err := w.again(j)
		wantCode(t, err, "session_unknown")
	}
	if err := w.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.up.set(func(u *upstream) {
		if u.loggedOut != 3 {
			t.Errorf("%d revocations", u.loggedOut)
		}
	})
	_, err = w.EndSessionsOf(t.Context(), "")
	wantCode(t, err, "user_missing")
}

// told is a provider that tells by itself who has left.
type told struct {
	*upstream
	token providers.LogoutToken
}

func (p told) ReadLogoutToken(_ context.Context, raw string) (providers.LogoutToken, error) {
	if raw != "good" {
		return providers.LogoutToken{}, &providers.Error{Kind: providers.ErrInput, Code: "logout_token_invalid", Message: "no"}
	}
	return p.token, nil
}

// TestBackchannelLogout: the sessions of the subject end at this provider and environment, those of one session only with a sid, and a
// token counts once over all replicas.
func TestBackchannelLogout(t *testing.T) {
	until := time.Unix(1_800_000_000, 0).Add(2 * time.Minute)
	for _, tt := range []struct {
		name  string
		token providers.LogoutToken
		ends  bool
	}{
		{"subject", providers.LogoutToken{Subject: "sub-1"}, true},
		{"another subject", providers.LogoutToken{Subject: "sub-2"}, false},
		{"session", providers.LogoutToken{Subject: "sub-1", SessionID: "sid-1"}, true},
		{"another session", providers.LogoutToken{Subject: "sub-1", SessionID: "sid-2"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, func(c *signin.Config) {
				token := tt.token
				token.Once = providers.Once{ID: "logout-1", Until: until}
				up := c.Entries[0].Provider.(*upstream)
				up.claims = map[string]any{"sid": "sid-1"}
				c.Entries[0].Provider = told{up, token}
			})
			j := w.signIn()
			wantCode(t, w.Flow.BackchannelLogout(t.Context(), "idp", "", "bad"), "logout_token_invalid")
			if err := w.Flow.BackchannelLogout(t.Context(), "idp", "", "good"); err != nil {
				t.Fatal(err)
			}
			if _, err := w.again(j); (err != nil) != tt.ends {
				t.Errorf("refresh: %v", err)
			}
			wantCode(t, w.replica().BackchannelLogout(t.Context(), "idp", "", "good"), "logout_token_replayed")
		})
	}
	w := newWorld(t)
	wantCode(t, w.Flow.BackchannelLogout(t.Context(), "idp", "", "good"), "provider_unknown")
	wantCode(t, w.Flow.BackchannelLogout(t.Context(), "guest", "", "good"), "provider_unknown")
}

// TestAttemptElsewhere: what failed on one replica is explained by another.
func TestAttemptElsewhere(t *testing.T) {
	w := newWorld(t)
	w.up.set(func(u *upstream) { u.email = "stranger@example.com" })
	j := jar{}
	out := w.back(j, urlValues("code", "c", "state", w.begin(j, signin.StartInput{})))
	wantCode(t, out.Err, "no_catalog_user")
	if err := w.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := w.replica()
	a, err := other.Attempt(t.Context(), attemptID(t, out.Err))
	if err != nil || a.Code != "no_catalog_user" || a.Advice == "" || len(a.Steps) == 0 {
		t.Errorf("%+v, %v", a, err)
	}
	_, err = other.Attempt(t.Context(), "nosuch")
	wantCode(t, err, "attempt_unknown")
	w.store.breakWith(errors.New("gone"))
	_, err = other.Attempt(t.Context(), "another")
	wantCode(t, err, "store_unavailable")
	w.store.breakWith(nil)
	w.clock.add(25 * time.Hour)
	_, err = other.Attempt(t.Context(), a.ID)
	wantCode(t, err, "attempt_unknown")
}

// TestAttemptFlood: failing is free, rows are not.
func TestAttemptFlood(t *testing.T) {
	w := newWorld(t)
	stored, other := 0, w.replica()
	for range 300 {
		out := w.back(jar{}, urlValues("code", "c", "state", "nosuch"))
		if err := w.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Attempt(t.Context(), attemptID(t, out.Err)); err == nil {
			stored++
		}
	}
	if stored != 100 {
		t.Errorf("%d of 300 failures in one moment were stored", stored)
	}
}
