package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// minimal is the least that loads.
const minimal = `app:
  baseUrl: http://localhost:3000
backend:
  baseUrl: http://localhost:7007
`

// world is a file system and an environment for one Load.
type world struct {
	files map[string]string
	env   map[string]string
	paths []string
}

func (w world) input() LoadInput {
	in := LoadInput{Paths: w.paths, Env: func(name string) (string, bool) {
		v, ok := w.env[name]
		return v, ok
	}}
	for name, value := range w.env {
		in.Environ = append(in.Environ, name+"="+value)
	}
	in.ReadFile = func(path string) ([]byte, error) {
		s, ok := w.files[path]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(s), nil
	}
	return in
}

// one is a world with a single app-config.yaml.
func one(yaml string, env ...string) world {
	w := world{files: map[string]string{"app-config.yaml": yaml}, env: map[string]string{}}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		w.env[name] = value
	}
	return w
}

func mustLoad(t *testing.T, w world) *Config {
	t.Helper()
	c, err := Load(w.input())
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return c
}

// problemsOf loads a configuration that is wrong and returns its problems as lines.
func problemsOf(t *testing.T, w world) []string {
	t.Helper()
	_, err := Load(w.input())
	if err == nil {
		t.Fatal("want an error")
	}
	return strings.Split(err.Error(), "\n")
}

// loadTree returns the merged tree as plain values.
func loadTree(t *testing.T, w world) any {
	t.Helper()
	l := &loader{in: w.input()}
	root := l.load()
	if err := l.problems.err(); err != nil {
		t.Fatalf("load: %v", err)
	}
	return anyOf(root)
}

func TestDefaultsWithoutAnyFile(t *testing.T) {
	c := mustLoad(t, world{})
	if !c.Development || !c.Source.Defaults {
		t.Errorf("development %v, defaults %v, want both", c.Development, c.Source.Defaults)
	}
	c.Auth.Providers = nil // see TestDefaultProviders
	want := &Config{
		Development: true,
		Source:      Source{Files: []string{"defaults.yaml (built in)"}, Defaults: true},
		App:         App{BaseURL: "http://localhost:7007"},
		Backend:     Backend{BaseURL: "http://localhost:7007", Listen: Listen{Host: "127.0.0.1", Port: 7007}},
		Database:    Database{Client: SQLite, SQLite: SQLiteConnection{File: ".stagedoor/auth.sqlite"}},
		Auth: Auth{
			Environment: "development", Session: Session{Idle: 720 * time.Hour, RefreshReuse: 30 * time.Second},
			TokenExpiration: time.Hour, Algorithm: "ES256", OmitOwnership: true,
			KeyStore:     KeyStore{Provider: KeyStoreDatabase},
			SigningKeys:  SigningKeys{Rotation: 24 * time.Hour, PublishAhead: 10 * time.Minute},
			CatalogCache: 10 * time.Second,
			DevIDP:       DevIDP{Enabled: true, Algorithm: "ES256"},
		},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

func TestDefaultProviders(t *testing.T) {
	c := mustLoad(t, world{})
	if len(c.Auth.Providers) != 2 || c.Auth.Providers[0].ID != "dev" || c.Auth.Providers[1].ID != "guest" {
		t.Fatalf("want providers dev and guest, got %+v", c.Auth.Providers)
	}
	var none struct{}
	if err := c.Auth.Providers[1].Flat().Decode(&none); err != nil {
		t.Errorf("guest: %v", err)
	}
	envs := c.Auth.Providers[0].Envs()
	if len(envs) != 1 || envs[0].Env != "development" || envs[0].Type != "oidc" {
		t.Fatalf("want one oidc entry for development, got %+v", envs)
	}
	type oidc struct {
		MetadataURL string   `config:"metadataUrl,required"`
		ClientID    string   `config:"clientId,required"`
		Prompt      string   `config:"prompt"`
		Algorithm   string   `config:"tokenSignedResponseAlg"`
		Scopes      []string `config:"additionalScopes,words"`
	}
	var got oidc
	if err := envs[0].Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := oidc{
		MetadataURL: "http://localhost:7007/dev-idp/.well-known/openid-configuration",
		ClientID:    "stagedoor", Prompt: "auto", Algorithm: "ES256", Scopes: []string{"offline_access"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	resolvers, err := envs[0].Resolvers()
	if err != nil || len(resolvers) != 1 || resolvers[0].Name != "emailMatchingUserEntityProfileEmail" {
		t.Errorf("resolvers %+v, %v", resolvers, err)
	}
}

func TestDefaultsCanBeOverridden(t *testing.T) {
	c := mustLoad(t, world{env: map[string]string{
		"APP_CONFIG_backend_listen":  "127.0.0.1:8080",
		"APP_CONFIG_backend_baseUrl": "http://localhost:8080",
	}})
	if c.Backend.Listen.String() != "127.0.0.1:8080" || c.Backend.BaseURL != "http://localhost:8080" || !c.Source.Defaults {
		t.Errorf("got %+v", c.Backend)
	}
}

func TestDevelopment(t *testing.T) {
	tests := []struct {
		name string
		w    world
		want bool
	}{
		{"no config", world{}, true},
		{"no config, NODE_ENV production", world{env: map[string]string{"NODE_ENV": "production"}}, true},
		{"config", one(minimal), false},
		{"config and development", one(minimal, "NODE_ENV=development"), true},
		{"config and test", one(minimal, "NODE_ENV=test"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := mustLoad(t, tt.w).Development; got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestDefaultFiles(t *testing.T) {
	files := map[string]string{
		"app-config.yaml":            minimal + "x: base\n",
		"app-config.one.yaml":        "x: one\n",
		"app-config.two.yaml":        "x: two\n",
		"app-config.local.yaml":      "x: local\n",
		"app-config.two.local.yaml":  "x: two local\n",
		"app-config.other.yaml":      "x: other\n",
		"elsewhere/app-config.yaml":  minimal,
		"elsewhere/app-config.a.yml": "x: wrong ending\n",
		"given-1.yaml":               minimal,
		"given-2.yaml":               "x: given\n",
	}
	tests := []struct {
		name  string
		dir   string
		env   string
		paths []string
		want  []string
	}{
		{"without an environment", "", "", nil, []string{"app-config.yaml", "app-config.local.yaml"}},
		{"two environments", "", "one, two,,missing", nil, []string{
			"app-config.yaml", "app-config.one.yaml", "app-config.two.yaml", "app-config.local.yaml", "app-config.two.local.yaml",
		}},
		{"another directory", "elsewhere", "a", nil, []string{"elsewhere/app-config.yaml"}},
		{"given", "", "one", []string{"given-1.yaml", "given-2.yaml"}, []string{"given-1.yaml", "given-2.yaml"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := world{files: files, env: map[string]string{"BACKSTAGE_ENV": tt.env}, paths: tt.paths}.input()
			in.Dir = tt.dir
			c, err := Load(in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Source{Files: tt.want}, c.Source); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFilesFromDisk(t *testing.T) {
	dir := t.TempDir()
	files := fstest.MapFS{
		"app-config.yaml": {Data: []byte(minimal + "auth: {session: {secret: {$file: secret.txt}}}\n")},
		"secret.txt":      {Data: []byte("0123456789abcdef \n")},
	}
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	c, err := Load(LoadInput{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"0123456789abcdef"}, c.Auth.Session.Secrets); diff != "" {
		t.Error(diff)
	}
}

func TestUnreadableFiles(t *testing.T) {
	big := strings.Repeat("# 0123456789abcdef\n", maxFile/19+1)
	tests := []struct {
		name string
		w    world
		want []string
	}{
		{"missing", world{paths: []string{"a.yaml", "b.yaml"}, files: map[string]string{"b.yaml": minimal}}, []string{
			"a.yaml: the file does not exist",
		}},
		{"a URL", world{paths: []string{"https://example.com/app-config.yaml"}}, []string{
			"want a file for --config: loading configuration from a URL is not supported",
		}},
		{"only an overlay", world{files: map[string]string{"app-config.local.yaml": minimal}}, []string{
			"app-config.local.yaml: found without app-config.yaml, which it belongs to",
		}},
		{"too large", one(big), []string{"app-config.yaml: is larger than 1 MiB"}},
		{"not an object", one("- a\n"), []string{"app-config.yaml:1:1: want an object, found a list"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, problemsOf(t, tt.w)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestForbiddenFile(t *testing.T) {
	in := world{paths: []string{"a.yaml"}}.input()
	in.ReadFile = func(string) ([]byte, error) { return nil, fs.ErrPermission }
	_, err := Load(in)
	if want := "a.yaml: the file may not be read by this user"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestSeveralUnsetVariables(t *testing.T) {
	got := problemsOf(t, one("app: {baseUrl: '${A}${B}${A}'}\nbackend: {baseUrl: 'http://${HOST:-localhost}'}\n"))
	want := []string{
		"app-config.yaml:1:16 app.baseUrl: Missing required config value at 'app.baseUrl' in 'app-config.yaml': " +
			"one of the environment variables A, B is not set",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadFromDiskReportsWhy(t *testing.T) {
	dir := t.TempDir()
	big := fstest.MapFS{"app-config.yaml": {Data: make([]byte, maxFile+1)}}
	if err := os.CopyFS(dir, big); err != nil {
		t.Fatal(err)
	}
	_, err := Load(LoadInput{Dir: dir})
	if want := dir + "/app-config.yaml: the file is larger than 1 MiB"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = Load(LoadInput{Paths: []string{dir}})
	if want := dir + ": the file cannot be read"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestEveryProblemIsListed(t *testing.T) {
	w := one(`app:
  baseUrl: ${APP_URL}
backend:
  baseUrl: localhost:7007
  listen: {port: many}
  database: {client: mysql}
auth:
  session:
    secret: [short, 12345678901234567]
    idle: 30
  omitIdentityTokenOwnershipClaim: perhaps
  keyStore: {provider: firestore}
  identityTokenAlgorithm: HS256
  providers:
    v1: {}
    fine: {}
`)
	want := []string{
		`app-config.yaml:2:12 app.baseUrl: Missing required config value at 'app.baseUrl' in 'app-config.yaml': environment variable APP_URL is not set`,
		`app-config.yaml:4:12 backend.baseUrl: want an absolute URL that begins with http:// or https://`,
		`app-config.yaml:5:18 backend.listen.port: want a whole number`,
		`app-config.yaml:6:22 backend.database.client: want better-sqlite3 or pg`,
		`app-config.yaml:9:21 auth.session.secret[1]: want a string, found a number: put it in quotes`,
		`app-config.yaml:10:11 auth.session.idle: want a duration with a unit, such as 30s, 90m or 2 days`,
		`app-config.yaml:13:27 auth.identityTokenAlgorithm: want one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA`,
		`app-config.yaml:11:36 auth.omitIdentityTokenOwnershipClaim: want true or false`,
		`app-config.yaml:12:24 auth.keyStore.provider: want one of database, memory, static`,
		`app-config.yaml:9:14 auth.session.secret[0]: want at least 16 bytes`,
		`app-config.yaml:15:5 auth.providers.v1: want another provider id: letters, digits, _, - and ., and not v1`,
	}
	if diff := cmp.Diff(want, problemsOf(t, w)); diff != "" {
		t.Error(diff)
	}
}

func TestMissingRequired(t *testing.T) {
	w := world{paths: []string{"a.yaml", "b.yaml"}, files: map[string]string{"a.yaml": "", "b.yaml": "app: null\n"}}
	want := []string{
		`Missing required config value at 'app.baseUrl' in 'a.yaml, b.yaml'`,
		`Missing required config value at 'backend.baseUrl' in 'a.yaml, b.yaml'`,
	}
	if diff := cmp.Diff(want, problemsOf(t, w)); diff != "" {
		t.Error(diff)
	}
}

// TestReadPipe: what a shell puts in the place of a file is read, and nobody waits for somebody to write into a pipe.
func TestReadPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := ReadFile(path); err != nil || len(text) > 0 {
		t.Errorf("nobody writes: %q, %v", text, err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	_, err = w.WriteString(minimal)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	if text, err := ReadFile(fmt.Sprintf("/dev/fd/%d", r.Fd())); err != nil || string(text) != minimal {
		t.Errorf("%q, %v", text, err)
	}
}
