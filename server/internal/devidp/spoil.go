package devidp

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	jose "github.com/go-jose/go-jose/v4"
)

func (f Faults) rewriteUserinfo() func(*answer) error {
	if f.Userinfo == "" {
		return nil
	}
	return func(a *answer) error {
		if a.status != http.StatusOK {
			return nil // Refused anyway.
		}
		if f.Userinfo == UserinfoNotFound {
			return a.replace(http.StatusNotFound, map[string]any{})
		}
		return a.editJSON(f.Userinfo.spoil)
	}
}

func (u UserinfoFault) spoil(info map[string]any) error {
	switch u {
	case UserinfoOtherSubject:
		info["sub"] = "somebody-else"
	case UserinfoNoSubject:
		delete(info, "sub")
	case UserinfoUnverified:
		info["email_verified"] = false
	case UserinfoVerifiedAbsent:
		delete(info, "email_verified")
	case UserinfoVerifiedString:
		info["email_verified"] = "false"
	case UserinfoVerifiedTrue:
		info["email_verified"] = "true"
	}
	return nil
}

func (f Faults) rewriteDiscovery() func(*answer) error {
	unannounced := f.Authorization == ResponseIssuerUnannounced
	if f.Discovery == "" && f.EditDiscovery == nil && !unannounced {
		return nil
	}
	return func(a *answer) error {
		return a.editJSON(func(document map[string]any) error {
			f.Discovery.spoil(document)
			if unannounced {
				delete(document, "authorization_response_iss_parameter_supported")
			}
			if f.EditDiscovery != nil {
				f.EditDiscovery(document)
			}
			return nil
		})
	}
}

func (d DiscoveryFault) spoil(document map[string]any) {
	switch d {
	case DiscoveryOtherIssuer:
		document["issuer"] = otherIssuer
	case DiscoveryTrailingSlash:
		document["issuer"] = fmt.Sprint(document["issuer"]) + "/"
	case DiscoveryNoEndpoints:
		delete(document, "authorization_endpoint")
		delete(document, "token_endpoint")
		delete(document, "userinfo_endpoint")
	case DiscoveryNoUserinfo:
		delete(document, "userinfo_endpoint")
	case DiscoveryNoKeys:
		delete(document, "jwks_uri")
	case DiscoveryPlainToken:
		document["token_endpoint"] = "http://idp.elsewhere.invalid/token"
	case DiscoveryPrivateKeys:
		document["jwks_uri"] = "http://169.254.169.254/keys"
	case DiscoveryPlainPKCE:
		document["code_challenge_methods_supported"] = []string{"plain"}
	}
}

func (f Faults) rewriteKeys(m *Misbehaving) func(*answer) error {
	if f.Keys == "" {
		return nil
	}
	return func(a *answer) error {
		return a.editJSON(func(set map[string]any) error { return f.Keys.spoil(set, m.other) })
	}
}

func (k KeysFault) spoil(set map[string]any, other signingKey) error {
	switch k {
	case KeysUnknown:
		key, err := json.Marshal(jose.JSONWebKey{
			KeyID: other.id, Algorithm: string(other.alg), Use: "sig", Key: other.private.Public(),
		})
		if err != nil {
			return fmt.Errorf("encode key: %w", err)
		}
		set["keys"] = []json.RawMessage{key}
	case KeysEmpty:
		set["keys"] = []any{}
	case KeysNoID:
		keys, _ := set["keys"].([]any)
		for _, key := range keys {
			if members, ok := key.(map[string]any); ok {
				delete(members, "kid")
			}
		}
	}
	return nil
}

func (f Faults) rewriteRedirect() func(*answer) error {
	if f.Authorization == "" && f.AuthorizationError == "" {
		return nil
	}
	return func(a *answer) error {
		to, err := url.Parse(a.header.Get("Location"))
		if err != nil || !to.IsAbs() {
			return nil // A page, or a way to one; not the response.
		}
		query := to.Query()
		if f.AuthorizationError != "" {
			query.Del("code")
			query.Set("error", f.AuthorizationError)
			query.Set("error_description", "this provider misbehaves on request")
		}
		f.Authorization.spoil(query)
		to.RawQuery = query.Encode()
		a.header.Set("Location", to.String())
		return nil
	}
}

func (f AuthorizationFault) spoil(query url.Values) {
	switch f {
	case StateMissing:
		query.Del("state")
	case StateOther:
		query.Set("state", "another-state")
	case StateDuplicated:
		query.Add("state", query.Get("state"))
	case CodeMissing:
		query.Del("code")
	case CodeOther:
		query.Set("code", "another-code")
	case CodeDuplicated:
		query.Add("code", query.Get("code"))
	case ResponseIssuerOther:
		query.Set("iss", otherIssuer)
	case ResponseIssuerMissing, ResponseIssuerUnannounced:
		query.Del("iss")
	}
}
