package devidp

import (
	"maps"
	"slices"
	"time"
)

// Faults says what goes wrong. The zero value of every field is a healthy provider.
type Faults struct {
	// Failures are endpoints that fail as a whole, whatever they would have said.
	Failures map[Endpoint]Failure
	// Grant limits Token and IDToken to one grant_type; "" is all.
	Grant string
	// Token is what is wrong with the token response beside the id_token.
	Token TokenFault
	// IDToken is what is wrong with the id_token.
	IDToken IDTokenFaults
	// Userinfo is what is wrong with the userinfo response.
	Userinfo UserinfoFault
	// Discovery is what is wrong with the discovery document; EditDiscovery may change anything else in it.
	Discovery     DiscoveryFault
	EditDiscovery func(document map[string]any)
	// Keys is what is wrong with the key set.
	Keys KeysFault
	// Authorization is what is wrong with the redirect back to the application.
	Authorization AuthorizationFault
	// AuthorizationError is sent in place of a code if it is not empty: "server_error", "temporarily_unavailable".
	AuthorizationError string
}

// Failure is how an endpoint fails as a whole.
type Failure struct {
	Kind FailureKind
	// Times is the number of answers that fail; 0 means until it is changed.
	Times int
	// Grant limits a failure of the token endpoint to one grant_type; "" is all.
	Grant string
	// Late lets the provider do its work first (use the code up, rotate the refresh token) and spoils only the answer.
	Late bool
}

// FailureKind is a way for an endpoint to fail.
type FailureKind string

// The kinds of Failure.
const (
	FailServerError FailureKind = "500"
	FailUnavailable FailureKind = "503"
	FailTooMany     FailureKind = "429 with Retry-After"
	FailHang        FailureKind = "no answer until Release or the caller gives up"
	FailGarbage     FailureKind = "200 with bytes that are no JSON"
	FailHuge        FailureKind = "200 with 10 MB of JSON"
	FailRedirect    FailureKind = "redirect to another host"
	FailContentType FailureKind = "200 with an HTML page"
	FailReset       FailureKind = "connection reset"
)

// FailureKinds are all kinds of Failure.
func FailureKinds() []FailureKind {
	return []FailureKind{
		FailServerError, FailUnavailable, FailTooMany, FailHang, FailGarbage, FailHuge, FailRedirect, FailContentType, FailReset,
	}
}

// TokenFault is a token response that is well-formed and wrong (RFC 6749 §5). The provider has done its work by then: the
// code is used up, the refresh token is rotated.
type TokenFault string

// The kinds of TokenFault.
const (
	TokenErrorWithOK    TokenFault = "an error with status 200"
	TokenInvalidGrant   TokenFault = "invalid_grant"
	TokenInvalidClient  TokenFault = "invalid_client"
	TokenNoAccessToken  TokenFault = "no access_token"
	TokenNoIDToken      TokenFault = "no id_token"
	TokenNoRefreshToken TokenFault = "no refresh_token"
	TokenNoExpiry       TokenFault = "no expires_in"
)

// IDTokenFaults is what is wrong with an id_token. The claims are changed first, then the token is signed anew.
type IDTokenFaults struct {
	// Claims are applied in order.
	Claims []ClaimFault
	// By is how far the faults of time reach: expired By ago, valid or issued By from now. 0 means an hour.
	By time.Duration
	// Edit may change anything else, after Claims.
	Edit func(claims map[string]any)
	// Signature is what is wrong with header and signature.
	Signature SignatureFault
}

// ClaimFault is one thing wrong with the claims of an id_token (OpenID Connect Core 1.0 §3.1.3.7).
type ClaimFault string

// The kinds of ClaimFault. "Us" is the client that the token is for.
const (
	IssuerOther         ClaimFault = "iss of another provider"
	IssuerTrailingSlash ClaimFault = "iss with a slash at its end"
	IssuerUpperCase     ClaimFault = "iss in upper case"
	IssuerMissing       ClaimFault = "no iss"
	AudienceOther       ClaimFault = "aud of another client"
	AudienceOthers      ClaimFault = "aud with several clients but us"
	AudiencePartyOther  ClaimFault = "aud with us and others, azp of another client"
	AudiencePartyNone   ClaimFault = "aud with us and others, no azp"
	AudienceMissing     ClaimFault = "no aud"
	SubjectMissing      ClaimFault = "no sub"
	SubjectEmpty        ClaimFault = "empty sub"
	ExpiryPast          ClaimFault = "exp in the past"
	ExpiryMissing       ClaimFault = "no exp"
	ExpiryString        ClaimFault = "exp as a string"
	ExpiryHuge          ClaimFault = "exp of 2^63"
	IssuedAtMissing     ClaimFault = "no iat"
	IssuedAtFuture      ClaimFault = "iat in the future"
	NotBeforeFuture     ClaimFault = "nbf in the future"
	NonceOther          ClaimFault = "another nonce"
	NonceMissing        ClaimFault = "no nonce"
	AccessHashOther     ClaimFault = "at_hash of another access token"
)

// ClaimFaults are all kinds of ClaimFault, in a stable order. A relying party has to refuse every one of them at a sign-in;
// at a refresh it may do without the nonce (OpenID Connect Core 1.0 §12.2).
func ClaimFaults() []ClaimFault {
	all := slices.AppendSeq(slices.Collect(maps.Keys(absentClaims)), maps.Keys(changedClaims))
	slices.Sort(all)
	return all
}

// SignatureFault is one thing wrong with the header or the signature of an id_token (RFC 7515).
type SignatureFault string

// The kinds of SignatureFault. KeyIDAbsent is lawful: with one published key it can only be that one, and with several the
// relying party may try them.
const (
	SignatureNone      SignatureFault = "alg none, empty signature"
	SignatureFlipped   SignatureFault = "one bit of the signature flipped"
	SignatureOtherKey  SignatureFault = "signed by another key under the same kid"
	SignatureSymmetric SignatureFault = "HS256 with the public key as the secret"
	KeyIDAbsent        SignatureFault = "no kid"
	KeyIDUnknown       SignatureFault = "a kid that the key set lacks"
)

// UserinfoFault is what is wrong with a userinfo response (OpenID Connect Core 1.0 §5.3).
type UserinfoFault string

// The kinds of UserinfoFault.
const (
	UserinfoOtherSubject   UserinfoFault = "sub of another person"
	UserinfoNoSubject      UserinfoFault = "no sub"
	UserinfoNotFound       UserinfoFault = "404"
	UserinfoUnverified     UserinfoFault = "email_verified false"
	UserinfoVerifiedAbsent UserinfoFault = "no email_verified"
	UserinfoVerifiedString UserinfoFault = `email_verified "false"`
	UserinfoVerifiedTrue   UserinfoFault = `email_verified "true"`
)

// DiscoveryFault is what is wrong with the discovery document (OpenID Connect Discovery 1.0 §4.3).
type DiscoveryFault string

// The kinds of DiscoveryFault.
const (
	DiscoveryOtherIssuer   DiscoveryFault = "issuer of another provider"
	DiscoveryTrailingSlash DiscoveryFault = "issuer with a slash at its end"
	DiscoveryNoEndpoints   DiscoveryFault = "no authorization, token and userinfo endpoint"
	DiscoveryNoUserinfo    DiscoveryFault = "no userinfo endpoint"
	DiscoveryNoKeys        DiscoveryFault = "no jwks_uri"
	DiscoveryPlainToken    DiscoveryFault = "token endpoint by http on another host"
	DiscoveryPrivateKeys   DiscoveryFault = "jwks_uri on a link-local address"
	DiscoveryPlainPKCE     DiscoveryFault = "code_challenge_methods_supported plain only"
)

// KeysFault is what is wrong with the key set (RFC 7517 §5).
type KeysFault string

// The kinds of KeysFault.
const (
	KeysUnknown KeysFault = "only keys that sign nothing"
	KeysEmpty   KeysFault = "no keys"
	KeysNoID    KeysFault = "keys without kid"
)

// AuthorizationFault is what is wrong with the redirect back to the application (RFC 6749 §4.1.2, RFC 9207).
type AuthorizationFault string

// The kinds of AuthorizationFault.
const (
	StateMissing              AuthorizationFault = "no state"
	StateOther                AuthorizationFault = "another state"
	StateDuplicated           AuthorizationFault = "state twice"
	CodeMissing               AuthorizationFault = "no code"
	CodeOther                 AuthorizationFault = "another code"
	CodeDuplicated            AuthorizationFault = "code twice"
	ResponseIssuerOther       AuthorizationFault = "iss of another provider"
	ResponseIssuerMissing     AuthorizationFault = "iss announced and not sent"
	ResponseIssuerUnannounced AuthorizationFault = "iss neither announced nor sent"
)
