package caller

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"stagedoor/server/internal/fault"
	"stagedoor/tokens"
)

// External is a caller that is neither a user nor a plugin (contract/core.md T29). Exactly one of Token, Secret and URL is set.
type External struct {
	// Token is the caller's static token, of 8 characters or more.
	Token string
	// Secret is the key of the caller's legacy tokens.
	Secret []byte
	// URL is where the caller's key set is.
	URL string
	// Rules are what tokens of such a key set must say.
	Rules tokens.RemoteRules
	// Subject names the caller of a static or legacy token. That of a key set is named by its token: "external:<sub>", or
	// "external:<prefix>:<sub>" with a SubjectPrefix.
	Subject, SubjectPrefix string
	// Restrictions limit the caller to the plugins that they name; nil does not.
	Restrictions []Restriction
}

// Restriction lets a caller into one plugin, with all permissions and actions or only some; nil is all.
type Restriction struct {
	Plugin               string
	Permissions, Actions []string
}

// minStaticToken is in characters (contract/core.md T29).
const minStaticToken = 8

// external is an External, ready for use.
type external struct {
	matcher
	// admitted is what the restrictions say about us; elsewhere are the plugins that they name if we are not among them.
	admitted  Restriction
	elsewhere string
}

// matcher recognises the tokens of one caller. The error wraps tokens.ErrInvalid if raw is not the caller's, or no longer; else
// it says that the caller's keys cannot be read.
type matcher interface {
	match(ctx context.Context, raw string, now time.Time) (tokens.ExternalPrincipal, error)
}

// prepare checks e and holds its restrictions against our own id.
func prepare(e External, plugin string, f *fetcher) (external, error) {
	m, err := matcherOf(e, f)
	if err != nil || e.Restrictions == nil {
		return external{matcher: m}, err
	}
	var names []string
	for _, r := range e.Restrictions {
		if r.Plugin == plugin {
			return external{matcher: m, admitted: r}, nil
		}
		names = append(names, "'"+r.Plugin+"'")
	}
	return external{matcher: m, elsewhere: strings.Join(names, ", ")}, nil
}

func matcherOf(e External, f *fetcher) (matcher, error) {
	switch {
	case e.Token != "" && e.Secret == nil && e.URL == "":
		if utf8.RuneCountInString(e.Token) < minStaticToken {
			return nil, fmt.Errorf("static token has fewer than %d characters", minStaticToken)
		}
		return staticToken{sha256.Sum256([]byte(e.Token)), e.Subject}, nil
	case len(e.Secret) > 0 && e.Token == "" && e.URL == "":
		return legacySecret{e.Secret, e.Subject}, nil
	case e.URL != "" && e.Token == "" && e.Secret == nil:
		u, err := url.Parse(e.URL)
		if err != nil || u.Host == "" {
			return nil, errors.New("address of the key set is not a URL")
		}
		prefix := "external:"
		if e.SubjectPrefix != "" {
			prefix += e.SubjectPrefix + ":"
		}
		return keySet{newSource("external at "+u.Host, e.URL, f), e.Rules, prefix}, nil
	}
	return nil, errors.New("want either a static token, a secret, or the address of a key set")
}

// caller recognises external callers; ok is false if raw is of none. A caller whose keys cannot be read is passed over, but if
// nobody else knows the token, it is not said to be illegal.
func (r *Recogniser) caller(ctx context.Context, raw string) (_ recognised, ok bool, _ error) {
	var unread error
	for i, e := range r.external {
		who, err := e.match(ctx, raw, r.cfg.Now())
		switch {
		case errors.Is(err, tokens.ErrInvalid):
		case err != nil:
			unread = errors.Join(unread, fmt.Errorf("external caller %d: %w", i+1, err))
		case e.elsewhere != "":
			return recognised{}, true, fault.New(fault.NotAllowed, "access_restricted",
				"This token's access is restricted to plugin(s) "+e.elsewhere, nil)
		default:
			return recognised{Principal: Principal{
				Kind: Service, Subject: who.Subject, ExpiresAt: who.ExpiresAt,
				Permissions: e.admitted.Permissions, Actions: e.admitted.Actions,
			}}, true, nil
		}
	}
	if unread != nil {
		return recognised{}, true, fault.New(fault.ServiceUnavailable, "external_keys_unavailable",
			"The keys of an external caller are not available", unread)
	}
	return recognised{}, false, nil
}

// staticToken compares digests, so that the time it takes tells neither length nor beginning of the token.
type staticToken struct {
	digest  [sha256.Size]byte
	subject string
}

func (s staticToken) match(_ context.Context, raw string, _ time.Time) (tokens.ExternalPrincipal, error) {
	digest := sha256.Sum256([]byte(raw))
	if subtle.ConstantTimeCompare(digest[:], s.digest[:]) != 1 {
		return tokens.ExternalPrincipal{}, tokens.ErrUnrecognised
	}
	return tokens.ExternalPrincipal{Subject: s.subject}, nil
}

// legacySecret verifies the tokens of callers from before Backstage had plugin tokens.
type legacySecret struct {
	secret  []byte
	subject string
}

func (l legacySecret) match(_ context.Context, raw string, now time.Time) (tokens.ExternalPrincipal, error) {
	expires, err := tokens.VerifyLegacy(raw, l.secret, now)
	return tokens.ExternalPrincipal{Subject: l.subject, ExpiresAt: expires}, err
}

// keySet verifies the tokens of a caller who publishes keys.
type keySet struct {
	source *source
	rules  tokens.RemoteRules
	prefix string
}

func (k keySet) match(ctx context.Context, raw string, now time.Time) (tokens.ExternalPrincipal, error) {
	var who tokens.ExternalPrincipal
	check := func(keys *tokens.KeySet) (err error) {
		who, err = tokens.VerifyRemote(raw, keys, k.rules, now)
		return err
	}
	// Without keys, all that can be known is whether keys are worth reading.
	if err := check(nil); !errors.Is(err, tokens.ErrUnknownKey) {
		return tokens.ExternalPrincipal{}, err
	}
	if err := k.source.verify(ctx, check); err != nil {
		return tokens.ExternalPrincipal{}, err
	}
	who.Subject = k.prefix + who.Subject
	return who, nil
}
