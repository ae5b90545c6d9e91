package browsertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// patience is how long anything may take before a test gives up. It is far above what a busy machine needs, so that only
// what would never happen runs into it.
const patience = 45 * time.Second

var shared struct {
	sync.Mutex
	ctx context.Context
}

// Run runs the tests of m, closes the browser if one of them started it, and returns the exit code. A package that drives
// a browser calls it from TestMain, or else the browser's profile stays behind in the temporary folder:
//
//	func TestMain(m *testing.M) { os.Exit(browsertest.Run(m)) }
func Run(m *testing.M) int {
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.ctx == nil {
		return code
	}
	ctx, cancel := context.WithTimeout(shared.ctx, patience)
	defer cancel()
	if err := chromedp.Cancel(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "close browser:", err)
		return max(code, 1)
	}
	return code
}

// find returns the path of the browser: $CHROMIUM if that is set, else the first of the usual names on the path.
func find() (string, error) {
	if named := os.Getenv("CHROMIUM"); named != "" {
		return exec.LookPath(named)
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find browser: no chromium, chromium-browser or google-chrome on the path, and CHROMIUM is not set")
}

// process returns the context of the running browser, and starts it for the first caller.
func process(path string) (context.Context, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.ctx != nil {
		return shared.ctx, nil
	}
	allocator, _ := chromedp.NewExecAllocator(context.Background(), flags(path)...)
	ctx, cancel := chromedp.NewContext(allocator)
	if err := chromedp.Do(ctx); err != nil {
		cancel()
		return nil, fmt.Errorf("start browser: %w", err)
	}
	shared.ctx = ctx
	return ctx, nil
}

// flags are chromedp's own, which already ask for a headless browser without first run, synchronisation and background
// requests in a profile of its own, and what tests need beyond them.
func flags(path string) []chromedp.ExecAllocatorOption {
	return append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // root has no sandbox, and tests in a container run as root
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		// No name but loopback's has an address, so that whatever a page asks for stays on this machine.
		chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]"),
		// A popup that no user asked for is blocked, as everywhere else.
		chromedp.Flag("disable-popup-blocking", false),
		chromedp.Flag("lang", "en-GB"),
		chromedp.WindowSize(1280, 900),
	)
}

// absent ends a test for want of a browser. A continuous integration run promises one, so there it is a failure.
func absent(t testing.TB, reason error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("browser tests cannot run: %v", reason)
	}
	t.Skipf("browser tests left out: %v", reason)
}
