package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vendorMistakes has one provider for each line of TestVendorMistakes, and two that are right.
const vendorMistakes = `
    google:
      production: {%CLIENT%}
    github:
      production: {clientSecret: s}
    microsoft:
      production: {%CLIENT%, tenantId: a/b}
    okta:
      production: {%CLIENT%, audience: acme.okta.com}
    gitlab:
      production: {%CLIENT%, hostedDomain: a.example, signIn: {resolvers: [{resolver: byMagic}], admission: {users: []}}}
    oauth2:
      production: {%CLIENT%, scope: openid, authorizationUrl: sso.example, tokenUrl: "https://sso.example/token"}
    codehub:
      production: {type: oauth2, %CLIENT%, issuer: sso.example, jwksUrl: "https://a.example/k", authorizationUrl: "https://a.example/a", tokenUrl: "https://a.example/t"}
    sso:
      production: {%CLIENT%, metadataUrl: "https://sso.example", issuer: "https//sso.example"}
    awsalb: {issuer: sso.example, region: Ireland}
    oauth2Proxy: {signIn: {resolvers: [{resolver: emailMatchingUserEntityProfileEmail}]}}
    custom:
      production: {type: nosuch}
`

// TestVendorMistakes: in production, whatever is wrong with the providers is said at once, each at its place, and nothing is started
// (contract/providers.md 0.2, design section 3).
func TestVendorMistakes(t *testing.T) {
	config := vendorFiles(t, vendorMistakes)
	out, err := vendorProcess(t, config).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Fatalf("ended with %v: %s", err, out)
	}
	if opened, _ := filepath.Glob(filepath.Join(filepath.Dir(config), "*.sqlite*")); len(opened) > 0 {
		t.Errorf("%v is there", opened)
	}
	var last struct{ Msg, Error string }
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Msg != "cannot start" {
		t.Fatalf("%v: %s", err, out)
	}
	first := strings.Count(vendorConfig, "\n") // the line of google
	at := func(line, column int, key, message string) string {
		return fmt.Sprintf("%s:%d:%d auth.providers.%s: %s", config, first+line, column, key, message)
	}
	const failed = "failed to initialize %s auth provider, %s"
	want := []string{
		fmt.Sprintf(failed, "github", "Missing required config value at 'auth.providers.github.production.clientId' in '"+config+"'"),
		fmt.Sprintf(failed, "microsoft", at(6, 7, "microsoft.production", "tenantId is neither an id nor a domain of a tenant")),
		fmt.Sprintf(failed, "okta", at(8, 7, "okta.production", "audience is not an http or https address")),
		fmt.Sprintf(failed, "gitlab", at(10, 64, "gitlab.production.hostedDomain", "unknown key, want one of …")),
		at(10, 110, "gitlab.production.signIn.resolvers[0]", "Sign-in resolver 'byMagic' is not available for a provider of type gitlab, want one of …"),
		at(10, 7, "gitlab.production signIn.admission", "users is empty, or holds an empty text: it would admit nobody"),
		fmt.Sprintf(failed, "oauth2", at(12, 7, "oauth2.production", "scope is not a key of oauth2: use additionalScopes")),
		at(12, 7, "oauth2.production", "authorizationUrl is not an http or https address"),
		fmt.Sprintf(failed, "codehub", at(14, 7, "codehub.production", "issuer is not an http or https address")),
		fmt.Sprintf(failed, "sso", at(16, 7, "sso.production", "issuer is not an http or https address")),
		fmt.Sprintf(failed, "awsalb", at(17, 5, "awsalb", "issuer is not an http or https address")),
		at(17, 5, "awsalb", "region is not an AWS region such as eu-west-1"),
		at(17, 5, "awsalb", "No sign-in resolver configured for proxy auth provider 'awsalb', want one of … under signIn.resolvers"),
		fmt.Sprintf(failed, "oauth2Proxy", at(18, 5, "oauth2Proxy", "trustedProxies is missing: the headers of this proxy are not signed, …")),
		fmt.Sprintf(failed, "custom", at(20, 7, "custom", `unknown provider type "nosuch", want one of …`)),
	}
	if diff := cmp.Diff(want, shortened(last.Error)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// shortened leaves lists and advice out of the lines.
func shortened(text string) []string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if before, list, ok := strings.Cut(line, "want one of "); ok {
			_, after, _ := strings.Cut(list, " under ")
			lines[i] = strings.TrimSuffix(before+"want one of … under "+after, " under ")
		}
		if before, _, ok := strings.Cut(line, "not signed, "); ok {
			lines[i] = before + "not signed, …"
		}
	}
	return lines
}
