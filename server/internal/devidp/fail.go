package devidp

import (
	"io"
	"net"
	"net/http"
	"strings"
)

// hugeBody is the size of a FailHuge answer in bytes.
const hugeBody = 10 << 20

// elsewhere is an address that nothing may follow: RFC 2606 §2 keeps .invalid from ever resolving.
const elsewhere = "https://elsewhere.invalid/"

// fail answers as the failure says. One that hangs and is released goes on healthily.
func (m *Misbehaving) fail(w http.ResponseWriter, r *http.Request, now arrival) {
	healthy := newAnswer()
	if now.failure.Late {
		m.Provider.ServeHTTP(healthy, r)
	}
	if now.failure.Kind != FailHang {
		now.failure.Kind.answer(w)
		return
	}
	if !m.hang(r, now.endpoint) {
		return
	}
	if now.failure.Late {
		healthy.send(w)
		return
	}
	m.Provider.ServeHTTP(w, r)
}

// hang waits for Release and reports whether the caller is still there.
func (m *Misbehaving) hang(r *http.Request, endpoint Endpoint) bool {
	m.mu.Lock()
	released := m.released
	m.mu.Unlock()
	select {
	case m.hanging <- endpoint:
	default:
	}
	select {
	case <-released:
		return true
	case <-r.Context().Done():
		return false
	}
}

func (k FailureKind) answer(w http.ResponseWriter) {
	switch k {
	case FailServerError:
		http.Error(w, "something broke", http.StatusInternalServerError)
	case FailUnavailable:
		http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
	case FailTooMany:
		w.Header().Set("Retry-After", "30")
		http.Error(w, "slow down", http.StatusTooManyRequests)
	case FailGarbage:
		writeBody(w, "application/json", strings.NewReader("\x00\xff{not json"))
	case FailHuge:
		writeBody(w, "application/json", hugeJSON())
	case FailRedirect:
		w.Header().Set("Location", elsewhere)
		w.WriteHeader(http.StatusTemporaryRedirect)
	case FailContentType:
		writeBody(w, "text/html", strings.NewReader("<!DOCTYPE html><title>Sign in to the network</title>"))
	case FailReset:
		reset(w)
	}
}

func writeBody(w http.ResponseWriter, contentType string, body io.Reader) {
	w.Header().Set("Content-Type", contentType)
	_, _ = io.Copy(w, body) // A caller that stops reading is what some tests are about.
}

func hugeJSON() io.Reader {
	return io.MultiReader(
		strings.NewReader(`{"padding":"`), io.LimitReader(endless{}, hugeBody), strings.NewReader(`"}`),
	)
}

// endless reads as an unending row of the letter a.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'a'
	}
	return len(b), nil
}

// reset ends the connection with a TCP RST and without an answer. Where the connection cannot be had, as over HTTP/2, it
// says so instead.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "reset connection: "+err.Error(), http.StatusInternalServerError)
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // Without it the caller sees an orderly end, which is nearly the same.
	}
	_ = conn.Close()
}
