package seal

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const (
	oldSecret = "an old secret of some length"
	newSecret = "a new secret of some length"
)

func ring(t interface{ Fatal(...any) }, purpose string, secrets ...string) *Ring {
	r, err := New(purpose, secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNewRefusesWeakSecrets(t *testing.T) {
	for name, secrets := range map[string][]string{
		"none":        nil,
		"empty":       {""},
		"short":       {strings.Repeat("x", MinSecret-1)},
		"second weak": {newSecret, "short"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New("p", secrets...); !errors.Is(err, ErrSecret) {
				t.Errorf("error %v, want ErrSecret", err)
			}
		})
	}
}

func TestOpenGivesBackWhatWasSealed(t *testing.T) {
	r := ring(t, "p", newSecret)
	rapid.Check(t, func(t *rapid.T) {
		plain, context := rapid.SliceOf(rapid.Byte()).Draw(t, "plain"), rapid.SliceOf(rapid.Byte()).Draw(t, "context")
		sealed := r.Seal(plain, context)
		got, err := r.Open(sealed, context)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("got %x, %v", got, err)
		}
		bit := rapid.IntRange(0, len(sealed)*8-1).Draw(t, "bit")
		sealed[bit/8] ^= 1 << (bit % 8)
		if _, err := r.Open(sealed, context); !errors.Is(err, ErrOpen) {
			t.Fatalf("a flipped bit opens: %v", err)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	sealed := ring(t, "p", newSecret).Seal([]byte("secret"), []byte("here"))
	for _, tt := range []struct {
		name    string
		ring    *Ring
		value   []byte
		context string
	}{
		{"other purpose", ring(t, "q", newSecret), sealed, "here"},
		{"other secret", ring(t, "p", oldSecret), sealed, "here"},
		{"other context", ring(t, "p", newSecret), sealed, "there"},
		{"truncated", ring(t, "p", newSecret), sealed[:len(sealed)-1], "here"},
		{"longer", ring(t, "p", newSecret), append(bytes.Clone(sealed), 0), "here"},
		{"nothing", ring(t, "p", newSecret), nil, "here"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if plain, err := tt.ring.Open(tt.value, []byte(tt.context)); !errors.Is(err, ErrOpen) || plain != nil {
				t.Errorf("got %q, %v", plain, err)
			}
		})
	}
}

func TestSecretsOverlap(t *testing.T) {
	before, during, after := ring(t, "p", oldSecret), ring(t, "p", newSecret, oldSecret), ring(t, "p", newSecret)
	if _, err := during.Open(before.Seal([]byte("x"), nil), nil); err != nil {
		t.Error("the old secret no longer opens during the overlap")
	}
	if _, err := after.Open(during.Seal([]byte("x"), nil), nil); err != nil {
		t.Error("the new secret did not seal during the overlap")
	}
	if _, err := after.Open(before.Seal([]byte("x"), nil), nil); !errors.Is(err, ErrOpen) {
		t.Error("the old secret opens after the overlap")
	}
}

func TestDerive(t *testing.T) {
	both := ring(t, "p", newSecret, oldSecret).Derive([]byte("in"))
	if len(both) != 2 || !bytes.Equal(both[1], ring(t, "p", oldSecret).Derive([]byte("in"))[0]) {
		t.Error("values do not follow the secrets")
	}
	if bytes.Equal(both[0], ring(t, "q", newSecret).Derive([]byte("in"))[0]) {
		t.Error("the purpose does not count")
	}
	if bytes.Equal(both[0], ring(t, "p", newSecret).Derive([]byte("other"))[0]) {
		t.Error("the input does not count")
	}
}
