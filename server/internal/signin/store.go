package signin

import (
	"context"
	"errors"
	"time"
)

// Session is one signed-in browser at one provider, as it is stored.
type Session struct {
	// ID is the lower-case hex SHA-256 of the cookie's value; the value itself is never stored.
	ID string
	// Provider and Env are the entry that the session belongs to.
	Provider, Env string
	// UserRef is the entity reference of the last resolved identity; empty without a sign-in resolver.
	UserRef string
	// Scope is what was granted so far, separated by single spaces.
	Scope string
	// Tokens are the provider's tokens, sealed.
	Tokens []byte

	CreatedAt time.Time
	// UsedAt is the last use, exact to within the touch interval.
	UsedAt time.Time
	// RefreshedAt is when the provider last answered with these tokens.
	RefreshedAt time.Time
	// ExpiresAt is the absolute end.
	ExpiresAt time.Time

	// SubjectKey stands for whom the provider knows the user as, UpstreamKey for the session there; empty if it did not say. They are
	// hashes, to be found by.
	SubjectKey, UpstreamKey string
}

// SessionQuery picks sessions by one of the first three; with none of them it is all.
type SessionQuery struct {
	UserRef, SubjectKey, UpstreamKey string
	// After is the ID of the last one that was seen, empty at first; Limit is how many are wanted.
	After string
	Limit int
}

// Lease is the right of one flight, over all replicas, to spend a session's refresh token.
type Lease struct {
	// Session is the row's id, Owner a random name of this flight.
	Session, Owner string
	// TTL is how long the right lasts unless it is renewed. It is counted by the store's clock.
	TTL time.Duration
}

// Renewal is what a refresh learned.
type Renewal struct {
	Scope       string
	Tokens      []byte
	RefreshedAt time.Time
	// SubjectKey and UpstreamKey replace the session's.
	SubjectKey, UpstreamKey string
}

// ErrNoAttempt says that no attempt of that id is kept.
var ErrNoAttempt = errors.New("no such attempt")

// ErrNoSession says that there is no such session, or no longer.
var ErrNoSession = errors.New("no such session")

// ErrConsumed says that this was used before.
var ErrConsumed = errors.New("already consumed")

// ErrNotOwner says that the lease is not, or no longer, this flight's.
var ErrNotOwner = errors.New("lease not held")

// ErrReadOnly says that the store can be read and not written; its text is for the log.
var ErrReadOnly = errors.New("database is not writable")

// ErrFull says that the store has no room left.
var ErrFull = errors.New("database is full")

// SessionStore keeps sessions. It is safe for concurrent use, by several processes as well. Any error that is not one of
// this package's says that the store could not answer, and so do ErrReadOnly and ErrFull; nothing is half written then.
type SessionStore interface {
	// CreateSession stores a new session.
	CreateSession(ctx context.Context, s Session) error
	// AdoptSession stores s unless a session of that ID was ever adopted before: then it is ErrConsumed and nothing is
	// changed, also if that session has ended since. The memory of it lasts until s.ExpiresAt.
	AdoptSession(ctx context.Context, s Session) error
	// Session returns the session, expired or not, or ErrNoSession.
	Session(ctx context.Context, id string) (Session, error)
	// FindSessions returns sessions in the order of their IDs, expired ones included.
	FindSessions(ctx context.Context, q SessionQuery) ([]Session, error)
	// TouchSession sets UsedAt and UserRef. ErrNoSession if it is gone.
	TouchSession(ctx context.Context, id, userRef string, usedAt time.Time) error
	// ExpireSession brings ExpiresAt forward to at, never back. A missing session is no error.
	ExpireSession(ctx context.Context, id string, at time.Time) error
	// DeleteSession removes it, with its lease. A missing session is no error.
	DeleteSession(ctx context.Context, id string) error

	// AcquireLease takes the session's lease if nobody holds it or the holder's time is up, and returns the session as it
	// is then. ErrNotOwner if somebody else holds it, ErrNoSession if the session is gone.
	AcquireLease(ctx context.Context, l Lease) (Session, error)
	// RenewLease extends a held lease by its TTL from now. ErrNotOwner if it was lost.
	RenewLease(ctx context.Context, l Lease) error
	// FinishLease stores what the holder learned and gives the lease back, in one step. ErrNotOwner if it was lost,
	// ErrNoSession if the session is gone; nothing is stored then.
	FinishLease(ctx context.Context, l Lease, r Renewal) error
	// ReleaseLease gives the lease back without storing anything. A lost lease is no error.
	ReleaseLease(ctx context.Context, l Lease) error
}

// TransactionStore remembers which transactions came back.
type TransactionStore interface {
	// Consume marks id as used until the given time. ErrConsumed if it was marked before, over all replicas.
	Consume(ctx context.Context, id string, until time.Time) error
}

// AttemptStore keeps what became of failed attempts, where every replica finds it.
type AttemptStore interface {
	// SaveAttempt keeps a JSON document until the given time.
	SaveAttempt(ctx context.Context, id string, attempt []byte, until time.Time) error
	// Attempt returns it, or ErrNoAttempt.
	Attempt(ctx context.Context, id string) ([]byte, error)
}

// UserInfoStore keeps what the last sign-in or refresh of a user said (contract/core.md R21, K8).
type UserInfoStore interface {
	// SaveUserInfo stores the JSON document {"claims":{…}} for a user entity ref, replacing what was there.
	SaveUserInfo(ctx context.Context, userRef string, info []byte) error
}
