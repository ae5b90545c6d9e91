package catalog

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// TestCacheIsBounded puts many users into one cache, and one of them over and over.
func TestCacheIsBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c := newCache(time.Minute)
	for i := range 5 * maxGeneration {
		c.put(fmt.Sprint(i), User{Ref: fmt.Sprint(i)}, now)
		if n := len(c.young) + len(c.old); n > 2*maxGeneration {
			t.Fatalf("%d users are kept", n)
		}
	}
	if u, ok := c.get(fmt.Sprint(5*maxGeneration-1), now); !ok || u.Ref != fmt.Sprint(5*maxGeneration-1) {
		t.Errorf("the last user is %v, %v", u, ok)
	}
	if _, ok := c.get("0", now); ok {
		t.Error("the first user is still there")
	}
}

// TestCacheForgets shows that users nobody asks for do not stay in memory.
func TestCacheForgets(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c := newCache(time.Minute)
	for i := range 100 {
		c.put(fmt.Sprint(i), User{}, now)
	}
	for i := range 2 {
		c.put("x", User{}, now.Add(time.Duration(i+1)*time.Minute))
	}
	if n := len(c.young) + len(c.old); n != 2 { // x, once per generation
		t.Errorf("%d users are kept", n)
	}
	if _, ok := c.get("x", now.Add(2*time.Minute)); !ok {
		t.Error("who was asked for last is gone")
	}
}

// TestLateFlight is about who missed the cache just before somebody else's answer came: no second request is sent.
func TestLateFlight(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	r := NewREST(RESTConfig{
		HTTP: &http.Client{}, CacheFor: time.Minute, Now: func() time.Time { return now },
		Token: func(context.Context) (string, error) { return "", errors.New("a request is made") },
	})
	r.found.put("http://catalog.test/x", User{Ref: "user:default/jane"}, now)
	if u, err := r.ask(t.Context(), "http://catalog.test/x", query{}); err != nil || u.Ref != "user:default/jane" {
		t.Errorf("found %v, error %v", u, err)
	}
}
