package signin

import "stagedoor/providers"

// advice says for each code of this room what an operator can change.
var advice = map[string]string{
	"no_catalog_user": "No resolver found a user. Compare the look-ups above with the User entities in the catalog: the entity may " +
		"be missing, or the field or annotation that the resolver looks for may be missing on it or spelled differently.",
	"catalog_ambiguous":      "More than one User entity fits the look-up. Remove the duplicate, or use a resolver that names one user.",
	"catalog_unavailable":    "The catalog did not answer. Check discovery.endpoints, the network, and the catalog's own log.",
	"catalog_refused":        "The catalog does not accept our credentials. It must reach our key set at /.backstage/auth/v1/jwks.json, or auth.catalog.token must be one of its backend.auth.externalAccess tokens.",
	"catalog_lookup_invalid": "The look-up cannot be put to the catalog. Use a resolver that looks by another field.",
	"no_resolver":            "Name at least one resolver under signIn.resolvers of this provider, or nobody can sign in with it.",
	"admission_domain": "The provider entry's signIn.admission admits other e-mail domains, or the provider did not vouch for the address: check " +
		"emailDomains, email_verified at the provider, and trustUnverifiedEmail.",
	"token_too_large":    "The user owns through too many groups for a token. Leave auth.omitIdentityTokenOwnershipClaim at true.",
	"subject_invalid":    "The resolver's answer is no full entity reference such as user:default/jane.",
	"ownership_unknown":  "The rule's ownership names entities that the catalog does not have, and ownershipMustExist is set.",
	"catalog_inexact":    "The catalog has an entity whose annotation differs from the provider's value in upper and lower case. Correct the annotation.",
	"store_unavailable":  "The database did not answer. Check it, and the network between.",
	"store_read_only":    "The database takes no writes: it is a replica, or in recovery, or its user may not write. Connect to the primary.",
	"store_full":         "The disk of the database is full. Make room.",
	"keys_unavailable":   "The signing keys could not be read from the database.",
	"session_unreadable": "auth.session.secret was changed and the old one left out. List both, the new one first, until the old sessions have ended.",
}

// Advice returns what an operator can do about a code, "" if there is nothing to say.
func Advice(code string) string {
	if a, ok := advice[code]; ok {
		return a
	}
	return providers.Codes()[code]
}
