package catalog_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stagedoor/providers"
	"stagedoor/server/internal/catalog"
	"stagedoor/server/internal/catalog/catalogtest"
)

// TestCoalesce shows that a hundred sign-ins of one user are one look-up, and that those who leave take nobody along.
func TestCoalesce(t *testing.T) {
	for _, keep := range []time.Duration{0, catalog.DefaultCacheFor} {
		synctest.Test(t, func(t *testing.T) {
			s := catalogtest.New(t, catalogtest.People)
			release := make(chan struct{})
			s.Fail(catalogtest.Hang(release))
			r := newREST(s, catalog.RESTConfig{CacheFor: keep})
			first, leave := context.WithCancel(t.Context())
			var done sync.WaitGroup
			done.Go(func() {
				_, err := r.FindUser(first, byRef("jane.doe"))
				if !errors.Is(err, context.Canceled) || !errors.Is(err, catalog.ErrUnavailable) {
					t.Errorf("who left: %v", err)
				}
			})
			synctest.Wait()
			for range 99 {
				done.Go(func() {
					u, err := r.FindUser(t.Context(), byRef("jane.doe"))
					if err != nil || len(u.Ownership) == 0 || u.Ownership[0] != "user:default/jane.doe" {
						t.Errorf("found %v, error %v", u, err)
						return
					}
					u.Ownership[0] = "mine to change"
				})
			}
			done.Go(func() {
				if _, err := r.FindUser(t.Context(), byRef("nobody")); !errors.Is(err, catalog.ErrNotFound) {
					t.Errorf("somebody else: %v", err)
				}
			})
			synctest.Wait()
			leave()
			synctest.Wait()
			close(release)
			done.Wait()
			if n := s.Count("GET", "/entities/by-name/User/default/jane.doe"); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := catalogtest.New(t, catalogtest.People)
		s.Fail(catalogtest.Hang(nil))
		begin := time.Now()
		_, err := newREST(s, catalog.RESTConfig{}).FindUser(t.Context(), byRef("jane.doe"))
		if !errors.Is(err, catalog.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(begin); took != catalog.DefaultTimeout {
			t.Errorf("took %v", took)
		}
		_, err = newREST(s, catalog.RESTConfig{Timeout: time.Second}).EntitiesExist(t.Context(), []string{"group:default/admins"})
		if took := time.Since(begin) - catalog.DefaultTimeout; !errors.Is(err, catalog.ErrUnavailable) || took != time.Second {
			t.Errorf("took %v, error %v", took, err)
		}
	})
}

// TestRepeatWithinTheDeadline shows that no second request begins after the deadline.
func TestRepeatWithinTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := catalogtest.New(t, catalogtest.People)
		s.Fail(catalogtest.Status(http.StatusServiceUnavailable))
		_, err := newREST(s, catalog.RESTConfig{Timeout: time.Millisecond}).FindUser(t.Context(), byRef("jane.doe"))
		if e, ok := errors.AsType[*catalog.ResponseError](err); !ok || e.Status != http.StatusServiceUnavailable {
			t.Errorf("error %v", err)
		}
		if n := len(s.Calls()); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// TestCache goes through the life of one entry. Every step says how often the catalog has been asked at its end.
func TestCache(t *testing.T) {
	for name, lookup := range map[string]providers.Lookup{"by name": byRef("jane"), "by address": byEmail("jane@example.com")} {
		t.Run(name, func(t *testing.T) { testCache(t, lookup) })
	}
}

func testCache(t *testing.T, lookup providers.Lookup) {
	now := time.Unix(1_800_000_000, 0)
	const jane = "kind: User\nmetadata: {name: jane}\nspec: {profile: {email: jane@example.com}}\n"
	s := catalogtest.New(t, "")
	r := newREST(s, catalog.RESTConfig{CacheFor: 10 * time.Second, Now: func() time.Time { return now }})
	for _, step := range []struct {
		name  string
		later time.Duration
		do    func()
		want  error
		calls int
	}{
		{"nobody", 0, func() {}, catalog.ErrNotFound, 1},
		{"nobody is not kept", 0, func() { s.Set(t, jane) }, nil, 2},
		{"somebody is", 9 * time.Second, func() { s.Fail(catalogtest.Status(500)) }, nil, 2},
		{"for so long", time.Second, func() {}, catalog.ErrUnavailable, 3},
		{"a failure is not kept", 0, func() { s.Fail(nil) }, nil, 4},
		{"who goes is still known", 9 * time.Second, func() { s.Set(t, "") }, nil, 4},
		{"but no longer", time.Second, func() {}, catalog.ErrNotFound, 5},
		{"and stays gone", 0, func() {}, catalog.ErrNotFound, 6},
	} {
		now = now.Add(step.later)
		step.do()
		if _, err := r.FindUser(t.Context(), lookup); !errors.Is(err, step.want) {
			t.Fatalf("%s: error %v", step.name, err)
		}
		if n := len(s.Calls()); n != step.calls {
			t.Fatalf("%s: asked %d times, want %d", step.name, n, step.calls)
		}
	}
}

// TestCacheCountsFromTheQuestion shows that an answer is as old as its question, however long the catalog took.
func TestCacheCountsFromTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := catalogtest.New(t, catalogtest.People)
		release := make(chan struct{})
		s.Fail(catalogtest.Hang(release))
		r := newREST(s, catalog.RESTConfig{CacheFor: 10 * time.Second, Now: time.Now})
		time.AfterFunc(4*time.Second, func() { close(release) })
		for i, wait := range []time.Duration{0, 5 * time.Second, time.Second} {
			<-time.After(wait)
			if _, err := r.FindUser(t.Context(), byRef("jane.doe")); err != nil {
				t.Fatal(err)
			}
			if n, want := len(s.Calls()), 1+i/2; n != want {
				t.Errorf("after %v: asked %d times, want %d", wait, n, want)
			}
		}
	})
}

func TestNoCache(t *testing.T) {
	s := catalogtest.New(t, catalogtest.People)
	r := newREST(s, catalog.RESTConfig{})
	for range 3 {
		if _, err := r.FindUser(t.Context(), byRef("jane.doe")); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.Calls()); n != 3 {
		t.Errorf("asked %d times", n)
	}
}

// TestConnectionReuse shows that one connection is enough, whatever the answers are.
func TestConnectionReuse(t *testing.T) {
	s := catalogtest.Start(t, catalogtest.People)
	var dials atomic.Int32
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	defer transport.CloseIdleConnections()
	r := newREST(s, catalog.RESTConfig{HTTP: &http.Client{Transport: transport}})
	for _, f := range []catalogtest.Fault{nil, catalogtest.Status(500), catalogtest.Status(401), catalogtest.Garbage(), catalogtest.Twins()} {
		s.Fail(f)
		_, _ = r.FindUser(t.Context(), byRef("nobody"))
		_, _ = r.FindUser(t.Context(), byRef("jane.doe"))
		_, _ = r.FindUser(t.Context(), byEmail("jane@example.com"))
		_, _ = r.EntitiesExist(t.Context(), []string{"group:default/admins"})
	}
	if n, calls := dials.Load(), len(s.Calls()); n != 1 || calls != 20 {
		t.Errorf("%d connections for %d requests", n, calls)
	}
}

// TestRefusedConnection is about a catalog that nobody listens for.
func TestRefusedConnection(t *testing.T) {
	s := catalogtest.Start(t, catalogtest.People)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	s.URL = "http://" + listener.Addr().String()
	if _, err := newREST(s, catalog.RESTConfig{}).FindUser(t.Context(), byEmail("jane@example.com")); !errors.Is(err, catalog.ErrUnavailable) {
		t.Errorf("error %v", err)
	} else {
		checkSecrecy(t, err, "")
	}
}
