package config

import (
	"fmt"
	"regexp"
	"time"
)

// Auth is the auth section (contract/core.md section 8.1).
type Auth struct {
	// Environment is the env of a sign-in that names none.
	Environment string
	Session     Session
	// TokenExpiration is the lifetime of a Backstage token, between 10 minutes and 24 hours.
	TokenExpiration time.Duration
	// Algorithm is the JWS algorithm of Backstage tokens. Static keys have their own.
	Algorithm string
	// OmitOwnership leaves the ownership claim (ent) out of tokens.
	OmitOwnership bool
	KeyStore      KeyStore
	SigningKeys   SigningKeys
	// ExtraOrigins are patterns of further app origins.
	ExtraOrigins []string
	// CatalogFile is the path of a file of User and Group entities, empty if there is none.
	CatalogFile string
	// CatalogCache is how long an answer of the catalog's API is believed, 0 for not at all.
	CatalogCache time.Duration
	// CatalogToken is a static token for the catalog's API, empty to call it with plugin tokens of our own.
	CatalogToken string
	DevIDP       DevIDP
	// Providers come in the order of the files.
	Providers []Provider
}

// Session is auth.session.
type Session struct {
	// Secrets has at least 16 bytes in each: the first seals, all open. It is empty if nothing is configured.
	Secrets []string `config:"secret,list"`
	// Idle is how long a session may go unused.
	Idle time.Duration `config:"idle"`
	// RefreshReuse is how long one answer of the provider serves further refreshes; 0 turns that off.
	RefreshReuse time.Duration `config:"refreshReuse"`
}

// KeyStore is where signing keys live (contract/core.md section K).
type KeyStore struct {
	// Provider is KeyStoreDatabase, KeyStoreMemory or KeyStoreStatic.
	Provider string
	// Static holds at least one key if Provider is KeyStoreStatic: the first signs, all are published.
	Static []StaticKey
	// NodeTable shares public keys with Backstage's own auth backend through its table, which is in the same database. It is only
	// ever true if Provider is KeyStoreDatabase.
	NodeTable bool
}

// The values of KeyStore.Provider.
const (
	KeyStoreDatabase = "database"
	KeyStoreMemory   = "memory"
	KeyStoreStatic   = "static"
)

// StaticKey is one key pair in files (contract/core.md K6).
type StaticKey struct {
	// PublicKeyFile is SPKI, PrivateKeyFile PKCS #8, both PEM; paths are relative to the working directory, as in
	// Backstage.
	PublicKeyFile  string `config:"publicKeyFile,required"`
	PrivateKeyFile string `config:"privateKeyFile,required"`
	KeyID          string `config:"keyId,required"`
	// Algorithm is the JWS algorithm, ES256 by default.
	Algorithm string `config:"algorithm,oneof=RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512|EdDSA"`
}

// SigningKeys is the life of keys that are made here.
type SigningKeys struct {
	// Rotation is how long a key signs, at least 10 minutes.
	Rotation time.Duration `config:"rotation"`
	// PublishAhead is how long a key is published before it signs, at least a minute and less than Rotation.
	PublishAhead time.Duration `config:"publishAhead"`
}

// DevIDP is the built-in OpenID Provider for development.
type DevIDP struct {
	// Enabled is only ever true if the backend's base URL is a loopback address.
	Enabled bool
	// People is the path of a file with the people who can sign in, empty for the built-in ones.
	People string
	// Algorithm signs id_tokens: RS256, the default of OpenID Connect, or ES256.
	Algorithm string
}

const (
	defaultAlgorithm = "ES256"
	minTokenLife     = 10 * time.Minute
	maxTokenLife     = 24 * time.Hour
	minSecret        = 16
)

// authKeys is auth as it is written.
type authKeys struct {
	Environment   string        `config:"environment"`
	Session       Session       `config:"session"`
	Expiration    time.Duration `config:"backstageTokenExpiration"`
	Algorithm     string        `config:"identityTokenAlgorithm,oneof=RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512|EdDSA"`
	OmitOwnership bool          `config:"omitIdentityTokenOwnershipClaim"`
	KeyStore      struct {
		Provider string `config:"provider,oneof=database|memory|static"`
		Static   struct {
			Keys []StaticKey `config:"keys"`
		} `config:"static"`
		NodeTable bool `config:"nodeTable"`
	} `config:"keyStore"`
	SigningKeys  SigningKeys `config:"signingKeys"`
	ExtraOrigins []string    `config:"experimentalExtraAllowedOrigins"`
	Catalog      struct {
		File  string        `config:"file,file"`
		Cache time.Duration `config:"cache"`
		Token string        `config:"token"`
	} `config:"catalog"`
	DevIDP struct {
		Enabled   bool   `config:"enabled"`
		People    string `config:"people,file"`
		Algorithm string `config:"algorithm,oneof=RS256|ES256"`
	} `config:"devIdp"`
	Providers *node `config:"providers"`
}

// authDefaults is what holds where nothing is written.
func authDefaults() authKeys {
	keys := authKeys{
		Environment:   "development",
		Session:       Session{Idle: 30 * day, RefreshReuse: 30 * time.Second},
		Expiration:    time.Hour,
		Algorithm:     defaultAlgorithm,
		OmitOwnership: true,
		SigningKeys:   SigningKeys{Rotation: 24 * time.Hour, PublishAhead: 10 * time.Minute},
	}
	keys.KeyStore.Provider = KeyStoreDatabase
	keys.Catalog.Cache = 10 * time.Second
	keys.DevIDP.Algorithm = "RS256"
	return keys
}

func (r *reader) auth() Auth {
	keys := authDefaults()
	r.section("auth", &keys)
	r.checkSession(keys.Session)
	r.checkSigningKeys(keys.SigningKeys)
	r.checkCatalogToken(keys.Catalog.Token)
	r.checkOrigins(keys.ExtraOrigins)
	return Auth{
		Environment:     keys.Environment,
		Session:         keys.Session,
		TokenExpiration: min(max(keys.Expiration, minTokenLife), maxTokenLife),
		Algorithm:       keys.Algorithm,
		OmitOwnership:   keys.OmitOwnership,
		KeyStore:        r.keyStore(keys),
		SigningKeys:     keys.SigningKeys,
		ExtraOrigins:    keys.ExtraOrigins,
		CatalogFile:     keys.Catalog.File,
		CatalogCache:    keys.Catalog.Cache,
		CatalogToken:    keys.Catalog.Token,
		DevIDP:          DevIDP(keys.DevIDP),
		Providers:       r.providers(keys.Providers),
	}
}

// originPattern is a whole origin in which stars may stand. Anything else would match no origin, and nobody would know why.
var originPattern = regexp.MustCompile(`^(https?|\*)://([A-Za-z0-9*._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9*]+)?$`)

func (r *reader) checkOrigins(patterns []string) {
	const key = "auth.experimentalExtraAllowedOrigins"
	n := r.root.find(key)
	for i, p := range patterns {
		if p != "" && !originPattern.MatchString(p) { // an empty one was reported before
			r.problems.add(n.items[i].at, indexed(key, i), "want an origin such as https://*.example.com, with no path and no pattern but *")
		}
	}
}

// checkDevIDP keeps the development provider on this machine: anyone may sign in there as anyone.
func (r *reader) checkDevIDP(c *Config) {
	const want = "want a loopback address such as http://localhost:7007: anyone may sign in as anyone at the development " +
		"provider that auth.devIdp.enabled turns on"
	switch {
	case c.Auth.DevIDP.Enabled && !r.development:
		r.fail("auth.devIdp.enabled", "want false outside of development: anyone may sign in as anyone there")
	case !c.Auth.DevIDP.Enabled || c.Backend.BaseURL == "":
	case !loopback(c.Backend.BaseURL):
		r.fail("backend.baseUrl", want)
	case !loopback(c.AuthURL()):
		r.fail("discovery.endpoints", want)
	}
}

// checkCatalogToken refuses a token that no header could carry.
func (r *reader) checkCatalogToken(token string) {
	if token != "" && !headerToken.MatchString(token) {
		r.fail("auth.catalog.token", "want letters, digits and signs of ASCII, without white space")
	}
}

func (r *reader) checkSession(s Session) {
	const key = "auth.session.secret"
	n := r.root.find(key)
	for i, secret := range s.Secrets {
		if secret == "" || len(secret) >= minSecret {
			continue // an empty one was reported before
		}
		at, name := n.at, key
		if n.form == list {
			at, name = n.items[i].at, indexed(key, i)
		}
		r.problems.add(at, name, "want at least %d bytes", minSecret)
	}
	if n := r.root.find("auth.session.idle"); !n.absent() && s.Idle < time.Minute {
		r.fail("auth.session.idle", "want a duration of at least a minute")
	}
}

func (r *reader) checkSigningKeys(k SigningKeys) {
	switch {
	case k.Rotation < 10*time.Minute:
		r.fail("auth.signingKeys.rotation", "want a duration of at least 10 minutes")
	case k.PublishAhead < time.Minute:
		r.fail("auth.signingKeys.publishAhead", "want a duration of at least a minute")
	case k.PublishAhead >= k.Rotation:
		r.fail(r.written("auth.signingKeys.publishAhead", "auth.signingKeys.rotation"),
			"want publishAhead (10 minutes by default) to be shorter than rotation (24 hours by default)")
	}
}

// written returns the first of two keys if the file has it, else the second.
func (r *reader) written(first, second string) string {
	if r.root.find(first).absent() {
		return second
	}
	return first
}

func (r *reader) keyStore(keys authKeys) KeyStore {
	if keys.KeyStore.NodeTable && keys.KeyStore.Provider != KeyStoreDatabase {
		r.fail("auth.keyStore.nodeTable", "want false, or database in auth.keyStore.provider: other keys are not shared through a table")
	}
	return KeyStore{Provider: keys.KeyStore.Provider, Static: r.staticKeys(keys), NodeTable: keys.KeyStore.NodeTable}
}

func (r *reader) staticKeys(keys authKeys) []StaticKey {
	const key = "auth.keyStore.static.keys"
	if keys.KeyStore.Provider != KeyStoreStatic {
		return nil
	}
	pairs := keys.KeyStore.Static.Keys
	if len(pairs) == 0 {
		r.fail(r.written(key, "auth.keyStore.provider"), "want at least one key pair in %s", key)
	}
	for i := range pairs {
		if pairs[i].Algorithm == "" {
			pairs[i].Algorithm = defaultAlgorithm
		}
	}
	return pairs
}

// headerToken is what may stand behind Bearer.
var headerToken = regexp.MustCompile(`^[!-~]+$`)

var providerID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// providers lists what stands below auth.providers. A provider that is null is none.
func (r *reader) providers(n *node) []Provider {
	const key = "auth.providers"
	if n == nil {
		return nil
	}
	if n.form != object {
		r.fail(key, "want an object, found %s", n.form)
		return nil
	}
	var all []Provider
	for _, f := range n.fields {
		switch {
		case f.value.absent():
		case f.name == "v1" || !providerID.MatchString(f.name):
			// v1 and .well-known would hide the routes of that name (contract/core.md R14).
			r.problems.add(f.at, dotted(key, f.name), "want another provider id: letters, digits, _, - and ., and not v1")
		case f.value.form != object:
			r.problems.add(f.value.at, dotted(key, f.name), "want an object, found %s", f.value.form)
		default:
			e := Entry{ID: f.name, key: key, source: fmt.Sprint(r.source)}.below(f)
			all = append(all, Provider{ID: f.name, Type: e.Type, entry: e})
		}
	}
	return all
}
