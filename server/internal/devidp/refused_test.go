package devidp

import (
	"testing"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

func TestRefusedFeatures(t *testing.T) {
	s, ctx := newRig(t).store, t.Context()
	for _, test := range []struct {
		name string
		call func() error
	}{
		{"private claims", func() error { _, err := s.GetPrivateClaimsFromScopes(ctx, "", "", nil); return err }},
		{"introspection", func() error {
			return s.SetIntrospectionFromToken(ctx, &oidc.IntrospectionResponse{Active: true}, "", "", "")
		}},
		{"client keys", func() error { _, err := s.GetKeyByIDAndClientID(ctx, "", ""); return err }},
		{"JWT bearer", func() error { _, err := s.ValidateJWTProfileScopes(ctx, "", nil); return err }},
		{"foreign grant", func() error { _, _, err := s.CreateAccessToken(ctx, &oidc.JWTTokenRequest{}); return err }},
		{"unfinished request", func() error { _, err := s.AuthRequestByID(ctx, "guess"); return err }},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.call() == nil {
				t.Error("no error")
			}
		})
	}
}
