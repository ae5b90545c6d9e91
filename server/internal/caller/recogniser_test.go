package caller_test

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"stagedoor/server/internal/caller"
	"stagedoor/server/internal/fault"
	"stagedoor/tokens"
)

// TestRecognise is contract/core.md T11, T12, T17, T27 and T29: everyone who is let in.
func TestRecognise(t *testing.T) {
	w := newWorld(t)
	catalog := w.plugin("catalog")
	full := w.userToken(jane)
	w.clock.Advance(time.Minute) // the tokens of plugins end after those of users
	end, later := epoch.Add(time.Hour), epoch.Add(time.Hour+time.Minute)
	for _, tt := range []struct {
		name, bearer string
		want         caller.Principal
	}{
		{"full user token", full, caller.Principal{Kind: caller.User, Subject: jane, ExpiresAt: end}},
		{"limited user token", w.limited(full), caller.Principal{Kind: caller.LimitedUser, Subject: jane, ExpiresAt: end}},
		{"plugin", w.pluginToken(catalog, "auth", ""), caller.Principal{Kind: caller.Service, Subject: "plugin:catalog", ExpiresAt: later}},
		{
			"plugin for a user", w.pluginToken(catalog, "auth", w.limited(full)),
			caller.Principal{Kind: caller.User, Subject: jane, Actor: "plugin:catalog", ExpiresAt: end},
		},
		{"static token", static, caller.Principal{Kind: caller.Service, Subject: "external:ci"}},
		{
			"restricted to us", limits,
			caller.Principal{Kind: caller.Service, Subject: "external:ops", Permissions: []string{caller.AdminPermission}},
		},
		{"legacy token", legacy(t, w.secret, nil), caller.Principal{Kind: caller.Service, Subject: "external:backstage-plugin", ExpiresAt: end}},
		{
			"legacy token without end", legacy(t, w.secret, map[string]any{"exp": nil}),
			caller.Principal{Kind: caller.Service, Subject: "external:backstage-plugin"},
		},
		{"key set", w.remote.token(nil), caller.Principal{Kind: caller.Service, Subject: "external:ci:job-1", ExpiresAt: end}},
		{
			"one audience of several", w.remote.token(map[string]any{"aud": []string{"a", "stagedoor"}}),
			caller.Principal{Kind: caller.Service, Subject: "external:ci:job-1", ExpiresAt: end},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := w.Recognise(t.Context(), tt.bearer)
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

// TestRecogniseRefuses is contract/core.md T14, T16, T22, T27 and T29: everyone who is not, with the answer.
func TestRecogniseRefuses(t *testing.T) {
	w := newWorld(t)
	catalog, foreign := w.plugin("catalog"), newWorld(t)
	w.web.put(keysAt("down"), refuse)
	w.web.put(keysAt("junk"), respond(http.StatusOK, "<html>"))
	full := w.userToken(jane)
	impostor := foreign.plugin("catalog")
	stale := newWorld(t)
	stale.clock.Advance(-2 * time.Hour)
	expiredPlugin := stale.plugin("expired")
	w.web.put(keysAt("expired"), respond(http.StatusOK, published(t, expiredPlugin)))

	const (
		user    = "Failed user token verification"
		plugin  = "Failed plugin token verification"
		illegal = "Illegal token"
		noKeys  = "The keys of the calling plugin are not available"
	)
	for _, tt := range []struct {
		name, bearer string
		status       int
		code, says   string
	}{
		{"none", "", 401, "token_missing", "Missing credentials"},
		{"junk", "junk", 401, "token_illegal", illegal},
		{"dots", "..", 401, "token_illegal", illegal},
		{"user token of another server", foreign.userToken(jane), 401, "token_invalid", user},
		{"user token without signature", full[:strings.LastIndex(full, ".")+1], 401, "token_invalid", user},
		{"expired user token", stale.userToken(jane), 401, "token_invalid", user},
		{"plugin token for another plugin", w.pluginToken(catalog, "search", ""), 401, "plugin_token_invalid", plugin},
		{"plugin token of an impostor", foreign.pluginToken(impostor, "auth", ""), 401, "plugin_token_invalid", plugin},
		{"plugin token by HMAC", pluginShaped(t, jose.HS256, w.secret, "catalog"), 401, "plugin_token_invalid", plugin},
		{"expired plugin token", stale.pluginToken(expiredPlugin, "auth", ""), 401, "plugin_token_invalid", plugin},
		{"plugin id that is a path", pluginShaped(t, jose.HS256, w.secret, "../x"), 401, "plugin_token_invalid", plugin},
		{"plugin id of no end", pluginShaped(t, jose.HS256, w.secret, strings.Repeat("a", 64)), 401, "plugin_token_invalid", plugin},
		{"plugin for a user of another server", w.pluginToken(catalog, "auth", w.limited(foreign.userToken(jane))), 401, "token_invalid", user},
		{
			"plugin without keys", pluginShaped(t, jose.HS256, w.secret, "search"), 401, "plugin_keys_missing",
			"Received a plugin token where the source 'search' plugin unexpectedly does not have a JWKS endpoint.",
		},
		{"plugin that is down", pluginShaped(t, jose.HS256, w.secret, "down"), 503, "plugin_keys_unavailable", noKeys},
		{"plugin that answers junk", pluginShaped(t, jose.HS256, w.secret, "junk"), 503, "plugin_keys_unavailable", noKeys},
		{"plugin without address", pluginShaped(t, jose.HS256, w.secret, "srv"), 503, "plugin_keys_unavailable", noKeys},
		{"static token with more", static + "x", 401, "token_illegal", illegal},
		{"static token with less", static[:len(static)-1], 401, "token_illegal", illegal},
		{
			"restricted to others", elsewho, 403, "access_restricted",
			"This token's access is restricted to plugin(s) 'catalog', 'search'",
		},
		{"legacy token with another secret", legacy(t, append([]byte("x"), w.secret...), nil), 401, "token_illegal", illegal},
		{"expired legacy token", legacy(t, w.secret, map[string]any{"exp": epoch.Unix()}), 401, "token_illegal", illegal},
		{"legacy token of another subject", legacy(t, w.secret, map[string]any{"sub": "x"}), 401, "token_illegal", illegal},
		{"legacy token with an audience", legacy(t, w.secret, map[string]any{"aud": "x"}), 401, "token_illegal", illegal},
		{"wrong issuer", w.remote.token(map[string]any{"iss": "https://other.example"}), 401, "token_illegal", illegal},
		{"no issuer", w.remote.token(map[string]any{"iss": nil}), 401, "token_illegal", illegal},
		{"wrong audience", w.remote.token(map[string]any{"aud": "other"}), 401, "token_illegal", illegal},
		{"no subject", w.remote.token(map[string]any{"sub": nil}), 401, "token_illegal", illegal},
		{"expired", w.remote.token(map[string]any{"exp": epoch.Unix()}), 401, "token_illegal", illegal},
		{"not yet valid", w.remote.token(map[string]any{"nbf": epoch.Unix() + 1}), 401, "token_illegal", illegal},
		{"another key of that id", newRemote(t, "ci-1").token(nil), 401, "token_illegal", illegal},
		{"another algorithm", sign(t, jose.HS256, w.secret, "", map[string]any{"sub": "job-1"}, nil), 401, "token_illegal", illegal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := w.Recognise(t.Context(), tt.bearer)
			f, ok := errors.AsType[*fault.Error](err)
			if !ok || f.Kind.Status != tt.status || f.Code != tt.code || f.Message != tt.says {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(caller.Principal{}, got); diff != "" {
				t.Errorf("a principal beside the error: %s", diff)
			}
			if tt.bearer != "" && strings.Contains(err.Error()+w.log.String(), tt.bearer) || strings.Contains(err.Error(), "jane") {
				t.Errorf("the error or the log repeats the token: %v", err)
			}
		})
	}
}

// pluginShaped is a plugin token whose signature nobody's keys verify.
func pluginShaped(t testing.TB, alg jose.SignatureAlgorithm, key any, plugin string) string {
	t.Helper()
	return sign(t, alg, key, "vnd.backstage.plugin", map[string]any{
		"sub": plugin, "aud": "auth", "iat": epoch.Unix(), "exp": epoch.Add(time.Hour).Unix(),
	}, nil)
}

// TestOnBehalfOf: a plugin signs what it likes into obo.
func TestOnBehalfOf(t *testing.T) {
	w := newWorld(t)
	limited := w.limited(w.userToken(jane))
	key := newRemote(t, "k")
	w.web.put(keysAt("other"), respond(http.StatusOK, key.jwks()))
	for _, tt := range []struct {
		name, obo, says string
		life            time.Duration
	}{
		{"junk", "junk", "Invalid user token in plugin token obo claim", time.Hour},
		{"static token", static, "Invalid user token in plugin token obo claim", time.Hour},
		{"plugin token", pluginShaped(t, jose.HS256, w.secret, "catalog"), "Invalid user token in plugin token obo claim", time.Hour},
		{"badly signed", limited[:len(limited)-4] + "AAAA", "Failed user token verification", time.Hour},
		{"a user, for a shorter time", limited, "", 10 * time.Minute},
		{"a user, for a longer time", limited, "", 2 * time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw := sign(t, jose.ES256, jose.JSONWebKey{Key: key.key, KeyID: "k"}, "vnd.backstage.plugin", map[string]any{
				"sub": "other", "aud": "auth", "iat": epoch.Unix(), "exp": epoch.Add(tt.life).Unix(), "obo": tt.obo,
			}, nil)
			got, err := w.Recognise(t.Context(), raw)
			if tt.says == "" {
				want := caller.Principal{
					Kind: caller.User, Subject: jane, Actor: "plugin:other", ExpiresAt: epoch.Add(min(tt.life, time.Hour)),
				}
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("%v\n%s", err, diff)
				}
				return
			}
			if f, ok := errors.AsType[*fault.Error](err); !ok || f.Message != tt.says || f.Kind.Status != 401 || got.Subject != "" {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// TestSigningKeysUnavailable: a store that is down says nothing about the token.
func TestSigningKeysUnavailable(t *testing.T) {
	w := newWorld(t)
	r, err := caller.New(caller.Config{
		Plugin: "auth", PluginURL: pluginURL, HTTP: &http.Client{Transport: w.web}, Now: w.clock.Now, Log: slog.New(slog.DiscardHandler),
		Users: verifierFunc(func() (tokens.Principal, error) { return tokens.Principal{}, errors.New("store is down") }),
	})
	must(t, err)
	_, err = r.Recognise(t.Context(), w.userToken(jane))
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Kind != fault.ServiceUnavailable || f.Code != "keys_unavailable" {
		t.Errorf("got %v", err)
	}
}

// TestVerify is contract/core.md R18.
func TestVerify(t *testing.T) {
	w := newWorld(t)
	full := w.userToken(jane)
	for raw, limited := range map[string]bool{full: false, w.limited(full): true} {
		got, err := w.Verify(t.Context(), raw)
		want := tokens.Principal{Subject: jane, Limited: limited, ExpiresAt: epoch.Add(time.Hour)}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	_, err := w.Verify(t.Context(), static)
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Kind != fault.Input {
		t.Errorf("service: got %v", err)
	}
	if _, err := w.Verify(t.Context(), "junk"); fault.Code(err) != "token_illegal" {
		t.Errorf("junk: got %v", err)
	}
}

func TestAdmin(t *testing.T) {
	admin := []string{"other", caller.AdminPermission}
	for _, tt := range []struct {
		name string
		who  caller.Principal
		want bool
	}{
		{"named", caller.Principal{Kind: caller.Service, Permissions: admin}, true},
		{"unrestricted", caller.Principal{Kind: caller.Service}, false},
		{"other permissions", caller.Principal{Kind: caller.Service, Permissions: []string{"stagedoor.administrate"}}, false},
		{"actions only", caller.Principal{Kind: caller.Service, Permissions: admin, Actions: []string{"read"}}, false},
		{"user", caller.Principal{Kind: caller.User, Permissions: admin}, false},
		{"nobody", caller.Principal{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.who.Admin(); got != tt.want {
				t.Errorf("got %v", got)
			}
			if err := tt.who.RequireAdmin(); (err == nil) != tt.want || err != nil && fault.Code(err) != "admin_required" {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	good := caller.Config{
		Plugin: "auth", Users: verifierFunc(nil), PluginURL: pluginURL, HTTP: http.DefaultClient, Now: time.Now,
		Log: slog.New(slog.DiscardHandler),
	}
	if _, err := caller.New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*caller.Config){
		"no plugin":          func(c *caller.Config) { c.Plugin = "" },
		"no users":           func(c *caller.Config) { c.Users = nil },
		"no clock":           func(c *caller.Config) { c.Now = nil },
		"caller of no type":  func(c *caller.Config) { c.External = []caller.External{{Subject: "x"}} },
		"caller of two":      func(c *caller.Config) { c.External = []caller.External{{Token: static, URL: jwksURL}} },
		"short static token": func(c *caller.Config) { c.External = []caller.External{{Token: "canary7"}} },
		"empty secret":       func(c *caller.Config) { c.External = []caller.External{{Secret: []byte{}}} },
		"address without host": func(c *caller.Config) {
			c.External = []caller.External{{URL: "canary7"}}
		},
	} {
		c := good
		spoil(&c)
		if _, err := caller.New(c); err == nil || strings.Contains(err.Error(), "canary7") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// FuzzRecognise: no text is more than a principal that it should be, and none makes us panic.
func FuzzRecognise(f *testing.F) {
	w := newWorld(f)
	w.plugin("catalog")
	f.Add("")
	f.Add("..")
	f.Add("eyJ0eXAiOiJ2bmQuYmFja3N0YWdlLnBsdWdpbiJ9.eyJzdWIiOiJjYXRhbG9nIn0.AA")
	f.Add("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJiYWNrc3RhZ2Utc2VydmVyIn0.AA")
	f.Add("eyJhbGciOiJFUzI1NiIsImtpZCI6ImNpLTEifQ.eyJzdWIiOiJqb2ItMSJ9.AA")
	f.Add(pluginShaped(f, jose.HS256, w.secret, "catalog"))
	f.Add(w.remote.token(map[string]any{"exp": 1}))
	f.Fuzz(func(t *testing.T, bearer string) {
		who, err := w.Recognise(t.Context(), bearer)
		if err == nil {
			t.Fatalf("recognised as %s", who.Kind)
		}
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Kind.Status < 401 || f.Kind.Status > 503 || who.Subject != "" {
			t.Fatalf("got %v with %q", err, who.Subject)
		}
	})
}
