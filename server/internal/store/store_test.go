package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"stagedoor/server/internal/signin"
	"stagedoor/server/internal/store/sqlitedb"
	"stagedoor/server/internal/store/storetest"
	"stagedoor/tokens"
	"stagedoor/tokens/tokenstest"
)

func TestConformance(t *testing.T) {
	tests := []struct {
		name string
		// opener returns what Database.Open is to be.
		opener func(t *testing.T, c *clock) func() storetest.Store
	}{
		{"file", func(t *testing.T, c *clock) func() storetest.Store {
			path := file(t)
			return func() storetest.Store {
				return open(t, Options{Path: path, Idle: storetest.Idle, Now: c.now})
			}
		}},
		{"PostgreSQL", func(t *testing.T, c *clock) func() storetest.Store {
			opts := withClock(t, postgres(t), c)
			opts.Idle, opts.Now = storetest.Idle, c.now
			return func() storetest.Store { return open(t, opts) }
		}},
		{"memory", func(t *testing.T, c *clock) func() storetest.Store {
			s := open(t, Options{Idle: storetest.Idle, Now: c.now})
			return func() storetest.Store { return s }
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Database {
				c := newClock()
				return storetest.Database{Open: tt.opener(t, c), Now: c.now, Advance: c.advance}
			})
		})
	}
}

func TestKeyStore(t *testing.T) {
	tests := []struct {
		name string
		view func(*Store) tokens.KeyStore
	}{
		{"user tokens", func(s *Store) tokens.KeyStore { return s }},
		{"plugin tokens", (*Store).PluginKeys},
	}
	for _, tt := range tests {
		t.Run(tt.name+" in a file", func(t *testing.T) {
			tokenstest.Run(t, func(t *testing.T) tokens.KeyStore { return tt.view(open(t, Options{Path: file(t)})) })
		})
		t.Run(tt.name+" in PostgreSQL", func(t *testing.T) {
			tokenstest.Run(t, func(t *testing.T) tokens.KeyStore { return tt.view(open(t, postgres(t))) })
		})
		t.Run(tt.name+" in memory", func(t *testing.T) {
			tokenstest.Run(t, func(t *testing.T) tokens.KeyStore { return tt.view(open(t, Options{})) })
		})
	}
}

// TestKeysOfTwoPurposes has the two stores of one database use the same id and generation, and neither sees the other's.
func TestKeysOfTwoPurposes(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		ctx, s := t.Context(), open(t, opts)
		user := tokens.Key{ID: "k", Generation: 1, Public: []byte("{}"), Private: []byte("of user tokens")}
		plugin := tokens.Key{ID: "k", Generation: 1, Public: []byte("{}"), Private: []byte("of plugin tokens")}
		must(t, s.AddKey(ctx, user))
		must(t, s.PluginKeys().AddKey(ctx, plugin))
		wantKeys(t, s, user)
		wantKeys(t, s.PluginKeys(), plugin)

		plugin.RetireAt = newClock().now()
		must(t, s.PluginKeys().RetireKey(ctx, "k", plugin.RetireAt))
		wantKeys(t, s, user)
		wantKeys(t, s.PluginKeys(), plugin)

		must(t, s.RemoveKeys(ctx, "k"))
		wantKeys(t, s)
		wantKeys(t, s.PluginKeys(), plugin)
	})
}

func wantKeys(t *testing.T, s tokens.KeyStore, want ...tokens.Key) {
	t.Helper()
	got, err := s.Keys(t.Context())
	must(t, err)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("keys differ (-want +got):\n%s", diff)
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		ctx := t.Context()
		first, err := Open(ctx, opts)
		must(t, err)
		want, key := session("a"), tokens.Key{ID: "k", Generation: 1, Public: []byte("{}"), Private: []byte("sealed")}
		must(t, first.AdoptSession(ctx, want))
		must(t, first.AddKey(ctx, key))
		must(t, first.PluginKeys().AddKey(ctx, key))
		must(t, first.Consume(ctx, "t", want.ExpiresAt))
		must(t, first.SaveUserInfo(ctx, "u", []byte("{}")))
		must(t, first.Close())

		second := open(t, opts)
		got, err := second.Session(ctx, "a")
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("session differs (-want +got):\n%s", diff)
		}
		wantKeys(t, second, key)
		wantKeys(t, second.PluginKeys(), key)
		info, err := second.UserInfo(ctx, "u")
		if err != nil || string(info) != "{}" {
			t.Errorf("user info is %q, %v", info, err)
		}
		for _, err := range []error{second.AdoptSession(ctx, want), second.Consume(ctx, "t", want.ExpiresAt)} {
			if !errors.Is(err, signin.ErrConsumed) {
				t.Errorf("error is %v, want %v", err, signin.ErrConsumed)
			}
		}
	})
}

func TestMemoryIsPrivate(t *testing.T) {
	a, b := open(t, Options{}), open(t, Options{Path: ":memory:"})
	must(t, a.CreateSession(t.Context(), session("a")))
	if _, err := b.Session(t.Context(), "a"); !errors.Is(err, signin.ErrNoSession) {
		t.Errorf("error is %v, want %v", err, signin.ErrNoSession)
	}
}

func TestReadsDoNotWaitForTheWriter(t *testing.T) {
	ctx, s := t.Context(), open(t, Options{Path: file(t)})
	must(t, s.CreateSession(ctx, session("a")))
	tx, err := lite(s).writer.BeginTx(ctx, nil)
	must(t, err)
	must(t, lite(s).write.WithTx(tx).DeleteSession(ctx, "a"))

	_, err = s.Session(ctx, "a")
	must(t, err)
	must(t, s.Ping(ctx))
	must(t, tx.Commit())
	if _, err := s.Session(ctx, "a"); !errors.Is(err, signin.ErrNoSession) {
		t.Errorf("error is %v, want %v", err, signin.ErrNoSession)
	}
}

func TestReaderCannotWrite(t *testing.T) {
	s := open(t, Options{Path: file(t)})
	err := wrap("delete session", s.read.DeleteSession(t.Context(), "a"))
	if !errors.Is(err, ErrReadOnly) {
		t.Errorf("error is %v, want %v", err, ErrReadOnly)
	}
}

// lock takes the write lock of the file, as another process would, until the test ends or the returned function is called.
func lock(t *testing.T, path string) (release func()) {
	t.Helper()
	other := open(t, Options{Path: path})
	tx, err := lite(other).writer.BeginTx(t.Context(), nil)
	must(t, err)
	return func() { must(t, tx.Rollback()) }
}

func TestBusy(t *testing.T) {
	ctx, path := t.Context(), file(t)
	s := open(t, Options{Path: path, BusyTimeout: time.Millisecond})
	release := lock(t, path)
	if err := s.CreateSession(ctx, session("a")); !errors.Is(err, ErrBusy) {
		t.Errorf("create: error is %v, want %v", err, ErrBusy)
	}
	if err := s.AdoptSession(ctx, session("a")); !errors.Is(err, ErrBusy) {
		t.Errorf("adopt: error is %v, want %v", err, ErrBusy)
	}
	must(t, s.Ping(ctx))
	release()
	must(t, s.AdoptSession(ctx, session("a")))
}

func TestTimeoutEndsTheWait(t *testing.T) {
	s := open(t, Options{Path: file(t)})
	tx, err := lite(s).writer.BeginTx(t.Context(), nil)
	must(t, err)
	s.opts.Timeout = time.Millisecond
	if err := s.CreateSession(t.Context(), session("a")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want %v", err, context.DeadlineExceeded)
	}
	if n := lite(s).writer.Stats().WaitCount; n != 1 {
		t.Errorf("%d calls queued for the one writer, want 1", n)
	}
	s.opts.Timeout = DefaultTimeout
	must(t, tx.Rollback())
	must(t, s.CreateSession(t.Context(), session("a")))
}

func TestFull(t *testing.T) {
	s := open(t, Options{Path: file(t)})
	must(t, s.CreateSession(t.Context(), session("a")))
	_, err := lite(s).writer.ExecContext(t.Context(), "pragma max_page_count = 1")
	must(t, err)
	big := session("b")
	big.Tokens = make([]byte, 1<<20)
	if err := s.CreateSession(t.Context(), big); !errors.Is(err, ErrFull) {
		t.Errorf("error is %v, want %v", err, ErrFull)
	}
	_, err = s.Session(t.Context(), "a")
	must(t, err)
}

func TestClosedStoreFails(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		s, err := Open(t.Context(), opts)
		must(t, err)
		must(t, s.Close())
		must(t, s.Close())
		for name, err := range map[string]error{
			"ping":   s.Ping(t.Context()),
			"create": s.CreateSession(t.Context(), session("a")),
			"remove": s.RemoveKeys(t.Context(), "k"),
			"retire": s.PluginKeys().RetireKey(t.Context(), "k", time.Time{}),
		} {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
	})
}

func TestErrorsHoldNoValues(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		s := open(t, opts)
		secret := session("secret-id")
		secret.Tokens, secret.UserRef = []byte("secret-tokens"), "user:default/secret"
		must(t, s.CreateSession(t.Context(), secret))
		for _, err := range []error{s.CreateSession(t.Context(), secret), s.AdoptSession(t.Context(), secret)} {
			if err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("error is %v", err)
			}
		}
	})
}

func TestSweepStatementsAreBounded(t *testing.T) {
	onBoth(t, func(t *testing.T, opts Options) {
		const batch = 2
		ctx, s := t.Context(), open(t, opts)
		tests := []struct {
			name   string
			remove func() (int64, error)
		}{
			{"idle sessions", func() (int64, error) {
				return s.write.sweepIdleSessions(ctx, math.MaxInt64, batch)
			}},
			{"expired sessions", func() (int64, error) {
				return s.write.SweepExpiredSessions(ctx, sqlitedb.SweepExpiredSessionsParams{Now: math.MaxInt64, Batch: batch})
			}},
			{"adoptions", func() (int64, error) {
				return s.write.SweepAdoptions(ctx, sqlitedb.SweepAdoptionsParams{Now: math.MaxInt64, Batch: batch})
			}},
			{"transactions", func() (int64, error) {
				return s.write.SweepTransactions(ctx, sqlitedb.SweepTransactionsParams{Now: math.MaxInt64, Batch: batch})
			}},
		}
		for i := range 3 * batch {
			must(t, s.AdoptSession(ctx, session(fmt.Sprint(i))))
			must(t, s.Consume(ctx, fmt.Sprint(i), time.Time{}))
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				if n, err := tt.remove(); n != batch || err != nil {
					t.Errorf("removed %d rows, %v, want %d", n, err, batch)
				}
			})
		}
	})
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Options{Now: time.Now, SweepEvery: time.Minute})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.Run(ctx); close(done) }()

		must(t, s.Consume(ctx, "a", time.Now().Add(90*time.Second)))
		<-time.After(119 * time.Second)
		synctest.Wait()
		if err := s.Consume(ctx, "a", time.Now()); !errors.Is(err, signin.ErrConsumed) {
			t.Errorf("before the sweep: error is %v, want %v", err, signin.ErrConsumed)
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		must(t, s.Consume(ctx, "a", time.Now()))
		stop()
		<-done
	})
}

func TestRunGoesOnAfterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		s, err := Open(t.Context(), Options{SweepEvery: time.Minute, Log: slog.New(slog.NewTextHandler(&lines, nil))})
		must(t, err)
		must(t, s.Close())
		ctx, stop := context.WithTimeout(t.Context(), 150*time.Second)
		defer stop()
		s.Run(ctx)
		if n := strings.Count(lines.String(), "sweep failed"); n != 2 {
			t.Errorf("%d sweeps logged as failed, want 2:\n%s", n, &lines)
		}
	})
}
