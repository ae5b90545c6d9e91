package providertest

import (
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"stagedoor/providers"
	"stagedoor/providers/samltest"
)

// Run holds every registered Kind to its fixture in dir.
func Run(t *testing.T, dir string) {
	t.Helper()
	for _, kind := range providers.Kinds() {
		t.Run(kind.ID, func(t *testing.T) {
			path := filepath.Join(dir, kind.ID+".txtar")
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("every Kind needs a fixture: %v", err)
			}
			newSuite(t, kind, txtar.Parse(b)).run(t)
		})
	}
}

// suite is one Kind with its fixture.
type suite struct {
	kind     providers.Kind
	files    map[string]string
	provider providers.Provider
	setup    providers.Setup
	config   map[string]any
	upstream *upstream
	memo     []byte
	peer     netip.Addr
}

// entry is the fixture's file of that name.
type entry struct {
	ID          string            `yaml:"id"`
	Callback    string            `yaml:"callback"`
	Development bool              `yaml:"development"`
	Environment map[string]string `yaml:"environment"`
	Peer        string            `yaml:"peer"`
	Config      map[string]any    `yaml:"config"`
}

func newSuite(t *testing.T, kind providers.Kind, a *txtar.Archive) *suite {
	t.Helper()
	key, err := RSAKey("fixture")
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ECKey("fixture")
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{kind: kind, files: map[string]string{}, upstream: &upstream{now: time.Unix(1_800_000_000, 0), key: key, ec: ec}}
	s.upstream.idp = samltest.New(t, func() time.Time { return s.upstream.now })
	for _, f := range a.Files {
		s.files[f.Name] = strings.TrimSpace(string(f.Data))
		if name, ok := strings.CutPrefix(f.Name, "upstream/"); ok {
			c, err := s.upstream.parseCall(name, s.files[f.Name])
			if err != nil {
				t.Fatal(err)
			}
			s.upstream.calls = append(s.upstream.calls, c)
		}
	}
	var e entry
	if err := yaml.Unmarshal([]byte(s.files["entry"]), &e); err != nil {
		t.Fatal(err)
	}
	for name, value := range e.Environment {
		t.Setenv(name, value)
	}
	if e.Peer != "" {
		s.peer = netip.MustParseAddr(e.Peer)
	}
	s.config = e.Config
	s.setup = providers.Setup{
		ID: e.ID, CallbackURL: e.Callback, Development: e.Development, Decode: decodeMap(e.Config),
		HTTP: &http.Client{Transport: s.upstream}, Now: func() time.Time { return s.upstream.now }, Log: slog.New(slog.DiscardHandler),
	}
	if s.provider, err = kind.New(s.setup); err != nil {
		t.Fatalf("New: %v", err)
	}
	return s
}

func (s *suite) run(t *testing.T) {
	t.Run("config", s.unknownKey)
	if p, ok := s.provider.(providers.Starter); ok {
		t.Run("start", func(t *testing.T) { s.start(t, p) })
	}
	t.Run("handle", s.handle)
	if p, ok := s.provider.(providers.Refresher); ok {
		t.Run("refresh", func(t *testing.T) { s.refresh(t, p) })
	}
	if p, ok := s.provider.(providers.Logouter); ok {
		t.Run("logout", func(t *testing.T) { s.logout(t, p) })
	}
	t.Run("failures", s.failures)
	for _, c := range s.upstream.calls {
		if !c.made {
			t.Errorf("listed call %s was never made", c.name)
		}
	}
	if len(s.upstream.unlisted) > 0 {
		t.Errorf("calls that are not listed: %v", s.upstream.unlisted)
	}
}

// unknownKey holds every Kind to strict decoding: a typing error must not become a default.
func (s *suite) unknownKey(t *testing.T) {
	setup, config := s.setup, maps.Clone(s.config)
	config["clientld"] = "x"
	setup.Decode = decodeMap(config)
	if _, err := s.kind.New(setup); err == nil {
		t.Error("New accepts a key that it does not know")
	}
}

func (s *suite) start(t *testing.T, p providers.Starter) {
	want := s.pairs(t, "start")
	in := providers.StartInput{State: "opaque", Scope: want.Get("scope"), Query: s.query(t, s.files["query"])}
	redirect, err := p.Start(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	query := compareAddress(t, redirect.URL, want)
	s.upstream.nonce, s.memo = query.Get("nonce"), redirect.Memo
	if query.Has("SAMLRequest") {
		if s.upstream.request, err = samltest.ReadRequest(query); err != nil {
			t.Fatal(err)
		}
	}
	again, err := p.Start(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if len(redirect.Memo) > 0 && string(again.Memo) == string(redirect.Memo) {
		t.Error("two sign-ins share their secrets")
	}
}

func (s *suite) handle(t *testing.T) {
	got, err := s.provider.Handle(t.Context(), providers.Request{
		Query: s.query(t, s.files["callback"]), Form: s.form(t, s.files["form"]), Header: s.header(t, s.files["header"]),
		Peer: s.peer, Memo: s.memo,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.compare(t, "result", got)
}

func (s *suite) refresh(t *testing.T, p providers.Refresher) {
	in := s.pairs(t, "refresh")
	got, err := p.Refresh(t.Context(), providers.RefreshInput{
		RefreshToken: in.Get("refresh_token"), Scope: in.Get("scope"), Subject: in.Get("subject"), ScopeGranted: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.compare(t, "refreshed", got)
}

func (s *suite) logout(t *testing.T, p providers.Logouter) {
	in := s.pairs(t, "logout")
	after, err := p.Logout(t.Context(), providers.LogoutInput{
		RefreshToken: in.Get("refresh_token"), IDToken: in.Get("id_token"), ReturnTo: in.Get("return_to"),
		Claims: claimsOf(in),
	})
	if err != nil {
		t.Fatal(err)
	}
	compareAddress(t, after, s.pairs(t, "logged_out"))
}

// failures proves that each callback is refused with its code, and that the code is one that is documented.
func (s *suite) failures(t *testing.T) {
	for line := range strings.Lines(s.files["failures"]) {
		request, want, _ := strings.Cut(strings.TrimSpace(line), "=> ")
		r := providers.Request{Peer: s.peer, Memo: s.memo}
		switch {
		case s.kind.Flat:
			r.Header = s.header(t, request)
		case s.kind.StateField != "":
			r.Form = s.form(t, request)
		default:
			r.Query = s.query(t, strings.TrimSpace(request))
		}
		_, err := s.provider.Handle(t.Context(), r)
		if got := Code(err); got != want {
			t.Errorf("%s: code %q, want %q (%v)", request, got, want, err)
		}
		if providers.Codes()[want] == "" {
			t.Errorf("code %q is not documented", want)
		}
	}
}

// compare holds the members of a Result that leave the package against JSON; "*" accepts anything but nothing.
func (s *suite) compare(t *testing.T, file string, got providers.Result) {
	t.Helper()
	var want, have map[string]any
	if err := json.Unmarshal([]byte(s.files[file]), &want); err != nil {
		t.Fatalf("read %s: %v", file, err)
	}
	b, err := json.Marshal(viewOf(got))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &have); err != nil {
		t.Fatal(err)
	}
	for key, value := range want {
		if value == "*" && have[key] != nil {
			have[key] = "*"
		}
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func (s *suite) query(t *testing.T, raw string) url.Values {
	t.Helper()
	q, err := url.ParseQuery(raw)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// header reads "name: value" lines, in which the functions of upstream files make tokens.
func (s *suite) header(t *testing.T, text string) http.Header {
	t.Helper()
	text, err := s.upstream.expand(text)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			h.Add(name, strings.TrimSpace(value))
		}
	}
	return h
}

// form reads "name=value" lines, in which the functions of upstream files make documents; nil if there are none.
func (s *suite) form(t *testing.T, text string) url.Values {
	t.Helper()
	text, err := s.upstream.expand(text)
	if err != nil {
		t.Fatal(err)
	}
	if text == "" {
		return nil
	}
	values := url.Values{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values.Add(key, value)
		}
	}
	return values
}

// claimsOf are the pairs of a logout that name a claim.
func claimsOf(in url.Values) map[string]any {
	claims := map[string]any{}
	for key := range in {
		if name, ok := strings.CutPrefix(key, "claim."); ok {
			claims[name] = in.Get(key)
		}
	}
	return claims
}

// pairs reads a file of key=value lines. A missing file is a missing part of the fixture.
func (s *suite) pairs(t *testing.T, file string) url.Values {
	t.Helper()
	text, ok := s.files[file]
	if !ok {
		t.Fatalf("fixture has no %s", file)
	}
	values := url.Values{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values.Add(key, value)
	}
	return values
}

// compareAddress compares address with want: its "url" and all its query, key for key.
func compareAddress(t *testing.T, address string, want url.Values) url.Values {
	t.Helper()
	base, raw, _ := strings.Cut(address, "?")
	query, err := url.ParseQuery(raw)
	if err != nil {
		t.Fatal(err)
	}
	if base != want.Get("url") {
		t.Errorf("address %q, want %q", base, want.Get("url"))
	}
	for _, key := range slices.Concat(keys(query), keys(want)) {
		if key != "url" && (len(query[key]) != 1 || !fits(want.Get(key), query.Get(key))) {
			t.Errorf("%s is %q, want %q", key, query[key], want[key])
		}
	}
	return query
}
