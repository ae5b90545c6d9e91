package tokens

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Key is one signing key pair as it is stored. The times decide its life: published from CreatedAt, signing from
// SignsFrom until a younger key's SignsFrom, removed after RetireAt.
type Key struct {
	// ID is the kid of tokens and key set.
	ID string
	// Generation counts the keys of one store; two keys of one generation cannot both be stored. That is how replicas
	// which rotate at the same time end with one new key.
	Generation int64
	// Algorithm is the JWS alg (RFC 7518 section 3.1).
	Algorithm string
	// Public is the public JWK as JSON.
	Public []byte
	// Private is the sealed PKCS #8 DER form.
	Private []byte

	CreatedAt, SignsFrom time.Time
	// RetireAt is zero as long as no younger key follows.
	RetireAt time.Time
}

// KeyStore keeps the keys that all replicas share. It is safe for concurrent use.
type KeyStore interface {
	// AddKey stores a new key. The error is ErrConflict if its ID or Generation is taken; nothing is changed then.
	AddKey(ctx context.Context, k Key) error
	// Keys returns all keys, expired ones included, oldest generation first.
	Keys(ctx context.Context) ([]Key, error)
	// RetireKey sets RetireAt of a key if it is still zero. An unknown id is no error.
	RetireKey(ctx context.Context, id string, at time.Time) error
	// RemoveKeys deletes keys; unknown ids are ignored.
	RemoveKeys(ctx context.Context, ids ...string) error
}

// Sealer encrypts private keys at rest, bound to a context.
type Sealer interface {
	Seal(plain, context []byte) []byte
	Open(sealed, context []byte) ([]byte, error)
}

// What a caller branches on.
var (
	// ErrConflict says that another replica was faster.
	ErrConflict = errors.New("key exists already")
	// ErrInvalid says that a token is not one of ours, or no longer.
	ErrInvalid = errors.New("invalid token")
	// ErrTooLarge says that a token would be larger than any receiver accepts (contract/core.md T7).
	ErrTooLarge = errors.New("token too large")
	// ErrSubject says that a subject is not an entity reference (contract/core.md T6).
	ErrSubject = errors.New("subject is not an entity reference")
)

// Parts of ErrInvalid.
var (
	// ErrUnrecognised says that a token is not even shaped like one of the kind that was asked for.
	ErrUnrecognised = fmt.Errorf("%w: of another kind", ErrInvalid)
	// ErrUnknownKey says that none of the known keys fits a token's header; a fresh key set may hold one.
	ErrUnknownKey = fmt.Errorf("%w: unknown key", ErrInvalid)
)
