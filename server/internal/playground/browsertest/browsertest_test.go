package browsertest

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestMain(m *testing.M) { os.Exit(Run(m)) }

// site serves one document at "/", and a cookie with it.
func site(t *testing.T, policy, document string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "seen", Value: "yes", Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<!doctype html><link rel=icon href=data:,><title>site</title>" + document))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestProblems(t *testing.T) {
	tests := []struct {
		name, policy, document string
		want                   []Problem
		wantViolation          bool
	}{
		{name: "none", document: "<p>fine</p><script>console.log('fine')</script>"},
		{
			name: "console", document: "<script>console.error('one', 2, new Error('three').message)</script>",
			want: []Problem{{Source: "console", Text: "one 2 three"}},
		},
		{
			name: "exception", document: "<script>throw 'thrown'</script>",
			want: []Problem{{Source: "exception", Text: "Uncaught "}},
		},
		{name: "policy", policy: "script-src 'none'", document: "<script>1</script>", wantViolation: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tab := Start(t).Open(site(t, tt.policy, tt.document))
			got := tab.Problems()
			if tt.wantViolation {
				if len(got) != 1 || !got[0].IsPolicyViolation() {
					t.Errorf("problems = %v, want one policy violation", got)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(Problem{}, "URL"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProfilesAreSeparate(t *testing.T) {
	url := site(t, "", "<p>fine</p>")
	first, second := Start(t), Start(t)
	first.Open(url)

	want := []*http.Cookie{{
		Name: "seen", Value: "yes", Domain: "127.0.0.1", Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}}
	if diff := cmp.Diff(want, first.Cookies(url)); diff != "" {
		t.Errorf("cookies of the one that was there (-want +got):\n%s", diff)
	}
	if got := second.Cookies(url); len(got) != 0 {
		t.Errorf("cookies of the other = %v, want none", got)
	}
}

func TestWaitFollowsNavigation(t *testing.T) {
	url := site(t, "", "<p id=p>one</p><script>if (!location.hash.includes('two')) setTimeout(() => {"+
		"location.hash = 'two'; location.reload() }, 50); else p.textContent = 'two'</script>")
	tab := Start(t).Open(url)
	tab.WaitText("#p", "two")
	if got := tab.URL(); got != url+"/#two" {
		t.Errorf("URL = %q, want %q", got, url+"/#two")
	}
}

func TestPopup(t *testing.T) {
	url := site(t, "", "<button id=b onclick=\"window.open('/#popup')\">open</button><button id=c onclick='window.close()'>close</button>")
	tab := Start(t).Open(url)
	popup := tab.Popup(func() { tab.Click("#b") })
	popup.Wait("location.hash === '#popup'")
	popup.Click("#c")
	popup.WaitClosed()
}

func TestInput(t *testing.T) {
	tab := Start(t).Open(site(t, "", "<input id=i><select id=s><option>a<option>b</select><p id=p hidden>gone</p>"))
	tab.Type("#i", "typed")
	tab.Press("!")
	tab.Select("#s", "b")
	tab.WaitHidden("#p")
	if got, want := Eval[string](tab, "i.value + s.value"), "typed!b"; got != want {
		t.Errorf("values = %q, want %q", got, want)
	}
	if got, want := tab.Text("#p"), "gone"; got != want {
		t.Errorf("text = %q, want %q", got, want)
	}
	tab.PreferColors("dark")
	tab.Resize(360, 640)
	tab.Wait("innerWidth === 360 && matchMedia('(prefers-color-scheme: dark)').matches")
}

func TestScreenshot(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("STAGEDOOR_SCREENSHOTS", folder)
	Start(t).Open(site(t, "", "<p>fine</p>")).Screenshot("page")
	picture, err := os.ReadFile(filepath.Join(folder, "page.png"))
	if err != nil {
		t.Fatal(err)
	}
	if got := http.DetectContentType(picture); got != "image/png" {
		t.Errorf("content type = %s, want image/png", got)
	}
}

func TestFind(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"google-chrome", "mine"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, path, chromium, want string
	}{
		{name: "on the path", path: folder, want: filepath.Join(folder, "google-chrome")},
		{name: "named", path: folder, chromium: "mine", want: filepath.Join(folder, "mine")},
		{name: "named but missing", path: folder, chromium: "theirs"},
		{name: "nowhere", path: t.TempDir()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("PATH", tt.path)
			t.Setenv("CHROMIUM", tt.chromium)
			got, err := find()
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("find() = %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

// outcome is a test that notes how it was ended.
type outcome struct {
	testing.TB
	ended string
}

func (o *outcome) Helper()              {}
func (o *outcome) Skipf(string, ...any) { o.ended = "skipped"; runtime.Goexit() }
func (o *outcome) Fatalf(string, ...any) {
	o.ended = "failed"
	runtime.Goexit()
}

func TestAbsent(t *testing.T) {
	for ci, want := range map[string]string{"": "skipped", "true": "failed"} {
		t.Run(want, func(t *testing.T) {
			t.Setenv("CI", ci)
			o := &outcome{}
			done := make(chan struct{})
			go func() {
				defer close(done)
				absent(o, errors.New("no browser"))
			}()
			<-done
			if o.ended != want {
				t.Errorf("test was %q, want %q", o.ended, want)
			}
		})
	}
}
