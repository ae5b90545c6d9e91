package providers_test

import (
	"fmt"
	"testing"
	"time"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

const es256 = confidential + "tokenSignedResponseAlg: ES256\n"

func ecKey(t *testing.T, kid string) providertest.Key {
	t.Helper()
	k, err := providertest.ECKey(kid)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestKeySelection is C09 and C02: which of the published keys may verify.
func TestKeySelection(t *testing.T) {
	a, b := ecKey(t, "a"), ecKey(t, "b")
	nameless := func(k providertest.Key) providertest.Key { k.ID = ""; return k }
	renamed := func(k providertest.Key, kid string) providertest.Key { k.ID = kid; return k }
	for _, tt := range []struct {
		name      string
		signer    providertest.Key
		published []providertest.Key
		want      string
	}{
		{"kid, one key", a, []providertest.Key{a}, ""},
		{"kid, several keys", b, []providertest.Key{a, b}, ""},
		{"no kid, single key", nameless(a), []providertest.Key{nameless(a)}, ""},
		{"no kid, several keys, one fits", nameless(a), []providertest.Key{a, b}, ""},
		{"no kid, several keys, two fit", nameless(a), []providertest.Key{a, renamed(a, "again")}, providers.CodeIDTokenSignature},
		{"no kid, none fits", nameless(a), []providertest.Key{b}, providers.CodeIDTokenSignature},
		{"kid, keys without", a, []providertest.Key{nameless(a), nameless(b)}, ""},
		{"kid of another key", renamed(a, "b"), []providertest.Key{a, b}, providers.CodeIDTokenSignature},
		{"unknown kid", renamed(a, "c"), []providertest.Key{a, b}, providers.CodeIDTokenSignature},
		{"no keys", a, nil, providers.CodeIDTokenSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIDP(t)
			i.signer, i.published = tt.signer, tt.published
			_, err := i.signIn(i.mustOpen(es256))
			wantCode(t, err, tt.want)
			if n := i.called("/keys"); n > 2 {
				t.Errorf("%d fetches, want at most one more", n)
			}
		})
	}
}

// TestKeyRotation is C10: the provider has new keys since we read them.
func TestKeyRotation(t *testing.T) {
	for _, kids := range [][2]string{{"old", "new"}, {"", ""}, {"same", "same"}} {
		t.Run(fmt.Sprintf("%q to %q", kids[0], kids[1]), func(t *testing.T) {
			i := newIDP(t)
			i.signer = ecKey(t, kids[0])
			i.published = []providertest.Key{i.signer}
			p := i.mustOpen(es256)
			_, err := i.signIn(p)
			wantCode(t, err, "")
			i.signer = ecKey(t, kids[1])
			i.published = []providertest.Key{i.signer}
			_, err = i.signIn(p)
			wantCode(t, err, "")
			if n := i.called("/keys"); n != 2 {
				t.Errorf("%d fetches, want 2", n)
			}
		})
	}
}

// TestKeyWithdrawn is the other half of rotation: a key that is no longer published is not believed for long.
func TestKeyWithdrawn(t *testing.T) {
	i := newIDP(t)
	i.signer = ecKey(t, "stolen")
	i.published = []providertest.Key{i.signer}
	p := i.mustOpen(es256)
	_, err := i.signIn(p)
	wantCode(t, err, "")
	i.published = []providertest.Key{ecKey(t, "next")}
	i.advance(time.Hour)
	_, err = i.signIn(p)
	wantCode(t, err, providers.CodeIDTokenSignature)
}

// TestKeyFlood is C11: forged tokens must not turn us on the provider, nor lock out the honest ones.
func TestKeyFlood(t *testing.T) {
	i := newIDP(t)
	honest := ecKey(t, "honest")
	i.signer, i.published = honest, []providertest.Key{honest}
	p := i.mustOpen(es256)
	forged := ecKey(t, "")
	for n := range 1000 {
		i.signer, i.signer.ID = forged, fmt.Sprint("kid-", n)
		_, err := i.signIn(p)
		wantCode(t, err, providers.CodeIDTokenSignature)
		i.advance(60 * time.Millisecond)
	}
	if n := i.called("/keys"); n > 10 {
		t.Errorf("%d fetches in a minute", n)
	}
	i.signer = honest
	_, err := i.signIn(p)
	wantCode(t, err, "")
}

// TestKeysUnavailable tells a provider without keys from a forged token, and finds them when they are back.
func TestKeysUnavailable(t *testing.T) {
	i := newIDP(t)
	p := i.mustOpen(confidential)
	i.handlers["/keys"] = body(503, "text/plain", "later")
	_, err := i.signIn(p)
	wantCode(t, err, providers.CodeKeys)
	i.handlers["/keys"] = body(200, "text/html", "<html>")
	_, err = i.signIn(p)
	wantCode(t, err, providers.CodeKeys)
	i.handlers["/keys"] = body(200, "application/json", `{"keys":[{"kty":"new"},{"kty":"oct","k":"AAAA"},7]}`)
	_, err = i.signIn(p)
	wantCode(t, err, providers.CodeIDTokenSignature)
	delete(i.handlers, "/keys")
	_, err = i.signIn(p)
	wantCode(t, err, "")
}
