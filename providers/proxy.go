package providers

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
	"time"
)

// proxy.go: what the providers share that read the headers of a proxy in front of us. They are flat, keep no session, and
// compute it anew on every refresh (contract/providers.md 0.1 and 3). Each takes its headers with soleHeader, and believes
// them either for their signature (assertionCheck) or for the peer that sent them (trustedPeers).
//
// Differs from Backstage: every fault of a token is a 401 with a code, where some of its modules answer 500; and a header
// without a signature counts only from a peer in trustedProxies.

// Codes of what may go wrong with the headers of a proxy.
const (
	CodeProxyHeader        = "proxy_header_missing"
	CodeProxyAmbiguous     = "proxy_header_ambiguous"
	CodeProxyPeer          = "proxy_peer_untrusted"
	CodeAssertionMalformed = "assertion_malformed"
	CodeAssertionAlg       = "assertion_alg"
	CodeAssertionSignature = "assertion_signature"
	CodeAssertionIssuer    = "assertion_issuer"
	CodeAssertionSigner    = "assertion_signer"
	CodeAssertionAudience  = "assertion_audience"
	CodeAssertionClock     = "assertion_clock"
	CodeAssertionClaim     = "assertion_claim_missing"
	CodeAssertionUser      = "assertion_user"
)

var proxyCodes = map[string]string{
	CodeProxyHeader:        "The proxy's header is not in the request: it did not come through the proxy, or the proxy does not authenticate this path.",
	CodeProxyAmbiguous:     "The proxy's header, or its cookie, is there twice, or also under a name with underscores, which some proxies pass on unchecked.",
	CodeProxyPeer:          "The request does not come from an address in trustedProxies, and its headers are not signed.",
	CodeAssertionMalformed: "The proxy's token is not a JWT, or has a member of a wrong type or a key id that is none.",
	CodeAssertionAlg:       "The proxy's token is signed with another algorithm than this proxy uses.",
	CodeAssertionSignature: "No key of the proxy verifies its token.",
	CodeAssertionIssuer:    "The proxy's token is from another issuer. Compare issuer, teamName or tenantId.",
	CodeAssertionSigner:    "The token was signed by another load balancer than the configured signer.",
	CodeAssertionAudience:  "The proxy's token is meant for another application. Compare audience or clientId.",
	CodeAssertionClock:     "The proxy's token is not valid at this time, or for longer than this proxy's tokens are. Compare the clocks.",
	CodeAssertionClaim:     "The proxy's token lacks a claim that the sign-in needs, or has another version.",
	CodeAssertionUser:      "The proxy lets this user or service token in, and we do not: it is not in serviceTokens, or two answers of the proxy disagree on who it is.",
}

func init() { maps.Copy(codes, proxyCodes) }

// proxyConfig are the keys that every proxy provider takes. They stand directly below the id.
type proxyConfig struct {
	// Type names the Kind where the entry's id does not (design D13).
	Type string `config:"type"`
	// SessionDuration is accepted because Backstage's schemas have it. It has no effect: there is no session.
	SessionDuration time.Duration `config:"sessionDuration"`
	// SignIn is the section with the resolvers, which the server reads.
	SignIn any `config:"signIn"`
}

const (
	// proxyTimeout bounds a call for keys or for an identity.
	proxyTimeout = 10 * time.Second
	// longestHeader bounds what is read of one header, in bytes. Go's server takes a megabyte of them.
	longestHeader = 64 << 10
)

// unauthenticated is a proxy's proof that is missing or wrong (401).
func unauthenticated(code, message string, err error) *Error {
	return &Error{Kind: ErrUnauthenticated, Code: code, Message: message, Err: err}
}

// soleHeader returns the one value of a header, empty if it is not there. Who sends it twice, or also under a name that
// differs in underscores alone, tries to get past a proxy that checks only one of them. The error is an *Error.
func soleHeader(h http.Header, name string) (string, error) {
	var values []string
	for k, v := range h {
		if strings.EqualFold(strings.ReplaceAll(k, "_", "-"), name) {
			values = append(values, v...)
			if strings.Contains(k, "_") {
				return "", ambiguousHeader(name)
			}
		}
	}
	switch {
	case len(values) > 1:
		return "", ambiguousHeader(name)
	case len(values) == 0:
		return "", nil
	case len(values[0]) > longestHeader:
		return "", unauthenticated(CodeAssertionMalformed, "The header "+name+" is too long", nil)
	}
	return strings.TrimSpace(values[0]), nil
}

func ambiguousHeader(name string) *Error {
	return unauthenticated(CodeProxyAmbiguous, "The header "+name+" is not unambiguous", nil)
}

// neededHeader is soleHeader of a header that must be there; missing is the message if it is not.
func neededHeader(h http.Header, name, missing string) (string, error) {
	value, err := soleHeader(h, name)
	if err == nil && value == "" {
		return "", unauthenticated(CodeProxyHeader, missing, nil)
	}
	return value, err
}

// checkHeaderName accepts a header name from the config (RFC 9110 section 5.1), without underscores: no proxy can be
// trusted to keep it apart from the one with hyphens.
func checkHeaderName(key, name string) error {
	notToken := func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	if name == "" || strings.ContainsFunc(name, notToken) {
		return fmt.Errorf("%s is not a header name of letters, digits and hyphens", key)
	}
	if textproto.CanonicalMIMEHeaderKey(name) == "Host" {
		return fmt.Errorf("%s cannot be Host", key)
	}
	return nil
}

// trustedPeers are the addresses whose unsigned headers are believed; nil believes every peer, in development alone.
type trustedPeers []netip.Prefix

// readTrustedPeers reads trustedProxies, a list of addresses and CIDR blocks; otherwise is what the config may say
// instead of it.
func readTrustedPeers(s Setup, list []string, otherwise string) (trustedPeers, error) {
	if len(list) == 0 && !s.Development {
		return nil, errors.New("trustedProxies is missing: the headers of this proxy are not signed, so anybody who reaches this port " +
			"could be anyone; list the addresses of the proxy, such as 10.0.0.0/24" + otherwise)
	}
	if len(list) == 0 {
		s.Log.Warn("unsigned headers are believed from everybody; set trustedProxies", "provider", s.ID)
	}
	var peers trustedPeers
	for _, text := range list {
		p, err := readPrefix(text)
		if err != nil {
			return nil, fmt.Errorf("read trustedProxies: %w", err)
		}
		peers = append(peers, p)
	}
	return peers, nil
}

func readPrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, errors.New("an entry is neither an address nor a CIDR block")
	case p != p.Masked():
		return p, errors.New("an entry is a CIDR block with bits set beyond its length: is it one address?")
	case p.Addr().Is4In6():
		return p, errors.New("an entry is a block of IPv4 addresses written as IPv6, which no peer is compared with: write it as 10.0.0.0/24")
	case p.Bits() == 0:
		return p, errors.New("an entry stands for every address, which is no list of proxies")
	}
	return p, nil
}

// check refuses every other peer. An IPv4 address that came over an IPv6 socket is the IPv4 address.
func (t trustedPeers) check(peer netip.Addr) error {
	a := peer.Unmap().WithZone("")
	if t == nil || slices.ContainsFunc(t, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return nil
	}
	return unauthenticated(CodeProxyPeer, "The request does not come from a trusted proxy", nil)
}
