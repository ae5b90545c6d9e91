package devidp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	requestLifetime = 10 * time.Minute
	codeLifetime    = time.Minute // RFC 6749 §4.1.2 allows ten.
	sessionLifetime = 12 * time.Hour

	maxRequests = 1_000
	maxSessions = 1_000
	maxGrants   = 10_000
	maxTokens   = 20_000
)

var (
	errUnknownRequest = errors.New("authorization request is unknown or expired")
	errUnknownCode    = errors.New("code is unknown, expired or used")
	errUnknownClient  = errors.New("client is unknown")
	errClientSecret   = errors.New("client secret does not match")
)

// storage is the memory of the provider, in the shape that zitadel's op asks for. One lock guards all of it.
type storage struct {
	clients  map[string]Client
	people   map[string]Person
	keys     *keyRing
	loginURL func(requestID string) string
	now      func() time.Time
	lifetime struct{ access, refresh time.Duration }
	policy   refreshPolicy

	mu       sync.Mutex
	requests *shelf[authRequest]
	codes    *shelf[issuedCode]
	sessions *shelf[session]
	grants   *shelf[grant]
	access   *shelf[accessToken]
	refresh  *shelf[refreshToken]
}

var _ op.Storage = (*storage)(nil)

// issuedCode stays behind after its use, so that a second use is seen.
type issuedCode struct {
	requestID string
	used      bool
}

// session is one browser's sign-in at the provider itself.
type session struct {
	subject  string
	authTime time.Time
}

func newStorage() *storage {
	return &storage{
		requests: newShelf[authRequest](maxRequests),
		codes:    newShelf[issuedCode](maxRequests),
		sessions: newShelf[session](maxSessions),
		grants:   newShelf[grant](maxGrants),
		access:   newShelf[accessToken](maxTokens),
		refresh:  newShelf[refreshToken](maxTokens),
	}
}

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// CreateAuthRequest stores a validated request, bound to the browser that the context names.
func (s *storage) CreateAuthRequest(ctx context.Context, in *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	from := askerOf(ctx)
	request := authRequest{AuthRequest: *in, id: rand.Text(), browser: from.browser}
	request.State = from.state
	if err := request.check(s.clients[in.ClientID]); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests.put(request.id, request, s.now().Add(requestLifetime))
	return &request, nil
}

// AuthRequestByID finds a request whose code was not exchanged yet.
func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	request, ok := s.request(id)
	if !ok {
		return nil, errUnknownRequest
	}
	return &request, nil
}

func (s *storage) request(id string) (authRequest, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests.get(id, s.now())
}

// complete notes who signed in. It succeeds once per request: the second of two clicks finds nothing to do.
func (s *storage) complete(id string, by session) (authRequest, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	request, ok := s.requests.get(id, s.now())
	if !ok || request.Done() {
		return authRequest{}, false
	}
	request.subject, request.authTime = by.subject, by.authTime
	s.requests.put(id, request, s.now().Add(requestLifetime))
	return request, true
}

// SaveAuthCode binds code to the request.
func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes.put(digest(code), issuedCode{requestID: id}, s.now().Add(codeLifetime))
	return nil
}

// AuthRequestByCode uses code up. A second use ends what the first one granted (RFC 6749 §4.1.2); one that then fails, for
// instance for a wrong verifier, has used the code up too.
func (s *storage) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	issued, ok := s.codes.get(digest(code), s.now())
	if !ok {
		return nil, errUnknownCode
	}
	if issued.used {
		s.grants.remove(issued.requestID)
		return nil, errUnknownCode
	}
	request, ok := s.requests.get(issued.requestID, s.now())
	if !ok {
		return nil, errUnknownCode
	}
	issued.used = true
	s.codes.put(digest(code), issued, s.now().Add(codeLifetime))
	return &request, nil
}

// DeleteAuthRequest forgets the request.
func (s *storage) DeleteAuthRequest(_ context.Context, id string) error {
	s.forgetRequest(id)
	return nil
}

func (s *storage) forgetRequest(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests.remove(id)
}

// GetClientByClientID finds a registered client.
func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	c, ok := s.clients[id]
	if !ok {
		return nil, oidc.ErrInvalidClient().WithParent(errUnknownClient)
	}
	return registration{Client: c, loginURL: s.loginURL}, nil
}

// AuthorizeClientIDSecret authenticates a confidential client; a public one has no secret that could match.
func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	if !s.clients[id].hasSecret(secret) {
		return errClientSecret
	}
	return nil
}

// SigningKey is the newest key.
func (s *storage) SigningKey(context.Context) (op.SigningKey, error) { return s.keys.current(), nil }

// SignatureAlgorithms is the one algorithm in use.
func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.SignatureAlgorithm(s.keys.alg)}, nil
}

// KeySet is every key that was not withdrawn, oldest first.
func (s *storage) KeySet(context.Context) ([]op.Key, error) { return s.keys.published(), nil }

// Health is always well: there is nothing outside this process.
func (s *storage) Health(context.Context) error { return nil }
