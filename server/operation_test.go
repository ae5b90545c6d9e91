package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/config"
	"stagedoor/server/internal/devidp"
)

// TestGracefulStop is security R05: what is under way when the stop comes is finished, and the server ends in order.
func TestGracefulStop(t *testing.T) {
	d := deploy(t, settings{auth: "  session: {refreshReuse: 0s}"})
	callback, refresh := d.browser(), d.browser()
	refresh.signIn("jane.doe@example.com")
	to := callback.toCallback("jane.doe@example.com")
	d.idp.Misbehave(func(f *devidp.Faults) {
		f.Failures[devidp.TokenEndpoint] = devidp.Failure{Kind: devidp.FailHang}
	})
	answers := make(chan apitest.Response, 2)
	go func() { answers <- callback.follow(to) }()
	go func() {
		res, _ := refresh.refresh("")
		answers <- res
	}()
	<-d.idp.Hanging()
	<-d.idp.Hanging()
	d.stop()
	d.idp.Behave()
	d.idp.Release()
	for range 2 {
		if res := <-answers; res.Status != http.StatusOK || strings.Contains(string(res.Body), "error") {
			t.Errorf("under way: %d %s", res.Status, res.Body)
		}
	}
	if err := <-d.done; err != nil {
		t.Errorf("ended with %v", err)
	}
	d.stop = nil
	d.start(d.listen(strings.TrimPrefix(d.base, "http://")), settings{auth: "  session: {refreshReuse: 0s}"})
	if res, s := refresh.refresh(""); res.Status != http.StatusOK || s.BackstageIdentity == nil {
		t.Errorf("after the restart: %d %s", res.Status, res.Body)
	}
}

// TestStopWithoutCallers: the caller of a refresh has hung up, and the stop still waits for it: it holds a rotated token.
func TestStopWithoutCallers(t *testing.T) {
	d := deploy(t, settings{auth: "  session: {refreshReuse: 0s}"})
	b := d.browser()
	b.signIn("jane.doe@example.com")
	d.idp.Misbehave(func(f *devidp.Faults) {
		f.Failures[devidp.TokenEndpoint] = devidp.Failure{Kind: devidp.FailHang, Times: 1, Late: true}
	})
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan bool)
	go func() {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, d.base+"/api/auth/idp/refresh", http.NoBody)
		req.Header.Set("X-Requested-With", "XMLHttpRequest")
		if res, err := b.http.Do(req); err == nil {
			_ = res.Body.Close()
		}
		close(gone)
	}()
	<-d.idp.Hanging()
	hangUp()
	<-gone
	d.stop()
	d.idp.Release()
	if err := <-d.done; err != nil {
		t.Errorf("ended with %v", err)
	}
	d.stop = nil
	d.start(d.listen(strings.TrimPrefix(d.base, "http://")), settings{})
	if res, s := b.refresh(""); res.Status != http.StatusOK || s.BackstageIdentity == nil {
		t.Errorf("after the restart: %d %s", res.Status, res.Body)
	}
}

// TestStaticKeys: keys from PEM files sign, are published with use, and survive as they are.
func TestStaticKeys(t *testing.T) {
	dir := t.TempDir()
	writeKeyPair(t, dir)
	d := deploy(t, settings{auth: fmt.Sprintf("  keyStore: {provider: static, static: {keys: [{publicKeyFile: '%s/a.pub', privateKeyFile: '%s/a.key', keyId: my-key}]}}", dir, dir)})
	b := d.browser()
	if res := b.Get("/api/auth/.well-known/jwks.json"); !strings.Contains(string(res.Body), `"kid":"my-key"`) || !strings.Contains(string(res.Body), `"use":"sig"`) {
		t.Errorf("key set %s", res.Body)
	}
	s := b.signIn("jane.doe@example.com")
	if res := b.Get("/api/auth/v1/userinfo", apitest.Header("Authorization", "Bearer "+s.BackstageIdentity.Token)); res.Status != http.StatusOK {
		t.Errorf("userinfo: %d %s", res.Status, res.Body)
	}
}

// TestReadinessDuringStop: readiness turns false first, while requests are still answered.
func TestReadinessDuringStop(t *testing.T) {
	d := deploy(t, settings{backend: "  lifecycle: {serverShutdownDelay: 2s}"})
	b := d.browser()
	if res := b.Get("/.backstage/health/v1/readiness"); res.Status != http.StatusOK {
		t.Fatalf("readiness %d", res.Status)
	}
	d.stop()
	for b.Get("/.backstage/health/v1/readiness").Status != http.StatusServiceUnavailable {
		if strings.Contains(d.logs.String(), `"stopped"`) {
			t.Fatal("never became unready")
		}
	}
	if res := b.Get("/api/auth/guest/refresh"); res.Status != http.StatusOK {
		t.Errorf("a request during the delay: %d", res.Status)
	}
	if res := b.Get("/.backstage/health/v1/liveness"); res.Status != http.StatusOK {
		t.Errorf("liveness %d", res.Status)
	}
	if err := <-d.done; err != nil {
		t.Error(err)
	}
	d.stop = nil
}

// secretsOf collects every credential that a sign-in handles.
func secretsOf(t *testing.T, b *browser, s session) map[string]string {
	t.Helper()
	token, _ := b.d.idp.Last(devidp.TokenEndpoint)
	secrets := map[string]string{
		"access token": s.ProviderInfo.AccessToken, "id token": s.ProviderInfo.IDToken, "Backstage token": s.BackstageIdentity.Token,
		"code": token.Form.Get("code"), "verifier": token.Form.Get("code_verifier"), "client secret": "a client secret of the tests",
		"session cookie": b.cookie("backstage-auth"), "basic credentials": strings.TrimPrefix(token.Header.Get("Authorization"), "Basic "),
	}
	for name, v := range secrets {
		if v == "" {
			t.Fatalf("no %s to look for", name)
		}
	}
	return secrets
}

// TestNothingSecretIsLogged is security R13, at the most talkative level, with failures of all kinds.
func TestNothingSecretIsLogged(t *testing.T) {
	d := deploy(t, settings{auth: "  session: {refreshReuse: 0s}"})
	b := d.browser()
	secrets := secretsOf(t, b, b.signIn("jane.doe@example.com"))
	var bodies strings.Builder
	for _, kind := range []devidp.FailureKind{devidp.FailServerError, devidp.FailGarbage, devidp.FailReset, devidp.FailContentType, devidp.FailRedirect} {
		d.idp.Misbehave(func(f *devidp.Faults) {
			f.Failures[devidp.TokenEndpoint] = devidp.Failure{Kind: kind, Late: true}
		})
		c := d.browser()
		callback := c.toCallback("jane.doe@example.com")
		u, err := url.Parse(callback)
		if err != nil {
			t.Fatal(err)
		}
		secrets["code of "+string(kind)], secrets["state of "+string(kind)] = u.Query().Get("code"), u.Query().Get("state")
		bodies.Write(c.follow(callback).Body)
		bodies.Write(c.follow(callback).Body)
		d.idp.Behave()
	}
	d.idp.Misbehave(func(f *devidp.Faults) { f.Token = devidp.TokenInvalidGrant })
	res, _ := b.refresh("")
	bodies.Write(res.Body)
	// What a provider says about its user goes to that user, and into no log.
	c := d.browser()
	u, err := url.Parse(c.Get(startPath()).Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	q := url.Values{"state": {u.Query().Get("state")}, "error": {"access_denied"}, "error_description": {"jane.doe@example.com is locked"}, "iss": {d.idp.Issuer()}}
	c.Get("/api/auth/idp/handler/frame?" + q.Encode())
	for name, secret := range secrets {
		for where, text := range map[string]string{"log": d.logs.String(), "error bodies": bodies.String()} {
			if strings.Contains(text, secret) || strings.Contains(text, url.QueryEscape(secret)) {
				t.Errorf("the %s holds the %s", where, name)
			}
		}
	}
	for _, claim := range []string{"jane.doe", "Jane Doe"} {
		if strings.Contains(d.logs.String(), claim) {
			t.Errorf("the log holds the claim value %q", claim)
		}
	}
	files, err := filepath.Glob(filepath.Join(d.dir, "auth.sqlite*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no database files: %v", err)
	}
	for _, file := range files {
		stored, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for name, secret := range secrets {
			if strings.Contains(string(stored), secret) {
				t.Errorf("%s holds the %s in the clear", filepath.Base(file), name)
			}
		}
	}
}

// TestDatabaseGone is security R02 for the file database: the keys are still served, sign-in and refresh say what is wrong, no cookie
// is lost.
func TestDatabaseGone(t *testing.T) {
	d := deploy(t, settings{})
	b := d.browser()
	b.signIn("jane.doe@example.com")
	lock := lockDatabase(t, filepath.Join(d.dir, "auth.sqlite"))
	b.Get(startPath()) // writes nothing, and so needs no lock
	for _, path := range []string{"/api/auth/.well-known/jwks.json", "/.backstage/health/v1/liveness", "/api/auth/.well-known/openid-configuration"} {
		if res := b.Get(path); res.Status != http.StatusOK {
			t.Errorf("%s: %d", path, res.Status)
		}
	}
	callback := b.toCallback("jane.doe@example.com")
	m := posted(t, b.follow(callback))
	wantError(t, m.Error, "store_unavailable", "ServiceUnavailableError", "The session store is not available")
	// A refresh that only reads still succeeds; one that must write says so, and keeps the cookie.
	res, _ := b.refresh("&scope=openid%20extra")
	if e := failure(t, res); res.Status != http.StatusServiceUnavailable || e.Code != "store_unavailable" || b.cookie("backstage-auth") == "" || res.Header.Get("Retry-After") == "" {
		t.Errorf("refresh: %d %+v %v", res.Status, e, res.Header)
	}
	lock()
	if m := posted(t, b.follow(callback)); m.Error.Name != "" {
		t.Errorf("the same callback after the fault: %+v", m.Error)
	}
	if res, s := b.refresh(""); res.Status != http.StatusOK || s.BackstageIdentity == nil {
		t.Errorf("after the fault: %d %s", res.Status, res.Body)
	}
}

// serverProcess is set in a child process that is a server and nothing else.
const serverProcess = "STAGEDOOR_TEST_SERVER"

// TestMain lets the test binary be the server for the tests that kill it.
func TestMain(m *testing.M) {
	if path := os.Getenv(fleetProcess); path != "" {
		os.Exit(runReplica(path))
	}
	if path := os.Getenv(serverProcess); path != "" {
		os.Exit(run(context.Background(), []string{"--config", path}, os.Stderr))
	}
	os.Exit(testsWithCoverage(m))
}

// spawn starts the deployment's server in a process of its own, instead of the one in this process.
func (d *deployment) spawn() *exec.Cmd {
	d.t.Helper()
	d.shutdown()
	listen := "backend:\n  listen: " + strings.TrimPrefix(d.base, "http://")
	text, err := os.ReadFile(filepath.Join(d.dir, "app-config.yaml"))
	if err != nil {
		d.t.Fatal(err)
	}
	if !strings.Contains(string(text), "  listen: ") {
		d.write("app-config.yaml", strings.Replace(string(text), "backend:", listen, 1))
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverProcess+"="+filepath.Join(d.dir, "app-config.yaml"), "NODE_ENV=development")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = cmd.Process.Kill() })
	d.awaitListening(stderr)
	return cmd
}

// awaitListening reads the child's log until it serves, and goes on reading it into ours.
func (d *deployment) awaitListening(stderr io.Reader) {
	d.t.Helper()
	up := make(chan bool, 1)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := stderr.Read(buf)
			_, _ = d.logs.Write(buf[:n])
			if strings.Contains(d.logs.String(), `"listening"`) {
				select {
				case up <- true:
				default:
				}
			}
			if err != nil {
				close(up)
				return
			}
		}
	}()
	if !<-up {
		d.t.Fatalf("the server did not start: %s", d.logs)
	}
}

// TestKilledInRefresh: kill -9 between the provider's answer and the write leaves a session that works or ends with a reason.
func TestKilledInRefresh(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("token spent: %v", late), func(t *testing.T) {
			d := deploy(t, settings{auth: "  session: {refreshReuse: 0s}"})
			cmd := d.spawn()
			b := d.browser()
			b.signIn("jane.doe@example.com")
			d.idp.Misbehave(func(f *devidp.Faults) {
				f.Failures[devidp.TokenEndpoint] = devidp.Failure{Kind: devidp.FailHang, Times: 1, Late: late}
			})
			lost := make(chan error, 1)
			go func() {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, d.base+"/api/auth/idp/refresh", http.NoBody)
				req.Header.Set("X-Requested-With", "XMLHttpRequest")
				res, err := b.http.Do(req)
				if err == nil {
					err = res.Body.Close()
				}
				lost <- err
			}()
			<-d.idp.Hanging()
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if err := <-lost; err == nil {
				t.Error("the killed server answered")
			}
			d.idp.Release()
			d.spawn()
			res, s := b.refresh("") // waits until the dead owner's lease has run out
			if !late && (res.Status != http.StatusOK || s.BackstageIdentity == nil) {
				t.Errorf("the session does not work: %d %s", res.Status, res.Body)
			}
			if late && (res.Status != http.StatusUnauthorized || failure(t, res).Code != "idp_token_rejected") {
				t.Errorf("the session did not end with its reason: %d %s", res.Status, res.Body)
			}
			b.signIn("jane.doe@example.com")
		})
	}
}

// TestKilledInCallback is security R06: the user can start again, and nothing was left that grants access.
func TestKilledInCallback(t *testing.T) {
	d := deploy(t, settings{})
	cmd := d.spawn()
	b := d.browser()
	callback := b.toCallback("jane.doe@example.com")
	d.idp.Misbehave(func(f *devidp.Faults) {
		f.Failures[devidp.TokenEndpoint] = devidp.Failure{Kind: devidp.FailHang, Times: 1}
	})
	go func() {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, callback, http.NoBody)
		if res, err := b.http.Do(req); err == nil {
			_ = res.Body.Close()
		}
	}()
	<-d.idp.Hanging()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	d.idp.Release()
	d.spawn()
	m := posted(t, b.follow(callback))
	wantError(t, m.Error, "transaction_replayed", "NotAllowedError", "Invalid nonce")
	b.signIn("jane.doe@example.com")
}

// TestStartErrors: whatever is wrong at start is said, all of it, and the process ends with 1.
func TestStartErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const head = "app: {baseUrl: http://localhost:3000}\nbackend: {baseUrl: http://localhost:7007, listen: '127.0.0.1:0', database: {client: better-sqlite3, connection: ':memory:'}}\nauth:\n  providers:\n"
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"missing key", "backend: {baseUrl: http://localhost:7007}\n", []string{"Missing required config value at 'app.baseUrl'"}},
		{"bad YAML", "app: [\n", []string{"bad.yaml:"}},
		{"two providers wrong", head + "    one:\n      development: {metadataUrl: 'https://x.example', clientID: x}\n    two: {development: {type: nosuch}}\n", []string{"initialize one", "clientId", "initialize two", "nosuch"}},
		{"secret and provider wrong", "auth: {session: {secret: short}, providers: {idp: {development: {metadataUrl: 'https://x.example'}}}}\napp: {baseUrl: http://localhost:3000}\nbackend: {baseUrl: http://localhost:7007}\n", []string{"bad.yaml:1:26", "at least 16 bytes", "clientId"}},
		{"callback", head + "    idp: {development: {metadataUrl: 'https://x.example', clientId: x, callbackUrl: 'ftp://x.example/y'}}\n", []string{"bad.yaml:5:", "callbackUrl"}},
		{"unknown resolver", head + "    idp: {development: {metadataUrl: 'https://x.example', clientId: x, signIn: {resolvers: [{resolver: byMagic}]}}}\n", []string{"bad.yaml:5:", "byMagic", "emailMatchingUserEntityProfileEmail"}},
		{"PostgreSQL without a secret", "app: {baseUrl: http://localhost:3000}\nbackend: {baseUrl: http://localhost:7007, database: {client: pg, connection: {}}}\n", []string{"auth.session.secret"}},
		{"no table of Node's", head + "    {}\n  keyStore: {nodeTable: true}\n", []string{"auth.keyStore.nodeTable: the table signing_keys", "backend.database.plugin.auth"}},
		{"database is a directory", strings.Replace(head, "':memory:'", "{filename: "+dir+"}", 1), []string{dir}},
		{"port taken", strings.Replace(head, "127.0.0.1:0", "256.0.0.1:1", 1), []string{"listen"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := write("bad.yaml", tt.text)
			err := serve(t.Context(), source{load: func(files *fileSet) (*config.Config, error) {
				return loadConfig([]string{path}, files)
			}}, slog.New(slog.DiscardHandler))
			if err == nil {
				t.Fatal("the server started and stopped")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q:\n%v", want, err)
				}
			}
		})
	}
}

// TestProductionIsClosed: outside of development there is no playground, no development provider and no guest.
func TestProductionIsClosed(t *testing.T) {
	d := deploy(t, settings{production: true, backend: "  lifecycle: {serverShutdownDelay: 0s}"})
	b := d.browser()
	for _, path := range []string{"/", "/playground.js", "/dev-idp/.well-known/openid-configuration"} {
		res, err := b.http.Get(d.base + path)
		if body := read(t, res, err); res.StatusCode != http.StatusNotFound || body != "" {
			t.Errorf("%s: %d %q", path, res.StatusCode, body)
		}
	}
	if res := b.Get("/api/auth/guest/refresh"); res.Status != http.StatusForbidden || !strings.Contains(failure(t, res).Message, "guest") {
		t.Errorf("guest: %d %s", res.Status, res.Body)
	}
	if !strings.Contains(d.logs.String(), "production mode") {
		t.Error("the log does not say which mode it is")
	}
	b.signIn("jane.doe@example.com")
}

// TestKeptSecret: the secret beside the database is made once, readable by its owner only, by however many processes.
func TestKeptSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.sqlite.secret")
	secrets := make(chan string, 20)
	for range cap(secrets) {
		go func() {
			s, err := keptSecret(path)
			if err != nil {
				s = err.Error()
			}
			secrets <- s
		}()
	}
	first := <-secrets
	for range cap(secrets) - 1 {
		if s := <-secrets; s != first {
			t.Errorf("secrets %q and %q", s, first)
		}
	}
	if raw, err := base64.RawURLEncoding.DecodeString(first); err != nil || len(raw) != 32 {
		t.Errorf("secret of %d bytes, %v", len(raw), err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("drafts left: %v", left)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keptSecret(path); err == nil {
		t.Error("an empty secret file is accepted")
	}
}

func TestArguments(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
		ok   bool
	}{
		{nil, "", true},
		{[]string{"--config", "a.yaml", "-config", "b.yaml"}, "a.yaml,b.yaml", true},
		{[]string{"--config", "https://x.example/app-config.yaml"}, "", false},
		{[]string{"--nosuch"}, "", false},
		{[]string{"serve"}, "", false},
	} {
		got, err := parseArgs(tt.args, io.Discard)
		if (err == nil) != tt.ok || tt.ok && strings.Join(got, ",") != tt.want {
			t.Errorf("%v: %v, %v", tt.args, got, err)
		}
	}
}

func TestPolicy(t *testing.T) {
	got := policy(map[string][]string{"connect-src": {"'self'", "https:"}, "script-src": nil, "img-src": {"*"}})
	if strings.Contains(got, "script-src ") || !strings.HasSuffix(got, ";connect-src 'self' https:") || !strings.Contains(got, ";img-src *;") {
		t.Errorf("policy %q", got)
	}
	if policy(nil) != "" {
		t.Error("without configuration the choice is the API's")
	}
}

// TestHTTPS: with a certificate of its own the server speaks TLS, and every cookie is Secure.
func TestHTTPS(t *testing.T) {
	d := deploy(t, settings{})
	d.shutdown()
	https := "https://" + strings.TrimPrefix(d.base, "http://")
	d.write("app-config.yaml", strings.Replace(d.config(settings{backend: "  https: true"}), d.base, https, 1))
	d.start(d.listen(strings.TrimPrefix(d.base, "http://")), settings{})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := insecureClient(jar)
	res, err := client.Get(https + startPath())
	read(t, res, err)
	if len(res.Cookies()) != 1 || !res.Cookies()[0].Secure {
		t.Errorf("cookies %v", res.Cookies())
	}
	if ok := regexp.MustCompile(`redirect_uri=https%3A%2F%2F127`).MatchString(res.Header.Get("Location")); !ok {
		t.Errorf("Location %s", res.Header.Get("Location"))
	}
	if _, err := http.Get(https); err == nil { //nolint:noctx // refused by the handshake
		t.Error("the self-signed certificate is trusted by default")
	}
}

var errSlow = errors.New("the server did not close the connection")

// TestSlowClients is security R08: who does not finish its headers is cut off, on the real listener.
func TestSlowClients(t *testing.T) {
	d := deploy(t, settings{backend: "  server: {headersTimeout: 200, requestTimeout: 400}"})
	for name, begin := range map[string]string{
		"headers": "GET /api/auth/guest/refresh HTTP/1.1\r\nHost: x\r\nX-Slow: ",
		"body":    "POST /api/auth/guest/refresh HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nx",
	} {
		conn, err := d.dial()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(begin)); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, errSlow)
		}
		_ = conn.Close()
	}
	if res := d.browser().Get("/api/auth/guest/refresh"); res.Status != http.StatusOK {
		t.Errorf("others: %d", res.Status)
	}
}
