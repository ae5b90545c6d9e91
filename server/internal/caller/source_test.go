package caller_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"stagedoor/server/internal/fault"
)

// codes recognises tokens one after the other and returns their codes, "" for a success.
func (w *world) codes(raw ...string) []string {
	w.t.Helper()
	out := make([]string, len(raw))
	for i, r := range raw {
		if _, err := w.Recognise(w.t.Context(), r); err != nil {
			out[i] = fault.Code(err)
		}
	}
	return out
}

func (w *world) code(raw string) string {
	w.t.Helper()
	return w.codes(raw)[0]
}

// TestKeysAreHeld is contract/core.md T15: one call in ten minutes, and one more for a key that is new.
func TestKeysAreHeld(t *testing.T) {
	w := newWorld(t)
	raw := w.pluginToken(w.plugin("catalog"), "auth", "")
	steps := []struct {
		name  string
		after time.Duration
		do    func()
		calls int
	}{
		{"first", 0, nil, 1},
		{"again", 0, nil, 1},
		{"nearly stale", 10*time.Minute - time.Second, nil, 1},
		{"stale", time.Second, nil, 2},
		{"a key that is new", 0, func() { raw = w.pluginToken(w.plugin("catalog"), "auth", "") }, 3},
		{"again", 0, nil, 3},
	}
	for _, step := range steps {
		w.clock.Advance(step.after)
		if step.do != nil {
			step.do()
		}
		if code := w.code(raw); code != "" || w.web.count(keysAt("catalog")) != step.calls {
			t.Fatalf("%s: %q, %d calls, want %d", step.name, code, w.web.count(keysAt("catalog")), step.calls)
		}
	}
}

// TestKeysOutlastAnOutage: tokens under known keys are good for an hour without their publisher, and no longer.
func TestKeysOutlastAnOutage(t *testing.T) {
	w := newWorld(t)
	catalog := w.plugin("catalog")
	if code := w.code(w.pluginToken(catalog, "auth", "")); code != "" {
		t.Fatal(code)
	}
	unknown := newWorld(t)
	stranger := unknown.pluginToken(unknown.plugin("catalog"), "auth", "")
	w.web.put(keysAt("catalog"), refuse)
	for i := range 59 {
		w.clock.Advance(time.Minute)
		if code := w.code(w.pluginToken(catalog, "auth", "")); code != "" {
			t.Fatalf("minute %d: %s", i+1, code)
		}
	}
	if code := w.code(stranger); code != "plugin_keys_unavailable" {
		t.Errorf("an unknown key: %q, and the key set may hold it", code)
	}
	w.clock.Advance(time.Minute)
	if code := w.code(w.pluginToken(catalog, "auth", "")); code != "plugin_keys_unavailable" {
		t.Errorf("after an hour: %q", code)
	}
	if log := w.log.String(); !strings.Contains(log, "plugin:catalog") || !strings.Contains(log, "connection refused") {
		t.Errorf("the log does not say why: %s", log)
	}
	w.clock.Advance(time.Minute)
	w.web.put(keysAt("catalog"), respond(http.StatusOK, published(t, catalog)))
	if code := w.code(w.pluginToken(catalog, "auth", "")); code != "" {
		t.Errorf("when it is back: %q", code)
	}
}

// TestForgedKeyIDs: forged tokens make a few calls, and turn away nobody.
func TestForgedKeyIDs(t *testing.T) {
	w := newWorld(t)
	good := w.pluginToken(w.plugin("catalog"), "auth", "")
	forger := newRemote(t, "")
	flood := func(n int) {
		t.Helper()
		for i := range n {
			forger.kid = fmt.Sprint("kid-", i)
			raw := sign(t, jose.ES256, jose.JSONWebKey{Key: forger.key, KeyID: forger.kid}, "vnd.backstage.plugin",
				map[string]any{"sub": "catalog", "aud": "auth", "iat": epoch.Unix(), "exp": epoch.Add(time.Hour).Unix()}, nil)
			if code := w.code(raw); code != "plugin_token_invalid" {
				t.Fatalf("got %q", code)
			}
		}
	}
	flood(40)
	if n := w.web.count(keysAt("catalog")); n != 4 {
		t.Errorf("%d calls at once, want 4", n)
	}
	w.clock.Advance(30 * time.Second)
	flood(10)
	if n := w.web.count(keysAt("catalog")); n != 5 {
		t.Errorf("%d calls after the pause, want 5", n)
	}
	if code := w.code(good); code != "" {
		t.Errorf("the real token: %q", code)
	}
}

// TestMadeUpPlugins: neither calls nor memory grow with the names that a token may carry, and known plugins do not notice.
func TestMadeUpPlugins(t *testing.T) {
	w := newWorld(t)
	catalog := w.plugin("catalog")
	known := w.pluginToken(catalog, "auth", "")
	if code := w.code(known); code != "" {
		t.Fatal(code)
	}
	for i := range 400 {
		w.clock.Advance(time.Second / 2)
		w.code(pluginShaped(t, jose.HS256, w.secret, fmt.Sprint("made-up-", i)))
	}
	if n := w.web.count("") - w.web.count(keysAt("catalog")); n < 200 || n > 240 {
		t.Errorf("%d calls for 400 names in 200 seconds, want one in a second and a burst", n)
	}
	if code := w.code(known); code != "" || w.web.count(keysAt("catalog")) != 1 {
		t.Errorf("the known plugin: %q, %d calls: its keys were forgotten", code, w.web.count(keysAt("catalog")))
	}
}

// TestPluginWithoutKeys: whoever has no keys for us is not asked for every token, and the answer stays the same meanwhile.
func TestPluginWithoutKeys(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(*http.Request) (*http.Response, error)
		want   string
	}{
		{"dead", refuse, "plugin_keys_unavailable"},
		{"not found", respond(http.StatusNotFound, ""), "plugin_keys_missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			raw := w.pluginToken(w.plugin("catalog"), "auth", "")
			w.web.put(keysAt("catalog"), tt.answer)
			for range 20 {
				if code := w.code(raw); code != tt.want {
					t.Fatalf("got %q", code)
				}
			}
			if n := w.web.count(keysAt("catalog")); n != 4 {
				t.Errorf("%d calls, want 4", n)
			}
		})
	}
}

// TestExternalKeysDown: a token that the caller's keys might verify is not called illegal; others are judged as ever.
func TestExternalKeysDown(t *testing.T) {
	w := newWorld(t)
	w.web.put("https://ci.example/keys", refuse)
	got := w.codes(w.remote.token(nil), static, legacy(t, w.secret, nil), "junk")
	want := []string{"external_keys_unavailable", "", "", "token_illegal"}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err := w.Recognise(t.Context(), w.remote.token(nil))
	if text := err.Error() + w.log.String(); strings.Contains(text, "in-the-query") {
		t.Errorf("the address with its query is told: %s", text)
	}
	w.clock.Advance(30 * time.Second)
	w.web.put("https://ci.example/keys", respond(http.StatusOK, w.remote.jwks()))
	if code := w.code(w.remote.token(nil)); code != "" {
		t.Errorf("when it is back: %q", code)
	}
}

// TestHostileKeySets: what answers instead of a key set is not believed, and not followed.
func TestHostileKeySets(t *testing.T) {
	w := newWorld(t)
	good := published(t, w.plugin("catalog"))
	elsewhere := "https://evil.example/keys"
	w.web.put(elsewhere, respond(http.StatusOK, good))
	redirect := func(r *http.Request) (*http.Response, error) {
		res, err := respond(http.StatusFound, "")(r)
		res.Header.Set("Location", elsewhere)
		return res, err
	}
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"redirect":   redirect,
		"error":      respond(http.StatusInternalServerError, good),
		"no content": respond(http.StatusNoContent, ""),
		"no keys":    respond(http.StatusOK, "{}"),
		"too large":  respond(http.StatusOK, good+strings.Repeat(" ", 256<<10)),
	} {
		w := newWorld(t)
		raw := w.pluginToken(w.plugin("catalog"), "auth", "")
		w.web.put(elsewhere, respond(http.StatusOK, good))
		w.web.put(keysAt("catalog"), answer)
		if code := w.code(raw); code != "plugin_keys_unavailable" {
			t.Errorf("%s: got %q", name, code)
		}
		if n := w.web.count(elsewhere); n != 0 {
			t.Errorf("%s: followed", name)
		}
	}
}

// TestOneCallForAll: a hundred tokens that come at once make one call.
func TestOneCallForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		raw := w.pluginToken(w.plugin("catalog"), "auth", "")
		keys, release := w.web.at[keysAt("catalog")], make(chan struct{})
		w.web.put(keysAt("catalog"), func(r *http.Request) (*http.Response, error) {
			<-release
			return keys(r)
		})
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if _, err := w.Recognise(t.Context(), raw); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(release)
		all.Wait()
		if n := w.web.count(keysAt("catalog")); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

// TestCallerGivesUp: a request that is cancelled does not take the keys from those that wait for them, and those do not wait
// for ever.
func TestCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		raw := w.pluginToken(w.plugin("catalog"), "auth", "")
		keys, release := w.web.at[keysAt("catalog")], make(chan struct{})
		w.web.put(keysAt("catalog"), func(r *http.Request) (*http.Response, error) {
			select {
			case <-release:
				return keys(r)
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() { _, err := w.Recognise(ctx, raw); gone <- err }()
		synctest.Wait()
		cancel()
		if err := <-gone; fault.Code(err) != "plugin_keys_unavailable" {
			t.Errorf("given up: %v", err)
		}
		waits := make(chan error, 1)
		go func() { _, err := w.Recognise(t.Context(), raw); waits <- err }()
		synctest.Wait()
		close(release)
		if err := <-waits; err != nil || w.web.count(keysAt("catalog")) != 1 {
			t.Errorf("the other: %v, %d calls", err, w.web.count(keysAt("catalog")))
		}
	})
}

// TestSilentPlugin: a key set that does not come in five seconds does not come.
func TestSilentPlugin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		raw := w.pluginToken(w.plugin("catalog"), "auth", "")
		w.web.put(keysAt("catalog"), func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		begun := time.Now()
		if code := w.code(raw); code != "plugin_keys_unavailable" || time.Since(begun) != 5*time.Second {
			t.Errorf("%q after %v", code, time.Since(begun))
		}
	})
}
