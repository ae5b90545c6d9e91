package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestForeignKeysAreLeftAlone(t *testing.T) {
	c := mustLoad(t, one(foreign, "GITHUB_TOKEN=x", "POSTGRES_HOST=db", "BACKEND_SECRET=c2VjcmV0", "CI_TOKEN=0123456789"))
	if c.App.BaseURL != "http://localhost:3000" || c.Backend.Listen.Port != 7007 {
		t.Errorf("got %+v", c)
	}
	if diff := cmp.Diff([]string{"GET", "HEAD", "PATCH", "POST", "PUT", "DELETE"}, c.Backend.CORS.Methods); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string][]string{"connect-src": {"'self'", "http:", "https:"}}, c.Backend.CSP); diff != "" {
		t.Error(diff)
	}
}

// foreign is shaped like the app-config of an ordinary portal, most of which is not ours to judge.
const foreign = `app:
  title: Portal
  baseUrl: http://localhost:3000
  analytics: {ga4: {measurementId: G-000000, debug: true}}
  extensions:
    - api:core.auth.github: false
    - page:catalog: {config: {path: /c}}
  packages: all
organization: {name: Example}
enableExperimentalRedirectFlow: true
backend:
  auth:
    keys:
      - secret: ${BACKEND_SECRET}
    externalAccess:
      - type: static
        options: {token: "${CI_TOKEN}", subject: ci}
  baseUrl: http://localhost:7007
  listen:
    port: 7007
  trustProxy: loopback
  csp:
    connect-src: ["'self'", 'http:', 'https:']
  cors:
    origin: http://localhost:3000
    methods: [GET, HEAD, PATCH, POST, PUT, DELETE]
    credentials: true
    preflightContinue: false
  database:
    client: better-sqlite3
    connection: ':memory:'
    pool: {min: 1}
    plugin:
      catalog: {client: pg, connection: {host: "${POSTGRES_HOST}"}}
  cache: {store: memory}
  reading:
    allow: [{host: example.com}, {host: '*.mozilla.org', paths: [/x/]}]
  rateLimit: {window: 6s, incomingRequestLimit: 100}
  discovery:
    endpoints: [{target: http://host/api, plugins: [catalog]}]
integrations:
  github:
    - host: github.com
      token: ${GITHUB_TOKEN}
      apps: [{$env: UNSET_APP}]
proxy:
  endpoints:
    /test: {target: 'https://example.com', changeOrigin: true, headers: {X-Key: 12}}
techdocs: {builder: local, generator: {runIn: docker}, publisher: {type: local}}
scaffolder: {}
kubernetes: null
catalog:
  import: {entityFilename: catalog-info.yaml, pullRequestBranchName: backstage-integration}
  rules:
    - allow: [Component, System, API, Resource, Location]
  locations:
    - type: file
      target: ../../examples/entities.yaml
  processingInterval: {minutes: 30}
permission: {enabled: true}
1: {true: numeric and boolean keys}
auth:
  experimentalDynamicClientRegistration: {enabled: false}
  autologout: {enabled: false}
  session: {secret: a-session-secret-of-sorts}
  providers:
    guest: {}
    google: null
`

// sample is the public client of the user's guide.
const sample = `auth:
  environment: development
  providers:
    oidc-pkce:
      development:
        metadataUrl: ${OIDC_METADATA_URL}
        clientId: ${OIDC_CLIENT_ID}
        # clientSecret not needed for PKCE
        prompt: auto
        scope: 'openid profile email'
backend:
  baseUrl: http://localhost:7007
  listen:
    port: 7007
app:
  baseUrl: http://localhost:3000
`

func TestPublicClientSample(t *testing.T) {
	c := mustLoad(t, one(sample, "OIDC_METADATA_URL=https://idp.example.com/m", "OIDC_CLIENT_ID=my-public-client-id"))
	if len(c.Auth.Providers) != 1 || c.Auth.Environment != "development" || c.Auth.DevIDP.Enabled || c.Development {
		t.Fatalf("got %+v", c.Auth)
	}
	e := c.Auth.Providers[0].Envs()[0]
	type oidc struct {
		MetadataURL  string   `config:"metadataUrl,required"`
		ClientID     string   `config:"clientId,required"`
		ClientSecret string   `config:"clientSecret"`
		Prompt       string   `config:"prompt"`
		Scope        []string `config:"scope,words"`
	}
	var got oidc
	if err := e.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := oidc{
		MetadataURL: "https://idp.example.com/m", ClientID: "my-public-client-id", Prompt: "auto",
		Scope: []string{"openid", "profile", "email"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
