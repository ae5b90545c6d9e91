package tokens

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Tokens that somebody else signed are held against what Backstage's verifier demands, which is that of RFC 7519 section
// 7.2 without tolerance for clocks: a token may be issued in the future, but not begin or have ended there.

// PluginPrincipal is whom a verified plugin token speaks for (contract/core.md T27).
type PluginPrincipal struct {
	// Plugin is the ID of the calling plugin, as it spells it.
	Plugin string
	// OnBehalfOf is the limited token of the user that the plugin acts for; empty if it acts for itself. It is not
	// verified: that is Issuer.Verify's part.
	OnBehalfOf string
	// ExpiresAt is the end of the token, in UTC.
	ExpiresAt time.Time
}

// Why a token that is what it should be does not hold.
var (
	errExpired       = fmt.Errorf("%w: expired", ErrInvalid)
	errIssuer        = fmt.Errorf("%w: from another issuer", ErrInvalid)
	errAudience      = fmt.Errorf("%w: for another audience", ErrInvalid)
	errPluginSubject = fmt.Errorf("%w: subject is not a plugin ID", ErrInvalid)
)

// UnverifiedPlugin says which plugin a plugin token claims to come from, and which of its keys is said to have signed
// it, so that the caller can find the keys. Nothing of it is verified, except that plugin has the form of a plugin ID;
// kid is empty if the header names none.
//
// The error is ErrUnrecognised if raw is not shaped like a plugin token, and ErrInvalid if its subject is no plugin ID.
func UnverifiedPlugin(raw string) (plugin, kid string, err error) {
	t, err := splitCompact(raw)
	if err != nil {
		return "", "", err
	}
	h, err := t.foreignHeader(typPlugin)
	if err != nil {
		return "", "", err
	}
	m, ok := decodeMembers(t.payload)
	if !ok || !m.read("sub", &plugin) {
		return "", "", errClaims
	}
	if !isPluginID(plugin) {
		return "", "", errPluginSubject
	}
	return plugin, h.kid, nil
}

// VerifyPluginToken says whom a plugin token speaks for. The keys are those of the plugin that UnverifiedPlugin names,
// audience is the ID of the plugin that the token was sent to.
//
// The error is ErrUnrecognised if raw is not shaped like a plugin token, ErrUnknownKey if no key fits its header, and
// ErrInvalid if it does not hold for another reason.
func VerifyPluginToken(raw string, keys *KeySet, audience string, now time.Time) (PluginPrincipal, error) {
	t, err := splitCompact(raw)
	if err != nil {
		return PluginPrincipal{}, err
	}
	h, err := t.foreignHeader(typPlugin)
	if err != nil {
		return PluginPrincipal{}, err
	}
	if err := keys.verify(t, h); err != nil {
		return PluginPrincipal{}, err
	}
	return t.pluginPrincipal(audience, now)
}

// foreignHeader reads the header of a token that has to be of a kind; an empty typ is any.
func (t compact) foreignHeader(typ string) (header, error) {
	h, err := decodeHeader(t.header)
	switch {
	case err != nil:
		return header{}, err
	case typ != "" && h.typ != typ:
		return header{}, ErrUnrecognised
	case h.critical: // RFC 7515 section 4.1.11
		return header{}, fmt.Errorf("%w: critical header", ErrInvalid)
	}
	return h, nil
}

// pluginPrincipal holds the claims of a plugin token against contract/core.md T27.
func (t compact) pluginPrincipal(audience string, now time.Time) (PluginPrincipal, error) {
	m, ok := decodeMembers(t.payload)
	if !ok {
		return PluginPrincipal{}, errClaims
	}
	var issued float64
	var onBehalfOf string
	if !m.read("iat", &issued) || !m.readOptional("obo", &onBehalfOf) {
		return PluginPrincipal{}, errClaims
	}
	c, err := m.registered(now)
	switch {
	case err != nil:
		return PluginPrincipal{}, err
	case c.expiresAt.IsZero():
		return PluginPrincipal{}, errClaims
	case !isPluginID(c.subject):
		return PluginPrincipal{}, errPluginSubject
	case !slices.Contains(c.audience, audience):
		return PluginPrincipal{}, errAudience
	}
	return PluginPrincipal{Plugin: c.subject, OnBehalfOf: onBehalfOf, ExpiresAt: c.expiresAt}, nil
}

// registered is the claims of RFC 7519 section 4.1 that have a say here; a missing one is zero.
type registered struct {
	issuer, subject string
	audience        []string
	expiresAt       time.Time
}

func (t compact) registered(now time.Time) (registered, error) {
	m, ok := decodeMembers(t.payload)
	if !ok {
		return registered{}, errClaims
	}
	return m.registered(now)
}

// registered reads the registered claims, each of which may be missing, and holds them against the time.
func (m members) registered(now time.Time) (registered, error) {
	var c registered
	if !m.readOptional("iss", &c.issuer) || !m.readOptional("sub", &c.subject) || !m.readAudience(&c.audience) {
		return registered{}, errClaims
	}
	var begin, end float64
	for name, into := range map[string]*float64{"iat": new(float64), "nbf": &begin, "exp": &end} {
		if _, there := m[name]; there && !m.read(name, into) {
			return registered{}, errClaims
		}
	}
	second := float64(now.Unix())
	if begin > second {
		return registered{}, fmt.Errorf("%w: not valid yet", ErrInvalid)
	}
	if _, ends := m["exp"]; !ends {
		return c, nil
	}
	if second >= end {
		return registered{}, errExpired
	}
	c.expiresAt = time.Unix(int64(min(end, endOfTime)), 0).UTC()
	return c, nil
}

// endOfTime is the last second of the year 9999, beyond which a time has no usual written form.
const endOfTime = 253402300799

// readAudience reads aud, which is a string or a list of them (RFC 7519 section 4.1.3).
func (m members) readAudience(into *[]string) bool {
	value, there := m["aud"]
	if !there {
		return true
	}
	var one string
	if json.Unmarshal(value, &one) == nil {
		*into = []string{one}
		return true
	}
	return json.Unmarshal(value, into) == nil
}
