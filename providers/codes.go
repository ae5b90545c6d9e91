package providers

import (
	"errors"
	"maps"
)

// Codes of what may go wrong with a provider. They are stable: people search for them, and alerts are built on them.
const (
	CodeDiscovery         = "idp_discovery_failed"
	CodeMetadata          = "idp_metadata_invalid"
	CodePKCE              = "idp_pkce_unsupported"
	CodeTimeout           = "idp_timeout"
	CodeUnreachable       = "idp_unreachable"
	CodeTLS               = "idp_tls"
	CodeRedirected        = "idp_redirected"
	CodeAnswerSize        = "idp_answer_too_large"
	CodeAnswer            = "idp_answer_invalid"
	CodeUpstream          = "idp_error"
	CodeClientRejected    = "idp_client_rejected"
	CodeTokenRejected     = "idp_token_rejected"
	CodeCodeRejected      = "idp_code_rejected"
	CodeTokenExchange     = "idp_token_exchange"
	CodeKeys              = "idp_keys_unavailable"
	CodeDenied            = "idp_access_denied"
	CodeLoginRequired     = "idp_login_required"
	CodeRefused           = "idp_refused"
	CodeCallback          = "callback_invalid"
	CodeCallbackIssuer    = "callback_issuer"
	CodeTransaction       = "transaction_invalid"
	CodeOrganization      = "organization_mismatch"
	CodeIDTokenMissing    = "id_token_missing"
	CodeIDTokenMalformed  = "id_token_malformed"
	CodeIDTokenAlg        = "id_token_alg"
	CodeIDTokenSignature  = "id_token_signature"
	CodeIDTokenIssuer     = "id_token_issuer"
	CodeIDTokenAudience   = "id_token_audience"
	CodeIDTokenClock      = "id_token_clock"
	CodeIDTokenNonce      = "id_token_nonce"
	CodeIDTokenHash       = "id_token_hash"
	CodeIDTokenOrg        = "id_token_organization"
	CodeSubject           = "subject_changed"
	CodeUserInfo          = "userinfo_invalid"
	CodeUserInfoSubject   = "userinfo_subject"
	CodeUserInfoSignature = "userinfo_signature"
	CodeScope             = "scope_not_granted"
	CodeAudience          = "audience_invalid"
	CodeEmailMissing      = "email_missing"
	CodeEmailInvalid      = "email_invalid"
	CodeEmailDomain       = "email_domain"
	CodeGuest             = "guest_not_allowed"
	CodeValueMissing      = "resolver_value_missing"
	CodeValueInvalid      = "resolver_value_invalid"
	CodeRuleSkipped       = "rule_skipped"
	CodeRuleDenied        = "rule_denied"
	CodeRuleFailed        = "rule_failed"
	CodeAdmissionDomain   = "admission_domain"
	CodeAdmissionOrg      = "admission_organization"
	CodeAdmissionGroup    = "admission_group"
	CodeAdmissionUser     = "admission_user"
)

// codes is what each code means, and what to do about it. docs/errors.md is made from it.
var codes = map[string]string{
	CodeDiscovery:      "The provider's metadata could not be read. It is tried again by itself; check metadataUrl and the network.",
	CodeMetadata:       "The provider's metadata is refused: an endpoint is missing or not as safe as the issuer, or the issuer is not the one that metadataUrl stands for. Set issuer if that is intended.",
	CodePKCE:           "The provider's metadata lists PKCE methods, but not S256.",
	CodeTimeout:        "The provider did not answer within timeout.",
	CodeUnreachable:    "The connection to the provider was refused or broke.",
	CodeTLS:            "The provider's TLS certificate is not valid for us. A private CA must be made known to this server.",
	CodeRedirected:     "The provider answered a back-channel call with a redirect; none is followed. Correct the address.",
	CodeAnswerSize:     "The provider's answer is larger than 1 MiB.",
	CodeAnswer:         "The provider's answer is not what the protocol defines.",
	CodeUpstream:       "The provider answered with an error that may pass.",
	CodeClientRejected: "The provider does not accept our client credentials. Check clientId, clientSecret and tokenEndpointAuthMethod.",
	CodeTokenRejected:  "The provider no longer accepts the refresh token: it was revoked, has expired or was used by somebody else. A new sign-in is needed.",
	CodeCodeRejected:   "The provider does not accept the authorization code: it has expired or was used before. Start again.",
	CodeTokenExchange:  "The provider gave no token for the audience that the sign-in asked for. The message says why; check that the client may have the grant token-exchange and that audience.",
	CodeKeys:           "The provider's signing keys could not be read.",
	CodeDenied:         "The user or the provider's policy said no.",
	CodeLoginRequired:  "The provider wants to ask the user something, which prompt=none forbids. Set prompt: auto.",
	CodeRefused:        "The provider ended the sign-in with an error of its own.",
	CodeCallback:       "The provider's redirect has no code and no error, or repeats or mixes parameters.",
	CodeCallbackIssuer: "The redirect names another issuer than the provider that was asked, or none where it is announced (RFC 9207).",
	CodeTransaction:    "What the sign-in remembered is unreadable. Start again.",
	CodeOrganization:   "The front end asks for another organization than the configured one.",

	CodeIDTokenMissing:    "The provider sent no id_token. The scope must contain openid.",
	CodeIDTokenMalformed:  "The id_token is not a JWT, or lacks a claim that must be there, or has one of a wrong type.",
	CodeIDTokenAlg:        "The id_token is not signed with tokenSignedResponseAlg.",
	CodeIDTokenSignature:  "No key of the provider verifies the id_token.",
	CodeIDTokenIssuer:     "The id_token is from another issuer.",
	CodeIDTokenAudience:   "The id_token is not meant for this client.",
	CodeIDTokenClock:      "The id_token is not valid at this time, with a minute of tolerance. Compare the clocks.",
	CodeIDTokenNonce:      "The id_token belongs to another sign-in.",
	CodeIDTokenHash:       "The id_token belongs to another access token or code.",
	CodeIDTokenOrg:        "The id_token is about another organization than the configured one, or about none.",
	CodeSubject:           "The renewed session is about another user than before.",
	CodeUserInfo:          "The userinfo answer is refused, or is not an object.",
	CodeUserInfoSubject:   "The userinfo answer is about another user than the id_token.",
	CodeUserInfoSignature: "No key of the provider verifies the signed userinfo answer.",

	CodeAudience: "The audience that the sign-in asks for is there twice, has more than 256 characters, or holds one that cannot be printed.",

	CodeScope: "The session was not granted the scopes that the refresh asks for. A new sign-in asks for them.",

	CodeEmailMissing: "The provider gave no verified email, which the sign-in resolver needs. Check email_verified at the provider, or set trustUnverifiedEmail.",
	CodeEmailInvalid: "The provider's email is not a plain local@domain address.",
	CodeEmailDomain:  "The email's domain is not in the resolver's allowedDomains.",
	CodeValueMissing: "The provider did not send what the sign-in resolver needs: a user name or user id. Use a resolver that needs something else, or ask the provider for more scopes.",
	CodeValueInvalid: "What the provider sent for the user name or user id cannot be asked of the catalog safely: it is too long, or holds a comma, a separator of entity refs, or a character that cannot be seen or passes for another.",

	CodeRuleSkipped: "The rule's when is false, or the rule only denies and did not: the next resolver is asked.",
	CodeRuleDenied:  "The rule's deny is true for this user.",
	CodeRuleFailed:  "An expression of the rule could not be evaluated for this user, or gave something else than it must. The log names the option and the place; has() and orValue() help with claims that not everybody has.",

	CodeAdmissionDomain: "The provider gave no verified email of a domain in signIn.admission.emailDomains.",
	CodeAdmissionOrg:    "The user is in none of signIn.admission.organizations, or the claim that organizationClaim names is missing.",
	CodeAdmissionGroup:  "The user is in none of signIn.admission.groups, or the claim that groupsClaim names is missing.",
	CodeAdmissionUser:   "Neither the user's verified email nor the user's id at the provider is in signIn.admission.users.",

	CodeGuest: "The guest provider is for development. Set dangerouslyAllowOutsideDevelopment only if anybody may come in.",
}

// Codes returns every code of this package with its meaning. The map is the caller's own.
func Codes() map[string]string { return maps.Clone(codes) }

// fail is an answer that was refused.
func fail(code, message string, err error) *Error {
	return &Error{Code: code, Message: message, Err: err}
}

// unavailable is a failure that may pass.
func unavailable(code, message string, err error) *Error {
	return &Error{Kind: ErrUnavailable, Code: code, Message: message, Err: err}
}

// prefixed puts Backstage's opening words before the message of a failed sign-in (contract/providers.md 0.5).
func prefixed(words string, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	own := *e
	own.Message = words + own.Message
	return &own
}
