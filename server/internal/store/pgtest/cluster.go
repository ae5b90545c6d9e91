package pgtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// User is the superuser of every cluster.
	User = "postgres"
	// Password is what the superuser needs through TCP, and nobody through the socket.
	Password = "the-password-of-pgtest"
	// TLSOnly is a user with the same password whom the server accepts with TLS only, and never through the socket.
	TLSOnly = "tls_only"
)

// patience is how long a server may take to start. A loaded machine takes its time.
const patience = time.Minute

// Cluster is a PostgreSQL server with TLS that listens on a loopback port and a socket file. Its durability is off: it survives being
// killed, not the machine.
type Cluster struct {
	// CA is the certificate, in PEM, that signed the server's, which is for localhost.
	CA string

	install
	dir    string
	port   int
	flags  []string
	guard  *exec.Cmd
	leash  io.Closer
	server *exec.Cmd
	ended  chan struct{}

	databases atomic.Int64
	mu        sync.Mutex
	free      []string // databases that are empty again, under mu
}

var (
	shared    *Cluster
	errShared error
	shareOnce sync.Once
)

// Shared returns the one cluster of this test process, for tests that leave it running. It ends with the process. Without PostgreSQL on
// this machine the test is skipped.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	shareOnce.Do(func() { shared, errShared = start(nil) })
	if errShared != nil {
		giveUp(t, errShared)
	}
	return shared
}

// Start returns a cluster for t alone, with further settings such as "ssl=off". It ends with t.
func Start(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	c, err := start(settings)
	if err != nil {
		giveUp(t, err)
	}
	t.Cleanup(func() {
		if err := c.remove(); err != nil {
			t.Error("remove cluster:", err)
		}
	})
	return c
}

func giveUp(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errMissing) {
		t.Skip("no PostgreSQL found, so its tests are left out: apt-get install postgresql")
	}
	t.Fatal("start cluster:", err)
}

func start(settings []string) (*Cluster, error) {
	c := &Cluster{}
	var err error
	if c.install, err = find(); err != nil {
		return nil, err
	}
	if err = c.initialise(settings); err == nil {
		err = c.launch()
	}
	if err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return c, c.query(User, fmt.Sprintf("create role %s login superuser password '%s'", TLSOnly, Password))
}

// initialise makes the files of the cluster.
func (c *Cluster) initialise(settings []string) (err error) {
	if c.dir, err = os.MkdirTemp("/tmp", "pgtest"); err != nil { // the path of a socket is short
		return err
	}
	if err = c.watch(); err != nil {
		return err
	}
	if c.port, err = freePort(); err != nil {
		return err
	}
	cert, key, err := certificate()
	if err != nil {
		return err
	}
	c.CA = cert
	c.flags = []string{
		"-D", c.dir + "/data", "-p", strconv.Itoa(c.port), "-k", c.dir, "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=300",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "hba_file=" + c.dir + "/hba", "-c", "lc_messages=C",
		"-c", "ssl=on", "-c", "ssl_cert_file=" + c.dir + "/cert", "-c", "ssl_key_file=" + c.dir + "/key",
	}
	for _, s := range settings {
		c.flags = append(c.flags, "-c", s)
	}
	hba := "local all " + TLSOnly + " reject\nlocal all all trust\nhostnossl all " + TLSOnly + " all reject\nhost all all all scram-sha-256\n"
	for name, text := range map[string]string{"password": Password, "cert": cert, "key": key, "hba": hba} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if err := c.handOver(c.dir); err != nil {
		return err
	}
	out, err := c.command("initdb", "-D", c.dir+"/data", "-U", User, "--pwfile="+c.dir+"/password", "-A", "scram-sha-256",
		"-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

// watch starts a process that ends the server and removes the files as soon as nobody holds its leash: when this process lets go, or is
// no more.
func (c *Cluster) watch() (err error) {
	const script = `cat; kill -KILL "$(head -n 1 "$0/data/postmaster.pid")"; rm -rf "$0" || { sleep 1; rm -rf "$0"; }`
	c.guard = exec.Command("sh", "-c", script, c.dir)
	c.guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that Ctrl-C in a terminal is not for it
	if c.leash, err = c.guard.StdinPipe(); err != nil {
		return err
	}
	return c.guard.Start()
}

// remove ends the server, however it is, and removes its files.
func (c *Cluster) remove() error {
	if c.leash == nil {
		return os.RemoveAll(c.dir)
	}
	err := errors.Join(c.leash.Close(), c.guard.Wait())
	if c.ended != nil {
		<-c.ended
	}
	return err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// launch starts the server until it stays. One that was killed leaves processes that hold its memory for a moment.
func (c *Cluster) launch() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		if err = c.launchOnce(); err == nil || !strings.Contains(err.Error(), "is still in use") {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-again.C:
		}
	}
}

func (c *Cluster) launchOnce() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	c.server = c.command("postgres", c.flags...)
	c.server.Stderr = w
	if err := errors.Join(c.server.Start(), w.Close()); err != nil {
		return errors.Join(err, r.Close())
	}
	c.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // how it ended is in its log
		close(ended)
	}(c.server, c.ended)
	return awaitReady(r)
}

// awaitReady reads the server's log until it accepts connections, and goes on reading, so that the server never waits for us.
func awaitReady(log io.ReadCloser) error {
	ready := make(chan error, 1)
	go func() {
		defer log.Close()
		var lines bytes.Buffer
		scan := bufio.NewScanner(log)
		for scan.Scan() {
			if lines.WriteString(scan.Text() + "\n"); strings.Contains(scan.Text(), "database system is ready to accept") {
				ready <- nil
				lines.Reset()
				_, _ = io.Copy(io.Discard, log)
				return
			}
		}
		ready <- fmt.Errorf("postgres: %s", &lines)
	}()
	select {
	case err := <-ready:
		return err
	case <-time.After(patience):
		return errors.New("postgres: not ready in time")
	}
}

// Stop ends the server in order. Its connections are closed.
func (c *Cluster) Stop(t testing.TB) { c.end(t, syscall.SIGINT) }

// Kill ends the server as a crash does.
func (c *Cluster) Kill(t testing.TB) { c.end(t, syscall.SIGKILL) }

func (c *Cluster) end(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := c.server.Process.Signal(sig); err != nil {
		t.Fatal("end server:", err)
	}
	<-c.ended
}

// Restart starts the server again after Stop or Kill, where it was.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	if err := c.launch(); err != nil {
		t.Fatal("restart server:", err)
	}
}

// Socket returns libpq's settings for a database through the socket file.
func (c *Cluster) Socket(database string) map[string]string {
	return map[string]string{"host": c.dir, "port": strconv.Itoa(c.port), "user": User, "database": database, "sslmode": "disable"}
}

// TCP returns libpq's settings for a database through the loopback interface, without TLS.
func (c *Cluster) TCP(database string) map[string]string {
	s := c.Socket(database)
	s["host"], s["password"] = "127.0.0.1", Password
	return s
}

// Database returns the name of an empty database that is t's until it ends.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	name := c.take()
	if name == "" {
		name = "test" + strconv.FormatInt(c.databases.Add(1), 10)
		c.Exec(t, User, "create database "+name)
	}
	t.Cleanup(func() {
		c.Exec(t, User, "alter database "+name+" reset all")
		c.Exec(t, name, empty)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.free = append(c.free, name)
	})
	return name
}

// take returns a database that a test before has left empty, else "". To make a new one takes ten times as long as to empty one.
func (c *Cluster) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.free) == 0 {
		return ""
	}
	name := c.free[len(c.free)-1]
	c.free = c.free[:len(c.free)-1]
	return name
}

// empty throws everybody out of a database, and everything.
const empty = `
select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid();
do $$ declare name text; begin
	for name in select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' loop
		execute format('drop schema %I cascade', name);
	end loop;
	create schema public;
end $$`

// Exec runs statements on a database. The test fails if they do.
func (c *Cluster) Exec(t testing.TB, database, statements string) {
	t.Helper()
	if err := c.query(database, statements); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

func (c *Cluster) query(database, statements string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=%s database=%s sslmode=disable", c.dir, c.port, User, database))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statements, pgx.QueryExecModeSimpleProtocol)
	return errors.Join(err, conn.Close(ctx))
}
