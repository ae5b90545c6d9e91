package providers

import (
	"fmt"
	"slices"
	"time"
)

// Common are the config keys that every provider accepts (contract/providers.md 0.2). A provider's own config embeds it,
// so that strict decoding knows them; the server decodes it a second time for the parts that are not the provider's.
type Common struct {
	// Type names the Kind where the entry's id does not (design D13).
	Type string `config:"type"`
	// CallbackURL is the redirect_uri; empty means the route of the entry.
	CallbackURL string `config:"callbackUrl"`
	// AdditionalScopes come after requested, granted and required ones.
	AdditionalScopes []string `config:"additionalScopes,words"`
	// Scope is another name of AdditionalScopes, for entries whose id is not a Kind's (contract/providers.md 0.2).
	Scope []string `config:"scope,words"`
	// SessionDuration is the absolute lifetime of a session; 0 means the default.
	SessionDuration time.Duration `config:"sessionDuration"`
	// SignIn is the section with the resolvers. It is read by the server, which knows all of them.
	SignIn any `config:"signIn"`
}

// ExtraScopes are the scopes that the config asks for, under whichever name.
func (c Common) ExtraScopes() []string {
	return slices.Concat(c.AdditionalScopes, c.Scope)
}

// refuseScope is for the Kinds that take additionalScopes alone under their own id (contract/providers.md 0.2).
func (c Common) refuseScope(s Setup, kind string) error {
	if len(c.Scope) > 0 && s.ID == kind {
		return fmt.Errorf("scope is not a key of %s: use additionalScopes", kind)
	}
	return nil
}
