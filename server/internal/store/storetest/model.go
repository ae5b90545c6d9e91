package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stagedoor/server/internal/signin"
)

// model is what a database does, in a few maps: any sequence of calls must give the same answers as it does.
type model struct {
	bench
	ctx      context.Context
	prefix   string
	sessions map[string]*modelSession
	adopted  map[string]time.Time
}

type modelSession struct {
	signin.Session
	owner string
	until time.Time
}

// behavesLikeTheModel runs random sequences of calls through both handles. They share one database: every run has ids of its
// own.
func behavesLikeTheModel(t *testing.T, b bench) {
	runs := 0
	rapid.Check(t, func(r *rapid.T) {
		runs++
		m := &model{
			bench: b, ctx: t.Context(), prefix: fmt.Sprint(runs, "/"),
			sessions: map[string]*modelSession{}, adopted: map[string]time.Time{},
		}
		r.Repeat(map[string]func(*rapid.T){
			"":        m.check,
			"create":  m.create,
			"adopt":   m.adopt,
			"touch":   m.touch,
			"expire":  m.expire,
			"delete":  m.delete,
			"acquire": m.acquire,
			"renew":   m.renew,
			"finish":  m.finish,
			"release": m.release,
			"advance": func(r *rapid.T) { m.Advance(drawDuration(r)) },
			"sweep":   m.sweep,
		})
	})
}

func (m *model) drawID(r *rapid.T) string {
	return m.prefix + rapid.SampledFrom([]string{"a", "b"}).Draw(r, "id")
}

func (m *model) drawStore(r *rapid.T) Store { return m.handle(rapid.IntRange(0, 1).Draw(r, "handle")) }

func (m *model) drawLease(r *rapid.T) signin.Lease {
	return signin.Lease{
		Session: m.drawID(r), Owner: rapid.SampledFrom([]string{"x", "y"}).Draw(r, "owner"), TTL: drawDuration(r),
	}
}

func (m *model) drawSession(r *rapid.T) signin.Session {
	s := m.session(m.drawID(r))
	s.Tokens = rapid.SliceOf(rapid.Byte()).Draw(r, "tokens")
	s.Scope = rapid.StringMatching(`[a-zé😀 ]{0,8}`).Draw(r, "scope")
	s.ExpiresAt = m.Now().Add(drawDuration(r))
	return s
}

func drawDuration(r *rapid.T) time.Duration {
	steps := []time.Duration{0, time.Millisecond, ttl, Idle, Idle + time.Millisecond}
	return rapid.SampledFrom(steps).Draw(r, "duration")
}

func wantAnswer(r *rapid.T, err, want error) {
	if !errors.Is(err, want) {
		r.Fatalf("error is %v, want %v", err, want)
	}
}

func (m *model) check(r *rapid.T) {
	for _, id := range []string{m.prefix + "a", m.prefix + "b"} {
		got, err := m.drawStore(r).Session(m.ctx, id)
		want := m.sessions[id]
		if want == nil {
			wantAnswer(r, err, signin.ErrNoSession)
			continue
		}
		wantAnswer(r, err, nil)
		if diff := difference(want.Session, got); diff != "" {
			r.Fatalf("session differs (-want +got):\n%s", diff)
		}
	}
}

func (m *model) create(r *rapid.T) {
	s := m.drawSession(r)
	err := m.drawStore(r).CreateSession(m.ctx, s)
	if m.sessions[s.ID] == nil {
		wantAnswer(r, err, nil)
		m.sessions[s.ID] = &modelSession{Session: s}
	} else if err == nil {
		r.Fatal("created twice")
	}
}

func (m *model) adopt(r *rapid.T) {
	s := m.drawSession(r)
	err := m.drawStore(r).AdoptSession(m.ctx, s)
	_, known := m.adopted[s.ID]
	switch {
	case known:
		wantAnswer(r, err, signin.ErrConsumed)
	case m.sessions[s.ID] != nil:
		if err == nil {
			r.Fatal("adopted over a session")
		}
	default:
		wantAnswer(r, err, nil)
		m.sessions[s.ID] = &modelSession{Session: s}
		m.adopted[s.ID] = s.ExpiresAt
	}
}

func (m *model) touch(r *rapid.T) {
	id, user := m.drawID(r), rapid.SampledFrom([]string{"", "user:default/noor"}).Draw(r, "user")
	err := m.drawStore(r).TouchSession(m.ctx, id, user, m.Now())
	if s := m.sessions[id]; s != nil {
		wantAnswer(r, err, nil)
		s.UserRef, s.UsedAt = user, m.Now()
		return
	}
	wantAnswer(r, err, signin.ErrNoSession)
}

func (m *model) expire(r *rapid.T) {
	id, at := m.drawID(r), m.Now().Add(drawDuration(r))
	wantAnswer(r, m.drawStore(r).ExpireSession(m.ctx, id, at), nil)
	if s := m.sessions[id]; s != nil && at.Before(s.ExpiresAt) {
		s.ExpiresAt = at
	}
}

func (m *model) delete(r *rapid.T) {
	id := m.drawID(r)
	wantAnswer(r, m.drawStore(r).DeleteSession(m.ctx, id), nil)
	delete(m.sessions, id)
}

func (m *model) acquire(r *rapid.T) {
	l := m.drawLease(r)
	got, err := m.drawStore(r).AcquireLease(m.ctx, l)
	s := m.sessions[l.Session]
	switch {
	case s == nil:
		wantAnswer(r, err, signin.ErrNoSession)
	case s.until.After(m.Now()) && s.owner != l.Owner:
		wantAnswer(r, err, signin.ErrNotOwner)
	default:
		wantAnswer(r, err, nil)
		s.owner, s.until = l.Owner, m.Now().Add(l.TTL)
		if diff := difference(s.Session, got); diff != "" {
			r.Fatalf("leased session differs (-want +got):\n%s", diff)
		}
	}
}

func (m *model) renew(r *rapid.T) {
	l := m.drawLease(r)
	err := m.drawStore(r).RenewLease(m.ctx, l)
	if s := m.sessions[l.Session]; s != nil && s.owner == l.Owner {
		wantAnswer(r, err, nil)
		s.until = m.Now().Add(l.TTL)
		return
	}
	wantAnswer(r, err, signin.ErrNotOwner)
}

func (m *model) finish(r *rapid.T) {
	l, learned := m.drawLease(r), m.drawSession(r)
	err := m.drawStore(r).FinishLease(m.ctx, l, signin.Renewal{
		Scope: learned.Scope, Tokens: learned.Tokens, RefreshedAt: m.Now(),
	})
	s := m.sessions[l.Session]
	switch {
	case s == nil:
		wantAnswer(r, err, signin.ErrNoSession)
	case s.owner != l.Owner:
		wantAnswer(r, err, signin.ErrNotOwner)
	default:
		wantAnswer(r, err, nil)
		s.Scope, s.Tokens, s.RefreshedAt = learned.Scope, learned.Tokens, m.Now()
		s.owner, s.until = "", time.Time{}
	}
}

func (m *model) release(r *rapid.T) {
	l := m.drawLease(r)
	wantAnswer(r, m.drawStore(r).ReleaseLease(m.ctx, l), nil)
	if s := m.sessions[l.Session]; s != nil && s.owner == l.Owner {
		s.owner, s.until = "", time.Time{}
	}
}

func (m *model) sweep(r *rapid.T) {
	_, err := m.drawStore(r).Sweep(m.ctx)
	wantAnswer(r, err, nil)
	now := m.Now()
	for id, s := range m.sessions {
		leased := s.until.After(now)
		if now.After(s.ExpiresAt) || now.After(s.UsedAt.Add(Idle)) && !leased {
			delete(m.sessions, id)
		}
	}
	for id, until := range m.adopted {
		if now.After(until) {
			delete(m.adopted, id)
		}
	}
}
