package config

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// providersOf loads the minimal configuration with these providers.
func providersOf(t *testing.T, yaml string, env ...string) []Provider {
	t.Helper()
	return mustLoad(t, one(minimal+"auth:\n  providers:\n"+yaml, env...)).Auth.Providers
}

func TestProvidersInOrder(t *testing.T) {
	all := providersOf(t, `    zeta: {type: oidc, production: {a: 1}, development: {type: github}, off: null, gone: "${UNSET}"}
    guest: {}
    off: null
    alpha_1.2-3: {metadataUrl: x}
`)
	type row struct{ ID, Type, Env string }
	var got []row
	for _, p := range all {
		got = append(got, row{p.ID, p.Type, ""})
		for _, e := range p.Envs() {
			got = append(got, row{e.ID, e.Type, e.Env})
		}
	}
	want := []row{
		{"zeta", "oidc", ""},
		{"zeta", "oidc", "production"},
		{"zeta", "github", "development"},
		{"guest", "", ""},
		{"alpha_1.2-3", "", ""},
		{"alpha_1.2-3", "", "metadataUrl"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEntryHas(t *testing.T) {
	e := providersOf(t, "    a: {dev: {x: 1, y: null, z: '${UNSET}'}}\n")[0].Envs()[0]
	for key, want := range map[string]bool{"x": true, "y": false, "z": false, "other": false} {
		if got := e.Has(key); got != want {
			t.Errorf("%s: got %v, want %v", key, got, want)
		}
	}
}

type common struct {
	ClientID        string        `config:"clientId,required"`
	SessionDuration time.Duration `config:"sessionDuration"`
	SignIn          any           `config:"signIn"`
}

type settings struct {
	common
	MetadataURL string            `config:"metadataUrl,required"`
	Extra       map[string]string `config:"startUrlSearchParams"`
}

func TestEntryDecode(t *testing.T) {
	const at = "app-config.yaml:"
	tests := []struct {
		name string
		yaml string
		env  []string
		want string
	}{
		{"complete", "{clientId: a, metadataUrl: b, clientSecret: c, type: oidc, callbackUrl: d, additionalScopes: e, " +
			"sessionDuration: 1d, signIn: {resolvers: []}, startUrlSearchParams: {p: q}}", nil, ""},
		{
			"unknown", "{clientId: a, metadataUri: b, metadataUrl: b}", nil,
			at + "8:26 auth.providers.x.dev.metadataUri: unknown key, did you mean metadataUrl?",
		},
		{"missing", "{metadataUrl: b}", nil, "Missing required config value at 'auth.providers.x.dev.clientId' in 'app-config.yaml'"},
		{
			"unset", "{clientId: '${ID}', metadataUrl: '${A}${B}'}",
			[]string{"A=x"},
			at + "8:23 auth.providers.x.dev.clientId: Missing required config value at 'auth.providers.x.dev.clientId' in " +
				"'app-config.yaml': environment variable ID is not set\n" +
				at + "8:45 auth.providers.x.dev.metadataUrl: Missing required config value at 'auth.providers.x.dev.metadataUrl' " +
				"in 'app-config.yaml': environment variable B is not set",
		},
		{
			"empty variable", "{clientId: '${ID}', metadataUrl: b}",
			[]string{"ID="},
			at + "8:23 auth.providers.x.dev.clientId: want a string that is not empty, see environment variable ID",
		},
		{
			"wrong type of type", "{clientId: a, metadataUrl: b, type: 5}", nil,
			at + "8:48 auth.providers.x.dev.type: want a string, found a number: put it in quotes",
		},
		{"no object", "true", nil, at + "8:12 auth.providers.x.dev: want an object, found a boolean"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := providersOf(t, "    x:\n      dev: "+tt.yaml+"\n", tt.env...)[0].Envs()[0]
			for range 2 { // decoding twice is harmless
				var s settings
				got := ""
				if err := e.Decode(&s); err != nil {
					got = err.Error()
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestEntryRead(t *testing.T) {
	e := providersOf(t, "    x: {clientId: a, sessionDuration: {days: 2}, metadataUrl: b, sign: c}\n")[0].Flat()
	var got common
	if err := e.Read(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(common{ClientID: "a", SessionDuration: 48 * time.Hour}, got); diff != "" {
		t.Error(diff)
	}
	if want := (Position{"app-config.yaml", 7, 5}); e.Position != want {
		t.Errorf("position %v, want %v", e.Position, want)
	}
}

func TestResolvers(t *testing.T) {
	e := providersOf(t, `    x:
      signIn:
        resolvers:
          - resolver: byMail
            allowedDomains: [example.com]
          - {resolver: byName, allowedDomain: 1}
`)[0].Flat()
	resolvers, err := e.Resolvers()
	if err != nil {
		t.Fatal(err)
	}
	if len(resolvers) != 2 || resolvers[0].Name != "byMail" || resolvers[1].Name != "byName" {
		t.Fatalf("got %+v", resolvers)
	}
	var options struct {
		Domains []string `config:"allowedDomains"`
	}
	if err := resolvers[0].Decode(&options); err != nil || len(options.Domains) != 1 {
		t.Errorf("got %v, %v", options, err)
	}
	err = resolvers[1].Decode(&options)
	want := "app-config.yaml:12:32 auth.providers.x.signIn.resolvers[1].allowedDomain: unknown key, did you mean allowedDomains?"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if want := (Position{"app-config.yaml", 12, 13}); resolvers[1].Position != want {
		t.Errorf("position %v, want %v", resolvers[1].Position, want)
	}
}

func TestBadResolvers(t *testing.T) {
	const key = "auth.providers.x.signIn"
	tests := []struct{ name, yaml, want string }{
		{"none", "{}", ""},
		{"null", "{signIn: null}", ""},
		{"no list", "{signIn: {resolvers: a}}", "app-config.yaml:7:29 " + key + ".resolvers: want a list, found a string"},
		{"not an object", "{signIn: [a]}", "app-config.yaml:7:17 " + key + ": want an object, found a list"},
		{"typing error", "{signIn: {resolver: []}}", "app-config.yaml:7:18 " + key + ".resolver: unknown key, did you mean resolvers?"},
		{"a name alone", "{signIn: {resolvers: [byMail]}}", "app-config.yaml:7:30 " + key + ".resolvers[0]: want an object, found a string"},
		{"no name", "{signIn: {resolvers: [{}]}}", "Missing required config value at '" + key + ".resolvers[0].resolver' in 'app-config.yaml'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resolvers, err := providersOf(t, "    x: "+tt.yaml+"\n")[0].Flat().Resolvers()
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want || len(resolvers) != 0 {
				t.Errorf("got  %s (%d resolvers)\nwant %s", got, len(resolvers), tt.want)
			}
		})
	}
}

func TestBadProviders(t *testing.T) {
	tests := []struct{ name, yaml, want string }{
		{"v1", "{v1: {}}", "app-config.yaml:7:15 auth.providers.v1: want another provider id: letters, digits, _, - and ., and not v1"},
		{"well-known", "{.well-known: {}}", "app-config.yaml:7:15 auth.providers..well-known: want another provider id: letters, digits, _, - and ., and not v1"},
		{"slash", "{a/b: {}}", "app-config.yaml:7:15 auth.providers.<key>: want another provider id: letters, digits, _, - and ., and not v1"},
		{"scalar", "{github: yes}", "app-config.yaml:7:23 auth.providers.github: want an object, found a string"},
		{"list", "[github]", "app-config.yaml:7:14 auth.providers: want an object, found a list"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := problemsOf(t, one(minimal+"auth:\n\n  providers: "+tt.yaml+"\n"))
			if diff := cmp.Diff([]string{tt.want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
