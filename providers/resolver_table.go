package providers

import (
	"maps"
	"net/url"
	"strings"
)

// resolverTable are the resolvers of every Kind by Backstage's names (contract/core.md 7.3), so that a vendor's file only says
// resolversFor its id. Each entry names the member of Result that it reads: a vendor's file must fill in what is named here.
//
// Differs from Backstage: every resolver by email takes allowedDomains, which Backstage drops silently where it has no use
// for it, and a value that a catalog look-up cannot carry safely ends the sign-in.
var resolverTable = map[string]map[string]NewResolver{
	"auth0": commonResolvers(nil),
	"awsalb": commonResolvers(map[string]NewResolver{
		"emailMatchingUserEntityProfileEmail": emailResolver(byWholeProfileEmail),
	}),
	"atlassian": commonResolvers(map[string]NewResolver{
		"usernameMatchingUserEntityName": byName(username),
	}),
	"azureEasyAuth": commonResolvers(map[string]NewResolver{
		"idMatchingUserEntityAnnotation": byAnnotation("graph.microsoft.com/user-id", idClaim("oid")),
	}),
	"bitbucket": commonResolvers(map[string]NewResolver{
		"userIdMatchingUserEntityAnnotation":   byAnnotation("bitbucket.org/user-id", idInfo("uuid")),
		"usernameMatchingUserEntityAnnotation": byAnnotation("bitbucket.org/username", username),
	}),
	"bitbucketServer": commonResolvers(nil),
	"cfaccess":        commonResolvers(nil),
	"gcpIap": commonResolvers(map[string]NewResolver{
		"emailMatchingUserEntityAnnotation": byEmailAnnotation("google.com/email"),
		"idMatchingUserEntityAnnotation":    byAnnotation("google.com/user-id", googleID),
	}),
	"github": commonResolvers(map[string]NewResolver{
		"usernameMatchingUserEntityName":     byName(username),
		"userIdMatchingUserEntityAnnotation": exactly(byAnnotation("github.com/user-id", idInfo("node_id"))),
	}),
	"gitlab": commonResolvers(map[string]NewResolver{
		"usernameMatchingUserEntityName":     byName(username),
		"userIdMatchingUserEntityAnnotation": newValueResolver(idInfo("id"), gitlabAnnotation),
	}),
	"google": commonResolvers(map[string]NewResolver{
		"emailMatchingUserEntityAnnotation": byEmailAnnotation("google.com/email"),
	}),
	"jwtHeader": commonResolvers(map[string]NewResolver{
		"usernameMatchingUserEntityName": byName(username),
	}),
	"microsoft": commonResolvers(map[string]NewResolver{
		"emailMatchingUserEntityAnnotation":  byEmailAnnotation("microsoft.com/email"),
		"userIdMatchingUserEntityAnnotation": byAnnotation("graph.microsoft.com/user-id", microsoftID),
	}),
	"oauth2": commonResolvers(map[string]NewResolver{
		"usernameMatchingUserEntityName": byName(username),
	}),
	"oauth2Proxy": commonResolvers(map[string]NewResolver{
		"forwardedUserMatchingUserEntityName":              byName(header("x-forwarded-user")),
		"forwardedPreferredUsernameMatchingUserEntityName": byName(header("x-forwarded-preferred-username")),
	}),
	"oidc": commonResolvers(nil),
	"okta": commonResolvers(map[string]NewResolver{
		"emailMatchingUserEntityAnnotation": byEmailAnnotation("okta.com/email"),
	}),
	"onelogin": commonResolvers(map[string]NewResolver{
		"usernameMatchingUserEntityName": byName(username),
	}),
	"openshift": {
		"displayNameMatchingUserEntityName": byName(userValue{"display name", func(r Result) string { return r.Profile.DisplayName }}),
	},
	"pinniped": commonResolvers(nil),
	"saml": commonResolvers(map[string]NewResolver{
		"nameIdMatchingUserEntityName": byName(userValue{"name ID", func(r Result) string { return r.Session.Subject }}),
	}),
	"vmwareCloudServices": commonResolvers(nil),
}

// resolversFor returns the resolvers of the Kind with that id. It is for register, and panics on an id that is not in the
// table: such a Kind could sign nobody in.
func resolversFor(kind string) map[string]NewResolver {
	all, ok := resolverTable[kind]
	if !ok {
		panic("providers: no resolvers for Kind " + kind)
	}
	return maps.Clone(all)
}

// userValue is one value by which a user is found, with its name for messages.
type userValue struct {
	name string
	of   func(Result) string
}

var username = userValue{"username", func(r Result) string { return r.Profile.Username }}

// idClaim is the user's id in a verified claim.
func idClaim(claim string) userValue {
	return userValue{"user id", func(r Result) string { return scalarText(r.Claims[claim]) }}
}

// idInfo is the user's id in the upstream's own answer about the user.
func idInfo(member string) userValue {
	return userValue{"user id", func(r Result) string { return scalarText(r.UserInfo[member]) }}
}

func header(name string) userValue {
	return userValue{name + " header", func(r Result) string { return r.Headers[name] }}
}

// microsoftID is the id of Microsoft Graph, which a verified id_token calls oid; without a Graph call that is all there is.
var microsoftID = userValue{"user id", func(r Result) string {
	if id := scalarText(r.UserInfo["id"]); id != "" {
		return id
	}
	return scalarText(r.Claims["oid"])
}}

// googleID is what follows the issuer in the sub of Google's Identity-Aware Proxy: accounts.google.com:1234.
var googleID = userValue{"user id", func(r Result) string {
	_, id, _ := strings.Cut(scalarText(r.Claims["sub"]), ":")
	return id
}}

// gitlabAnnotation is named after the host of the user's page: gitlab.com/user-id.
func gitlabAnnotation(r Result, id string) (Lookup, error) {
	page, err := url.Parse(scalarText(r.UserInfo["web_url"]))
	if err != nil || page.Hostname() == "" {
		return Lookup{}, missingValue("profile URL")
	}
	if _, err := domainLabels(page.Hostname()); err != nil {
		return Lookup{}, invalidValue("profile URL", err)
	}
	return annotated(strings.ToLower(page.Hostname())+"/user-id", id)
}

// byName asks for the user of that name.
func byName(v userValue) NewResolver {
	return newValueResolver(v, func(_ Result, name string) (Lookup, error) {
		return Lookup{EntityRef: userRef(name)}, checkName(name)
	})
}

// byAnnotation asks for the user with that annotation.
func byAnnotation(key string, v userValue) NewResolver {
	return newValueResolver(v, func(_ Result, s string) (Lookup, error) { return annotated(key, s) })
}

func annotated(key, value string) (Lookup, error) {
	return Lookup{Annotations: map[string]string{key: value}}, checkFilterValue(value)
}

// exactly makes a resolver tell upper and lower case apart.
func exactly(newResolver NewResolver) NewResolver {
	return func(decode func(into any) error) (Resolver, error) {
		inner, err := newResolver(decode)
		if err != nil {
			return nil, err
		}
		return func(r Result) (Lookup, error) {
			l, err := inner(r)
			l.Exact = err == nil
			return l, err
		}, nil
	}
}

// newValueResolver adds what the resolvers by one value share: the options, and the errors for a value that is missing or
// that look cannot use. Both end the sign-in, as they do in Backstage.
func newValueResolver(v userValue, look func(Result, string) (Lookup, error)) NewResolver {
	return func(decode func(into any) error) (Resolver, error) {
		var o resolverOptions
		if err := decode(&o); err != nil {
			return nil, err
		}
		return func(r Result) (Lookup, error) {
			s := v.of(r)
			if s == "" {
				return Lookup{}, missingValue(v.name)
			}
			l, err := look(r, s)
			if err != nil {
				return Lookup{}, invalidValue(v.name, err)
			}
			if o.WithoutEntity {
				l.Fallback = fallbackRef(s)
			}
			return l, nil
		}, nil
	}
}

func missingValue(name string) error {
	return fail(CodeValueMissing, "Login failed, user profile does not contain a "+name, nil)
}

// invalidValue leaves an error that has a code as it is.
func invalidValue(name string, err error) error {
	if e, ok := err.(*Error); ok {
		return e
	}
	return fail(CodeValueInvalid, "Login failed, the "+name+" of the user profile cannot be looked up", err)
}
