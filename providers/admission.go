package providers

import (
	"fmt"
	"slices"
	"strings"
)

// Admission says who may sign in with a provider at all, before anybody asks the catalog. The zero value admits everybody.
type Admission struct {
	options admissionOptions
}

// admissionOptions is the section signIn.admission. A user must satisfy every list that is there.
type admissionOptions struct {
	// EmailDomains are compared by DNS labels with the verified email's.
	EmailDomains []string `config:"emailDomains"`
	// Organizations are compared without regard to ASCII case with the claim OrganizationClaim.
	Organizations []string `config:"organizations"`
	// Groups are compared exactly with the claim GroupsClaim.
	Groups []string `config:"groups"`
	// Users are verified emails, known by their @, or else the users' ids at the provider, compared exactly.
	Users []string `config:"users"`
	// OrganizationClaim and GroupsClaim name a claim, or a path of them with dots: realm_access.roles.
	OrganizationClaim string `config:"organizationClaim"`
	GroupsClaim       string `config:"groupsClaim"`
}

// organizationClaims is where the Kinds say which organizations a user belongs to: Google's hosted domain, Entra's tenant,
// Auth0's and VMware's organization, GitHub's as far as the provider was asked to read them.
var organizationClaims = map[string]string{
	"google": "hd", "gcpIap": "hd", "microsoft": "tid", "azureEasyAuth": "tid", "auth0": "org_id",
	"vmwareCloudServices": "context_name", "github": "organizations",
}

// groupsClaims is where the Kinds say which groups a user belongs to, if it is not groups.
var groupsClaims = map[string]string{"github": "teams", "oauth2Proxy": "x-forwarded-groups"}

// NewAdmission reads the section signIn.admission of an entry of the Kind kind. An empty list is an error: nobody could
// sign in.
func NewAdmission(kind string, decode func(into any) error) (Admission, error) {
	var a Admission
	if err := decode(&a.options); err != nil {
		return Admission{}, err
	}
	o := &a.options
	if o.OrganizationClaim == "" {
		o.OrganizationClaim = organizationClaims[kind]
	}
	if o.GroupsClaim == "" {
		o.GroupsClaim = groupsClaims[kind]
	}
	if o.GroupsClaim == "" {
		o.GroupsClaim = "groups"
	}
	if err := o.check(kind); err != nil {
		return Admission{}, err
	}
	return a, nil
}

func (o admissionOptions) check(kind string) error {
	for _, l := range []struct {
		key   string
		items []string
	}{
		{"emailDomains", o.EmailDomains},
		{"organizations", o.Organizations},
		{"groups", o.Groups},
		{"users", o.Users},
	} {
		if l.items != nil && len(l.items) == 0 || slices.Contains(l.items, "") {
			return fmt.Errorf("%s is empty, or holds an empty text: it would admit nobody", l.key)
		}
	}
	if err := checkDomains(o.EmailDomains); err != nil {
		return fmt.Errorf("read emailDomains: %w", err)
	}
	if o.Organizations != nil && o.OrganizationClaim == "" {
		return fmt.Errorf("organizations needs organizationClaim: a provider of type %s has no usual one", kind)
	}
	for _, u := range o.Users {
		if _, err := parseEmail(u); err != nil && strings.Contains(u, "@") {
			return fmt.Errorf("read users: %w", err)
		}
	}
	return nil
}

// Admit is nil for a user who may sign in. The error is an *Error of Kind ErrForbidden whose Code says which list the user
// is not on; no email counts that the provider does not vouch for.
func (a Admission) Admit(r Result) error {
	o := a.options
	email, emailErr := parseEmail(r.Profile.Email)
	if o.EmailDomains != nil {
		if emailErr != nil {
			return notAdmitted(CodeAdmissionDomain, "Sign-in needs a verified email", emailErr)
		}
		if !email.within(o.EmailDomains) {
			return notAdmitted(CodeAdmissionDomain, "Sign-in is not allowed for this email domain", nil)
		}
	}
	if o.Organizations != nil && !anyOf(r.members(o.OrganizationClaim), o.Organizations, equalASCIIFold) {
		return notAdmitted(CodeAdmissionOrg, "Sign-in is not allowed for this organization", nil)
	}
	if o.Groups != nil && !anyOf(r.members(o.GroupsClaim), o.Groups, func(a, b string) bool { return a == b }) {
		return notAdmitted(CodeAdmissionGroup, "Sign-in is not allowed for the groups of this account", nil)
	}
	isUser := func(listed string) bool {
		if strings.Contains(listed, "@") {
			return emailErr == nil && email.is(listed)
		}
		return listed == r.Session.Subject
	}
	if o.Users != nil && !slices.ContainsFunc(o.Users, isUser) {
		return notAdmitted(CodeAdmissionUser, "Sign-in is not allowed for this account", nil)
	}
	return nil
}

func notAdmitted(code, message string, err error) error {
	return &Error{Kind: ErrForbidden, Code: code, Message: message, Err: err}
}

// is compares with an address from the config: the local part without regard to ASCII case, as the mail world and the
// catalog do.
func (a emailAddress) is(listed string) bool {
	other, err := parseEmail(listed)
	return err == nil && equalASCIIFold(a.local, other.local) && sameDomain(a.domain, other.domain)
}

// members are the texts of a claim that is a text or a list: from the verified claims, else from the userinfo answer, else
// the items of a proxy's header.
func (r Result) members(claim string) []string {
	for _, m := range []map[string]any{r.Claims, r.UserInfo} {
		if v, ok := atPath(m, claim); ok {
			return listOf(v)
		}
	}
	var items []string
	for item := range strings.SplitSeq(r.Headers[strings.ToLower(claim)], ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// atPath finds a member by its whole name, which may hold dots, else by its path.
func atPath(m map[string]any, path string) (any, bool) {
	if v, ok := m[path]; ok {
		return v, true
	}
	first, rest, ok := strings.Cut(path, ".")
	if !ok {
		return nil, false
	}
	below, _ := m[first].(map[string]any)
	return atPath(below, rest)
}

func listOf(v any) []string {
	items, ok := v.([]any)
	if !ok {
		items = []any{v}
	}
	var texts []string
	for _, item := range items {
		if s := scalarText(item); s != "" {
			texts = append(texts, s)
		}
	}
	return texts
}

func anyOf(have, want []string, equal func(a, b string) bool) bool {
	return slices.ContainsFunc(have, func(h string) bool {
		return slices.ContainsFunc(want, func(w string) bool { return equal(h, w) })
	})
}

// equalASCIIFold is strings.EqualFold without its other alphabets, in some of which a letter is the other case of an ASCII
// one.
func equalASCIIFold(a, b string) bool {
	lower := func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}
	return strings.Map(lower, a) == strings.Map(lower, b)
}
