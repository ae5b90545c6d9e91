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
	CodeLogoutToken       = "logout_token_invalid"

	CodeSAMLMissing      = "saml_response_missing"
	CodeSAMLSize         = "saml_response_too_large"
	CodeSAMLEncoding     = "saml_response_encoding"
	CodeSAMLXML          = "saml_response_xml"
	CodeSAMLUnsafe       = "saml_response_unsafe"
	CodeSAMLShape        = "saml_response_shape"
	CodeSAMLUnsolicited  = "saml_unsolicited"
	CodeSAMLStatus       = "saml_status"
	CodeSAMLUnsigned     = "saml_unsigned"
	CodeSAMLMisplaced    = "saml_signature_misplaced"
	CodeSAMLAlgorithm    = "saml_signature_algorithm"
	CodeSAMLSignature    = "saml_signature_invalid"
	CodeSAMLIssuer       = "saml_issuer"
	CodeSAMLDestination  = "saml_destination"
	CodeSAMLRecipient    = "saml_recipient"
	CodeSAMLRequest      = "saml_request"
	CodeSAMLClock        = "saml_clock"
	CodeSAMLConfirmation = "saml_confirmation"
	CodeSAMLContext      = "saml_authn_context"
	CodeSAMLSubject      = "saml_subject"
	CodeSAMLAudience     = "saml_audience"
	CodeSAMLEncrypted    = "saml_decryption"
	CodeSAMLEncryption   = "saml_encryption_algorithm"
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

	CodeSAMLMissing:      "The callback has no SAMLResponse, or several. A provider that answers with a redirect or an artifact must be set to HTTP-POST.",
	CodeSAMLSize:         "The SAML response is larger than 256 KiB. Let the provider send fewer attributes or groups.",
	CodeSAMLEncoding:     "The SAML response is not base64.",
	CodeSAMLXML:          "The SAML document is not XML, or is XML that two readers may read differently.",
	CodeSAMLUnsafe:       "The SAML document has a document type, a comment, a processing instruction, or is nested or branched beyond all need. None of it is read.",
	CodeSAMLShape:        "The SAML document is not one Response with exactly one assertion, uses an ID twice, or lacks an element that must be there.",
	CodeSAMLUnsolicited:  "The sign-in did not start here. Start it in the portal; dangerouslyAllowIdpInitiated lets the provider start it.",
	CodeSAMLStatus:       "The provider did not sign the user in; the log names its status code. NoAuthnContext and RequestedAuthnContext point at authnContext, InvalidNameIDPolicy at identifierFormat.",
	CodeSAMLUnsigned:     "The SAML Response or its Assertion is not signed. Let the provider sign both, or set wantAuthnResponseSigned or wantAssertionsSigned to false, one of them.",
	CodeSAMLMisplaced:    "A signature stands in another place than in the element that it signs, or signs something else. Somebody may have rearranged the document.",
	CodeSAMLAlgorithm:    "The SAML signature is made with an algorithm that is not accepted: SHA-1, HMAC, or a transformation beyond exclusive canonicalization. Change it at the provider.",
	CodeSAMLSignature:    "No configured certificate verifies the SAML signature. Compare cert, or the provider's metadata, with the key that it signs with.",
	CodeSAMLIssuer:       "The SAML document is from another issuer than idpIssuer, or than the provider's metadata.",
	CodeSAMLDestination:  "The SAML Response was sent to another address than our callback. Compare the assertion consumer service at the provider with the callback in GET /{provider}/metadata.",
	CodeSAMLRecipient:    "The SAML Assertion is meant for another recipient than our callback.",
	CodeSAMLRequest:      "The SAML document answers another request than that of this sign-in, or none.",
	CodeSAMLClock:        "The SAML document is not valid at this time, within acceptedClockSkewMs. Compare the clocks.",
	CodeSAMLConfirmation: "The SAML Assertion has no bearer confirmation, or one without an end.",
	CodeSAMLContext:      "The provider signed the user in in another way than authnContext asks for. Let it ask for more, or leave authnContext out.",
	CodeSAMLSubject:      "The SAML Assertion does not name its user with exactly one NameID.",
	CodeSAMLAudience:     "The SAML Assertion is meant for another audience than audience, or for everybody. Compare it with the provider's entry for us.",
	CodeSAMLEncrypted:    "The SAML Assertion is encrypted and cannot be opened. Set decryptionPvk, and give the provider the certificate of GET /{provider}/metadata.",
	CodeSAMLEncryption:   "The SAML Assertion is encrypted with an algorithm that is not accepted: RSA-OAEP with AES-GCM, or with AES-CBC inside a signed Response, are.",

	CodeLogoutToken: "The provider's logout token is not about a logout, is too old, or names neither a user nor a session.",

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
