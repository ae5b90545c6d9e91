package devidp

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

func (f Faults) rewriteTokens(m *Misbehaving) func(*answer) error {
	if f.Token == "" && !f.IDToken.any() {
		return nil
	}
	return func(a *answer) error {
		if a.status != http.StatusOK {
			return nil // Refused anyway.
		}
		if f.IDToken.any() {
			if err := a.editJSON(func(tokens map[string]any) error { return f.IDToken.spoil(tokens, m) }); err != nil {
				return err
			}
		}
		return f.Token.spoil(a)
	}
}

func (t TokenFault) spoil(a *answer) error {
	switch t {
	case TokenErrorWithOK:
		return a.replace(http.StatusOK, oauthError("invalid_request"))
	case TokenInvalidGrant:
		return a.replace(http.StatusBadRequest, oauthError("invalid_grant"))
	case TokenInvalidClient:
		return a.replace(http.StatusUnauthorized, oauthError("invalid_client"))
	}
	member, ok := map[TokenFault]string{
		TokenNoAccessToken: "access_token", TokenNoIDToken: "id_token",
		TokenNoRefreshToken: "refresh_token", TokenNoExpiry: "expires_in",
	}[t]
	if !ok {
		return nil
	}
	return a.editJSON(func(tokens map[string]any) error {
		delete(tokens, member)
		return nil
	})
}

func oauthError(code string) map[string]any {
	return map[string]any{"error": code, "error_description": "this provider misbehaves on request"}
}

func (f IDTokenFaults) any() bool {
	return len(f.Claims) > 0 || f.Edit != nil || f.Signature != ""
}

func (f IDTokenFaults) spoil(tokens map[string]any, m *Misbehaving) error {
	compact, _ := tokens["id_token"].(string)
	token, err := parseIDToken(compact)
	if err != nil {
		return fmt.Errorf("parse healthy id_token: %w", err)
	}
	if err := f.spoilClaims(token.claims, m.issuer); err != nil {
		return err
	}
	tokens["id_token"], err = token.sign(f.Signature, m.keys.current(), m.other)
	return err
}

func (f IDTokenFaults) spoilClaims(claims map[string]any, issuer string) error {
	scene, err := newClaimScene(claims, issuer, f.By)
	if err != nil {
		return err
	}
	for _, fault := range f.Claims {
		scene.apply(fault)
	}
	if f.Edit != nil {
		f.Edit(claims)
	}
	return nil
}

// claimScene is what the faults of claims are measured against.
type claimScene struct {
	claims map[string]any
	issuer string
	us     any   // The healthy audience's one client.
	now    int64 // The healthy iat, in seconds.
	by     int64 // Seconds.
}

func newClaimScene(claims map[string]any, issuer string, by time.Duration) (claimScene, error) {
	issued, ok := claims["iat"].(json.Number)
	if !ok {
		return claimScene{}, fmt.Errorf("read healthy id_token: no iat")
	}
	now, err := issued.Int64()
	if err != nil {
		return claimScene{}, fmt.Errorf("read healthy id_token: %w", err)
	}
	if by == 0 {
		by = time.Hour
	}
	return claimScene{claims: claims, issuer: issuer, us: claims["azp"], now: now, by: int64(by.Seconds())}, nil
}

// otherClient and otherIssuer are nobody's.
const (
	otherClient = "another-client"
	otherIssuer = "https://idp.elsewhere.invalid"
)

func (s claimScene) apply(fault ClaimFault) {
	if name, ok := absentClaims[fault]; ok {
		delete(s.claims, name)
		return
	}
	if change, ok := changedClaims[fault]; ok {
		change(s)
	}
}

var absentClaims = map[ClaimFault]string{
	IssuerMissing:   "iss",
	AudienceMissing: "aud",
	SubjectMissing:  "sub",
	ExpiryMissing:   "exp",
	IssuedAtMissing: "iat",
	NonceMissing:    "nonce",
}

var changedClaims = map[ClaimFault]func(claimScene){
	IssuerOther:         func(s claimScene) { s.claims["iss"] = otherIssuer },
	IssuerTrailingSlash: func(s claimScene) { s.claims["iss"] = s.issuer + "/" },
	IssuerUpperCase:     func(s claimScene) { s.claims["iss"] = strings.ToUpper(s.issuer) },
	AudienceOther:       func(s claimScene) { s.claims["aud"] = otherClient },
	AudienceOthers:      func(s claimScene) { s.claims["aud"] = []any{otherClient, "third-client"} },
	AudiencePartyOther: func(s claimScene) {
		s.claims["aud"], s.claims["azp"] = []any{s.us, otherClient}, otherClient
	},
	AudiencePartyNone: func(s claimScene) {
		s.claims["aud"] = []any{s.us, otherClient}
		delete(s.claims, "azp")
	},
	SubjectEmpty:    func(s claimScene) { s.claims["sub"] = "" },
	ExpiryPast:      func(s claimScene) { s.claims["exp"] = s.now - s.by },
	ExpiryString:    func(s claimScene) { s.claims["exp"] = fmt.Sprint(s.claims["exp"]) },
	ExpiryHuge:      func(s claimScene) { s.claims["exp"] = json.Number("9223372036854775808") },
	IssuedAtFuture:  func(s claimScene) { s.claims["iat"] = s.now + s.by },
	NotBeforeFuture: func(s claimScene) { s.claims["nbf"] = s.now + s.by },
	NonceOther:      func(s claimScene) { s.claims["nonce"] = "another-nonce" },
	AccessHashOther: func(s claimScene) { s.claims["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA" },
}
