package main

import (
	"bufio"
	"encoding/json"
	"math"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/signin"
)

// vendors is a server in a process of its own, in production mode, that reaches the vendors through a corporate proxy.
type vendors struct {
	*internet
	base string
}

// vendorConfig leaves the port to the system: what the browser sees is the address of baseUrl in any case.
const vendorConfig = `
app: {baseUrl: %APP%}
backend:
  baseUrl: http://localhost:7007
  listen: 127.0.0.1:0
  database: {client: better-sqlite3, connection: {directory: "%DIR%"}}
auth:
  environment: production
  session: {refreshReuse: 0s}
  catalog: {file: "%DIR%/people.yaml"}
  providers:
`

// vendorPeople is one person, whom each vendor knows under another name.
const vendorPeople = `
kind: User
metadata:
  name: jane
  annotations:
    github.com/user-id: U_kgDOB
    google.com/email: jane@gmail.example
    graph.microsoft.com/user-id: 0a1b2c3d-0000-4000-8000-000000000001
spec: {profile: {displayName: Jane Doe, email: jane@example.com}, memberOf: [team-a]}
`

// Who we are to every vendor. The secret's last characters show who encodes it.
const (
	vendorClient   = "portal"
	vendorSecret   = "s3cret/+"
	vendorCallback = "http://localhost:7007/api/auth/%s/handler/frame"
)

// vendorFiles writes the configuration with these providers, and returns the path.
func vendorFiles(t *testing.T, providers string) string {
	t.Helper()
	dir := t.TempDir()
	text := strings.NewReplacer("%APP%", appOrigin, "%DIR%", dir).Replace(vendorConfig) +
		strings.ReplaceAll(strings.TrimLeft(providers, "\n"), "%CLIENT%", `clientId: `+vendorClient+`, clientSecret: "`+vendorSecret+`"`)
	path := filepath.Join(dir, "app-config.yaml")
	for name, content := range map[string]string{path: text, filepath.Join(dir, "people.yaml"): vendorPeople} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// vendorProcess is the server with nothing else in its environment.
func vendorProcess(t *testing.T, config string, environment ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append([]string{serverProcess + "=" + config, "SSL_CERT_DIR=" + t.TempDir()}, environment...)
	return cmd
}

// startVendors starts the server with these providers and returns when it serves.
func startVendors(t *testing.T, providers string) *vendors {
	t.Helper()
	n := newInternet(t)
	config := vendorFiles(t, providers)
	ca := filepath.Join(filepath.Dir(config), "ca.pem")
	if err := os.WriteFile(ca, n.ca.pem(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := vendorProcess(t, config, "HTTPS_PROXY="+n.proxy, "SSL_CERT_FILE="+ca)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		_ = cmd.Wait() // it was killed
	})
	address := make(chan string, 1)
	var logs logBuffer
	go func() {
		defer close(ended)
		defer close(address)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			_, _ = logs.Write(append(lines.Bytes(), '\n'))
			var line struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
				address <- line.Address
			}
		}
	}()
	at := <-address
	if at == "" {
		t.Fatalf("the server did not start: %s", &logs)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server's log:\n%s", &logs)
		}
	})
	return &vendors{n, "http://" + at}
}

// portal is one provider's part of the portal in a person's browser.
type portal struct {
	t   *testing.T
	id  string
	jar http.CookieJar
	*apitest.Client
}

func (v *vendors) portal(t *testing.T, id string) *portal {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	// A bound that only a broken test reaches; nothing is asserted about it.
	return &portal{t, id, jar, apitest.NewClient(t, v.base, &http.Client{Jar: jar, Timeout: time.Minute})}
}

// at is another provider in the same browser.
func (p *portal) at(id string) *portal { return &portal{p.t, id, p.jar, p.Client} }

func (p *portal) path(action string, query ...string) string {
	q := url.Values{"env": {"production"}}
	for i := 0; i+1 < len(query); i += 2 {
		q.Set(query[i], query[i+1])
	}
	return "/api/auth/" + p.id + "/" + action + "?" + q.Encode()
}

// start opens the popup and returns where it is sent.
func (p *portal) start(query ...string) *url.URL {
	p.t.Helper()
	res := p.Get(p.path("start", append([]string{"origin", appOrigin, "flow", "popup"}, query...)...))
	to, err := url.Parse(res.Header.Get("Location"))
	if res.Status != http.StatusFound || err != nil {
		p.t.Fatalf("start: %d %v %s", res.Status, err, res.Body)
	}
	return to
}

// back is the vendor that sends the popup back, with a code.
func (p *portal) back(from *url.URL) message {
	p.t.Helper()
	q := url.Values{"code": {"c0de"}, "state": {from.Query().Get("state")}}
	m := posted(p.t, p.Get("/api/auth/"+p.id+"/handler/frame?"+q.Encode()))
	if m.origin != appOrigin {
		p.t.Errorf("posted to %q", m.origin)
	}
	return m
}

// signIn returns the posted session.
func (p *portal) signIn(query ...string) session {
	p.t.Helper()
	m := p.back(p.start(query...))
	if m.Error.Name != "" {
		p.t.Fatalf("sign-in failed: %+v", m.Error)
	}
	if p.cookie() == "" {
		p.t.Error("no session cookie")
	}
	return m.Response
}

func (p *portal) refresh(query ...string) apitest.Response {
	p.t.Helper()
	return p.Get(p.path("refresh", query...), apitest.Header("X-Requested-With", "XMLHttpRequest"))
}

// renew is a refresh that has to succeed.
func (p *portal) renew(query ...string) session {
	p.t.Helper()
	res := p.refresh(query...)
	var s session
	if err := json.Unmarshal(res.Body, &s); res.Status != http.StatusOK || err != nil {
		p.t.Fatalf("refresh: %d %s %v", res.Status, res.Body, err)
	}
	return s
}

func (p *portal) logout() apitest.Response {
	p.t.Helper()
	return p.Post(p.path("logout"), apitest.Header("X-Requested-With", "XMLHttpRequest"))
}

// cookie is the session cookie that the browser would send, empty without one.
func (p *portal) cookie() string {
	u := &url.URL{Scheme: "http", Host: "127.0.0.1", Path: "/api/auth/" + p.id + "/refresh"}
	for _, c := range p.jar.Cookies(u) {
		if c.Name == signin.SessionCookie {
			return c.Value
		}
	}
	return ""
}

// wantEnded demands a 401 with a code, and that the session is over in the browser and on the server.
func (p *portal) wantEnded(res apitest.Response, code string) {
	p.t.Helper()
	if e := failure(p.t, res); res.Status != http.StatusUnauthorized || e.Code != code || e.AttemptID == "" ||
		!strings.HasPrefix(e.Message, "Refresh failed; caused by ") {
		p.t.Errorf("refresh: %d %+v, want %s", res.Status, e, code)
	}
	p.wantNoSession()
}

func (p *portal) wantNoSession() {
	p.t.Helper()
	if p.cookie() != "" {
		p.t.Error("the session cookie is still there")
	}
	if res := p.refresh("optional", ""); res.Status != http.StatusOK || strings.TrimSpace(string(res.Body)) != "{}" {
		p.t.Errorf("optional refresh without a session: %d %s", res.Status, res.Body)
	}
	if res := p.refresh(); res.Status != http.StatusUnauthorized || failure(p.t, res).Code != "session_missing" {
		p.t.Errorf("refresh without a session: %d %s", res.Status, res.Body)
	}
}

// signedIn is what is told about a session, without what is new every time.
type signedIn struct {
	Email, DisplayName, Picture string
	AccessToken, IDToken, Scope string
	// Minutes is providerInfo.expiresInSeconds, rounded up; 0 if it is not told.
	Minutes float64
	User    string
	Groups  []string
}

// told sums a session up. A member that is no number has failed in the reading.
func told(s session) signedIn {
	in := signedIn{
		Email: s.Profile.Email, DisplayName: s.Profile.DisplayName, Picture: s.Profile.Picture,
		AccessToken: s.ProviderInfo.AccessToken, IDToken: s.ProviderInfo.IDToken, Scope: s.ProviderInfo.Scope,
		Minutes: math.Ceil(s.ProviderInfo.ExpiresInSeconds / 60),
	}
	if id := s.BackstageIdentity; id != nil && id.Token != "" && id.ExpiresInSeconds > 0 {
		in.User, in.Groups = id.Identity.UserEntityRef, id.Identity.OwnershipEntityRefs
	}
	return in
}
