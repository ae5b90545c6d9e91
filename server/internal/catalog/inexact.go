package catalog

import "errors"

// ErrInexact says that entities answer the look-up but for upper and lower case, which it demanded (providers.Lookup.Exact).
var ErrInexact = errors.New("entity differs in upper and lower case")
