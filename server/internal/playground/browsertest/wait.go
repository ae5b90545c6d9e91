package browsertest

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/chromedp"
)

// awaited resolves once the condition holds. It looks whenever the document changes, and now and then besides, because a
// condition may depend on more than the document. An exception counts as false: half a document lacks what the whole has.
const awaited = `new Promise((resolve) => {
	const holds = () => {
		try {
			return %s;
		} catch {
			return false;
		}
	};
	const check = () => {
		if (!holds()) return;
		observer.disconnect();
		clearInterval(timer);
		resolve(true);
	};
	const observer = new MutationObserver(check);
	const timer = setInterval(check, 50);
	observer.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
	check();
})`

// Wait waits until a JavaScript expression is true of the page, also of one that the tab goes to meanwhile. An expression
// that throws is not true yet.
func (tab *Tab) Wait(condition string) {
	tab.browser.t.Helper()
	tab.wait(condition, func() string { return condition })
}

// WaitText waits until the element is visible and its text contains want; "" means any text.
func (tab *Tab) WaitText(selector, want string) {
	tab.browser.t.Helper()
	condition := fmt.Sprintf("%s?.checkVisibility() && %[1]s.textContent.trim().includes(%s)", query(selector), strconv.Quote(want))
	tab.wait(condition, func() string {
		return fmt.Sprintf("%s to show %q; the page shows %q", selector, want, tab.excerpt())
	})
}

// WaitAttribute waits until the element has that value of the attribute.
func (tab *Tab) WaitAttribute(selector, name, want string) {
	tab.browser.t.Helper()
	condition := fmt.Sprintf("%s?.getAttribute(%q) === %q", query(selector), name, want)
	tab.wait(condition, func() string {
		return fmt.Sprintf("%s with %s=%q; the page shows %q", selector, name, want, tab.excerpt())
	})
}

// WaitHidden waits until the element is invisible or absent.
func (tab *Tab) WaitHidden(selector string) {
	tab.browser.t.Helper()
	tab.wait("!"+query(selector)+"?.checkVisibility()", func() string {
		return fmt.Sprintf("%s to vanish; the page shows %q", selector, tab.excerpt())
	})
}

// WaitClosed waits until the tab is closed, by its page or by anybody else.
func (tab *Tab) WaitClosed() {
	tab.browser.t.Helper()
	if err := tab.until("false"); !errors.Is(err, chromedp.ErrTargetDetached) {
		tab.browser.t.Fatalf("wait until the tab closes: %v", err)
	}
}

// wait ends the test unless the condition comes true.
func (tab *Tab) wait(condition string, describe func() string) {
	tab.browser.t.Helper()
	if err := tab.until(condition); err != nil {
		tab.browser.t.Fatalf("wait for %s: %v", describe(), err)
	}
}

// until asks each document that the tab shows, until one fulfils the condition. The error is chromedp.ErrTargetDetached if
// the tab closes before.
func (tab *Tab) until(condition string) error {
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	for {
		_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf(awaited, condition), chromedp.EvalAwaitPromise))
		// The protocol's own errors mean that the document went away: the next one is asked again.
		if _, gone := errors.AsType[*cdproto.Error](err); !gone || ctx.Err() != nil {
			return err
		}
	}
}

// excerpt is the beginning of what the page shows, for the message of a failed test.
func (tab *Tab) excerpt() string {
	text, err := chromedp.Run(tab.ctx, chromedp.Evaluate[string]("document.body.innerText.slice(0, 600)"))
	if err != nil {
		return err.Error()
	}
	return text
}
