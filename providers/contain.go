package providers

import (
	"context"
	"fmt"
	"runtime/debug"

	"golang.org/x/sync/singleflight"
)

// contained turns a panic in a call that several wait for into its error: singleflight would end the process with it.
func contained(do func() (any, error)) func() (any, error) {
	return func() (v any, err error) {
		defer func() {
			if p := recover(); p != nil {
				v, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		return do()
	}
}

// await returns what a shared call comes to, or an *Error if ctx ends before it.
func await[T any](ctx context.Context, done <-chan singleflight.Result) (T, error) {
	var none T
	select {
	case r := <-done:
		v, _ := r.Val.(T)
		return v, r.Err
	case <-ctx.Done():
		return none, transportError(ctx.Err())
	}
}
