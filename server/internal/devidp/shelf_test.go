package devidp

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestShelfAgainstModel compares a shelf with a slice that does the same naively.
func TestShelfAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		s, model := newShelf[int](limit), []slot[int]{}
		drop := func(match func(slot[int]) bool) {
			kept := model[:0:0]
			for _, have := range model {
				if !match(have) {
					kept = append(kept, have)
				}
			}
			model = kept
		}
		now := time.Unix(0, 0)
		key := rapid.StringMatching("[a-f]")
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				put := slot[int]{key.Draw(t, "key"), rapid.Int().Draw(t, "value"), now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "life")))}
				s.put(put.key, put.value, put.expires)
				drop(func(have slot[int]) bool { return have.key == put.key })
				model = append(model[max(0, len(model)-limit+1):], put)
			},
			"get": func(t *rapid.T) {
				k := key.Draw(t, "key")
				got, ok := s.get(k, now)
				drop(func(have slot[int]) bool { return have.key == k && !now.Before(have.expires) })
				want, known := 0, false
				for _, have := range model {
					if have.key == k {
						want, known = have.value, true
					}
				}
				if got != want || ok != known {
					t.Fatalf("get %s is %d %v, want %d %v", k, got, ok, want, known)
				}
			},
			"remove": func(t *rapid.T) {
				k := key.Draw(t, "key")
				s.remove(k)
				drop(func(have slot[int]) bool { return have.key == k })
			},
			"remove even": func(*rapid.T) {
				s.removeWhere(func(v int) bool { return v%2 == 0 })
				drop(func(have slot[int]) bool { return have.value%2 == 0 })
			},
			"wait": func(*rapid.T) { now = now.Add(1) },
			"": func(t *rapid.T) {
				if s.order.Len() != len(model) || len(s.byKey) != len(model) || len(model) > limit {
					t.Fatalf("holds %d and %d, want %d of at most %d", s.order.Len(), len(s.byKey), len(model), limit)
				}
			},
		})
	})
}
