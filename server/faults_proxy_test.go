package main

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"
)

// faultLine is the network between a server and what it depends on: a TCP proxy on loopback that can be cut, stopped and slowed down.
type faultLine struct {
	target string
	ln     net.Listener
	// only are the first bytes of what is slowed down on its way to the target; empty is everything.
	only []byte

	mu      sync.Mutex
	state   lineState
	changed chan struct{}
	open    map[net.Conn]bool
	ended   bool
}

// lineState is what is wrong with a line; nothing in its zero value.
type lineState struct {
	// cut resets every connection, and each new one.
	cut bool
	// still lets no byte through until that has changed, as a network does that drops packets.
	still bool
	// delay holds each piece that goes to the target.
	delay time.Duration
}

// statements are the first bytes of PostgreSQL's messages Parse, Bind, Query and Execute: a client that prepares sends each of its
// statements in one piece that begins with one of them, and nothing of how a connection begins does.
var statements = []byte("PBQE")

func newFaultLine(t testing.TB, target string, only []byte) *faultLine {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &faultLine{target: target, ln: ln, only: only, changed: make(chan struct{}), open: map[net.Conn]bool{}}
	var working sync.WaitGroup
	working.Go(func() { l.accept(&working) })
	t.Cleanup(func() {
		_ = ln.Close()
		l.mu.Lock()
		l.ended = true
		l.mu.Unlock()
		l.set(lineState{cut: true})
		working.Wait()
	})
	return l
}

func (l *faultLine) addr() string { return l.ln.Addr().String() }

func (l *faultLine) port() string {
	_, port, _ := net.SplitHostPort(l.addr()) // it is an address
	return port
}

// set changes what is wrong.
func (l *faultLine) set(s lineState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = s
	close(l.changed)
	l.changed = make(chan struct{})
	if s.cut {
		for c := range l.open {
			reset(c)
		}
	}
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func (l *faultLine) accept(working *sync.WaitGroup) {
	for {
		near, err := l.ln.Accept()
		if err != nil {
			return
		}
		working.Go(func() { l.carry(near) })
	}
}

// keep notes a connection, unless the line is cut.
func (l *faultLine) keep(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state.cut || l.ended {
		reset(c)
		return false
	}
	l.open[c] = true
	return true
}

func (l *faultLine) drop(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
	_ = c.Close()
}

func (l *faultLine) carry(near net.Conn) {
	if !l.keep(near) {
		return
	}
	defer l.drop(near)
	far, err := net.DialTimeout("tcp", l.target, time.Second)
	if err != nil {
		reset(near) // the target refuses
		return
	}
	if !l.keep(far) {
		return
	}
	defer l.drop(far)
	var both sync.WaitGroup
	both.Go(func() { l.pump(far, near, true) })
	both.Go(func() { l.pump(near, far, false) })
	both.Wait()
}

func (l *faultLine) pump(to, from net.Conn, slow bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			l.hold(buf[:n], slow)
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
}

// hold keeps a piece back for as long as the line's state says.
func (l *faultLine) hold(piece []byte, slow bool) {
	slow = slow && (len(l.only) == 0 || bytes.IndexByte(l.only, piece[0]) >= 0)
	begun := time.Now()
	for {
		l.mu.Lock()
		s, changed := l.state, l.changed
		l.mu.Unlock()
		var over <-chan time.Time
		switch left := s.delay - time.Since(begun); {
		case s.still:
		case slow && left > 0:
			over = time.After(left)
		default:
			return
		}
		select {
		case <-changed:
		case <-over:
		}
	}
}
