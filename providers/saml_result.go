package providers

import (
	"cmp"
	"time"

	"github.com/crewjam/saml"
)

// What rules and the logout know of the assertion beside its attributes. The names are those of the Node backend's library; an
// attribute of such a name is hidden by it.
const (
	samlNameID        = "nameID"
	samlNameIDFormat  = "nameIDFormat"
	samlNameQualifier = "nameQualifier"
	samlSessionIndex  = "sessionIndex"
	samlIssuerClaim   = "issuer"
)

// samlSession is how long a session lasts where the provider does not say.
const samlSession = 8 * time.Hour

// The attributes that make a profile, the first that is there (contract/providers.md section 4).
var (
	samlEmailNames   = []string{"email", "mail", "urn:oid:0.9.2342.19200300.100.1.3", "0.9.2342.19200300.100.1.3"}
	samlDisplayNames = []string{"displayName"}
)

// result is the user. The session has no token: it answers until SessionNotOnOrAfter.
func (p *samlProvider) result(a *samlAssertion) Result {
	claims := samlClaims(&a.Assertion)
	r, _ := p.ReadClaims(claims, nil) // it refuses nothing
	for _, s := range a.AuthnStatements {
		if end := deref(s.SessionNotOnOrAfter); !end.IsZero() {
			left := max(end.Sub(p.now()), time.Second)
			r.Session.ExpiresIn = min(cmp.Or(r.Session.ExpiresIn, left), left)
		}
	}
	r.Session.ExpiresIn = cmp.Or(r.Session.ExpiresIn, samlSession)
	// It is too old after a while, however long the provider lets it be valid: no need to remember it for longer.
	until := a.until
	if old := a.IssueInstant.Add(maxSAMLAge); old.Before(until) {
		until = old
	}
	r.Once = &Once{ID: onceID("saml", a.Issuer.Value, a.ID), Until: until.Add(p.config.skew())}
	return r
}

// ReadClaims is what an assertion with these attributes would be: a string for one value, a list for several.
func (p *samlProvider) ReadClaims(claims, _ map[string]any) (Result, error) {
	names := p.config.Attributes
	return Result{
		Session: Session{Subject: member(claims, samlNameID)},
		Profile: Profile{
			Email:       samlAttribute(claims, names.Email, samlEmailNames),
			DisplayName: samlAttribute(claims, names.DisplayName, samlDisplayNames),
			Picture:     samlAttribute(claims, names.Picture, nil),
			Username:    samlAttribute(claims, names.Username, nil),
		},
		Claims: claims, Info: map[string]any{},
	}, nil
}

// samlAttribute is the first value of the attribute named by the config, else of the first of names that is there.
func samlAttribute(claims map[string]any, configured string, names []string) string {
	if configured != "" {
		names = []string{configured}
	}
	for _, name := range names {
		value := member(claims, name)
		if list, ok := claims[name].([]any); ok && len(list) > 0 {
			value, _ = list[0].(string)
		}
		if value != "" {
			return value
		}
	}
	return ""
}

// samlClaims are the attributes by their names.
func samlClaims(a *saml.Assertion) map[string]any {
	values := map[string][]any{}
	for _, statement := range a.AttributeStatements {
		for _, attribute := range statement.Attributes {
			for _, v := range attribute.Values {
				values[attribute.Name] = append(values[attribute.Name], v.Value)
			}
		}
	}
	claims := map[string]any{}
	for name, all := range values {
		if claims[name] = all; len(all) == 1 {
			claims[name] = all[0]
		}
	}
	session, name := "", a.Subject.NameID
	for _, s := range a.AuthnStatements {
		session = cmp.Or(session, s.SessionIndex)
	}
	claims[samlNameID], claims[samlIssuerClaim] = name.Value, a.Issuer.Value
	for key, value := range map[string]string{
		samlNameIDFormat: name.Format, samlNameQualifier: name.NameQualifier, samlSessionIndex: session,
	} {
		delete(claims, key)
		if value != "" {
			claims[key] = value
		}
	}
	return claims
}
