package devidp

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// logBuffer keeps what all loggers of a test write.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestLogHoldsNoSecret(t *testing.T) {
	var written logBuffer
	logger := slog.New(slog.NewTextHandler(&written, &slog.HandlerOptions{Level: slog.LevelDebug}))
	before := slog.Default()
	slog.SetDefault(logger)
	defer slog.SetDefault(before)

	r := newRig(t, func(o *Options) { o.Log = logger })
	code := r.signIn(t, jane).Get("code")
	_, tokens := r.post(t, tokenPath, codeForm(code))
	r.post(t, tokenPath, codeForm(code))
	refresh, _ := tokens["refresh_token"].(string)
	access, _ := tokens["access_token"].(string)
	id, _ := tokens["id_token"].(string)
	r.post(t, tokenPath, refreshForm(refresh))
	r.post(t, tokenPath, refreshForm(refresh))
	r.signIn(t, Denied, "prompt", "login")
	r.signIn(t, "", "response_type", "id_token")

	log := written.String()
	if !strings.Contains(log, "development sign-in") || !strings.Contains(log, "invalid_grant") {
		t.Fatal("the log lacks what this test is about")
	}
	for name, value := range map[string]string{
		"code": code, "access token": access, "refresh token": refresh, "id token": id, "verifier": verifier,
		"state": someState, "nonce": someNonce, "session": r.sessionValue(t), "address": jane, "subject": "jane-doe",
	} {
		if value == "" || strings.Contains(log, value) {
			t.Errorf("the log holds the %s", name)
		}
	}
}
