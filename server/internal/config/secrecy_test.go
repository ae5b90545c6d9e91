package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// canary is planted where values stand. No message may hold it.
const canary = "canary0a1b2c"

// ways are the means by which a value comes into the configuration.
var ways = []string{
	canary, "'" + canary + " '", "${CANARY}", "x-${CANARY}", "${UNSET:-" + canary + "}", "{$env: CANARY}", "{$file: canary.txt}",
	"{$include: canary.yaml#value}", "[" + canary + "]", "{a: " + canary + "}", "\"" + canary + "\\q\"", "@" + canary,
	canary + ": " + canary, "!!str " + canary, "|\n      " + canary, "{$file: " + canary + "}", "{$file: '${CANARY}'}",
	"{$env: '${CANARY}'}",
	"{$include: '${CANARY}'}", "[" + canary, "*" + canary, "5m" + canary, "1" + canary,
}

// places are all settings that are read.
var places = []string{
	"app.baseUrl", "backend.baseUrl", "backend.listen", "backend.listen.port", "backend.https", "backend.https.certificate.cert",
	"backend.cors.maxAge", "backend.cors.credentials", "backend.csp", "backend.csp.default-src", "backend.database",
	"backend.database.client", "backend.database.connection", "backend.server.timeout", "backend.lifecycle.serverShutdownDelay",
	"backend.auth", "backend.auth.externalAccess", "backend.auth.keys", "discovery.endpoints", "auth.catalog.cache", "auth.catalog.token",
	"auth.environment", "auth.session.secret", "auth.session.idle", "auth.backstageTokenExpiration", "auth.identityTokenAlgorithm",
	"auth.omitIdentityTokenOwnershipClaim", "auth.keyStore.provider", "auth.keyStore.static.keys", "auth.keyStore.nodeTable",
	"auth.signingKeys.rotation",
	"auth.experimentalExtraAllowedOrigins", "auth.catalog.file", "auth.devIdp.enabled", "auth.providers", "auth.providers.x",
	"auth.providers.x.y", "auth.providers.x.y.clientId", "auth.providers.x.y.additionalScopes", "auth.providers.x.y.sessionDuration",
	"auth.providers.x.y.type", "auth.providers.x.y.signIn", "auth.providers.x.y.signIn.resolvers", "auth.providers.x.y.choice",
}

// planted is a world in which the canary is a variable, a file, and part of a file.
func planted() world {
	return world{
		env:   map[string]string{"CANARY": canary},
		files: map[string]string{"canary.txt": canary + "\n", "canary.yaml": "value: " + canary + "\n"},
	}
}

func TestNoMessageHoldsAValue(t *testing.T) {
	for _, place := range places {
		wrong := 0
		for _, way := range ways {
			w := planted()
			w.paths, w.files["a.yaml"] = []string{"a.yaml", "base.yaml"}, nested(place, way)
			w.files["base.yaml"] = "app: {baseUrl: 'http://a'}\nbackend: {baseUrl: 'http://b'}\n"
			err := everyError(w)
			if err == nil {
				continue
			}
			wrong++
			if strings.Contains(err.Error(), canary) {
				t.Errorf("%s: %s: a message holds the value: %v", place, way, err)
			}
		}
		if wrong == 0 {
			t.Errorf("%s: nothing was wrong, so nothing was shown", place)
		}
	}
}

func TestNoMessageHoldsAValueOfSeveral(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := planted()
		for i := range rapid.IntRange(1, 4).Draw(t, "files") {
			path := fmt.Sprintf("%d.yaml", i)
			w.paths = append(w.paths, path)
			w.files[path] = nested(rapid.SampledFrom(places).Draw(t, "place"), rapid.SampledFrom(ways).Draw(t, "way"))
		}
		if rapid.Bool().Draw(t, "override") {
			w.env["APP_CONFIG_"+strings.ReplaceAll(rapid.SampledFrom(places).Draw(t, "name"), ".", "_")] = canary
		}
		err := everyError(w)
		if err == nil {
			return
		}
		seen["error"]++
		if strings.Contains(err.Error(), canary) {
			t.Errorf("a message holds a value: %v", err)
		}
	})
	if seen["error"] == 0 {
		t.Error("no configuration was wrong: the test shows nothing")
	}
}

// nested writes a dotted key and its value as YAML.
func nested(key, value string) string {
	var b strings.Builder
	for i, name := range strings.Split(key, ".") {
		fmt.Fprintf(&b, "\n%s%s:", strings.Repeat(" ", i), name)
	}
	return b.String() + " " + value + "\n"
}

// everyError loads and decodes as much as there is.
func everyError(w world) error {
	c, err := Load(w.input())
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range c.Auth.Providers {
		for _, e := range append(p.Envs(), p.Flat()) {
			var s struct {
				settings
				Choice string `config:"choice,oneof=a|b"`
			}
			_, err := e.Resolvers()
			errs = append(errs, e.Decode(&s), err)
		}
	}
	return errors.Join(errs...)
}

func FuzzLoad(f *testing.F) {
	f.Add(foreign, "X", "1")
	f.Add(sample, "auth_providers_a_b", `{"c": [null, 1.5e3]}`)
	f.Add(string(defaults), "app_baseUrl", "http://localhost")
	f.Add("a: &x {<<: *x, b: [*x, ${A:-b}, $${c}]}\n? z\n: |2\n  t\n", "", "")
	f.Add("auth: {providers: {x: {$include: app-config.yaml#auth}}}", "a-b:c_d", "${E}")
	f.Add("backend: {listen: [{}], https: {certificate: 1}, csp: {a: false}}\n---\n...\n", "a", "{")
	f.Fuzz(func(t *testing.T, yaml, name, value string) {
		w := one(yaml, "APP_CONFIG_"+name+"="+value, "A=b")
		err := everyError(w)
		if err == nil {
			return
		}
		if got := err.Error(); got == "" {
			t.Error("an error without a message")
		}
	})
}
