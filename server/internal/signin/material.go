package signin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"stagedoor/providers"
)

// material is what a session holds of the provider's last answer. It is stored sealed.
type material struct {
	AccessToken  string `json:"at,omitempty"`
	IDToken      string `json:"it,omitempty"`
	RefreshToken string `json:"rt,omitempty"`
	// Scope is what the session may claim to have, Asked what the answer was asked for.
	Scope string `json:"sc,omitempty"`
	Asked string `json:"as,omitempty"`
	// Expires is the end of the access token, zero if unknown.
	Expires time.Time         `json:"ex,omitzero"`
	Subject string            `json:"su,omitempty"`
	Profile providers.Profile `json:"pr"`
	// Info replaces the tokens where they would be shown, unless it is nil.
	Info     map[string]any `json:"in,omitzero"`
	Claims   map[string]any `json:"cl,omitempty"`
	UserInfo map[string]any `json:"ui,omitempty"`
}

// newMaterial is what to keep of r, which was asked for scope. A provider that persists scopes is believed to have granted what
// was asked; of any other only its own word counts (contract/core.md F16 to F18).
func newMaterial(e *Entry, r providers.Result, asked string, now time.Time) material {
	m := material{
		AccessToken: r.Session.AccessToken, IDToken: r.Session.IDToken, RefreshToken: r.Session.RefreshToken,
		Scope: storable(r.Session.Scope), Asked: storable(asked), Subject: r.Session.Subject,
		Profile: r.Profile, Claims: r.Claims, UserInfo: r.UserInfo, Info: r.Info,
	}
	if e.Kind.Scopes.Persist {
		m.Scope = m.Asked
	}
	if r.Session.ExpiresIn > 0 {
		m.Expires = now.Add(r.Session.ExpiresIn)
	}
	return m
}

// result is the stored answer as a resolver sees it.
func (m material) result() providers.Result {
	return providers.Result{
		Session: providers.Session{Subject: m.Subject}, Profile: m.Profile, Claims: m.Claims, UserInfo: m.UserInfo,
	}
}

// covers reports whether asking again could bring no more of the requested scopes than this answer has: each was granted, or was
// asked for when this answer was given.
func (m material) covers(requested string) bool {
	return providers.Scopes{}.Covers(m.Scope+" "+m.Asked, requested)
}

// info is the part of the answer that shows the provider's tokens.
func (m material) info(now time.Time) *ProviderInfo {
	if m.Info != nil {
		return &ProviderInfo{Extra: m.Info}
	}
	p := &ProviderInfo{AccessToken: m.AccessToken, IDToken: m.IDToken, Scope: m.Scope}
	if !m.Expires.IsZero() {
		p.ExpiresIn = max(m.Expires.Sub(now), time.Second)
	}
	return p
}

func (m material) profile() ProfileInfo {
	return ProfileInfo{Email: m.Profile.Email, DisplayName: m.Profile.DisplayName, Picture: m.Profile.Picture}
}

// sealMaterial encrypts m for the row id; in another row it does not open.
func (f *Flow) sealMaterial(id string, m material) ([]byte, error) {
	plain, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode session tokens: %w", err)
	}
	return f.sealRow.Seal(plain, []byte(id)), nil
}

func (f *Flow) openMaterial(s Session) (material, error) {
	plain, err := f.sealRow.Open(s.Tokens, []byte(s.ID))
	if err != nil {
		return material{}, err
	}
	var m material
	if err := json.Unmarshal(plain, &m); err != nil {
		return material{}, fmt.Errorf("decode session tokens: %w", err)
	}
	return m, nil
}

// storable is what PostgreSQL can hold of a scope. The start takes any, as Backstage does, and a provider may answer any.
func storable(scope string) string {
	return strings.Join(providers.SplitScope(strings.ReplaceAll(strings.ToValidUTF8(scope, ""), "\x00", "")), " ")
}

// subjectKey stands for the provider's user, for being found by; empty if the provider did not say who it is.
func (m material) subjectKey(e *Entry) string { return upstreamHash("sub", e, m.Subject) }

// upstreamKey stands for the session at the provider (OpenID Connect Back-Channel Logout 1.0 section 2.1, sid).
func (m material) upstreamKey(e *Entry) string {
	sid, _ := m.Claims["sid"].(string)
	return upstreamHash("sid", e, sid)
}

func upstreamHash(what string, e *Entry, value string) string {
	if value == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{what, e.ID, e.Env, value}, "\x00")))
	return hex.EncodeToString(sum[:])
}
