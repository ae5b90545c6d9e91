package providers_test

import (
	"testing"

	"stagedoor/providers/providertest"
)

func TestKinds(t *testing.T) { providertest.Run(t, "testdata") }
