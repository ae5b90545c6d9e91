package config

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ExternalAccess is one caller of backend.auth.externalAccess, or one secret of backend.auth.keys (contract/core.md T29).
type ExternalAccess struct {
	// Type is AccessStatic, AccessLegacy or AccessJWKS.
	Type string
	// Subject names the caller of a static or legacy token.
	Subject string
	// Token is a static token, of 8 characters or more.
	Token string
	// Secret is the key of legacy tokens, decoded.
	Secret []byte
	// URL is where the key set of a JWKS caller is, http or https.
	URL string
	// Algorithms, Issuers and Audiences are what such a caller's tokens may name; nil does not restrict them.
	Algorithms, Issuers, Audiences []string
	// SubjectPrefix stands before the subject of such a token, empty for none.
	SubjectPrefix string
	// Restrictions limit the caller to the plugins that they name, each once; nil does not.
	Restrictions []Restriction
}

// The values of ExternalAccess.Type.
const (
	AccessStatic = "static"
	AccessLegacy = "legacy"
	AccessJWKS   = "jwks"
)

// Restriction lets a caller into one plugin.
type Restriction struct {
	Plugin string
	// Permissions are the only ones that the caller has there, Actions (create, read, update, delete) the only kinds of
	// permission; nil does not restrict.
	Permissions, Actions []string
}

// legacySubject is the subject of backend.auth.keys, whose entries have no name.
const legacySubject = "external:backstage-plugin"

// minStaticToken is in characters.
const minStaticToken = 8

// accessKeys is an item of backend.auth.externalAccess as it is written. It is read strictly: an accessRestrictions that is
// spelt wrongly would restrict nothing.
type accessKeys struct {
	Type         string            `config:"type,required,oneof=static|legacy|jwks"`
	Options      *node             `config:"options,required"`
	Restrictions []restrictionKeys `config:"accessRestrictions"`
}

type restrictionKeys struct {
	Plugin     string `config:"plugin,required"`
	Permission *node  `config:"permission"`
	Attribute  struct {
		Action *node `config:"action"`
	} `config:"permissionAttribute"`
}

// accessReader reads one caller.
type accessReader struct {
	decoder
	// taken are the tokens and secrets of the callers before it.
	taken *[][]byte
}

func (r *reader) externalAccess() []ExternalAccess {
	var keys struct {
		External []*node `config:"externalAccess"`
		Legacy   []*node `config:"keys"`
	}
	r.section("backend.auth", &keys)
	a := accessReader{decoder{strict: true, source: r.source.String(), problems: &r.problems}, new([][]byte)}
	var all []ExternalAccess
	for i, n := range keys.External {
		if n != nil { // else reported before
			all = append(all, a.caller(n, indexed("backend.auth.externalAccess", i)))
		}
	}
	for i, n := range keys.Legacy {
		if n != nil {
			all = append(all, a.legacyKey(n, indexed("backend.auth.keys", i)))
		}
	}
	return all
}

// read decodes n strictly; what is wrong with it is in a.problems.
func (a accessReader) read(n *node, key string, into any) { _ = a.decode(n, key, into) }

func (a accessReader) caller(n *node, key string) ExternalAccess {
	var keys accessKeys
	a.read(n, key, &keys)
	var e ExternalAccess
	switch options := dotted(key, "options"); {
	case keys.Options == nil:
	case keys.Type == AccessStatic:
		e = a.static(keys.Options, options)
	case keys.Type == AccessLegacy:
		e = a.legacy(keys.Options, options)
	case keys.Type == AccessJWKS:
		e = a.jwks(keys.Options, options)
	}
	e.Type = keys.Type
	e.Restrictions = a.restrictions(n, key, keys.Restrictions)
	return e
}

func (a accessReader) static(n *node, key string) ExternalAccess {
	var keys struct {
		Token   string `config:"token,required"`
		Subject string `config:"subject,required"`
	}
	a.read(n, key, &keys)
	a.oneWord(n, key, "subject", keys.Subject)
	if a.oneWord(n, key, "token", keys.Token) {
		if utf8.RuneCountInString(keys.Token) < minStaticToken {
			a.check(n.get("token"), dotted(key, "token"), fmt.Errorf("want at least %d characters", minStaticToken))
		}
		a.first(n.get("token"), dotted(key, "token"), []byte(keys.Token))
	}
	return ExternalAccess{Token: keys.Token, Subject: keys.Subject}
}

func (a accessReader) legacy(n *node, key string) ExternalAccess {
	var keys struct {
		Secret  string `config:"secret,required"`
		Subject string `config:"subject,required"`
	}
	a.read(n, key, &keys)
	a.oneWord(n, key, "subject", keys.Subject)
	return ExternalAccess{Secret: a.secret(n, key, keys.Secret), Subject: keys.Subject}
}

// legacyKey reads an item of the older list, which has the secret and nothing to name the caller by.
func (a accessReader) legacyKey(n *node, key string) ExternalAccess {
	var keys struct {
		Secret       string            `config:"secret,required"`
		Restrictions []restrictionKeys `config:"accessRestrictions"`
	}
	a.read(n, key, &keys)
	return ExternalAccess{
		Type: AccessLegacy, Secret: a.secret(n, key, keys.Secret), Subject: legacySubject,
		Restrictions: a.restrictions(n, key, keys.Restrictions),
	}
}

var errBase64 = errors.New("want a secret in base64")

// secret decodes the base64 of either alphabet, padded or not.
//
// Differs from Backstage: other characters are refused; Node skips them.
func (a accessReader) secret(n *node, key, encoded string) []byte {
	if encoded == "" {
		return nil // reported before
	}
	at, name := n.get("secret"), dotted(key, "secret")
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(encoded, "="))
	secret, err := base64.RawStdEncoding.DecodeString(plain)
	if err != nil || len(secret) == 0 {
		a.check(at, name, errBase64)
		return nil
	}
	a.first(at, name, secret)
	return secret
}

func (a accessReader) jwks(n *node, key string) ExternalAccess {
	var keys struct {
		URL       string `config:"url,required"`
		Algorithm *node  `config:"algorithm"`
		Issuer    *node  `config:"issuer"`
		Audience  *node  `config:"audience"`
		Prefix    string `config:"subjectPrefix"`
	}
	a.read(n, key, &keys)
	if u, err := url.Parse(keys.URL); keys.URL != "" &&
		(err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "") {
		a.check(n.get("url"), dotted(key, "url"), errors.New("want an http:// or https:// URL without user and fragment"))
	}
	return ExternalAccess{
		URL: keys.URL, SubjectPrefix: keys.Prefix,
		Algorithms: a.names(keys.Algorithm, dotted(key, "algorithm"), asymmetric...),
		Issuers:    a.names(keys.Issuer, dotted(key, "issuer")),
		Audiences:  a.names(keys.Audience, dotted(key, "audience")),
	}
}

// asymmetric are the JWS algorithms whose keys can be published (RFC 7518 section 3.1, RFC 8037 section 3.1).
var asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// names reads a string or a list of strings, each split at commas and spaces, and every name once. Known names, if there are
// any, are the only ones. A value without any name is a problem: Backstage takes it for no restriction.
func (a accessReader) names(n *node, key string, known ...string) []string {
	if n == nil {
		return nil
	}
	before := len(a.problems.list)
	var written []string
	a.value(n, key, reflect.ValueOf(&written).Elem(), options{list: true})
	var names []string
	for _, v := range written {
		for _, name := range strings.FieldsFunc(v, func(r rune) bool { return r == ' ' || r == ',' }) {
			if len(known) > 0 && !slices.Contains(known, name) {
				a.check(n, key, fmt.Errorf("want one of %s", strings.Join(known, ", ")))
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if names == nil && len(a.problems.list) == before {
		a.check(n, key, errors.New("want at least one name"))
	}
	return names
}

// restrictions reads accessRestrictions. An empty list is a problem: Backstage takes it for no restriction.
func (a accessReader) restrictions(n *node, key string, written []restrictionKeys) []Restriction {
	key, n = dotted(key, "accessRestrictions"), n.get("accessRestrictions")
	if !n.absent() && len(n.items) == 0 {
		a.check(n, key, errors.New("want at least one restriction"))
	}
	var all []Restriction
	for i, k := range written {
		at := indexed(key, i)
		if k.Plugin != "" && slices.ContainsFunc(all, func(r Restriction) bool { return r.Plugin == k.Plugin }) {
			a.check(n.items[i].get("plugin"), dotted(at, "plugin"), errors.New("want each plugin once"))
		}
		all = append(all, Restriction{
			Plugin:      k.Plugin,
			Permissions: a.names(k.Permission, dotted(at, "permission")),
			Actions:     a.names(k.Attribute.Action, dotted(at, "permissionAttribute.action"), "create", "read", "update", "delete"),
		})
	}
	return all
}

// oneWord reports a value with white space in it, which no header could carry, and returns whether there is a good one.
func (a accessReader) oneWord(n *node, key, name, value string) bool {
	if strings.ContainsFunc(value, unicode.IsSpace) {
		a.check(n.get(name), dotted(key, name), errors.New("want a value without white space"))
		return false
	}
	return value != ""
}

// first reports a token or secret that an item before has: which of the two callers it is could not be told.
func (a accessReader) first(n *node, key string, value []byte) {
	if slices.ContainsFunc(*a.taken, func(v []byte) bool { return bytes.Equal(v, value) }) {
		a.check(n, key, errors.New("want a value that no other caller has"))
	}
	*a.taken = append(*a.taken, value)
}
