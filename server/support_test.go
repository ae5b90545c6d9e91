package main

import (
	"crypto/tls"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/playground/browsertest"
)

// testsWithCoverage runs the tests, and after a full and good run demands that every operation of the document was spoken.
func testsWithCoverage(m *testing.M) int {
	code := browsertest.Run(m)
	filtered := false
	for _, arg := range os.Args[1:] {
		filtered = filtered || strings.HasPrefix(arg, "-test.run=") || strings.HasPrefix(arg, "-test.skip=") || strings.HasPrefix(arg, "-test.bench=") || strings.HasPrefix(arg, "-test.list=") || strings.HasPrefix(arg, "-test.fuzz=")
	}
	if code != 0 || filtered {
		return code
	}
	if silent := apitest.Uncovered(); len(silent) > 0 {
		fmt.Fprintf(os.Stderr, "FAIL: no test spoke these operations of openapi/auth.yaml: %v\n", silent)
		return 1
	}
	return 0
}

// insecureClient trusts any certificate and follows no redirect.
func insecureClient(jar http.CookieJar) *http.Client {
	return &http.Client{
		Jar: jar, Timeout: time.Minute,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // a test's own server
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (d *deployment) dial() (net.Conn, error) {
	return (&net.Dialer{Timeout: time.Minute}).DialContext(d.t.Context(), "tcp", strings.TrimPrefix(d.base, "http://"))
}

// lockDatabase holds the write lock of the file, as a backup or another program might, until the returned function is called.
func lockDatabase(t *testing.T, path string) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=exclusive&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}
}
