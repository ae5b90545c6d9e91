package signin

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"stagedoor/server/internal/fault"
)

// transactionLife is how long a browser may take at the provider.
const transactionLife = 10 * time.Minute

// looksLikeState reports whether a text may be a state of ours, see randomToken. At a provider that may begin a sign-in by itself,
// anything else may stand in its place, such as the address of a page.
var looksLikeState = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).MatchString

// maxTransactionCookie keeps the cookie below what every browser stores, name and attributes included.
const maxTransactionCookie = 3800

// transaction is what one sign-in must remember from start to callback. It travels in a sealed cookie, so that start writes
// nothing and the callback works on every replica (design D4).
type transaction struct {
	Attempt     string    `json:"a"`
	Env         string    `json:"e"`
	Origin      string    `json:"o,omitempty"`
	RedirectURL string    `json:"r,omitempty"`
	Scope       string    `json:"s,omitempty"`
	Memo        []byte    `json:"m,omitempty"`
	Expires     time.Time `json:"x"`
}

// transactionName is the cookie's name: <id>-nonce- and a short hash of the state, so that parallel sign-ins do not meet.
func transactionName(id, state string) string {
	return id + "-nonce-" + hex.EncodeToString(stateHash(id, state)[:6])
}

// stateHash names a transaction where it is marked as consumed; the provider is part of it.
func stateHash(id, state string) []byte {
	sum := sha256.Sum256([]byte(id + "\x00" + state))
	return sum[:]
}

// transactionCookie seals tx for one provider and one state: under another of either it does not open.
func (f *Flow) transactionCookie(e *Entry, state string, tx transaction) (*http.Cookie, error) {
	plain, err := json.Marshal(tx)
	if err != nil {
		return nil, fmt.Errorf("encode transaction: %w", err)
	}
	value := base64.RawURLEncoding.EncodeToString(f.sealTx.Seal(plain, stateHash(e.ID, state)))
	if len(value) > maxTransactionCookie {
		return nil, fault.New(fault.Input, "start_too_large", "The scope or redirectUrl of this sign-in is too long", nil)
	}
	c := f.cookie(e, transactionName(e.ID, state), value, transactionLife, tx.Origin)
	c.Path += "/handler"
	c.SameSite = http.SameSiteLaxMode
	return c, nil
}

// clearTransaction removes the cookie of a transaction that came back.
func (f *Flow) clearTransaction(e *Entry, state string) *http.Cookie {
	c := f.cookie(e, transactionName(e.ID, state), "", 0, "")
	c.Path += "/handler"
	c.SameSite = http.SameSiteLaxMode
	return c
}

var (
	errStateInvalid = fault.New(fault.NotAllowed, "state_invalid", "OAuth state is invalid, missing nonce", nil)
	errNonceMissing = fault.New(fault.NotAllowed, "nonce_missing", "Auth response is missing cookie nonce", nil)
	errNonceInvalid = fault.New(fault.NotAllowed, "nonce_invalid", "Invalid nonce", nil)
	errReplayed     = fault.New(fault.NotAllowed, "transaction_replayed", "Invalid nonce, this sign-in was finished before", nil)
	errTooLate      = fault.New(fault.NotAllowed, "transaction_expired", "The sign-in took too long, please start again", nil)
)

// openTransaction finds and opens the transaction that state belongs to. A sibling domain may have planted cookies of the
// same name; what does not open is passed over.
func (f *Flow) openTransaction(e *Entry, state string, cookies []*http.Cookie) (transaction, error) {
	if !looksLikeState(state) {
		return transaction{}, errStateInvalid
	}
	err := errNonceMissing
	name, tried := transactionName(e.ID, state), 0
	for _, c := range cookies {
		if c.Name != name || tried == maxCandidates {
			continue
		}
		tried++
		err = errNonceInvalid
		sealed, decodeErr := base64.RawURLEncoding.DecodeString(c.Value)
		if decodeErr != nil {
			continue
		}
		plain, openErr := f.sealTx.Open(sealed, stateHash(e.ID, state))
		if openErr != nil {
			continue
		}
		var tx transaction
		if jsonErr := json.Unmarshal(plain, &tx); jsonErr != nil {
			return transaction{}, fmt.Errorf("decode transaction: %w", jsonErr)
		}
		if !f.cfg.Now().Before(tx.Expires) {
			return tx, errTooLate
		}
		return tx, nil
	}
	return transaction{}, err
}

// isStale reports whether a transaction failed for good, so that its cookie is of no more use.
func isStale(err error) bool {
	return errors.Is(err, errTooLate) || errors.Is(err, errNonceInvalid) || errors.Is(err, errReplayed)
}
