package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"stagedoor/server/internal/devidp"
)

// tally is what people met.
type tally struct {
	mu               sync.Mutex
	signIns          int
	refreshes        int
	retried          map[string]int
	signInsLost      int
	signInsInFlight  int
	sessionsLost     int
	sessionsInFlight int
	complaints       []string
}

func (t *tally) note(code string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.retried[code]++
}

func (t *tally) count(n *int, complaint string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*n++
	if complaint != "" {
		t.complaints = append(t.complaints, complaint)
	}
}

// person is a browser of the portal, with several tabs.
type person struct {
	f     *fleet
	l     *ledger
	t     *tally
	email string
	tabs  int
	http  *http.Client
	// cutAt is when a connection broke under one of this person's requests (Unix nanoseconds): its replica died, and with it what the
	// provider may have answered. stuck says that the store refused something since the last success.
	cutAt atomic.Int64
	stuck atomic.Bool
}

// doubt is how long the loss of a session may have to do with a request that was in flight: the answer of before may be used once more
// in between, and the longer the more one replica's clock is ahead.
const doubt = time.Minute

func (p *person) cut() bool { return time.Since(time.Unix(0, p.cutAt.Load())) < doubt }

func newPerson(f *fleet, l *ledger, t *tally, email string, tabs int) *person {
	p := &person{f: f, l: l, t: t, email: email, tabs: tabs, http: &http.Client{
		Timeout: 90 * time.Second, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	p.newBrowser()
	return p
}

// newBrowser forgets all cookies. Each start that was given up leaves one for ten minutes, and nobody types as fast as this: dozens of
// them are more than a server takes.
func (p *person) newBrowser() {
	p.http.Jar, _ = cookiejar.New(nil) // never fails without options
}

// answer is a response, read.
type answer struct {
	status int
	to     string
	body   []byte
}

// ask sends a request to a replica. One that was not even accepted is sent to another; err says that it broke in the middle.
func (p *person) ask(ctx context.Context, s *slot, path string) (answer, error) {
	for {
		a, err := p.once(ctx, s, path)
		if err == nil || !errors.Is(err, syscall.ECONNREFUSED) || ctx.Err() != nil {
			return a, err
		}
		if s, err = p.f.pick(ctx); err != nil {
			return a, err
		}
	}
}

func (p *person) once(ctx context.Context, s *slot, path string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.at()+path, http.NoBody)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("X-Requested-With", "XMLHttpRequest")
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	res, err := p.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header.Get("Location"), body}, err
}

// passing are the codes that say: the same again, later.
func passing(code string) bool {
	switch code {
	case "refresh_busy", "starting", "stopping", "request_cancelled", "keys_unavailable":
		return true
	case "idp_token_rejected":
		return false
	}
	for _, prefix := range []string{"store_", "idp_", "catalog_"} {
		if strings.HasPrefix(code, prefix) {
			return true
		}
	}
	return false
}

// live signs in and keeps the session fresh until ctx ends; pause is between two rounds.
func (p *person) live(ctx context.Context, rounds int, pause time.Duration) {
	for ctx.Err() == nil {
		if !p.signIn(ctx) {
			continue
		}
		for range rounds {
			if !p.freshen(ctx) {
				break
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}

// signIn makes one sign-in, from the start again as often as somebody would whose portal says that it is not available.
func (p *person) signIn(ctx context.Context) bool {
	cut := false
	for ctx.Err() == nil {
		code, broke := p.attempt(ctx)
		cut = cut || broke
		switch {
		case ctx.Err() != nil:
		case code == "":
			p.cutAt.Store(0)
			p.t.count(&p.t.signIns, "")
			p.stuck.Store(false)
			return true
		case cut:
			p.t.count(&p.t.signInsInFlight, "")
		case p.f.excused() && passing(code):
			p.t.note(code)
		default:
			p.t.count(&p.t.signInsLost, "sign-in: "+code)
		}
		p.newBrowser()
		_ = breathe(ctx)
	}
	return false
}

// attempt goes through start, provider and callback. broke says that a connection did under the callback, which may have counted.
func (p *person) attempt(ctx context.Context) (code string, broke bool) {
	s, err := p.f.pick(ctx)
	if err != nil {
		return "none up", false
	}
	start, err := p.ask(ctx, s, startPath())
	if err != nil {
		return "start: " + err.Error(), true // it has no effect, and can be sent again
	}
	if start.status != http.StatusFound {
		return codeOf(start), false
	}
	to, err := devidp.Login(p.http, start.to, p.email)
	if err != nil {
		return "idp_login", false
	}
	path := strings.TrimPrefix(to, fleetBase)
	for {
		if s, err = p.f.pick(ctx); err != nil {
			return "none up", false
		}
		a, err := p.ask(ctx, s, path)
		if err != nil {
			if broke = true; ctx.Err() != nil {
				return "end", true
			}
			continue
		}
		code, token := pageOf(a)
		if code == "" {
			p.l.add(token)
			return "", broke
		}
		if !strings.HasPrefix(code, "store_") {
			return code, broke
		}
		p.t.note(code) // the same callback, again
		broke = true   // it may have been consumed before the store went
		_ = breathe(ctx)
	}
}

// codeOf is the code of a JSON error.
func codeOf(a answer) string {
	var body struct{ Error errorDetail }
	if json.Unmarshal(a.body, &body) != nil || body.Error.Code == "" {
		return fmt.Sprintf("status %d: %.60s", a.status, a.body)
	}
	return body.Error.Code
}

// pageOf reads the popup page: the code of its error, or the Backstage token.
func pageOf(a answer) (code, token string) {
	found := literals.FindAllStringSubmatch(string(a.body), -1)
	if a.status != http.StatusOK || len(found) != 2 {
		return codeOf(a), ""
	}
	var m message
	text, err := url.PathUnescape(found[0][1])
	if err == nil {
		err = json.Unmarshal([]byte(text), &m)
	}
	switch {
	case err != nil:
		return "page: " + err.Error(), ""
	case m.Error.Name != "":
		return m.Error.Code, ""
	case m.Response.BackstageIdentity == nil:
		return "no identity", ""
	}
	return "", m.Response.BackstageIdentity.Token
}

// freshen refreshes in all tabs at once. It is false when the session is over.
func (p *person) freshen(ctx context.Context) bool {
	var tabs sync.WaitGroup
	var over atomic.Bool
	var why atomic.Value
	for range p.tabs {
		tabs.Go(func() {
			if code := p.refresh(ctx); code != "" {
				over.Store(true)
				why.Store(code)
			}
		})
	}
	tabs.Wait()
	if !over.Load() || ctx.Err() != nil {
		p.stuck.Store(false)
		return !over.Load()
	}
	switch code := why.Load().(string); {
	case p.cut():
		p.t.count(&p.t.sessionsInFlight, "")
	default:
		p.t.count(&p.t.sessionsLost, fmt.Sprintf("session of %s: %s (the store refused before: %v)", p.email, code, p.stuck.Load()))
	}
	return false
}

// refresh asks until there is an answer that stays. It returns the code of the session's end, or "".
func (p *person) refresh(ctx context.Context) string {
	for ctx.Err() == nil {
		s, err := p.f.pick(ctx)
		if err != nil {
			return ""
		}
		a, err := p.ask(ctx, s, refreshPath)
		if err != nil {
			p.cutAt.Store(time.Now().UnixNano())
			continue
		}
		if a.status == http.StatusOK {
			var got session
			if err := json.Unmarshal(a.body, &got); err != nil || got.BackstageIdentity == nil {
				return "no identity"
			}
			p.l.add(got.BackstageIdentity.Token)
			p.t.count(&p.t.refreshes, "")
			return ""
		}
		code := codeOf(a)
		if !passing(code) {
			return code
		}
		switch {
		case strings.HasPrefix(code, "store_"):
			p.stuck.Store(true)
		case code == "idp_unreachable": // a connection to the provider broke: it may have answered, and spent the token
			p.cutAt.Store(time.Now().UnixNano())
		}
		p.t.note(code)
		if !p.f.excused() && !p.cut() {
			p.t.count(&p.t.signInsLost, "refresh without a fault: "+code)
		}
		_ = breathe(ctx)
	}
	return ""
}
