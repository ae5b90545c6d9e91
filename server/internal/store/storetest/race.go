package storetest

import (
	"errors"
	"sync"
	"testing"
)

// flights is how many callers race for what only one can have.
const flights = 50

// race calls fn from many goroutines at once and returns what each of them got.
func race(fn func(i int) error) []error {
	errs := make([]error, flights)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			<-start
			errs[i] = fn(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// wantOneWinner checks that one flight succeeded and all others got the error lost.
func wantOneWinner(t *testing.T, errs []error, lost error) {
	t.Helper()
	won := 0
	for i, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, lost):
			t.Errorf("flight %d: error is %v, want %v", i, err, lost)
		}
	}
	if won != 1 {
		t.Fatalf("%d flights won, want 1", won)
	}
}
