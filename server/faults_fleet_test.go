package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stagedoor/server/internal/devidp"
	"stagedoor/server/internal/store/pgtest"
)

// fleet is a portal of several replicas, each a process of its own, on one PostgreSQL and one OpenID Provider, with a line before both
// that can break. Everybody reaches it through a load balancer: whoever asks for a replica gets one whose readiness was good a moment
// ago.
type fleet struct {
	t       *testing.T
	dir     string
	clock   virtual
	db      *pgtest.Cluster
	dbLine  *faultLine
	idp     *devidp.Misbehaving
	idpLine *faultLine
	slots   []*slot
	// troubled counts the faults that are on, calm is when the last one ended (Unix nanoseconds).
	troubled atomic.Int64
	calm     atomic.Int64
}

// fleetBase is where browsers believe the portal to be. Nobody listens there.
const fleetBase = "http://127.0.0.1:9"

// fleetCache is how long a verifier keeps the key set, by the keys' clock: publishAhead, for which the config below asks.
const fleetCache = 5 * time.Minute

const fleetConfig = `
app: {baseUrl: http://localhost:3000}
backend:
  baseUrl: http://127.0.0.1:9
  listen: 127.0.0.1:0
  lifecycle: {serverShutdownDelay: 500ms}
  database: %DATABASE%
auth:
  environment: development
  signingKeys: {rotation: 10m, publishAhead: 5m}
  session: {secret: a-secret-of-the-tests, refreshReuse: %REUSE%}
  catalog: {file: "%DIR%/people.yaml"}
  providers:
    guest: {}
    idp:
      development:
        type: oidc
        metadataUrl: %IDP%/.well-known/openid-configuration
        clientId: stagedoor
        clientSecret: a client secret of the tests
        prompt: auto
        tokenSignedResponseAlg: ES256
        additionalScopes: offline_access
        signIn: {resolvers: [{resolver: emailMatchingUserEntityProfileEmail}]}
`

// newFleet starts it. Its keys age speed times as fast as the clock goes.
func newFleet(t *testing.T, replicas, speed int, reuse string) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir(), clock: virtual{time.Now(), speed}, db: pgtest.Start(t)}
	f.dbLine = newFaultLine(t, "127.0.0.1:"+f.db.TCP("")["port"], statements)
	f.startProvider()
	d := &deployment{t: t, dir: f.dir}
	d.write("people.yaml", string(devidp.Catalog()))
	d.write("app-config.yaml", strings.NewReplacer("%DATABASE%", onLine(f.db, f.dbLine, "").database, "%REUSE%", reuse,
		"%DIR%", f.dir, "%IDP%", f.idp.Issuer()).Replace(fleetConfig))
	for i := range replicas {
		s := &slot{f: f, name: fmt.Sprint("replica ", i)}
		f.slots = append(f.slots, s)
		s.start()
	}
	f.allUp()
	return f
}

func (f *fleet) startProvider() {
	f.t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	f.idpLine = newFaultLine(f.t, srv.Listener.Addr().String(), nil)
	var err error
	f.idp, err = devidp.NewMisbehaving(devidp.Options{
		Issuer: "http://" + f.idpLine.addr(), Algorithm: "ES256",
		Clients: []devidp.Client{{
			ID: "stagedoor", Secret: "a client secret of the tests", RedirectURIs: []string{fleetBase + "/api/auth/idp/handler/frame"},
		}},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	srv.Config.Handler = f.idp
	srv.Start()
	f.t.Cleanup(srv.Close)
	f.t.Cleanup(f.idp.Release)
}

// allUp waits until every replica is ready.
func (f *fleet) allUp() {
	f.t.Helper()
	for _, s := range f.slots {
		eventually(f.t, s.name, s.up.Load)
	}
}

// pick is what the load balancer does.
func (f *fleet) pick(ctx context.Context) (*slot, error) {
	for {
		var up []*slot
		for _, s := range f.slots {
			if s.up.Load() {
				up = append(up, s)
			}
		}
		if len(up) > 0 {
			return up[rand.IntN(len(up))], nil
		}
		if err := breathe(ctx); err != nil {
			return nil, err
		}
	}
}

// breathe is the pause of a client that tries again.
func breathe(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(50 * time.Millisecond):
		return nil
	}
}

// trouble is on while fault runs; whoever fails within recovery of its end has an excuse.
func (f *fleet) trouble(fault func()) {
	f.troubled.Add(1)
	defer f.troubled.Add(-1)
	defer func() { f.calm.Store(time.Now().UnixNano()) }()
	fault()
}

// recovery is how long after a fault it may still be felt.
const recovery = 3 * time.Second

func (f *fleet) excused() bool {
	return f.troubled.Load() > 0 || time.Since(time.Unix(0, f.calm.Load())) < recovery
}

// slot is a place for a replica, which has another process after a restart.
type slot struct {
	f    *fleet
	name string
	env  []string

	mu       sync.Mutex
	cmd      *exec.Cmd
	ended    chan struct{}
	address  string
	numbers  string
	up       atomic.Bool
	inFlight atomic.Int64
}

// start starts the process, and returns before it is ready.
func (s *slot) start() {
	s.f.t.Helper()
	cmd := exec.Command(os.Args[0]) //nolint:noctx // ended by the cleanup below
	cmd.Env = append(os.Environ(), fleetProcess+"="+filepath.Join(s.f.dir, "app-config.yaml"), "NODE_ENV=development",
		fleetEpoch+"="+fmt.Sprint(s.f.clock.epoch.UnixNano()), fleetSpeed+"="+fmt.Sprint(s.f.clock.speed))
	cmd.Env = append(cmd.Env, s.env...)
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.f.t.Fatal(err)
	}
	ended := make(chan struct{})
	s.mu.Lock()
	s.cmd, s.ended, s.address = cmd, ended, ""
	s.mu.Unlock()
	s.f.t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	probing, stop := context.WithCancel(context.Background())
	go s.probe(probing)
	go func() {
		defer close(ended)
		s.readLog(stderr)
		stop()
		s.up.Store(false)
		_ = cmd.Wait()
	}()
}

func (s *slot) readLog(stderr io.Reader) {
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		var line struct{ Level, Msg, Address, Error, Kid string }
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			s.f.t.Logf("%s: %s", s.name, lines.Text())
			continue
		}
		s.mu.Lock()
		switch line.Msg {
		case "listening":
			s.address = line.Address
		case "numbers":
			s.numbers = line.Address
		}
		s.mu.Unlock()
		if os.Getenv("FAULTS_LOG") != "" || line.Level == "ERROR" && line.Msg == "cannot start" {
			s.f.t.Logf("%s: %s", s.name, lines.Text())
		}
	}
}

// probe asks for readiness as a load balancer does.
func (s *slot) probe(ctx context.Context) {
	hc := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for breathe(ctx) == nil {
		s.mu.Lock()
		at := s.address
		s.mu.Unlock()
		if at == "" {
			continue
		}
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+readinessPath, http.NoBody)
		res, err := hc.Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
		s.up.Store(err == nil && res.StatusCode == http.StatusOK && ctx.Err() == nil)
	}
}

// kill ends the process at once.
func (s *slot) kill() {
	s.mu.Lock()
	cmd, ended := s.cmd, s.ended
	s.mu.Unlock()
	_ = cmd.Process.Kill()
	<-ended
}

// terminate ends it as a supervisor does, and returns how it ended.
func (s *slot) terminate() error {
	s.mu.Lock()
	cmd, ended := s.cmd, s.ended
	s.mu.Unlock()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		return errors.New("did not end within a minute")
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("ended with %d", code)
	}
	return nil
}

// restart starts it anew and waits until it is ready.
func (s *slot) restart() {
	s.start()
	eventually(s.f.t, s.name, s.up.Load)
}

func (s *slot) at() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "http://" + s.address
}
