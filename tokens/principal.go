package tokens

import "time"

// Principal is whom a verified token speaks for.
type Principal struct {
	// Subject is the user's entity reference.
	Subject string
	// Limited is true for a limited user token (contract/core.md T12).
	Limited bool
	// ExpiresAt is the end of the token.
	ExpiresAt time.Time
}
