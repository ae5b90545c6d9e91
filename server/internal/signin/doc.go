// Package signin is Backstage's relying party: it starts and finishes a sign-in, refreshes and ends the session. It owns
// state, origins, scopes, transactions, sessions and leases, and declares the stores that it needs. It leaves the upstream's
// protocol to providers, users to catalog, tokens to tokens, and HTTP to api. Its law: a session ends only because somebody
// or something said so for good, never because of a passing fault or a lost race.
package signin
