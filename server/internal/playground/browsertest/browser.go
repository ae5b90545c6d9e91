package browsertest

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// Browser is a browser with a profile of its own: its tabs share cookies and storage with each other and with nobody else.
type Browser struct {
	t   testing.TB
	ctx context.Context
}

// Start returns a browser for t, which is gone at the end of t. Behind all of them is one process for each test binary.
//
// Without a Chromium on the machine t is skipped, in one line; where the environment says CI=true it fails instead.
func Start(t testing.TB) *Browser {
	t.Helper()
	path, err := find()
	if err != nil {
		absent(t, err)
	}
	parent, err := process(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(parent, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open profile: %v", err)
	}
	return &Browser{t: t, ctx: ctx}
}

// Open opens url in a new tab and returns once its document has loaded.
func (b *Browser) Open(url string) *Tab {
	b.t.Helper()
	tab := b.attach()
	tab.Navigate(url)
	return tab
}

// attach opens a tab, or takes over an open one if opts name it, and begins to note the problems of its pages.
func (b *Browser) attach(opts ...chromedp.ContextOption) *Tab {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, opts...)
	b.t.Cleanup(cancel)
	tab := &Tab{browser: b, ctx: ctx}
	if err := chromedp.Listen(ctx, tab.note); err != nil {
		b.t.Fatalf("open tab: %v", err)
	}
	return tab
}

// Cookies returns the cookies that the browser would send to url, HttpOnly ones included, sorted by name and path.
// Expires is zero for a cookie that ends with the browser.
func (b *Browser) Cookies(url string) []*http.Cookie {
	b.t.Helper()
	answer, err := chromedp.Call(b.ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{url}})
	if err != nil {
		b.t.Fatalf("read cookies of %s: %v", url, err)
	}
	cookies := make([]*http.Cookie, len(answer.Cookies))
	for i, c := range answer.Cookies {
		cookies[i] = cookie(c)
	}
	slices.SortFunc(cookies, func(a, b *http.Cookie) int {
		return strings.Compare(a.Name+a.Path, b.Name+b.Path)
	})
	return cookies
}

var sameSite = map[network.CookieSameSite]http.SameSite{
	network.CookieSameSiteLax:    http.SameSiteLaxMode,
	network.CookieSameSiteStrict: http.SameSiteStrictMode,
	network.CookieSameSiteNone:   http.SameSiteNoneMode,
}

func cookie(c *network.Cookie) *http.Cookie {
	out := &http.Cookie{
		Name: c.Name, Value: c.Value, Domain: c.Domain, Path: c.Path,
		HttpOnly: c.HTTPOnly, Secure: c.Secure, SameSite: sameSite[c.SameSite],
	}
	if !c.Session {
		out.Expires = time.Unix(int64(c.Expires), 0).UTC()
	}
	return out
}
