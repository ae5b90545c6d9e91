package tokens

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// audience is the aud of every user token: a string, never a list (contract/core.md T2).
const audience = "backstage"

// reserved are the claims that only the issuer sets.
var reserved = []string{"iss", "sub", "ent", "aud", "iat", "exp", "uip", "nbf", "jti"}

// Identity is whom a token speaks for.
type Identity struct {
	// Subject is the user's entity reference in lower case, "user:default/jane".
	Subject string
	// Ownership are the entity references that the user owns things by; nil means the subject alone. They go into the
	// token only if the issuer does not omit them.
	Ownership []string
	// Claims are additional claims. The values are what decoding JSON yields, []string or integers; the names must not
	// be those that the issuer sets: iss, sub, ent, aud, iat, exp, uip, nbf, jti.
	Claims map[string]any
}

func (id Identity) check() error {
	if err := checkSubject(id.Subject); err != nil {
		return err
	}
	for _, name := range reserved {
		if _, taken := id.Claims[name]; taken {
			return fmt.Errorf("claim %q is set by the issuer", name)
		}
	}
	return nil
}

// ownership applies the default of contract/core.md T8.
func (id Identity) ownership() []string {
	if id.Ownership == nil {
		return []string{id.Subject}
	}
	return id.Ownership
}

// period is the life of a token in Unix seconds.
type period struct{ iat, exp int64 }

func (p period) token(raw string) Token {
	return Token{Raw: raw, IssuedAt: time.Unix(p.iat, 0).UTC(), ExpiresAt: time.Unix(p.exp, 0).UTC()}
}

// limitedClaims is the payload of the limited user token, whose signature is the full token's uip (contract/core.md T19).
func limitedClaims(subject string, p period) ([]byte, error) {
	o := newObject(len(subject) + 64)
	o.set("sub", subject)
	o.set("iat", p.iat)
	o.set("exp", p.exp)
	return o.end()
}

// userClaims is the payload of the full token (contract/core.md T2). A nil ownership is left out.
func userClaims(issuer string, id Identity, ownership []string, p period, uip string) ([]byte, error) {
	o := newObject(512)
	for _, name := range slices.Sorted(maps.Keys(id.Claims)) {
		o.set(name, id.Claims[name])
	}
	o.set("iss", issuer)
	o.set("sub", id.Subject)
	if ownership != nil {
		o.set("ent", ownership)
	}
	o.set("aud", audience)
	o.set("iat", p.iat)
	o.set("exp", p.exp)
	o.set("uip", uip)
	return o.end()
}

// pluginClaims is the payload of a plugin token, which has no iss (contract/core.md T26). An empty limited token is left
// out.
func pluginClaims(plugin, target string, p period, limited string) ([]byte, error) {
	o := newObject(len(limited) + 128)
	o.set("sub", plugin)
	o.set("aud", target)
	o.set("iat", p.iat)
	o.set("exp", p.exp)
	if limited != "" {
		o.set("obo", limited)
	}
	return o.end()
}

// object builds a JSON object member by member and keeps the first error.
type object struct {
	text []byte
	err  error
}

func newObject(size int) *object { return &object{text: append(make([]byte, 0, size), '{')} }

func (o *object) set(name string, v any) {
	if o.err != nil {
		return
	}
	text := o.text
	if len(text) > 1 {
		text = append(text, ',')
	}
	if o.text, o.err = appendMember(text, name, v, 0); o.err != nil {
		o.err = fmt.Errorf("encode claim %q: %w", name, o.err)
	}
}

func (o *object) end() ([]byte, error) { return append(o.text, '}'), o.err }
