package main

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/store/pgtest"
)

// TestDatabaseTakesNoWrites: a server that became a replica, and one whose disk is full, are told apart from one that is away; nobody
// loses a cookie, and the callback that met it counts later.
func TestDatabaseTakesNoWrites(t *testing.T) {
	const full = `create function auth.no_room() returns trigger language plpgsql as $$ begin raise exception 'no room' using errcode = '53100'; end $$;
		create trigger no_room before insert or update on auth.stagedoor_sessions for each row execute function auth.no_room();
		create trigger no_room before insert on auth.stagedoor_transactions for each row execute function auth.no_room()`
	const kick = "; select pg_terminate_backend(pid) from pg_stat_activity where datname = '%s'"
	c := pgtest.Shared(t)
	outside, inside := func(string) string { return pgtest.User }, func(name string) string { return name }
	for _, tt := range []struct {
		from                         func(string) string
		code, message, breaks, mends string
	}{
		{outside, "store_read_only", "The session store cannot be written", "alter database %s set default_transaction_read_only = on" + kick, "alter database %s reset all" + kick},
		{inside, "store_full", "The session store is full", full, "drop function auth.no_room() cascade"},
	} {
		t.Run(tt.code, func(t *testing.T) {
			name := c.Database(t)
			l := newFaultLine(t, "127.0.0.1:"+c.TCP("")["port"], nil)
			d := deploy(t, onLine(c, l, name))
			b := d.browser()
			b.signIn("jane.doe@example.com")
			callback := b.toCallback("jane.doe@example.com")
			c.Exec(t, tt.from(name), named(tt.breaks, name))
			for _, path := range []string{keysPath, readinessPath, livenessPath} {
				if res := b.Get(path); res.Status != http.StatusOK {
					t.Errorf("%s: %d", path, res.Status)
				}
			}
			eventually(t, "the code", func() bool { // the first call may meet a connection that was ended
				return posted(t, b.follow(callback)).Error.Code == tt.code
			})
			wantError(t, posted(t, b.follow(callback)).Error, tt.code, "ServiceUnavailableError", tt.message)
			res, _ := b.refresh("")
			if e := failure(t, res); res.Status != http.StatusServiceUnavailable || e.Code != tt.code || res.Header.Get("Retry-After") == "" || b.cookie("backstage-auth") == "" {
				t.Errorf("refresh: %d %+v %v", res.Status, e, res.Header)
			}
			c.Exec(t, tt.from(name), named(tt.mends, name))
			eventually(t, "the refresh", func() bool { res, _ := b.refresh(""); return res.Status == http.StatusOK })
			if m := posted(t, b.follow(callback)); m.Error.Name != "" {
				t.Errorf("the same callback after the fault: %+v", m.Error)
			}
		})
	}
}

// named puts the database's name into statements that have a place for it.
func named(statements, name string) string { return strings.ReplaceAll(statements, "%s", name) }

// TestDatabaseSlow is security R04: two seconds per statement and 200 users. Keys are served at once, everybody has an answer in bounded
// time, and when it is over everybody still has a session.
func TestDatabaseSlow(t *testing.T) {
	const users, statement = 200, 2 * time.Second
	c := pgtest.Start(t)
	l := newFaultLine(t, "127.0.0.1:"+c.TCP("")["port"], statements)
	d := deploy(t, onLine(c, l, ""))
	all := make([]*browser, users)
	for i := range all {
		all[i] = d.browser()
		all[i].signIn("jane.doe@example.com")
	}
	l.set(lineState{delay: statement})
	var working sync.WaitGroup
	var mu sync.Mutex
	codes, slowest := map[string]int{}, time.Duration(0)
	for _, b := range all {
		working.Go(func() {
			begun := time.Now()
			res := b.Get("/api/auth/idp/refresh?env=development", apitest.Header("X-Requested-With", "XMLHttpRequest"))
			mu.Lock()
			defer mu.Unlock()
			slowest = max(slowest, time.Since(begun))
			if res.Status == http.StatusOK {
				codes["200"]++
			} else {
				codes[failure(t, res).Code]++
			}
		})
	}
	keys := watchKeys(d)
	time.AfterFunc(8*time.Second, func() { l.set(lineState{}) })
	working.Wait()
	worst, n := keys()
	t.Logf("%d users, answers %v, the slowest after %v; %d key sets, the slowest after %v", users, codes, slowest, n, worst)
	if worst > time.Second || slowest > writeTime {
		t.Errorf("key set after %v, answer after %v", worst, slowest)
	}
	for code := range codes {
		if code != "200" && code != "store_unavailable" && code != "refresh_busy" {
			t.Errorf("answered %s", code)
		}
	}
	for i, b := range all {
		if res, _ := b.refresh(""); res.Status != http.StatusOK {
			t.Errorf("user %d has lost the session: %d %s", i, res.Status, res.Body)
		}
	}
}

// watchKeys asks for the key set again and again, until the returned function is called, which tells the longest wait and the number.
func watchKeys(d *deployment) (stop func() (worst time.Duration, n int)) {
	done, over := make(chan struct{}), make(chan struct{})
	var worst time.Duration
	n := 0
	b := d.browser()
	go func() {
		defer close(over)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			begun := time.Now()
			if res := b.Get(keysPath); res.Status != http.StatusOK {
				d.t.Errorf("key set: %d", res.Status)
			}
			worst, n = max(worst, time.Since(begun)), n+1
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	return func() (time.Duration, int) { close(done); <-over; return worst, n }
}
