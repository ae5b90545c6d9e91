package providers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// CommonResolvers returns the resolvers that every provider with a verified email takes (contract/core.md 7.2), as a map
// of the caller's own, to which a Kind may add.
func CommonResolvers() map[string]NewResolver {
	return map[string]NewResolver{
		"emailMatchingUserEntityProfileEmail":  emailResolver(byProfileEmail),
		"emailLocalPartMatchingUserEntityName": emailResolver(byLocalPart),
	}
}

// emailOptions stand beside the name of both common resolvers.
type emailOptions struct {
	Resolver       string   `config:"resolver"`
	AllowedDomains []string `config:"allowedDomains"`
	WithoutEntity  bool     `config:"dangerouslyAllowSignInWithoutUserInCatalog"`
}

// emailAddress is an address that has exactly one way to be read.
type emailAddress struct{ local, domain string }

func (a emailAddress) String() string { return a.local + "@" + a.domain }

// untagged is the address without its +tag; unchanged if it has none.
func (a emailAddress) untagged() emailAddress {
	if local, _, tagged := strings.Cut(a.local, "+"); tagged && local != "" {
		a.local = local
	}
	return a
}

// emailResolver adds what both resolvers share: the options, a strict reading of the address, the allowed domains.
func emailResolver(look func(emailAddress, bool) Lookup) NewResolver {
	return func(decode func(into any) error) (Resolver, error) {
		var o emailOptions
		if err := decode(&o); err != nil {
			return nil, err
		}
		for _, d := range o.AllowedDomains {
			if _, err := domainLabels(d); err != nil {
				return nil, fmt.Errorf("read allowedDomains: %w", err)
			}
		}
		return func(r Result) (Lookup, error) {
			a, err := o.admit(r.Profile.Email)
			if err != nil {
				return Lookup{}, err
			}
			return look(a, o.WithoutEntity), nil
		}, nil
	}
}

// admit reads the address and applies the allowed domains.
//
// Differs from Backstage: the list binds both resolvers, where Backstage's emailMatchingUserEntityProfileEmail accepts
// and ignores it; and it is compared by DNS labels whatever their case (contract/core.md 7.2).
func (o emailOptions) admit(email string) (emailAddress, error) {
	if email == "" {
		return emailAddress{}, fail(CodeEmailMissing, "Login failed, user profile does not contain an email", nil)
	}
	a, err := parseEmail(email)
	if err != nil {
		return emailAddress{}, fail(CodeEmailInvalid, "Login failed, the email of the user profile is malformed", err)
	}
	allowed := func(d string) bool { return sameDomain(d, a.domain) }
	if len(o.AllowedDomains) > 0 && !slices.ContainsFunc(o.AllowedDomains, allowed) {
		return emailAddress{}, &Error{
			Kind: ErrForbidden, Code: CodeEmailDomain,
			Message: "Sign-in user email is not from an allowed domain",
		}
	}
	return a, nil
}

// byProfileEmail asks for the address as it is, then without its +tag.
func byProfileEmail(a emailAddress, withoutEntity bool) Lookup {
	l := Lookup{Filter: map[string]string{"spec.profile.email": a.String()}}
	plain := a.untagged()
	if plain != a {
		l.Then = &Lookup{Filter: map[string]string{"spec.profile.email": plain.String()}}
	}
	if withoutEntity {
		l.Fallback = "user:default/" + plain.String()
	}
	return l
}

// byLocalPart asks for the user named by what stands before the @.
func byLocalPart(a emailAddress, withoutEntity bool) Lookup {
	l := Lookup{EntityRef: "user:default/" + a.local}
	if withoutEntity {
		l.Fallback = l.EntityRef
	}
	return l
}

// parseEmail accepts local@domain with one @, no white space, no control character and a domain of DNS labels.
//
// Quoted local parts (RFC 5321 section 4.1.2) are refused: an @ or a space inside them reads differently to different
// parsers, which is how CVE-2026-40574 got past a domain rule.
func parseEmail(s string) (emailAddress, error) {
	const longest = 254 // RFC 5321 section 4.5.3.1.3, less the angle brackets
	if len(s) > longest {
		return emailAddress{}, fmt.Errorf("email longer than %d bytes", longest)
	}
	local, domain, _ := strings.Cut(s, "@")
	if local == "" || strings.ContainsFunc(local, unsafeInEmail) {
		return emailAddress{}, errors.New("local part is empty or needs quotes")
	}
	// A second @ is no part of a label.
	if _, err := domainLabels(domain); err != nil {
		return emailAddress{}, err
	}
	return emailAddress{local, domain}, nil
}

// unsafeInEmail is true for what could end the value early in a catalog filter or an entity ref, which are built from it
// without escaping (contract/core.md S9), and for what does not belong into an unquoted local part.
func unsafeInEmail(r rune) bool {
	return r == unicode.ReplacementChar || !unicode.IsGraphic(r) || unicode.IsSpace(r) || strings.ContainsRune(`",:;<>()[]\/`, r)
}

// domainLabels splits a domain into its DNS labels, lower-cased.
func domainLabels(domain string) ([]string, error) {
	labels := strings.Split(strings.ToLower(domain), ".")
	for _, l := range labels {
		if l == "" || strings.ContainsFunc(l, func(r rune) bool { return r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			return nil, errors.New("domain is not a list of DNS labels")
		}
	}
	return labels, nil
}

func sameDomain(a, b string) bool {
	left, err := domainLabels(a)
	if err != nil {
		return false
	}
	right, err := domainLabels(b)
	return err == nil && slices.Equal(left, right)
}
