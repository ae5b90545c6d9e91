package api

import (
	"context"
	"log/slog"

	"stagedoor/gen"
)

// operations implements the strict interface that the document generates. The handlers are in one file per tag.
type operations struct {
	signIn     SignIn
	op         OP
	keys       Keys
	pluginKeys Keys
	cookies    Cookies
	callers    Callers
	ready      func(context.Context) error
	log        *slog.Logger
}

var _ gen.StrictServerInterface = operations{}
