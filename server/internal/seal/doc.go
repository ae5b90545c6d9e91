// Package seal encrypts what leaves the process and must come back unread and unchanged: transaction cookies, the
// providers' tokens in the session store, private signing keys at rest. Its law: one secret in, one derived key per
// purpose out (HKDF, RFC 5869), and nothing opens under another purpose or another context.
package seal
