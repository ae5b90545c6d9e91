package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"stagedoor/providers"
	"stagedoor/server/internal/catalog"
	"stagedoor/server/internal/catalog/catalogtest"
	"stagedoor/server/internal/config"
	"stagedoor/server/internal/devidp"
	"stagedoor/server/internal/seal"
	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store"
	"stagedoor/tokens"
)

// BenchmarkTable prints the table of the design's section 9: each path against its yardstick, as a ratio inside one run. The two
// sides of a row take turns, so that whatever else the machine does falls on both.
func BenchmarkTable(b *testing.B) {
	for b.Loop() {
		table := &results{}
		b.Run("issue", table.issue)
		b.Run("http", table.overHTTP)
		b.Run("refresh", table.refresh)
		b.Run("identity", table.identity)
		b.Run("postgres", table.postgres)
		b.Run("replicas", table.replicas)
		b.Run("memory", table.memory)
		b.Run("process", table.process)
		table.print(os.Stdout)
	}
}

// results are the rows of the table.
type results struct{ rows [][]string }

func (r *results) add(path, yardstick, aim, reached string) {
	r.rows = append(r.rows, []string{path, yardstick, aim, reached})
}

func (r *results) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "\npath\tyardstick\taim\treached")
	for _, row := range r.rows {
		_, _ = fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	_ = t.Flush()
}

// rounds is how often the two sides of a row take turns, turn how long each of them runs.
const (
	rounds = 9
	turn   = 300 * time.Millisecond
)

// ratio returns how many times more often per second work runs than yardstick, as the median over the rounds. Both run on workers
// goroutines.
func ratio(b *testing.B, workers int, work, yardstick func() error) float64 {
	b.Helper()
	var quotients []float64
	for range rounds {
		quotients = append(quotients, rate(b, workers, work)/rate(b, workers, yardstick))
	}
	slices.Sort(quotients)
	return quotients[rounds/2]
}

func rate(b *testing.B, workers int, do func() error) float64 {
	b.Helper()
	var done atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range workers {
		wg.Go(func() {
			for time.Since(began) < turn {
				if err := do(); err != nil {
					b.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(began).Seconds()
}

// signatures is the floor of every token: two P-256 signatures.
func signatures(b *testing.B) func() error {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("digest"))
	return func() error {
		for range 2 {
			if _, _, err := ecdsa.Sign(rand.Reader, key, digest[:]); err != nil {
				return err
			}
		}
		return nil
	}
}

func benchIssuer(b *testing.B, keys tokens.KeyStore) *tokens.Issuer {
	b.Helper()
	ring, err := seal.New("signing keys", "the secret of the benchmarks")
	if err != nil {
		b.Fatal(err)
	}
	issuer, err := tokens.NewIssuer(tokens.IssuerConfig{BaseURL: "http://localhost:7007/api/auth", OmitOwnership: true, Store: keys, Sealer: ring})
	if err != nil {
		b.Fatal(err)
	}
	return issuer
}

func (r *results) issue(b *testing.B) {
	issuer := benchIssuer(b, tokens.NewMemoryStore())
	id := tokens.Identity{Subject: "user:default/jane.doe", Ownership: []string{"user:default/jane.doe", "group:default/team-a"}}
	got := ratio(b, 1, func() error {
		_, err := issuer.Issue(b.Context(), id)
		return err
	}, signatures(b))
	r.add("issue a token (2 signatures)", "2 raw P-256 signatures", "≤ 1.25 × the time", fmt.Sprintf("%.2f ×", 1/got))
}

// bare is a net/http server that answers the same bytes to everything.
func bare(b *testing.B, status int, header http.Header, body []byte) string {
	b.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}))
	b.Cleanup(srv.Close)
	return srv.URL
}

// calls repeats one request over kept connections.
func calls(b *testing.B, target string, edit func(*http.Request)) func() error {
	b.Helper()
	client := &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64, MaxIdleConns: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	b.Cleanup(client.CloseIdleConnections)
	return func() error {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, target, http.NoBody)
		if err != nil {
			return err
		}
		if edit != nil {
			edit(req)
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode >= http.StatusBadRequest {
			return fmt.Errorf("status %d", res.StatusCode)
		}
		return err
	}
}

func (r *results) overHTTP(b *testing.B) {
	d := deployForBench(b)
	sample := func(path string) (http.Header, []byte) {
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		res, err := client.Get(d + path)
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			b.Fatal(err)
		}
		return res.Header, body
	}
	const workers = 16
	jwks, start, guest := "/api/auth/.well-known/jwks.json", "/api/auth/idp/start?env=development&scope=openid", "/api/auth/guest/refresh"
	header, body := sample(jwks)
	got := ratio(b, workers, calls(b, d+jwks, nil), calls(b, bare(b, http.StatusOK, header, body), nil))
	r.add("GET jwks through the whole stack", "the same bytes from bare net/http", "≥ 0.7 × requests/s", fmt.Sprintf("%.2f ×", got))
	header, body = sample(start)
	got = ratio(b, workers, calls(b, d+start, nil), calls(b, bare(b, http.StatusFound, header, body), nil))
	r.add("GET start (oidc) through the whole stack", "bare net/http, a fixed 302", "≥ 0.5 × requests/s", fmt.Sprintf("%.2f ×", got))
	// The yardstick is not HTTP here, so the whole machine signs on one side and serves and calls on the other.
	got = ratio(b, workers, calls(b, d+guest, nil), signatures(b))
	r.add("guest refresh, over loopback, caller included", "the signatures alone, on the same cores", "—", fmt.Sprintf("%.2f ×", got))
	got = r.inProcess(b, guest)
	r.add("guest refresh, the stack alone", "the signatures alone, on the same cores", "≥ 0.6 ×", fmt.Sprintf("%.2f ×", got))
}

// inProcess calls the handler without a network, so that only the server's work is weighed.
func (r *results) inProcess(b *testing.B, path string) float64 {
	b.Helper()
	h := benchHouse(b)
	return ratio(b, runtime.GOMAXPROCS(0), func() error { return serveOnce(b.Context(), h, path) }, signatures(b))
}

// sink is a ResponseWriter that costs as little as can be.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }

// serveOnce is one request without a network on either side.
func serveOnce(ctx context.Context, h http.Handler, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost:7007"+path, http.NoBody)
	if err != nil {
		return err
	}
	w := &sink{header: http.Header{}, status: http.StatusOK}
	h.ServeHTTP(w, req)
	if w.status != http.StatusOK {
		return fmt.Errorf("status %d", w.status)
	}
	return nil
}

// scripted is a provider without a network.
type scripted struct{ email string }

func (s scripted) Start(_ context.Context, in providers.StartInput) (providers.Redirect, error) {
	return providers.Redirect{URL: "https://idp.example/authorize?state=" + in.State, Memo: []byte("a memo as long as a verifier and a nonce are together, more or less")}, nil
}

func (s scripted) Handle(context.Context, providers.Request) (providers.Result, error) {
	return providers.Result{
		Session: providers.Session{
			AccessToken: strings.Repeat("a", 900), IDToken: strings.Repeat("i", 900), RefreshToken: strings.Repeat("r", 200),
			Scope: "openid profile email", ExpiresIn: time.Hour, Subject: "248289761001",
		},
		Profile:  providers.Profile{Email: s.email, DisplayName: "Jane Doe"},
		Claims:   map[string]any{"sub": "248289761001", "iss": "https://idp.example", "groups": []string{"a", "b"}},
		UserInfo: map[string]any{"sub": "248289761001", "email": s.email},
	}, nil
}

func (s scripted) Refresh(ctx context.Context, _ providers.RefreshInput) (providers.Result, error) {
	return s.Handle(ctx, providers.Request{})
}

// benchFlow is the sign-in room on a SQLite file, with a provider that costs nothing.
func benchFlow(b *testing.B, users signin.Catalog) (*signin.Flow, *store.Store, *tokens.Issuer) {
	b.Helper()
	return benchFlowOn(b, users, store.Options{Path: filepath.Join(b.TempDir(), "auth.sqlite")}, time.Hour)
}

// benchFlowOn is benchFlow on any database; reuse is how long the provider's answer is used again.
func benchFlowOn(b *testing.B, users signin.Catalog, opts store.Options, reuse time.Duration) (*signin.Flow, *store.Store, *tokens.Issuer) {
	b.Helper()
	db, err := store.Open(b.Context(), opts)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	issuer := benchIssuer(b, db)
	flow, err := signin.New(signin.Config{
		BaseURL: "http://localhost:7007/api/auth", AppURL: "http://localhost:3000", Idle: 24 * time.Hour, RefreshReuse: reuse,
		Secrets: []string{"the secret of the benchmarks"}, Sessions: db, Transactions: db, UserInfo: db, Attempts: db, Catalog: users, Tokens: issuer,
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Entries: []signin.Entry{{
			ID: "idp", Env: "development", Kind: providers.Kind{ID: "oidc"}, Provider: scripted{"jane.doe@example.com"},
			CallbackURL: "http://localhost:7007/api/auth/idp/handler/frame",
			Resolvers: []signin.NamedResolver{{Name: "byEmail", Resolve: func(r providers.Result) (providers.Lookup, error) {
				return providers.Lookup{Filter: map[string]string{"spec.profile.email": r.Profile.Email}}, nil
			}}},
		}},
	})
	if err != nil {
		b.Fatal(err)
	}
	return flow, db, issuer
}

func devCatalog(b *testing.B) *catalog.File {
	b.Helper()
	users, err := catalog.NewStatic(devidp.Catalog())
	if err != nil {
		b.Fatal(err)
	}
	return users
}

const ruleConfig = `
app: {baseUrl: http://localhost:3000}
backend: {baseUrl: http://localhost:7007}
auth: {providers: {idp: {development: {type: oidc, signIn: {resolvers: [{resolver: rule,
  when: 'claims.iss == "https://idp.example"',
  user: {filter: {spec.profile.email: profile.email.lowerAscii()}},
  ownership: 'claims.groups.filter(g, g.startsWith("team-")).map(g, "group:default/" + g)'}]}}}}}
`

// identity is what it costs to say who somebody is: by a rule, and with the catalog over loopback.
func (r *results) identity(b *testing.B) {
	path := filepath.Join(b.TempDir(), "app-config.yaml")
	if err := os.WriteFile(path, []byte(ruleConfig), 0o600); err != nil {
		b.Fatal(err)
	}
	cfg, err := config.Load(config.LoadInput{Paths: []string{path}})
	if err != nil {
		b.Fatal(err)
	}
	entry := cfg.Auth.Providers[0].Envs()[0]
	kind, err := providers.KindOf(entry.ID, entry.Type, entry.Has)
	if err != nil {
		b.Fatal(err)
	}
	resolvers, err := buildResolvers(kind, entry)
	if err != nil {
		b.Fatal(err)
	}
	result := providers.Result{
		Profile: providers.Profile{Email: "Jane.Doe@example.com"},
		Claims:  map[string]any{"iss": "https://idp.example", "groups": []any{"team-a", "team-b", "everybody", "admins"}},
	}
	rule := perOp(b, func() error {
		_, err := resolvers[0].Resolve(result)
		return err
	})
	r.add("resolve by rule (CEL)", "—", "≤ 20 µs", fmt.Sprintf("%.1f µs", float64(rule.Nanoseconds())/1000))

	c := catalogtest.Start(b, string(devidp.Catalog()))
	flow, _, _ := benchFlow(b, catalog.NewREST(catalog.RESTConfig{
		BaseURL: func() string { return c.URL }, Token: func(context.Context) (string, error) { return "token", nil },
		HTTP: newHTTPClient(), Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}))
	file, _, _ := benchFlow(b, devCatalog(b))
	with := perOp(b, func() error { _, err := signInOnce(b.Context(), flow); return err })
	without := perOp(b, func() error { _, err := signInOnce(b.Context(), file); return err })
	r.add("sign-in with a catalog look-up on loopback", "the same with a catalog file", "—",
		fmt.Sprintf("%.2f ms, %.2f ms with a file", float64(with.Microseconds())/1000, float64(without.Microseconds())/1000))
}

// perOp is the time of one call, the median of the rounds.
func perOp(b *testing.B, do func() error) time.Duration {
	b.Helper()
	var times []time.Duration
	for range rounds {
		times = append(times, time.Duration(float64(time.Second)/rate(b, 1, do)))
	}
	slices.Sort(times)
	return times[rounds/2]
}

// signInOnce goes through start and callback and returns the session's cookie.
func signInOnce(ctx context.Context, flow *signin.Flow) (*http.Cookie, error) {
	start, err := flow.Start(ctx, signin.StartInput{Provider: "idp"})
	if err != nil {
		return nil, err
	}
	_, state, _ := strings.Cut(start.URL, "state=")
	out, err := flow.Finish(ctx, signin.FinishInput{Provider: "idp", Query: url.Values{"code": {"c"}, "state": {state}}, Cookies: start.Cookies})
	if err == nil {
		err = out.Err
	}
	if err != nil {
		return nil, err
	}
	return out.Cookies[len(out.Cookies)-1], nil
}

func (r *results) refresh(b *testing.B) {
	r.refreshOn(b, "SQLite file", store.Options{Path: filepath.Join(b.TempDir(), "auth.sqlite")})
}

// refreshOn is a refresh that is answered from the row, which is most of them, against the least that it could cost.
func (r *results) refreshOn(b *testing.B, name string, opts store.Options) {
	b.Helper()
	flow, db, issuer := benchFlowOn(b, devCatalog(b), opts, time.Hour)
	cookie, err := signInOnce(b.Context(), flow)
	if err != nil {
		b.Fatal(err)
	}
	in := benchRefresh(cookie)
	row := fmt.Sprintf("%x", sha256.Sum256([]byte(cookie.Value)))
	id := tokens.Identity{Subject: "user:default/jane.doe"}
	got := ratio(b, 1, func() error {
		_, err := flow.Refresh(b.Context(), in)
		return err
	}, func() error {
		if _, err := db.Session(b.Context(), row); err != nil {
			return err
		}
		_, err := issuer.Issue(b.Context(), id)
		return err
	})
	r.add("refresh with reuse, "+name, "a bare indexed SELECT + token issue", "≥ 0.5 ×", fmt.Sprintf("%.2f ×", got))
}

func benchRefresh(cookie *http.Cookie) signin.RefreshInput {
	return signin.RefreshInput{
		Provider: "idp", Header: http.Header{"X-Requested-With": {"XMLHttpRequest"}},
		Cookies: []*http.Cookie{{Name: cookie.Name, Value: cookie.Value}},
	}
}

// memory signs in 100,000 times and compares the heap after the first thousand with that after the last.
func (r *results) memory(b *testing.B) {
	flow, _, _ := benchFlow(b, devCatalog(b))
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	signIns := func(n int) {
		for range n {
			if _, err := signInOnce(b.Context(), flow); err != nil {
				b.Fatal(err)
			}
		}
	}
	signIns(1000)
	before, began := heap(), time.Now()
	signIns(99_000)
	took := time.Since(began)
	after := heap()
	r.add("heap after 1,000 / after 100,000 sign-ins", "—", "flat",
		fmt.Sprintf("%.1f / %.1f MiB (%.0f sign-ins/s on one core)", mib(before), mib(after), 99_000/took.Seconds()))
}

func mib(n uint64) float64 { return float64(n) / (1 << 20) }

// process starts the built binary as a deployment does: cold start to the first 200, and memory at idle.
func (r *results) process(b *testing.B) {
	dir := b.TempDir()
	binary := filepath.Join(dir, "stagedoor")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	info, err := os.Stat(binary)
	if err != nil {
		b.Fatal(err)
	}
	var starts []time.Duration
	var resident uint64
	for i := range 11 {
		took, rss := coldStart(b, binary, filepath.Join(dir, strconv.Itoa(i)))
		starts, resident = append(starts, took), max(resident, rss)
	}
	slices.Sort(starts)
	r.add("cold start to first 200, new SQLite file", "—", "< 150 ms", fmt.Sprintf("%d ms (median of %d)", starts[len(starts)/2].Milliseconds(), len(starts)))
	r.add("resident memory at idle", "—", "< 40 MiB", fmt.Sprintf("%.1f MiB (binary %.1f MiB)", mib(resident), mib(uint64(info.Size()))))
}

const benchConfig = `
app: {baseUrl: http://localhost:3000}
backend:
  baseUrl: %BASE%
  listen: %LISTEN%
  lifecycle: {serverShutdownDelay: 0s}
  database: {client: better-sqlite3, connection: {directory: "%DIR%"}}
auth:
  catalog: {file: "%DIR%/people.yaml"}
  providers:
    guest: {dangerouslyAllowOutsideDevelopment: true}
    idp: {development: {metadataUrl: "%IDP%/.well-known/openid-configuration", clientId: stagedoor, prompt: auto}}
`

// benchDir writes a configuration that listens on a free port of loopback.
func benchDir(b *testing.B, dir, idp string) (config, base string) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once, only its port is wanted
	if err != nil {
		b.Fatal(err)
	}
	address := ln.Addr().String()
	_ = ln.Close()
	base = "http://" + address
	text := strings.NewReplacer("%BASE%", base, "%LISTEN%", address, "%DIR%", dir, "%IDP%", idp).Replace(benchConfig)
	config = filepath.Join(dir, "app-config.yaml")
	for path, content := range map[string][]byte{config: []byte(text), filepath.Join(dir, "people.yaml"): devidp.Catalog()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return config, base
}

func coldStart(b *testing.B, binary, dir string) (time.Duration, uint64) {
	b.Helper()
	config, base := benchDir(b, dir, "http://127.0.0.1:1")
	cmd := exec.CommandContext(b.Context(), binary, "--config", config)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	for {
		res, err := http.Get(base + "/api/auth/.well-known/jwks.json") //nolint:noctx // loopback, and the loop has an end
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Since(began) > time.Minute {
			b.Fatal("the binary does not answer")
		}
		runtime.Gosched()
	}
	took := time.Since(began)
	status, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/status")
	if err != nil {
		return took, 0
	}
	return took, residentBytes(status)
}

func residentBytes(status []byte) uint64 {
	for line := range bytes.SplitSeq(status, []byte("\n")) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			kib, _ := strconv.ParseUint(string(bytes.TrimSpace(bytes.TrimSuffix(rest, []byte("kB")))), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// benchHouse builds the server with a provider that answers discovery, as production would run it.
func benchHouse(b *testing.B) *house {
	b.Helper()
	h, _ := openBenchHouse(b)
	return h
}

func openBenchHouse(b *testing.B) (*house, *config.Config) {
	b.Helper()
	srv := httptest.NewUnstartedServer(nil)
	idp, err := devidp.New(devidp.Options{
		Issuer: "http://" + srv.Listener.Addr().String(), Algorithm: "ES256",
		Clients: []devidp.Client{{ID: "stagedoor", RedirectURIs: []string{"http://127.0.0.1/api/auth/idp/handler/frame"}}},
	})
	if err != nil {
		b.Fatal(err)
	}
	srv.Config.Handler = idp
	srv.Start()
	b.Cleanup(srv.Close)
	path, _ := benchDir(b, b.TempDir(), srv.URL)
	cfg, err := config.Load(config.LoadInput{Paths: []string{path}})
	if err != nil {
		b.Fatal(err)
	}
	h, err := build(b.Context(), cfg, &fileSet{}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = h.close() })
	h.state.Store(serving)
	return h, cfg
}

// deployForBench serves it as main does, and returns its address.
func deployForBench(b *testing.B) string {
	b.Helper()
	h, cfg := openBenchHouse(b)
	srv := newServer(cfg, h, slog.New(slog.DiscardHandler))
	ln, err := net.Listen("tcp", cfg.Backend.Listen.String()) //nolint:noctx // ends with the benchmark
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = srv.Serve(ln) }()
	b.Cleanup(func() { _ = srv.Close() })
	return "http://" + ln.Addr().String()
}

// BenchmarkGuestRefresh is the whole server's work for one token, for a look with -cpuprofile and -benchmem.
func BenchmarkGuestRefresh(b *testing.B) {
	h := benchHouse(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := serveOnce(b.Context(), h, "/api/auth/guest/refresh"); err != nil {
			b.Fatal(err)
		}
	}
}
