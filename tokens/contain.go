package tokens

import (
	"fmt"
	"runtime/debug"
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
