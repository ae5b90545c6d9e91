package catalogtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// PluginTokens checks a plugin token as the catalog's backend does, with a JOSE implementation that the server does not use
// (contract/core.md T26, T27).
type PluginTokens struct {
	// Base is the address of the auth plugin, without a trailing slash: "http://localhost:7007/api/auth".
	Base string
	// HTTP fetches its keys, for every token anew.
	HTTP *http.Client
	// Now is the time that iat and exp are compared with.
	Now func() time.Time
}

// pluginClaims are the claims of a plugin token.
type pluginClaims struct {
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// Check returns nil if raw is a valid token of the plugin auth for the plugin catalog. It can be given to
// Server.CheckTokens.
func (p PluginTokens) Check(ctx context.Context, raw string) error {
	token, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return fmt.Errorf("parse plugin token: %w", err)
	}
	header := token.Signatures[0].Protected
	if typ := header.ExtraHeaders[jose.HeaderType]; typ != "vnd.backstage.plugin" {
		return fmt.Errorf("check plugin token: typ is %v", typ)
	}
	keys, err := p.fetch(ctx)
	if err != nil {
		return err
	}
	found := keys.Key(header.KeyID)
	if len(found) != 1 {
		return fmt.Errorf("check plugin token: %d keys have its id", len(found))
	}
	payload, err := token.Verify(found[0])
	if err != nil {
		return fmt.Errorf("verify plugin token: %w", err)
	}
	return p.checkClaims(payload)
}

func (p PluginTokens) checkClaims(payload []byte) error {
	var c pluginClaims
	if err := json.Unmarshal(payload, &c); err != nil {
		return fmt.Errorf("read claims: %w", err)
	}
	now := p.Now().Unix()
	switch {
	case c.Subject != "auth":
		return errors.New("check plugin token: sub is not auth")
	case c.Audience != "catalog":
		return errors.New("check plugin token: aud is not catalog")
	case c.IssuedAt == 0 || c.IssuedAt > now:
		return errors.New("check plugin token: not issued yet")
	case c.Expires <= now:
		return errors.New("check plugin token: expired")
	}
	return nil
}

// fetch reads the keys of the plugin auth, which is where the receiver of its tokens looks for them.
func (p PluginTokens) fetch(ctx context.Context) (*jose.JSONWebKeySet, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Base+"/.backstage/auth/v1/jwks.json", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("fetch plugin keys: %w", err)
	}
	resp, err := p.HTTP.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch plugin keys: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch plugin keys: status %d", resp.StatusCode)
	}
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(resp.Body).Decode(&keys); err != nil {
		return nil, fmt.Errorf("read plugin keys: %w", err)
	}
	return &keys, nil
}
