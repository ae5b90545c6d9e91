package providers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

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

// parseEmail accepts local@domain with one @, no white space, no control character and a domain of DNS labels.
//
// Quoted local parts (RFC 5321 section 4.1.2) are refused: an @ or a space inside them reads differently to different
// parsers, which is how CVE-2026-40574 got past a domain rule.
func parseEmail(s string) (emailAddress, error) {
	if len(s) > longestValue {
		return emailAddress{}, fmt.Errorf("email longer than %d bytes", longestValue)
	}
	local, domain, _ := strings.Cut(s, "@")
	if checkName(local) != nil {
		return emailAddress{}, errors.New("local part is empty or needs quotes")
	}
	// A second @ is no part of a label.
	if _, err := domainLabels(domain); err != nil {
		return emailAddress{}, err
	}
	return emailAddress{local, domain}, nil
}

// domainLabels splits a domain into its DNS labels, lower-cased.
func domainLabels(domain string) ([]string, error) {
	if strings.ContainsFunc(domain, notInDomain) {
		return nil, errors.New("domain is not a list of DNS labels")
	}
	labels := strings.Split(strings.ToLower(domain), ".")
	if slices.Contains(labels, "") {
		return nil, errors.New("domain is not a list of DNS labels")
	}
	return labels, nil
}

func notInDomain(r rune) bool {
	return r != '-' && r != '.' && !unicode.IsLetter(r) && !unicode.IsDigit(r) || foldsToASCII(r)
}

// checkDomains finds what is no domain in a list from the config.
func checkDomains(domains []string) error {
	for _, d := range domains {
		if _, err := domainLabels(d); err != nil {
			return err
		}
	}
	return nil
}

func sameDomain(a, b string) bool {
	left, err := domainLabels(a)
	if err != nil {
		return false
	}
	right, err := domainLabels(b)
	return err == nil && slices.Equal(left, right)
}
