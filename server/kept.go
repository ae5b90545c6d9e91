package main

import (
	"cmp"
	"net/http"
	"reflect"
	"slices"
	"time"

	"stagedoor/server/internal/config"
	"stagedoor/server/internal/devidp"
	"stagedoor/tokens"
)

// kept is what is made once and handed from rooms to rooms: state that a reload must not lose.
type kept struct {
	// userKeys and pluginKeys are the key stores in memory, for auth.keyStore.provider memory.
	userKeys, pluginKeys tokens.KeyStore
	// static are the configured static keys, as they were read last.
	static []tokens.StaticKey
	// retired are static keys that the config no longer has, while tokens that they signed are valid.
	retired []retiredKey
	// sealer is a secret that is new, and seals from sealFrom on.
	sealer   string
	sealFrom time.Time
	// outside is what lies beside the API, made from beside.
	outside http.Handler
	beside  beside
}

// retiredKey is a static key that was replaced.
type retiredKey struct {
	key   tokens.StaticKey
	until time.Time
}

// beside is what the development provider is made from: as long as it stays, so does the provider, with what people did there.
type beside struct {
	development bool
	devIDP      config.DevIDP
	baseURL     string
	clients     []devidp.Client
}

// keep is what rooms take over from those before, which may be nil.
func keep(before *generation) *kept {
	if before == nil {
		return &kept{userKeys: tokens.NewMemoryStore(), pluginKeys: tokens.NewMemoryStore()}
	}
	own := *before.kept
	return &own
}

// due reports whether it is time to make the rooms anew although no file has changed: a retired key is of no more use, or a new secret
// may seal.
func (k *kept) due(now time.Time) bool {
	return k.sealer != "" && !now.Before(k.sealFrom) || slices.ContainsFunc(k.retired, func(r retiredKey) bool { return !now.Before(r.until) })
}

// retiredLife is how long a static key that was replaced is still needed. Its tokens may be of a time when they lived longer than now,
// and another replica goes on signing with it until it has read the configuration as well.
const retiredLife = tokens.MaxLifetime + sealDelay

// published are the static keys that verifiers may know.
func (k *kept) published() []tokens.StaticKey {
	all := slices.Clone(k.static)
	for _, r := range k.retired {
		all = append(all, r.key)
	}
	return all
}

// retire returns the configured static keys, followed by those of before that they replace: verifiers must find them for as long as
// their tokens are valid. A key is known by its id.
func (k *kept) retire(configured, before []tokens.StaticKey, now time.Time) []tokens.StaticKey {
	known := func(id string) bool {
		return slices.ContainsFunc(configured, func(c tokens.StaticKey) bool { return c.ID == id })
	}
	k.retired = slices.DeleteFunc(slices.Clone(k.retired), func(r retiredKey) bool { return !now.Before(r.until) || known(r.key.ID) })
	for _, b := range before {
		again := slices.ContainsFunc(k.retired, func(r retiredKey) bool { return r.key.ID == b.ID })
		if !known(b.ID) && !again {
			k.retired = append(k.retired, retiredKey{b, now.Add(retiredLife)})
		}
	}
	all := slices.Clone(configured)
	for _, r := range k.retired {
		all = append(all, r.key)
	}
	return all
}

// sealDelay is how long a new secret only opens: every replica has to have read it before the first one seals with it, and a cluster
// takes its time to hand out a file.
const sealDelay = 5 * time.Minute

// secrets returns the configured ones with those of before, which still open what they sealed: nobody is signed out by a file that was
// replaced. The next start forgets them. A new one that comes first seals after sealDelay.
func (k *kept) secrets(configured, before []string, now time.Time) []string {
	all := slices.Clone(configured)
	for _, s := range before {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	switch {
	case len(before) == 0 || before[0] == all[0]:
		k.sealer = ""
		return all
	case k.sealer != all[0]:
		k.sealer, k.sealFrom = all[0], now.Add(sealDelay)
	}
	if !now.Before(k.sealFrom) {
		k.sealer = ""
		return all
	}
	i := slices.Index(all, before[0])
	return append([]string{before[0]}, slices.Delete(all, i, i+1)...)
}

func (b beside) same(other beside) bool {
	byID := func(a, b devidp.Client) int { return cmp.Compare(a.ID, b.ID) }
	slices.SortStableFunc(b.clients, byID)
	slices.SortStableFunc(other.clients, byID)
	return reflect.DeepEqual(b, other)
}
