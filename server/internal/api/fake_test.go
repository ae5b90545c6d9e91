package api

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/caller"
	"stagedoor/server/internal/fault"
	"stagedoor/server/internal/op"
	"stagedoor/server/internal/signin"
	"stagedoor/tokens"
)

// TestMain fails a full run that left an operation of the document unspoken.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	partial := flag.Lookup("test.run").Value.String() != "" || flag.Lookup("test.fuzz").Value.String() != "" ||
		flag.Lookup("test.list").Value.String() != ""
	if missing := apitest.Uncovered(); code == 0 && !partial && len(missing) > 0 {
		fmt.Println("FAIL: no test speaks to", missing)
		code = 1
	}
	os.Exit(code)
}

// The rooms behind the interfaces that this one declares.
var (
	_ SignIn = (*signin.Flow)(nil)
	_ OP     = (*op.Server)(nil)
	_ Keys   = (*tokens.Issuer)(nil)
)

// fakeSignIn knows the providers idp and guest, and answers with what the test puts in.
type fakeSignIn struct {
	start   func(signin.StartInput) (signin.StartOutput, error)
	finish  func(signin.FinishInput) (signin.FinishOutput, error)
	refresh func(signin.RefreshInput) (signin.RefreshOutput, error)
	logout  func(signin.LogoutInput) (signin.LogoutOutput, error)
}

func (f *fakeSignIn) Known(id string) error {
	switch strings.ToLower(id) {
	case "idp", "guest":
		return nil
	case "github":
		return fault.New(fault.NotFound, "provider_not_configured", "No auth provider registered for 'github'", nil)
	}
	return fault.New(fault.NotFound, "provider_unknown", "Unknown auth provider '"+id+"'", nil)
}

func (f *fakeSignIn) Start(_ context.Context, in signin.StartInput) (signin.StartOutput, error) {
	return f.start(in)
}

func (f *fakeSignIn) Finish(_ context.Context, in signin.FinishInput) (signin.FinishOutput, error) {
	return f.finish(in)
}

func (f *fakeSignIn) Refresh(_ context.Context, in signin.RefreshInput) (signin.RefreshOutput, error) {
	return f.refresh(in)
}

func (f *fakeSignIn) Logout(_ context.Context, in signin.LogoutInput) (signin.LogoutOutput, error) {
	return f.logout(in)
}

func (f *fakeSignIn) Sessions(_ context.Context, in signin.SessionInput) (signin.SessionList, error) {
	s := signin.Session{ID: "0f", Provider: in.Provider, UserRef: in.UserRef}
	return signin.SessionList{Sessions: []signin.Session{s}, Next: in.After}, nil
}

func (f *fakeSignIn) EndSession(_ context.Context, id string) error {
	if id != "0f" {
		return fault.New(fault.NotFound, "session_not_found", "There is no such session", nil)
	}
	return nil
}

func (f *fakeSignIn) EndSessionsOf(context.Context, string) (int, error) { return 2, nil }

func (f *fakeSignIn) BackchannelLogout(_ context.Context, _, _, token string) error {
	if token != "good" {
		return fault.New(fault.Input, "logout_token_invalid", "the token is not about a logout", nil)
	}
	return nil
}

func (f *fakeSignIn) DescribeUs(provider, _ string) ([]byte, error) {
	return []byte("<" + provider + "/>"), nil
}

func (f *fakeSignIn) LoggedOut(string) (string, error) { return "https://app.example", nil }

func (f *fakeSignIn) Describe() []signin.Description {
	return []signin.Description{
		{ID: "idp", Type: "oidc", Title: "idp", Environments: []string{"development"}, Flows: []string{"popup", "redirect"}},
		{ID: "guest", Type: "guest", Title: "Guest", Flows: []string{"proxied"}},
	}
}

func (f *fakeSignIn) Attempt(_ context.Context, id string) (signin.Attempt, error) {
	if id != "abc" {
		return signin.Attempt{}, fault.New(fault.NotFound, "attempt_unknown", "No such attempt is remembered here", nil)
	}
	return signin.Attempt{
		ID: "abc", What: "sign-in", Provider: "idp", Env: "development", Time: noon, Code: "no_catalog_user", Message: "nobody",
		Advice: "look", Steps: []signin.Step{{Name: "byEmail", Lookup: "j…", Outcome: "no user found", Code: "no_catalog_user"}},
	}, nil
}

// fakeCallers knows the bearers user and admin.
type fakeCallers struct{}

func (fakeCallers) Recognise(_ context.Context, bearer string) (caller.Principal, error) {
	switch bearer {
	case "user":
		return caller.Principal{Kind: caller.User, Subject: "user:default/jane"}, nil
	case "admin":
		return caller.Principal{Kind: caller.Service, Subject: "external:ops", Permissions: []string{caller.AdminPermission}}, nil
	}
	return caller.Principal{}, fault.New(fault.Authentication, "token_missing", "Missing credentials", nil)
}

func (fakeCallers) Issue(_ context.Context, bearer string, existing []string) (caller.UserCookie, error) {
	if bearer != "user" {
		return caller.UserCookie{}, fault.New(fault.Authentication, "token_missing", "Missing credentials", nil)
	}
	if slices.Contains(existing, "good") {
		return caller.UserCookie{ExpiresAt: noon}, nil
	}
	return caller.UserCookie{SetCookie: "backstage-auth=new; Path=/; Priority=High", ExpiresAt: noon}, nil
}

func (fakeCallers) Clear() string { return "backstage-auth=; Path=/; Max-Age=0" }

type fakeOP struct {
	userInfo func(bearer string) (map[string]any, error)
}

func (f *fakeOP) Discovery() op.Discovery {
	return op.New(op.Config{BaseURL: "http://localhost:7007/api/auth", Algorithms: []string{"ES256"}}).Discovery()
}

func (f *fakeOP) UserInfo(_ context.Context, bearer string) (map[string]any, error) {
	return f.userInfo(bearer)
}

type fakeKeys struct{ err error }

var keySet = tokens.Document{
	Body:   []byte(`{"keys":[{"kty":"EC","x":"eA","y":"eQ","crv":"P-256","kid":"k1","alg":"ES256"}]}`),
	ETag:   `"abc"`,
	MaxAge: 5 * time.Minute,
}

func (f fakeKeys) JWKS(context.Context) (tokens.Document, error) { return keySet, f.err }

// bench is a server with fakes behind it, a client in front of it and its log.
type bench struct {
	*apitest.Client
	server *Server
	signIn *fakeSignIn
	op     *fakeOP
	log    *lockedBuffer
}

type lockedBuffer struct {
	sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.Lock()
	defer b.Unlock()
	return b.Buffer.String()
}

// noon is the fake's time.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// fakeConfig is a working config whose log keeps what is at least as grave as level.
func fakeConfig(log *lockedBuffer, level slog.Level) Config {
	return Config{
		SignIn: &fakeSignIn{}, OP: &fakeOP{}, Keys: fakeKeys{},
		PluginKeys: fakeKeys{}, Cookies: fakeCallers{}, Callers: fakeCallers{},
		Ready: func(context.Context) error { return nil },
		Now:   func() time.Time { return noon },
		Log:   slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: level})),
	}
}

// setUp makes a bench; edits change the config first.
func setUp(t *testing.T, edits ...func(*Config)) *bench {
	t.Helper()
	b := &bench{log: &lockedBuffer{}}
	cfg := fakeConfig(b.log, slog.LevelDebug)
	b.signIn, b.op = cfg.SignIn.(*fakeSignIn), cfg.OP.(*fakeOP)
	for _, edit := range edits {
		edit(&cfg)
	}
	server, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.server = server
	b.Client = apitest.NewHandlerClient(t, server, nil)
	return b
}

// cookieNames lists the cookies of an answer.
func cookieNames(cs []*http.Cookie) []string {
	var names []string
	for _, c := range cs {
		names = append(names, c.Name)
	}
	return names
}
