package caller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"stagedoor/tokens"
)

const (
	// fetchTimeout is what contract/core.md T15 gives a key set to arrive.
	fetchTimeout = 5 * time.Second
	// maxKeySet is the most bytes that a key set may have, decompressed. Entra's, with its certificates, has about 20,000.
	maxKeySet = 256 << 10
)

// Why there are no keys.
var (
	// errNoEndpoint says that whoever should publish keys answers that there is no such thing.
	errNoEndpoint = errors.New("no key set at this address")
	// errUnavailable is anything that may pass.
	errUnavailable = errors.New("keys cannot be read")
	// errPaused says that nobody was asked, because it was done too often of late.
	errPaused = fmt.Errorf("%w: asked too often", errUnavailable)
)

// fetcher reads key sets.
type fetcher struct {
	client *http.Client
	now    func() time.Time
	log    *slog.Logger
}

// newFetcher works on a copy of the client, so that nobody else's redirects change.
func newFetcher(client *http.Client, now func() time.Time, log *slog.Logger) *fetcher {
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &fetcher{&own, now, log}
}

// get reads the key set at address. The error wraps errNoEndpoint or errUnavailable, and does not repeat the address, whose
// query may hold a key.
func (f *fetcher) get(ctx context.Context, address string) (*tokens.KeySet, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: unusable address", errUnavailable)
	}
	req.Header.Set("Accept", "application/json")
	res, err := f.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnavailable, errors.Unwrap(err)) // a *url.Error, which would tell the address
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		return readKeySet(res.Body)
	case http.StatusNotFound:
		return nil, errNoEndpoint
	default:
		return nil, fmt.Errorf("%w: status %d", errUnavailable, res.StatusCode)
	}
}

func readKeySet(r io.Reader) (*tokens.KeySet, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxKeySet+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errUnavailable, err)
	case len(body) > maxKeySet:
		return nil, fmt.Errorf("%w: more than %d bytes", errUnavailable, maxKeySet)
	}
	keys, err := tokens.ParseKeySet(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return keys, nil
}
