package signin_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"stagedoor/providers"
	"stagedoor/server/internal/catalog"
	"stagedoor/server/internal/fault"
	"stagedoor/server/internal/seal"
	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store"
	"stagedoor/tokens"
)

const (
	base   = "http://auth.example:7007/api/auth"
	app    = "http://app.example:3000"
	secret = "the secret of these tests"
)

const people = `
kind: User
metadata: {name: jane}
spec: {profile: {email: jane@example.com}, memberOf: [team-a]}
---
kind: User
metadata: {name: twin1}
spec: {profile: {email: twin@example.com}}
---
kind: User
metadata: {name: twin2}
spec: {profile: {email: twin@example.com}}
`

// upstream is a scripted provider: it hands out one-time refresh tokens and counts how often it is asked.
type upstream struct {
	mu sync.Mutex
	// email is whom the next answer is about, lifetime that of its access token; noRefresh leaves out the refresh token.
	email     string
	lifetime  time.Duration
	noRefresh bool
	// fail is what the next calls end in; with late, a refresh fails after the token was rotated.
	fail error
	late bool
	// silent makes refreshes tell nothing about the user.
	silent bool
	// panics makes the next refresh panic.
	panics bool
	// claims are those of the next answers.
	claims map[string]any
	// gate, if not nil, lets refreshes wait until it is closed.
	gate chan struct{}

	handled, refreshed, loggedOut int
	current                       string
	lastRefresh                   providers.RefreshInput
	lastLogout                    providers.LogoutInput
	logoutURL                     string
}

var _ interface {
	providers.Provider
	providers.Starter
	providers.Refresher
	providers.Logouter
} = (*upstream)(nil)

func (u *upstream) Start(_ context.Context, in providers.StartInput) (providers.Redirect, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	q := url.Values{"state": {in.State}, "scope": {in.Scope}}
	return providers.Redirect{URL: "https://idp.example/auth?" + q.Encode(), Memo: []byte("memo of " + in.State)}, u.fail
}

func (u *upstream) Handle(_ context.Context, r providers.Request) (providers.Result, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.handled++
	if u.fail != nil {
		return providers.Result{}, u.fail
	}
	if want := "memo of " + r.Query.Get("state"); string(r.Memo) != want {
		return providers.Result{}, fmt.Errorf("memo %q, want %q", r.Memo, want)
	}
	return u.answer(), nil
}

func (u *upstream) Refresh(ctx context.Context, in providers.RefreshInput) (providers.Result, error) {
	u.mu.Lock()
	gate := u.gate
	u.refreshed++
	u.lastRefresh = in
	panics := u.panics
	u.mu.Unlock()
	if panics {
		panic("a bug in a provider")
	}
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return providers.Result{}, &providers.Error{Kind: providers.ErrUnavailable, Code: "idp_timeout", Message: "slow", Err: ctx.Err()}
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.fail != nil && !u.late {
		return providers.Result{}, u.fail
	}
	if in.RefreshToken != u.current {
		return providers.Result{}, &providers.Error{Kind: providers.ErrExpired, Code: "idp_token_rejected", Message: "invalid_grant"}
	}
	r := u.answer()
	if u.silent {
		r.Profile, r.Session.Subject = providers.Profile{}, ""
	}
	if u.fail != nil {
		r = providers.Result{Session: providers.Session{RefreshToken: r.Session.RefreshToken}}
	}
	return r, u.fail
}

func (u *upstream) answer() providers.Result {
	n := u.handled + u.refreshed
	r := providers.Result{
		Session: providers.Session{AccessToken: fmt.Sprintf("access-%d", n), ExpiresIn: u.lifetime, Subject: "sub-1", Scope: "openid"},
		Profile: providers.Profile{Email: u.email, DisplayName: "Jane"},
		Claims:  u.claims,
	}
	if !u.noRefresh {
		u.current = fmt.Sprintf("refresh-%d", n)
		r.Session.RefreshToken = u.current
	}
	return r
}

func (u *upstream) Logout(_ context.Context, in providers.LogoutInput) (string, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.loggedOut++
	u.lastLogout = in
	return u.logoutURL, u.fail
}

// set changes the script while requests may be under way.
func (u *upstream) set(change func(*upstream)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	change(u)
}

func (u *upstream) calls() (handled, refreshed int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.handled, u.refreshed
}

// brittle is a store that stops answering on demand.
type brittle struct {
	*store.Store
	mu   sync.Mutex
	fail error
	// stumbles is how many of the next FinishLease calls fail.
	stumbles int
}

func (b *brittle) FinishLease(ctx context.Context, l signin.Lease, r signin.Renewal) error {
	b.mu.Lock()
	fails := b.stumbles > 0
	b.stumbles--
	b.mu.Unlock()
	if fails {
		return errors.New("disk full")
	}
	if err := b.err(); err != nil {
		return err
	}
	return b.Store.FinishLease(ctx, l, r)
}

func (b *brittle) err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fail
}

func (b *brittle) breakWith(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = err
}

func (b *brittle) Session(ctx context.Context, id string) (signin.Session, error) {
	if err := b.err(); err != nil {
		return signin.Session{}, err
	}
	return b.Store.Session(ctx, id)
}

func (b *brittle) FindSessions(ctx context.Context, q signin.SessionQuery) ([]signin.Session, error) {
	if err := b.err(); err != nil {
		return nil, err
	}
	return b.Store.FindSessions(ctx, q)
}

func (b *brittle) Attempt(ctx context.Context, id string) ([]byte, error) {
	if err := b.err(); err != nil {
		return nil, err
	}
	return b.Store.Attempt(ctx, id)
}

func (b *brittle) CreateSession(ctx context.Context, s signin.Session) error {
	if err := b.err(); err != nil {
		return err
	}
	return b.Store.CreateSession(ctx, s)
}

func (b *brittle) Consume(ctx context.Context, id string, until time.Time) error {
	if err := b.err(); err != nil {
		return err
	}
	return b.Store.Consume(ctx, id, until)
}

// people is a catalog whose content and health the test decides.
type directory struct {
	mu   sync.Mutex
	file *catalog.File
	fail error
}

func (d *directory) FindUser(ctx context.Context, l providers.Lookup) (catalog.User, error) {
	d.mu.Lock()
	file, fail := d.file, d.fail
	d.mu.Unlock()
	if fail != nil {
		return catalog.User{}, fail
	}
	return file.FindUser(ctx, l)
}

func (d *directory) EntitiesExist(ctx context.Context, refs []string) ([]string, error) {
	d.mu.Lock()
	file, fail := d.file, d.fail
	d.mu.Unlock()
	if fail != nil {
		return nil, fail
	}
	return file.EntitiesExist(ctx, refs)
}

func (d *directory) set(t *testing.T, text string, fail error) {
	t.Helper()
	file, err := catalog.NewStatic([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.file, d.fail = file, fail
}

// clock is the time of a test; it only moves when told.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is one deployment: a store, an upstream, a catalog, and as many replicas as the test asks for.
type world struct {
	t     *testing.T
	clock *clock
	up    *upstream
	store *brittle
	users *directory
	cfg   signin.Config
	*signin.Flow
}

func newWorld(t *testing.T, changes ...func(*signin.Config)) *world {
	t.Helper()
	w := &world{
		t: t, clock: &clock{now: time.Unix(1_800_000_000, 0)}, users: &directory{},
		up: &upstream{email: "jane@example.com", lifetime: time.Hour},
	}
	w.users.set(t, people, nil)
	db, err := store.Open(t.Context(), store.Options{Now: w.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w.store = &brittle{Store: db}
	w.cfg = signin.Config{
		BaseURL: base, AppURL: app, ExtraOrigins: []string{"http://*.apps.example:3000"}, Idle: 30 * 24 * time.Hour,
		RefreshReuse: 30 * time.Second, Secrets: []string{secret}, Sessions: w.store, Transactions: w.store, UserInfo: db, Attempts: w.store,
		Catalog: w.users, Tokens: newIssuer(t, w.clock.Now), Now: w.clock.Now, Log: slog.New(slog.DiscardHandler),
		Entries: []signin.Entry{w.entry("idp", "development"), w.entry("idp", "production"), w.entry("other", "development"), guest()},
	}
	for _, change := range changes {
		change(&w.cfg)
	}
	w.Flow = w.replica()
	return w
}

func (w *world) entry(id, env string) signin.Entry {
	return signin.Entry{
		ID: id, Env: env, Provider: w.up, CallbackURL: base + "/" + id + "/handler/frame",
		Kind:      providers.Kind{ID: "oidc", Title: "OpenID Connect", Scopes: providers.Scopes{Required: []string{"openid"}, Persist: true}},
		Resolvers: []signin.NamedResolver{{Name: "byEmail", Resolve: byEmail}},
	}
}

func byEmail(r providers.Result) (providers.Lookup, error) {
	if r.Profile.Email == "" {
		return providers.Lookup{}, &providers.Error{Code: "email_missing", Message: "Login failed, user profile does not contain an email"}
	}
	return providers.Lookup{Filter: map[string]string{"spec.profile.email": r.Profile.Email}}, nil
}

// proxied is a provider without a browser flow.
type proxied struct{ result providers.Result }

func (p proxied) Handle(context.Context, providers.Request) (providers.Result, error) {
	return p.result, nil
}

func guest() signin.Entry {
	return signin.Entry{
		ID: "guest", CallbackURL: base + "/guest/handler/frame", Kind: providers.Kind{ID: "guest", Flat: true},
		Provider: proxied{providers.Result{Identity: &providers.Lookup{
			EntityRef: "user:development/guest", Fallback: "user:development/guest", FallbackAlways: true,
		}}},
	}
}

func newIssuer(t *testing.T, now func() time.Time) *tokens.Issuer {
	t.Helper()
	ring, err := seal.New("signing keys", secret)
	if err != nil {
		t.Fatal(err)
	}
	i, err := tokens.NewIssuer(tokens.IssuerConfig{
		BaseURL: base, Algorithm: "ES256", Lifetime: time.Hour, Rotation: 24 * time.Hour, PublishAhead: 10 * time.Minute,
		OmitOwnership: true, Store: tokens.NewMemoryStore(), Sealer: ring, Now: now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// replica is another process on the same store.
func (w *world) replica() *signin.Flow {
	w.t.Helper()
	f, err := signin.New(w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

// jar is a browser's cookies, by name; paths are the caller's business.
type jar map[string]*http.Cookie

func (j jar) take(set []*http.Cookie) {
	for _, c := range set {
		if c.MaxAge < 0 {
			delete(j, c.Name)
		} else {
			j[c.Name] = c
		}
	}
}

func (j jar) cookies() []*http.Cookie {
	var all []*http.Cookie
	for _, c := range j {
		all = append(all, &http.Cookie{Name: c.Name, Value: c.Value})
	}
	return all
}

// begin starts a sign-in and returns its state.
func (w *world) begin(j jar, in signin.StartInput) string {
	w.t.Helper()
	if in.Provider == "" {
		in.Provider = "idp"
	}
	in.Cookies = j.cookies()
	out, err := w.Start(w.t.Context(), in)
	if err != nil {
		w.t.Fatal(err)
	}
	j.take(out.Cookies)
	u, err := url.Parse(out.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	return u.Query().Get("state")
}

// back is the callback of a browser that was at the provider.
func (w *world) back(j jar, query url.Values) signin.FinishOutput {
	w.t.Helper()
	out, err := w.Finish(w.t.Context(), signin.FinishInput{Provider: "idp", Env: query.Get("env"), Query: query, Cookies: j.cookies()})
	if err != nil {
		w.t.Fatal(err)
	}
	j.take(out.Cookies)
	return out
}

// signIn signs a browser in and returns its cookies.
func (w *world) signIn() jar {
	w.t.Helper()
	j := jar{}
	out := w.back(j, url.Values{"code": {"c"}, "state": {w.begin(j, signin.StartInput{})}})
	if out.Err != nil {
		w.t.Fatal(out.Err)
	}
	return j
}

var xhr = http.Header{"X-Requested-With": {"XMLHttpRequest"}}

// again refreshes with the browser's cookies.
func (w *world) again(j jar, changes ...func(*signin.RefreshInput)) (*signin.SessionInfo, error) {
	w.t.Helper()
	in := signin.RefreshInput{Provider: "idp", Header: xhr, Cookies: j.cookies()}
	for _, change := range changes {
		change(&in)
	}
	out, err := w.Refresh(w.t.Context(), in)
	j.take(out.Cookies)
	return out.Session, err
}

// wantCode demands that err has the code.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || fault.Code(err) != code {
		t.Fatalf("error %v, want code %s", err, code)
	}
	if strings.Contains(err.Error(), "refresh-") || strings.Contains(err.Error(), "access-") || strings.Contains(err.Error(), "@example.com") {
		t.Errorf("the error repeats a secret or a claim: %v", err)
	}
}

// rowOf is the row behind the browser's session cookie.
func (w *world) rowOf(j jar) string {
	sum := sha256.Sum256([]byte(j[signin.SessionCookie].Value))
	return hex.EncodeToString(sum[:])
}

// leaseOf lets somebody else take the session's lease.
func (w *world) leaseOf(j jar, owner string) {
	w.t.Helper()
	if _, err := w.store.AcquireLease(w.t.Context(), signin.Lease{Session: w.rowOf(j), Owner: owner, TTL: 5 * time.Second}); err != nil {
		w.t.Fatal(err)
	}
}

func urlValues(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

func attemptID(t *testing.T, err error) string {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.AttemptID == "" {
		t.Fatalf("no attempt id: %v", err)
	}
	return f.AttemptID
}
