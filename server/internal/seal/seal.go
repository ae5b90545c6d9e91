package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// ErrOpen says that a value was not sealed by this ring, for this purpose, in this context, or was changed since.
var ErrOpen = errors.New("sealed value does not open")

// ErrSecret says that the secrets cannot make a ring.
var ErrSecret = errors.New("a session secret needs at least 16 bytes")

// MinSecret is the shortest accepted secret, in bytes.
const MinSecret = 16

// Ring holds one key per secret for one purpose. The first seals, all open. It is safe for concurrent use.
//
// XChaCha20-Poly1305 is used because its 192-bit random nonces set no limit to the number of values under one key;
// AES-GCM's 96 bits would, at 2^32 values, within months of a large portal's refreshes.
type Ring struct {
	aeads []cipher.AEAD
	macs  [][]byte
}

// New derives the ring for purpose from secrets: the first seals, all open. An empty list or a secret shorter than
// MinSecret is ErrSecret.
func New(purpose string, secrets ...string) (*Ring, error) {
	if len(secrets) == 0 {
		return nil, ErrSecret
	}
	r := &Ring{}
	for _, s := range secrets {
		if len(s) < MinSecret {
			return nil, ErrSecret
		}
		key, err := hkdf.Key(sha256.New, []byte(s), []byte("stagedoor"), purpose, 64)
		if err != nil {
			return nil, fmt.Errorf("derive key: %w", err)
		}
		aead, err := chacha20poly1305.NewX(key[:32])
		if err != nil {
			return nil, fmt.Errorf("make cipher: %w", err)
		}
		r.aeads = append(r.aeads, aead)
		r.macs = append(r.macs, key[32:])
	}
	return r, nil
}

// Seal encrypts plain and binds it to context, which must be given again to open it. The result is nonce ‖ ciphertext ‖
// tag, 40 bytes longer than plain.
func (r *Ring) Seal(plain, context []byte) []byte {
	nonce := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	_, _ = rand.Read(nonce) // never fails (crypto/rand, since Go 1.24)
	return r.aeads[0].Seal(nonce, nonce, plain, context)
}

// Open decrypts what Seal made with any of the ring's secrets. Anything else is ErrOpen.
func (r *Ring) Open(sealed, context []byte) ([]byte, error) {
	if len(sealed) < chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead {
		return nil, ErrOpen
	}
	nonce, box := sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:]
	for _, a := range r.aeads {
		if plain, err := a.Open(nil, nonce, box, context); err == nil {
			return plain, nil
		}
	}
	return nil, ErrOpen
}

// Derive returns one 32-byte value per secret, in the ring's order, that only a holder of the secret can compute from
// input: the first is the one to make, all are the ones to recognise.
func (r *Ring) Derive(input []byte) [][]byte {
	out := make([][]byte, len(r.macs))
	for i, key := range r.macs {
		m := hmac.New(sha256.New, key)
		m.Write(input)
		out[i] = m.Sum(nil)
	}
	return out
}
