package tokens

import (
	"crypto/ed25519"
	"testing"
	"time"
)

// TestSigner picks the key to sign with at noon, for tokens that live an hour.
func TestSigner(t *testing.T) {
	noon := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	key := func(id string, signsFrom int) *signingKey {
		return &signingKey{Key: Key{ID: id, SignsFrom: at(signsFrom)}, private: ed25519.PrivateKey{}}
	}
	retired := func(k *signingKey, minutes int) *signingKey { k.RetireAt = at(minutes); return k }
	for _, c := range []struct {
		name string
		keys []*signingKey // oldest first
		want string        // empty means none
	}{
		{"none", nil, ""},
		{"only one", []*signingKey{key("a", -60)}, "a"},
		{"from this moment on", []*signingKey{key("a", 0)}, "a"},
		{"the youngest", []*signingKey{key("a", -60), key("b", -30)}, "b"},
		{"not before its time", []*signingKey{key("a", -60), key("b", 1)}, "a"},
		{"early, as there is no other", []*signingKey{key("a", 1)}, "a"},
		{"early, the oldest of them", []*signingKey{key("a", 1), key("b", 2)}, "a"},
		{"retired, but it covers the token", []*signingKey{retired(key("a", -60), 60)}, "a"},
		{"gone before the token ends", []*signingKey{retired(key("a", -60), 59)}, ""},
		{"early rather than gone before the token ends", []*signingKey{retired(key("a", -60), 59), key("b", 5)}, "b"},
		{"older, as the youngest is gone too soon", []*signingKey{key("a", -60), retired(key("b", -30), 59)}, "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if k := (&snapshot{signers: c.keys}).signer(noon, time.Hour); k != nil {
				got = k.ID
			}
			if got != c.want {
				t.Errorf("signed by %q, want %q", got, c.want)
			}
		})
	}
}
