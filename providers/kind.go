package providers

import (
	"cmp"
	"fmt"
	"slices"
)

// Kind is what a provider file declares.
type Kind struct {
	// ID is the type, and by default the route segment and config key: "github".
	ID string
	// Title is a name to show.
	Title string
	// Flat is true if the config has no environment level (proxy providers, guest).
	Flat bool
	// FlatKey is a key that tells a config without the environment level from one with it, for a Kind that may have either; empty
	// for all others.
	FlatKey string
	// StateField is the field that holds the state, for a Kind whose upstream answers with a form that its own page posts; empty for
	// a redirect.
	StateField string
	// New reads the config and returns the provider. It does not use the network.
	New    func(Setup) (Provider, error)
	Scopes Scopes
	// Resolvers are the sign-in resolvers that config may name; nil if the provider takes none.
	Resolvers map[string]NewResolver
}

// Scopes are the rules for a provider's scopes (contract/core.md F14 to F20).
type Scopes struct {
	// Required are always asked for.
	Required []string
	// Persist keeps what was granted with the session and reports that, instead of what the upstream answers.
	Persist bool
	// Transform replaces the merge of requested, granted, required and additional scopes, if not nil.
	Transform func(requested, granted, required, additional []string) []string
}

var kinds = map[string]Kind{}

// register adds a Kind. It is called from init in the provider's file, and panics on a duplicate or incomplete one.
func register(k Kind) {
	if k.ID == "" || k.New == nil {
		panic("providers: a Kind needs ID and New")
	}
	if _, dup := kinds[k.ID]; dup {
		panic("providers: duplicate Kind " + k.ID)
	}
	kinds[k.ID] = k
}

// Kinds returns every registered Kind, ordered by ID.
func Kinds() []Kind {
	all := make([]Kind, 0, len(kinds))
	for _, k := range kinds {
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b Kind) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// KindOf finds the Kind of one config entry: the explicit type, else the id itself if it names a Kind, else oidc if the
// entry has a metadataUrl, else oauth2 if it has authorizationUrl and tokenUrl, else saml if it has an entryPoint (design D13).
func KindOf(id, explicit string, has func(key string) bool) (Kind, error) {
	name := explicit
	switch {
	case name != "":
	case kinds[id].ID != "":
		name = id
	case has("metadataUrl"):
		name = "oidc"
	case has("authorizationUrl") && has("tokenUrl"):
		name = "oauth2"
	case has("entryPoint"):
		name = "saml"
	default:
		return Kind{}, fmt.Errorf("unknown provider %q: set type to one of %v, or give a metadataUrl", id, kindIDs())
	}
	k, ok := kinds[name]
	if !ok {
		return Kind{}, fmt.Errorf("unknown provider type %q, want one of %v", name, kindIDs())
	}
	return k, nil
}

func kindIDs() []string {
	var ids []string
	for _, k := range Kinds() {
		ids = append(ids, k.ID)
	}
	return ids
}
