package providers

import (
	"fmt"
	"slices"
)

// commonResolvers returns the resolvers that every provider with a verified email takes (contract/core.md 7.2), with own
// ones added, or in their place where the names are the same.
func commonResolvers(own map[string]NewResolver) map[string]NewResolver {
	all := map[string]NewResolver{
		"emailMatchingUserEntityProfileEmail":  emailResolver(byProfileEmail),
		"emailLocalPartMatchingUserEntityName": emailResolver(byLocalPart),
	}
	for name, r := range own {
		all[name] = r
	}
	return all
}

// resolverOptions stand beside the name of every resolver that is not the rule.
type resolverOptions struct {
	Resolver      string `config:"resolver"`
	WithoutEntity bool   `config:"dangerouslyAllowSignInWithoutUserInCatalog"`
}

// emailOptions stand beside the name of a resolver that goes by email.
type emailOptions struct {
	resolverOptions
	AllowedDomains []string `config:"allowedDomains"`
}

// emailLook is what to ask for an address, and who its owner is where no entity is needed.
type emailLook func(emailAddress) (l Lookup, withoutEntity string)

// emailResolver adds what all resolvers by email share: the options, a strict reading of the address, the allowed domains.
func emailResolver(look emailLook) NewResolver {
	return func(decode func(into any) error) (Resolver, error) {
		var o emailOptions
		if err := decode(&o); err != nil {
			return nil, err
		}
		if err := checkDomains(o.AllowedDomains); err != nil {
			return nil, fmt.Errorf("read allowedDomains: %w", err)
		}
		return func(r Result) (Lookup, error) {
			a, err := o.admit(r.Profile.Email)
			if err != nil {
				return Lookup{}, err
			}
			l, name := look(a)
			if o.WithoutEntity {
				l.Fallback = fallbackRef(name)
			}
			return l, nil
		}, nil
	}
}

// admit reads the address and applies the allowed domains.
//
// Differs from Backstage: the list binds every resolver by email, where Backstage's emailMatchingUserEntityProfileEmail
// accepts and ignores it; and it is compared by DNS labels whatever their case (contract/core.md 7.2).
func (o emailOptions) admit(email string) (emailAddress, error) {
	if email == "" {
		return emailAddress{}, fail(CodeEmailMissing, "Login failed, user profile does not contain an email", nil)
	}
	a, err := parseEmail(email)
	if err != nil {
		return emailAddress{}, fail(CodeEmailInvalid, "Login failed, the email of the user profile is malformed", err)
	}
	if len(o.AllowedDomains) > 0 && !a.within(o.AllowedDomains) {
		return emailAddress{}, &Error{
			Kind: ErrForbidden, Code: CodeEmailDomain,
			Message: "Sign-in user email is not from an allowed domain",
		}
	}
	return a, nil
}

// byProfileEmail asks for the address as it is, then without its +tag.
func byProfileEmail(a emailAddress) (Lookup, string) {
	l := profileEmail(a)
	plain := a.untagged()
	if plain != a {
		then := profileEmail(plain)
		l.Then = &then
	}
	return l, plain.String()
}

// byWholeProfileEmail asks for the address as it is and nothing else (awsalb, contract/core.md 7.3).
func byWholeProfileEmail(a emailAddress) (Lookup, string) { return profileEmail(a), a.String() }

// byLocalPart asks for the user named by what stands before the @.
func byLocalPart(a emailAddress) (Lookup, string) {
	return Lookup{EntityRef: userRef(a.local)}, a.local
}

// byEmailAnnotation asks for the address in an annotation.
func byEmailAnnotation(key string) NewResolver {
	return emailResolver(func(a emailAddress) (Lookup, string) {
		return Lookup{Annotations: map[string]string{key: a.String()}}, a.String()
	})
}

func profileEmail(a emailAddress) Lookup {
	return Lookup{Filter: map[string]string{"spec.profile.email": a.String()}}
}

func (a emailAddress) within(domains []string) bool {
	return slices.ContainsFunc(domains, func(d string) bool { return sameDomain(d, a.domain) })
}
