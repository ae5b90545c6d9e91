package fault

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestError(t *testing.T) {
	err := New(Input, "state_invalid", "State is invalid", io.EOF)
	wrapped := fmt.Errorf("finish: %w", err)
	for name, ok := range map[string]bool{
		"cause is found":          errors.Is(wrapped, io.EOF),
		"code matches":            errors.Is(wrapped, New(NotFound, "state_invalid", "other words", nil)),
		"other code does not":     !errors.Is(wrapped, New(Input, "other", "State is invalid", nil)),
		"code is read":            Code(wrapped) == "state_invalid",
		"foreign error has none":  Code(io.EOF) == "internal_error",
		"line names everything":   err.Error() == "InputError: State is invalid [state_invalid]: EOF",
		"line without a cause":    New(Conflict, "c", "m", nil).Error() == "ConflictError: m [c]",
		"no cause unwraps to nil": New(Conflict, "c", "m", nil).Unwrap() == nil,
	} {
		if !ok {
			t.Error(name)
		}
	}
}
