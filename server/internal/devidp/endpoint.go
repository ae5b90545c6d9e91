package devidp

// Endpoint names one endpoint of the provider, for counting and for breaking it.
type Endpoint string

// The endpoints. The login page is none of them: nobody but the browser knows of it.
const (
	DiscoveryEndpoint     Endpoint = "discovery"
	KeysEndpoint          Endpoint = "keys"
	AuthorizationEndpoint Endpoint = "authorization"
	TokenEndpoint         Endpoint = "token"
	UserinfoEndpoint      Endpoint = "userinfo"
	RevocationEndpoint    Endpoint = "revocation"
	EndSessionEndpoint    Endpoint = "end_session"
)

var endpoints = map[string]Endpoint{
	discoveryPath:     DiscoveryEndpoint,
	keysPath:          KeysEndpoint,
	authorizationPath: AuthorizationEndpoint,
	tokenPath:         TokenEndpoint,
	userinfoPath:      UserinfoEndpoint,
	revocationPath:    RevocationEndpoint,
	endSessionPath:    EndSessionEndpoint,
}
