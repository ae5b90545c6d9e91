package devidp

import (
	"context"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// TestMemoryIsBounded signs in more often than the shelves hold, and finds them at their limits.
func TestMemoryIsBounded(t *testing.T) {
	s := newStorage()
	s.now, s.clients = (&fakeClock{now: time.Unix(0, 0)}).Now, map[string]Client{"a": {ID: "a", Secret: "b"}}
	s.lifetime.access, s.lifetime.refresh = time.Hour, time.Hour
	for range maxTokens + 10 {
		if err := grantOnce(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	got := []int{s.requests.order.Len(), s.sessions.order.Len(), s.grants.order.Len(), s.access.order.Len(), s.refresh.order.Len()}
	want := []int{maxRequests, maxSessions, maxGrants, maxTokens, maxTokens}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("shelf %d holds %d, want %d", i, got[i], want[i])
		}
	}
}

func grantOnce(ctx context.Context, s *storage) error {
	request, err := s.CreateAuthRequest(ctx, &oidc.AuthRequest{ClientID: "a"}, "")
	if err != nil {
		return err
	}
	by := s.startSession(request.GetID(), "jane-doe")
	done, _ := s.complete(request.GetID(), by)
	_, _, _, err = s.CreateAccessAndRefreshTokens(ctx, &done, "")
	return err
}

func TestRequestIsCompletedOnce(t *testing.T) {
	s := newStorage()
	s.now, s.clients = (&fakeClock{now: time.Unix(0, 0)}).Now, map[string]Client{"a": {ID: "a", Secret: "b"}}
	request, err := s.CreateAuthRequest(t.Context(), &oidc.AuthRequest{ClientID: "a"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.complete(request.GetID(), session{subject: "jane-doe"}); !ok {
		t.Error("the first answer does not count")
	}
	if _, ok := s.complete(request.GetID(), session{subject: "john-roe"}); ok {
		t.Error("the second answer counts as well")
	}
}
