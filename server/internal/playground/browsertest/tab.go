package browsertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// Tab is an open tab or popup. Its methods end the test if they fail, and take CSS selectors, of which the first match in
// the document counts.
type Tab struct {
	browser *Browser
	ctx     context.Context

	mu       sync.Mutex
	problems []Problem
}

// do runs one action with patience, and ends the test with what was tried if it fails, unless with one of the errors that pass.
func do[T any](tab *Tab, what string, action chromedp.Action[T], pass ...error) T {
	tab.browser.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil && !slices.ContainsFunc(pass, func(e error) bool { return errors.Is(err, e) }) {
		tab.browser.t.Fatalf("%s: %v", what, err)
	}
	return value
}

// Navigate goes to url and returns once its document has loaded.
func (tab *Tab) Navigate(url string) {
	tab.browser.t.Helper()
	do(tab, "navigate to "+url, chromedp.Navigate(url))
}

// Reload loads the document again.
func (tab *Tab) Reload() {
	tab.browser.t.Helper()
	do(tab, "reload", chromedp.Reload())
}

// Click clicks with the mouse, as a user's gesture, as soon as the element is visible and enabled. A click may close its tab before
// the browser has answered: that is a click all the same.
func (tab *Tab) Click(selector string) {
	tab.browser.t.Helper()
	do(tab, "click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible, chromedp.NodeEnabled),
		chromedp.ErrTargetDetached)
}

// Type types text into the element as soon as that is visible; "\r" is the Enter key.
func (tab *Tab) Type(selector, text string) {
	tab.browser.t.Helper()
	do(tab, "type into "+selector, chromedp.SendKeys(chromedp.CSS(selector), text, chromedp.NodeVisible))
}

// Press sends keys to whatever has the focus; "\t" and "\r" are the Tab and the Enter key.
func (tab *Tab) Press(keys string) {
	tab.browser.t.Helper()
	do(tab, "press "+strconv.Quote(keys), chromedp.KeyEvent(keys))
}

// Select chooses the option with that value, as a user would.
func (tab *Tab) Select(selector, value string) {
	tab.browser.t.Helper()
	do(tab, "select "+value, chromedp.SetValue(chromedp.CSS(selector), value, chromedp.NodeVisible))
	Eval[bool](tab, query(selector)+".dispatchEvent(new Event('change', {bubbles: true}))")
}

// Text returns the text of the element, hidden or not, as soon as there is one.
func (tab *Tab) Text(selector string) string {
	tab.browser.t.Helper()
	return do(tab, "read "+selector, chromedp.TextContent(chromedp.CSS(selector)))
}

// Attribute returns the attribute of the element, "" where it has none, as soon as there is one.
func (tab *Tab) Attribute(selector, name string) string {
	tab.browser.t.Helper()
	return do(tab, "read "+selector, chromedp.AttributeValue(chromedp.CSS(selector), name)).Value
}

// URL returns the address in the address bar.
func (tab *Tab) URL() string {
	tab.browser.t.Helper()
	return do(tab, "read location", chromedp.Location())
}

// Eval returns the value of a JavaScript expression in the page, without waiting for a promise.
func Eval[T any](tab *Tab, expression string) T {
	tab.browser.t.Helper()
	return do(tab, "evaluate "+expression, chromedp.Evaluate[T](expression))
}

// Popup runs open, which must make the page open a window, and returns that window.
func (tab *Tab) Popup(open func()) *Tab {
	tab.browser.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	opened := chromedp.WaitNewTarget(ctx, func(*target.Info) bool { return true })
	open()
	select {
	case id := <-opened:
		return tab.browser.attach(chromedp.WithTargetID(id))
	case <-ctx.Done():
		tab.browser.t.Fatalf("wait for popup: %v", ctx.Err())
		return nil
	}
}

// Close closes the tab, as its user would.
func (tab *Tab) Close() {
	tab.browser.t.Helper()
	if err := chromedp.Cancel(tab.ctx); err != nil {
		tab.browser.t.Fatalf("close tab: %v", err)
	}
}

// Resize gives the page a viewport of width by height CSS pixels.
func (tab *Tab) Resize(width, height int) {
	tab.browser.t.Helper()
	do(tab, "resize", chromedp.EmulateViewport(int64(width), int64(height)))
}

// PreferColors makes the reader's preference "light" or "dark".
func (tab *Tab) PreferColors(scheme string) {
	tab.browser.t.Helper()
	feature := &emulation.MediaFeature{Name: "prefers-color-scheme", Value: scheme}
	params := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{feature}}
	if _, err := chromedp.Call(tab.ctx, emulation.SetEmulatedMedia, params); err != nil {
		tab.browser.t.Fatalf("prefer %s colours: %v", scheme, err)
	}
}

// Screenshot writes the whole page to <name>.png in the folder that $STAGEDOOR_SCREENSHOTS names. Without one it does
// nothing.
func (tab *Tab) Screenshot(name string) {
	tab.browser.t.Helper()
	folder := os.Getenv("STAGEDOOR_SCREENSHOTS")
	if folder == "" {
		return
	}
	picture := do(tab, "take screenshot", chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644); err != nil {
		tab.browser.t.Fatalf("write screenshot: %v", err)
	}
}

// query is the JavaScript expression for the element, or null.
func query(selector string) string {
	return fmt.Sprintf("document.querySelector(%q)", selector)
}
