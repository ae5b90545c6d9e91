package tokens_test

import (
	"testing"

	"stagedoor/tokens"
	"stagedoor/tokens/tokenstest"
)

func TestMemoryStore(t *testing.T) {
	tokenstest.Run(t, func(*testing.T) tokens.KeyStore { return tokens.NewMemoryStore() })
}
