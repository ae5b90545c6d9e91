package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/config"
	"stagedoor/server/internal/devidp"
	"stagedoor/tokens"
)

// look makes the server look at its files, twice: once it takes the second request, it is done with the first.
func (d *deployment) look() {
	d.t.Helper()
	for range 2 {
		select {
		case d.ask <- struct{}{}:
		case err := <-d.done:
			d.t.Fatalf("the server ended: %v", err)
		}
	}
}

// replace changes a text in the configuration file.
func (d *deployment) replace(before, after string) {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, "app-config.yaml"))
	if err != nil {
		d.t.Fatal(err)
	}
	if !strings.Contains(string(text), before) {
		d.t.Fatalf("no %q in the configuration", before)
	}
	d.write("app-config.yaml", strings.Replace(string(text), before, after, 1))
}

// logged counts the log lines with a text.
func (d *deployment) logged(text string) int { return strings.Count(d.logs.String(), text) }

const inForce = "the configuration was read again and is in force"

// TestSecretRotation is security F14 and design D11: a new secret in the same file signs nobody out, and neither does the restart with
// both; without the old one what it sealed is a 401 and no failure.
func TestSecretRotation(t *testing.T) {
	s := settings{
		auth:  "  session: {refreshReuse: 0s, secret: {$file: secret.txt}}",
		files: map[string]string{"secret.txt": "the first secret of this server\n"},
	}
	d := deploy(t, s)
	b := d.browser()
	b.signIn("jane.doe@example.com")
	callback := d.browser()
	to := callback.toCallback("jane.doe@example.com")

	d.write("secret.txt", "the second secret of this server\n")
	d.look()
	if n := d.logged(inForce); n != 1 {
		t.Fatalf("read again %d times: %s", n, d.logs)
	}
	if res, got := b.refresh(""); res.Status != http.StatusOK || got.BackstageIdentity == nil {
		t.Errorf("session of before: %d %s", res.Status, res.Body)
	}
	if m := posted(t, callback.follow(to)); m.Error.Name != "" {
		t.Errorf("sign-in that began before: %+v", m.Error)
	}

	d.write("app-config.yaml", strings.Replace(d.config(s), "secret: {$file: secret.txt}", "secret: [{$file: secret.txt}, the first secret of this server]", 1))
	d.look()
	d.write("secret.txt", "the second secret of this server")
	d.restart(s)
	if res, got := b.refresh(""); res.Status != http.StatusOK || got.BackstageIdentity == nil {
		t.Errorf("restarted with both: %d %s", res.Status, res.Body)
	}
}

// TestBadReload is security R12: what is wrong changes nothing and is told once; what is right again is in force at once.
func TestBadReload(t *testing.T) {
	d := deploy(t, settings{
		auth: "  session: {secret: {$file: secret.txt}}", files: map[string]string{"secret.txt": "a secret of this server"},
	})
	b := d.browser()
	b.signIn("jane.doe@example.com")
	const refused = "the changed configuration cannot be used"
	for i, breaks := range []func(){
		func() { d.write("secret.txt", "short") },
		func() { _ = os.Remove(filepath.Join(d.dir, "secret.txt")) },
		func() { d.replace("type: oidc", "type: nosuch") },
		func() { d.replace("providers:", "providers: [") },
	} {
		breaks()
		d.look()
		d.look()
		if n := d.logged(refused); n != i+1 {
			t.Fatalf("mistake %d was told %d times: %s", i, n, d.logs)
		}
		if res, got := b.refresh(""); res.Status != http.StatusOK || got.BackstageIdentity == nil {
			t.Errorf("mistake %d: %d %s", i, res.Status, res.Body)
		}
	}
	if strings.Contains(d.logs.String(), "a secret of this server") {
		t.Error("the secret is in the log")
	}
	d.replace("providers: [", "providers:")
	d.replace("type: nosuch", "type: oidc")
	d.write("secret.txt", "a secret of this server")
	d.look()
	if n := d.logged(inForce); n != 1 {
		t.Errorf("read again %d times", n)
	}
}

// TestFileThatLeaves: a configuration file that is missing for a moment is no order to go on without it. At the worst there is none left,
// and what counts without any lets everybody in.
func TestFileThatLeaves(t *testing.T) {
	d := deploy(t, settings{})
	d.shutdown()
	d.write("app-config.local.yaml", "app: {title: local}")
	src := source{ask: d.ask, load: func(files *fileSet) (*config.Config, error) {
		return config.Load(config.LoadInput{Dir: d.dir, ReadFile: files.read})
	}}
	files := &fileSet{}
	d.replace("guest: {}", "guest: {dangerouslyAllowOutsideDevelopment: true}")
	d.replace("backend:", "backend:\n  lifecycle: {serverShutdownDelay: 0s}")
	d.replace("environment: development", "environment: development\n  session: {secret: a-secret-of-the-tests}")
	cfg, err := src.load(files)
	if err != nil {
		t.Fatal(err)
	}
	d.run(d.listen(strings.TrimPrefix(d.base, "http://")), reading{src, cfg, files})
	b := d.browser()
	overlay, main := filepath.Join(d.dir, "app-config.local.yaml"), filepath.Join(d.dir, "app-config.yaml")
	for i, path := range []string{overlay, main} { // the second time, both are missing
		if err := os.Rename(path, path+".old"); err != nil {
			t.Fatal(err)
		}
		d.look()
		if d.logged(inForce) != 0 || d.logged(" is no longer read") != i+1 {
			t.Fatalf("%s is gone: %s", path, d.logs)
		}
		if res := b.Get("/api/auth/v1/providers"); !strings.Contains(string(res.Body), `"idp"`) || strings.Contains(string(res.Body), `"dev"`) {
			t.Errorf("%s is gone: %s", path, res.Body)
		}
	}
	if err := errors.Join(os.Rename(overlay+".old", overlay), os.Rename(main+".old", main)); err != nil {
		t.Fatal(err)
	}
	d.replace("guest: {", "guest: {userEntityRef: user:default/somebody, ")
	d.look()
	if d.logged(inForce) != 1 {
		t.Errorf("both are back: %s", d.logs)
	}
}

// TestReloadedProvider: a provider that is new in the file can be used, one that left is gone, and the playground knows.
func TestReloadedProvider(t *testing.T) {
	d := deploy(t, settings{})
	b := d.browser()
	d.replace("    guest: {}\n", "    guest: {dangerouslyAllowOutsideDevelopment: true}\n    second:\n      development: {type: oidc, metadataUrl: 'https://idp.example', clientId: x}\n")
	d.look()
	if res := b.Get("/api/auth/v1/providers"); !strings.Contains(string(res.Body), `"second"`) {
		t.Errorf("providers: %s", res.Body)
	}
	d.replace("    second:\n      development: {type: oidc, metadataUrl: 'https://idp.example', clientId: x}\n", "")
	d.look()
	if res := b.Get("/api/auth/second/start"); res.Status != http.StatusNotFound {
		t.Errorf("gone provider: %d %s", res.Status, res.Body)
	}
}

// TestReloadUnderWay is a reload while a refresh waits for the provider: it is answered, and the rotated token is kept.
func TestReloadUnderWay(t *testing.T) {
	d := deploy(t, settings{auth: "  session: {refreshReuse: 0s}"})
	b := d.browser()
	b.signIn("jane.doe@example.com")
	d.idp.Misbehave(func(f *devidp.Faults) {
		f.Failures[devidp.TokenEndpoint] = devidp.Failure{Kind: devidp.FailHang, Times: 1, Late: true}
	})
	answer := make(chan apitest.Response, 1)
	go func() {
		res, _ := b.refresh("")
		answer <- res
	}()
	<-d.idp.Hanging()
	d.replace("guest: {}", "guest: {userEntityRef: user:default/somebody}")
	d.look()
	d.idp.Release()
	if res := <-answer; res.Status != http.StatusOK || !strings.Contains(string(res.Body), "backstageIdentity") {
		t.Errorf("refresh that was under way: %d %s", res.Status, res.Body)
	}
	if res, got := b.refresh(""); res.Status != http.StatusOK || got.BackstageIdentity == nil || d.logged(inForce) != 1 {
		t.Errorf("the next one: %d %s", res.Status, res.Body)
	}
}

// TestRestartOnly: what a reload cannot change is told, and the rest is in force.
func TestRestartOnly(t *testing.T) {
	d := deploy(t, settings{})
	d.replace("backend:\n", "backend:\n  listen: '127.0.0.1:1'\n")
	d.look()
	if d.logged(inForce) != 1 || d.logged(`counts from the next start only","key":"backend.listen"`) != 1 {
		t.Errorf("log: %s", d.logs)
	}
}

// TestTLSStays: a listener with TLS goes on with its certificate when the configuration has none any more.
func TestTLSStays(t *testing.T) {
	with := &config.Config{Backend: config.Backend{BaseURL: "https://localhost:7007", HTTPS: &config.HTTPS{SelfSigned: true}}}
	first, err := tlsCertificate(with, nil)
	if err != nil || first == nil {
		t.Fatal(first, err)
	}
	without := &config.Config{Backend: config.Backend{BaseURL: "http://localhost:7007"}}
	if c, err := tlsCertificate(without, &generation{certificate: first}); err != nil || c != first {
		t.Errorf("certificate %v, %v", c, err)
	}
	if c, err := tlsCertificate(without, &generation{}); err != nil || c != nil {
		t.Errorf("without TLS: certificate %v, %v", c, err)
	}
}

// TestStaticKeyRotation: a static key that was replaced goes on being published while its tokens are valid, and no longer.
func TestStaticKeyRotation(t *testing.T) {
	k, now := keep(nil), time.Unix(1_800_000_000, 0)
	a, b, c := tokens.StaticKey{ID: "a"}, tokens.StaticKey{ID: "b"}, tokens.StaticKey{ID: "c"}
	ids := func(keys []tokens.StaticKey) (ids []string) {
		for _, key := range keys {
			ids = append(ids, key.ID)
		}
		return ids
	}
	for _, step := range []struct {
		name               string
		configured, before []tokens.StaticKey
		after              time.Duration
		want               []string
	}{
		{"first", []tokens.StaticKey{a}, nil, 0, []string{"a"}},
		{"replaced", []tokens.StaticKey{b}, []tokens.StaticKey{a}, 0, []string{"b", "a"}},
		{"again, a day later", []tokens.StaticKey{c}, []tokens.StaticKey{b}, retiredLife - 1, []string{"c", "a", "b"}},
		{"the first has ended", []tokens.StaticKey{c}, []tokens.StaticKey{c}, retiredLife, []string{"c", "b"}},
		{"one comes back", []tokens.StaticKey{b, c}, []tokens.StaticKey{c}, retiredLife, []string{"b", "c"}},
	} {
		got := ids(k.retire(step.configured, step.before, now.Add(step.after)))
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
	k.retired = []retiredKey{{b, now}}
	if !k.due(now) || k.due(now.Add(-1)) {
		t.Error("a retired key ends at its time")
	}
}

// TestNewSecretWaits: a new secret opens at once and seals when every replica has had time to read it; those of before still open.
func TestNewSecretWaits(t *testing.T) {
	k, start := keep(nil), time.Unix(1_800_000_000, 0)
	var before []string
	for _, step := range []struct {
		name       string
		configured []string
		after      time.Duration
		want       []string
		due        bool
	}{
		{"start", []string{"a"}, 0, []string{"a"}, false},
		{"unchanged", []string{"a"}, 1, []string{"a"}, false},
		{"replaced", []string{"b"}, 2, []string{"a", "b"}, false},
		{"still waiting", []string{"b"}, sealDelay + 1, []string{"a", "b"}, true},
		{"it is time", []string{"b"}, sealDelay + 2, []string{"b", "a"}, false},
		{"the old one is listed", []string{"b", "a"}, sealDelay + 3, []string{"b", "a"}, false},
		{"the next one comes", []string{"c", "b"}, 2 * sealDelay, []string{"b", "c", "a"}, false},
		{"and is taken back", []string{"b"}, 2*sealDelay + 1, []string{"b", "c", "a"}, false},
	} {
		got := k.secrets(step.configured, before, start.Add(step.after))
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
		if k.due(start.Add(step.after+1)) != step.due {
			t.Errorf("%s: due is %v", step.name, !step.due)
		}
		before = got
	}
}

// TestStaticKeyFile: the key in a file is replaced, with its id, and tokens of both verify by the published set.
func TestStaticKeyFile(t *testing.T) {
	const static = "  keyStore: {provider: static, static: {keys: [{publicKeyFile: '%s/a.pub', privateKeyFile: '%s/a.key', keyId: %s}]}}"
	dir := t.TempDir()
	writeKeyPair(t, dir)
	d := deploy(t, settings{auth: fmt.Sprintf(static, dir, dir, "one")})
	b := d.browser()
	b.signIn("jane.doe@example.com")
	writeKeyPair(t, dir)
	d.look()
	if d.logged("the changed configuration cannot be used") != 1 || d.logged("one") == 0 {
		t.Errorf("another key under the same id was not refused: %s", d.logs)
	}
	d.replace("keyId: one", "keyId: two")
	d.look()
	for _, id := range []string{`"kid":"one"`, `"kid":"two"`} {
		if res := b.Get("/api/auth/.well-known/jwks.json"); !strings.Contains(string(res.Body), id) {
			t.Errorf("%s is not published: %s", id, res.Body)
		}
	}
	writeKeyPair(t, dir)
	d.replace("keyId: two", "keyId: one")
	d.look()
	if d.logged("the changed configuration cannot be used") != 2 {
		t.Errorf("another key under the id of one that was replaced was not refused: %s", d.logs)
	}
}

func writeKeyPair(t *testing.T, dir string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"a.key": {Type: "PRIVATE KEY", Bytes: pkcs8}, "a.pub": {Type: "PUBLIC KEY", Bytes: spki}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFileSet: a mounted secret that is swapped by renaming its directory is noticed, and so is a file that comes later.
func TestFileSet(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "mounted")
	for _, version := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, version, "secret"), []byte(version), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("v1", link); err != nil {
		t.Fatal(err)
	}
	var files fileSet
	if text, err := files.read(filepath.Join(link, "secret")); err != nil || string(text) != "v1" {
		t.Fatalf("%q, %v", text, err)
	}
	if _, err := files.read(filepath.Join(dir, "later")); err == nil {
		t.Fatal("a file that is not there was read")
	}
	if files.changed(true) {
		t.Error("changed at once")
	}
	if err := os.Symlink("v2", link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
	if !files.changed(true) {
		t.Error("the swapped directory was not noticed")
	}
	if _, err := files.read(filepath.Join(link, "secret")); err != nil || files.changed(true) {
		t.Errorf("read again: %v", err)
	}
	later := filepath.Join(dir, "later")
	if err := os.WriteFile(later, nil, 0o600); err != nil || !files.changed(true) {
		t.Errorf("the file that came was not noticed: %v", err)
	}
	_, _ = files.read(later)
	if err := errors.Join(os.Remove(later), syscall.Mkfifo(later, 0o600)); err != nil || files.changed(true) {
		t.Errorf("a pipe says nothing twice: %v", err)
	}
}

// TestFileUnderWay: by the clock, a file counts once it holds still.
func TestFileUnderWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var files fileSet
	_, _ = files.read(path)
	for _, step := range []struct {
		holds string
		want  bool
	}{{"on", false}, {"one", false}, {"one", true}, {"one", true}, {"two", false}, {"two", true}} {
		if err := os.WriteFile(path, []byte(step.holds), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := files.changed(false); got != step.want {
			t.Errorf("%q: changed is %v", step.holds, got)
		}
	}
}

// TestWatchTicks: the files are looked at by the clock, and a mistake is told once.
func TestWatchTicks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	synctest.Test(t, func(t *testing.T) {
		h := &house{log: slog.New(slog.DiscardHandler)}
		files := &fileSet{}
		_, _ = files.read(path)
		h.now.Store(&generation{files: files, kept: keep(nil)})
		if err := os.WriteFile(path, []byte("new"), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 4*watchEvery+1)
		defer cancel()
		var loaded []time.Duration
		start := time.Now()
		h.watch(ctx, source{every: watchEvery, load: func(files *fileSet) (*config.Config, error) {
			loaded = append(loaded, time.Since(start))
			_, err := files.read(path)
			return nil, errors.Join(err, errors.New("not good"))
		}})
		if diff := cmp.Diff([]time.Duration{2 * watchEvery}, loaded); diff != "" {
			t.Error(diff)
		}
	})
}

// TestHangUp: SIGHUP makes the files be looked at.
func TestHangUp(t *testing.T) {
	asked := hangUps(t.Context())
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-asked
}

// TestStartLacksFile: a server that waits for its database does not take the built-in configuration for that of a file that was removed.
func TestStartLacksFile(t *testing.T) {
	was := &config.Config{Source: config.Source{Files: []string{"app-config.yaml"}}}
	in := reading{cfg: was, source: source{load: func(*fileSet) (*config.Config, error) {
		return &config.Config{Development: true, Source: config.Source{Files: []string{"defaults.yaml (built in)"}, Defaults: true}}, nil
	}}}
	if _, err := in.again(); err == nil || !strings.Contains(err.Error(), "app-config.yaml is no longer read") {
		t.Errorf("error %v", err)
	}
}
