package signin_test

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stagedoor/providers"
	"stagedoor/server/internal/signin"
)

// hang lets a refresh with the jar's cookies begin and stand still at the provider; what it comes to arrives in the channel.
func (w *world) hang(j jar) (release func(), done <-chan refreshed) {
	gate := make(chan struct{})
	_, before := w.up.calls()
	w.up.set(func(u *upstream) { u.gate = gate })
	landed := make(chan refreshed, 1)
	go func() {
		out, err := w.Refresh(context.WithoutCancel(w.t.Context()), signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: j.cookies()})
		landed <- refreshed{out, err}
	}()
	for n := before; n == before; {
		_, n = w.up.calls()
	}
	w.up.set(func(u *upstream) { u.gate = nil })
	return func() { close(gate) }, landed
}

type refreshed struct {
	signin.RefreshOutput
	err error
}

// TestPanicInRefresh: a bug in one provider ends one refresh, and neither the process nor the session.
func TestPanicInRefresh(t *testing.T) {
	w := newWorld(t)
	j := w.signIn()
	w.clock.add(time.Minute)
	w.up.set(func(u *upstream) { u.panics = true })
	_, err := w.again(j)
	wantCode(t, err, "internal_error")
	w.up.set(func(u *upstream) { u.panics = false })
	if _, err := w.again(j); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestLateAnswerLeavesTheNewCookie: a refresh that was under way while the user signed in anew must not touch the new session's
// cookie, whatever it comes to (design D6).
func TestLateAnswerLeavesTheNewCookie(t *testing.T) {
	for name, fail := range map[string]error{
		"token refused": &providers.Error{Kind: providers.ErrExpired, Code: "idp_token_rejected", Message: "invalid_grant"},
		"user removed":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			j := w.signIn()
			w.clock.add(time.Minute)
			release, done := w.hang(j)
			if out := w.back(j, url.Values{"code": {"c"}, "state": {w.begin(j, signin.StartInput{})}}); out.Err != nil {
				t.Fatal(out.Err)
			}
			w.up.set(func(u *upstream) { u.fail = fail })
			if fail == nil {
				w.users.set(t, "", nil)
			}
			release()
			late := <-done
			if late.err == nil {
				t.Fatal("the late refresh succeeded")
			}
			for _, c := range late.Cookies {
				if c.Name == signin.SessionCookie {
					t.Errorf("the late answer sets %v", c)
				}
			}
			w.up.set(func(u *upstream) { u.fail = nil })
			w.users.set(t, people, nil)
			if _, err := w.again(j); err != nil {
				t.Errorf("the new session: %v", err)
			}
		})
	}
}

// TestLateAdoption: an adoption that was under way while the user signed in, or out, is void.
func TestLateAdoption(t *testing.T) {
	for _, out := range []bool{false, true} {
		w := newWorld(t)
		w.up.current = "rt"
		j := node("rt", "")
		release, done := w.hang(j)
		if out {
			if _, err := w.Logout(t.Context(), signin.LogoutInput{Provider: "idp", Header: xhr, Cookies: j.cookies()}); err != nil {
				t.Fatal(err)
			}
		} else if got := w.back(j, url.Values{"code": {"c"}, "state": {w.begin(j, signin.StartInput{})}}); got.Err != nil {
			t.Fatal(got.Err)
		}
		release()
		late := <-done
		if late.err == nil {
			t.Errorf("signed out %v: the adoption succeeded", out)
		}
		for _, c := range late.Cookies {
			if c.Name == signin.SessionCookie && c.MaxAge > 0 {
				t.Errorf("signed out %v: the late adoption sets %v", out, c)
			}
		}
		w.up.set(func(u *upstream) { u.current = "rt" })
		_, err := w.again(node("rt", ""))
		wantCode(t, err, "session_unknown")
	}
}

// TestLogoutForgetsNodeCookies: without a session of ours, the Node backend's is ended all the same.
func TestLogoutForgetsNodeCookies(t *testing.T) {
	w := newWorld(t)
	w.up.current = "rt"
	j := node("rt", "openid")
	out, err := w.Logout(t.Context(), signin.LogoutInput{Provider: "idp", Header: xhr, Cookies: j.cookies()})
	if err != nil || len(out.Cookies) != 2 || w.up.lastLogout.RefreshToken != "rt" {
		t.Errorf("got %+v, %v", out, err)
	}
	_, err = w.again(j)
	wantCode(t, err, "session_unknown")
}

// TestStumblingStore: the store fails just when the provider has rotated the token. It is asked again.
func TestStumblingStore(t *testing.T) {
	for _, late := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			j := w.signIn()
			w.clock.add(time.Minute)
			w.store.mu.Lock()
			w.store.stumbles = 5
			w.store.mu.Unlock()
			if late {
				w.up.late, w.up.fail = true, &providers.Error{Kind: providers.ErrUnavailable, Code: "idp_error", Message: "userinfo is down"}
			}
			_, err := w.again(j)
			if late {
				wantCode(t, err, "idp_error")
			} else if err != nil {
				t.Error(err)
			}
			w.clock.add(time.Minute)
			w.up.late, w.up.fail = false, nil
			if _, err := w.again(j); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// TestLateLease: who got the lease at the last moment still has the whole time for the provider's answer.
func TestLateLease(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, j jar) {
		w.leaseOf(j, "slow")
		gate := make(chan struct{})
		w.up.set(func(u *upstream) { u.gate = gate })
		done := make(chan error)
		go func() {
			_, err := w.Refresh(t.Context(), signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: j.cookies()})
			done <- err
		}()
		<-time.After(29 * time.Second) // virtual time
		w.clock.add(time.Minute)       // now the other's lease has run out
		<-time.After(10 * time.Second) // and the provider takes longer than what was left of the wait
		close(gate)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestDrain waits for a refresh whose caller has gone.
func TestDrain(t *testing.T) {
	w := newWorld(t)
	j := w.signIn()
	w.clock.add(time.Minute)
	release, done := w.hang(j)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Drain(ended); err == nil {
		t.Error("did not wait")
	}
	release()
	if err := w.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	<-done
}

// TestDrainOfAnother: flows that follow one another wait for each other's refreshes, also for that of a caller who has gone.
func TestDrainOfAnother(t *testing.T) {
	w := newWorld(t, func(c *signin.Config) { c.Flying = &sync.WaitGroup{} })
	j := w.signIn()
	w.clock.add(time.Minute)
	release, done := w.hang(j)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.Refresh(over, signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: j.cookies()})
	wantCode(t, err, "request_cancelled")
	next := w.replica()
	if err := next.Drain(over); err == nil {
		t.Error("did not wait")
	}
	release()
	if err := next.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	<-done
}

// TestSeveralCookiesAtSignIn: of several sessions in one browser one is not its own, so a sign-in ends them at once.
func TestSeveralCookiesAtSignIn(t *testing.T) {
	w := newWorld(t)
	one, two := w.signIn(), w.signIn()
	planted := []*http.Cookie{one[signin.SessionCookie], two[signin.SessionCookie]}
	start, err := w.Start(t.Context(), signin.StartInput{Provider: "idp"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(start.URL)
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.Finish(t.Context(), signin.FinishInput{
		Provider: "idp", Query: url.Values{"code": {"c"}, "state": {u.Query().Get("state")}}, Cookies: append(planted, start.Cookies...),
	})
	if err != nil || out.Err != nil {
		t.Fatal(err, out.Err)
	}
	for _, j := range []jar{one, two} {
		_, err := w.again(j)
		wantCode(t, err, "session_expired")
	}
}
