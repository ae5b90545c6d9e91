package providers

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// oauth2.go: the authorization code flow of plain OAuth 2.0, where each vendor has its own way to say who the user is. Docs:
// RFC 6749, RFC 7636; contract/providers.md 0.5.
//
// Deviations of ours: Basic credentials are encoded as RFC 6749 section 2.3.1 says; an id_token must be meant for this client, and
// its signature is verified where the vendor publishes keys; a public client with PKCE needs no secret.

// oauth2Spec is a vendor: data, and the functions that are really its own.
type oauth2Spec struct {
	// authorize and token are the endpoints; a query that authorize has is kept.
	authorize, token string
	// credentials is where the client proves itself; the zero value is the body.
	credentials oauth2Credentials
	// params are sent with every authorization request.
	params map[string]string
	// start adds what the front end asks of one sign-in to params, or refuses it with an *Error.
	start func(query url.Values) (map[string]string, error)
	// emptyScope sends scope even where nobody asks for one.
	emptyScope bool
	// pkce sends a code challenge whether or not the config asks for one.
	pkce bool
	// nonce binds the id_token, which a sign-in then must have, to the sign-in.
	nonce bool
	// issuer and keys, the address of a JWKS, are what id_tokens are verified with; without keys they are only read.
	issuer oidcIssuer
	keys   string
	// alg is the one algorithm of id_tokens; empty means RS256. HS256 and its like verify with the client's
	// secret instead of keys.
	alg string
	// errors are the vendor's own names of OAuth errors.
	errors map[string]string
	// user asks the vendor who the user is; without it the id_token tells. A nil error needs a user, who may be empty.
	user func(ctx context.Context, api oauth2API) (oauth2User, error)
	// read makes the user of the vendor's first answer, for user and for a dry run; nil means standardUserOf.
	read func(info map[string]any, err error) (oauth2User, error)
	// subject is the claim that is the vendor's id of the user; empty means sub.
	subject string
	// vouches says whether an email counts; nil means that it does unless the answer disowns it.
	vouches func(claims map[string]any) bool
	// strictEmail lets an email of the id_token count only if the vendor says that it verified it.
	strictEmail bool
	// hold says what to renew a session with that has no refresh token.
	hold oauth2Hold
	// owns says whether the vendor gave an access token to this client; nil if it cannot tell.
	owns func(ctx context.Context, up *upstream, c oauth2Client, token string) (bool, error)
	// logout tells the vendor that the user leaves, if it can be told.
	logout func(ctx context.Context, up *upstream, in LogoutInput) (string, error)
}

// oauth2Hold is what stands in for a refresh token; the zero value is nothing.
type oauth2Hold int

const (
	// holdLasting: an access token that has no end, behind heldPrefix, for scopes that were granted (contract/providers.md 1.1).
	holdLasting oauth2Hold = iota + 1
	// holdAlways: the access token as it is (contract/providers.md 1.12).
	holdAlways
)

// heldPrefix tells an access token that stands in for a refresh token from a real one.
const heldPrefix = "access-token-v2."

// oauth2Provider is one client at one vendor.
type oauth2Provider struct {
	spec     oauth2Spec
	client   oauth2Client
	auth     []*clientAuth
	upstream *upstream
	keys     signatureVerifier
	redirect string
	now      func() time.Time
}

// oauth2Leaver is an oauth2Provider that can be told that a user leaves.
type oauth2Leaver struct{ *oauth2Provider }

var (
	_ interface {
		Provider
		Starter
		Refresher
	} = (*oauth2Provider)(nil)
	_ Logouter = oauth2Leaver{}
)

// open checks the client's config and returns the provider.
func (v oauth2Spec) open(s Setup, c oauth2Client) (Provider, error) {
	c.PKCE = c.PKCE || v.pkce
	auth, err := c.auth(v.credentials, s.Now)
	if err != nil {
		return nil, err
	}
	if err := checkSecretLength(v.alg, c.Secret); err != nil {
		return nil, err
	}
	o := &oauth2Provider{spec: v, client: c, auth: auth, upstream: newUpstream(s.HTTP, c.timeout()), redirect: s.CallbackURL, now: s.Now}
	switch alg := o.alg(); {
	case strings.HasPrefix(string(alg), "HS"):
		o.keys = secretKey(c.Secret)
	case v.keys != "":
		o.keys = newKeySet(o.upstream, v.keys, alg, s.Now)
	}
	if v.logout != nil {
		return oauth2Leaver{o}, nil
	}
	return o, nil
}

// Start builds the authorization request (RFC 6749 section 4.1.1). Scope is left out if there is none, but for emptyScope.
func (o *oauth2Provider) Start(_ context.Context, in StartInput) (Redirect, error) {
	c := oauth2.Config{
		ClientID: o.client.ID, Endpoint: oauth2.Endpoint{AuthURL: o.spec.authorize}, RedirectURL: o.redirect, Scopes: SplitScope(in.Scope),
	}
	opts, err := o.startParams(in)
	if err != nil {
		return Redirect{}, err
	}
	memo := oidcMemo{}
	if o.spec.nonce {
		memo.Nonce = rand.Text()
		opts = append(opts, oauth2.SetAuthURLParam("nonce", memo.Nonce))
	}
	if o.client.PKCE {
		memo.Verifier = oauth2.GenerateVerifier()
		opts = append(opts, oauth2.S256ChallengeOption(memo.Verifier))
	}
	sealed, err := json.Marshal(memo)
	if err != nil {
		return Redirect{}, fmt.Errorf("encode memo: %w", err)
	}
	if memo == (oidcMemo{}) {
		sealed = nil
	}
	return Redirect{URL: c.AuthCodeURL(in.State, opts...), Memo: sealed}, nil
}

func (o *oauth2Provider) startParams(in StartInput) ([]oauth2.AuthCodeOption, error) {
	var opts []oauth2.AuthCodeOption
	add := func(params map[string]string) {
		for name, value := range params {
			opts = append(opts, oauth2.SetAuthURLParam(name, value))
		}
	}
	add(o.spec.params)
	if o.spec.emptyScope && in.Scope == "" {
		add(map[string]string{"scope": ""})
	}
	if o.spec.start != nil {
		asked, err := o.spec.start(in.Query)
		if err != nil {
			return nil, err
		}
		add(asked)
	}
	return opts, nil
}

// Handle turns the callback into a user: the code is traded, once, and the vendor is asked about the owner of the access token.
func (o *oauth2Provider) Handle(ctx context.Context, r Request) (Result, error) {
	memo, err := o.readMemo(r.Memo)
	if err != nil {
		return Result{}, err
	}
	code, err := o.readCallback(r.Query)
	if err != nil {
		return Result{}, err
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {o.redirect}}
	if memo.Verifier != "" {
		form.Set("code_verifier", memo.Verifier)
	}
	t, err := o.tokens(ctx, form, &Error{Code: CodeCodeRejected})
	if err != nil {
		return Result{}, prefixed("Authentication failed, ", err)
	}
	result, err := o.identify(ctx, t, t.RefreshToken, idTokenCheck{nonce: memo.Nonce, code: code})
	if err != nil {
		return Result{}, prefixed("Authentication failed, ", err)
	}
	return result, nil
}

func (o *oauth2Provider) readMemo(b []byte) (oidcMemo, error) {
	var memo oidcMemo
	if !o.spec.nonce && !o.client.PKCE {
		return memo, nil
	}
	err := json.Unmarshal(b, &memo)
	if err != nil || o.spec.nonce != (memo.Nonce != "") || o.client.PKCE != (memo.Verifier != "") {
		return memo, fail(CodeTransaction, "Authentication failed, the sign-in is unreadable", nil)
	}
	return memo, nil
}

// Refresh sends the scope, as the Node backend does for these vendors (contract/providers.md 0.5), and asks again who the user is.
func (o *oauth2Provider) Refresh(ctx context.Context, in RefreshInput) (Result, error) {
	if token, held := o.spec.hold.token(in.RefreshToken); held {
		return o.reuse(ctx, token, in)
	}
	t, err := o.renew(ctx, in.RefreshToken, in.Scope)
	if err != nil {
		return Result{Session: Session{RefreshToken: t.RefreshToken}}, err
	}
	result, err := o.identify(ctx, t, cmp.Or(t.RefreshToken, in.RefreshToken), idTokenCheck{subject: in.Subject})
	if err != nil {
		return Result{Session: Session{RefreshToken: cmp.Or(result.Session.RefreshToken, t.RefreshToken)}}, err
	}
	return result, nil
}

// renew trades a refresh token (RFC 6749 section 6).
func (o *oauth2Provider) renew(ctx context.Context, refreshToken, scope string) (tokenAnswer, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}}
	if scope != "" {
		form.Set("scope", scope)
	}
	return o.tokens(ctx, form, &Error{Kind: ErrExpired, Code: CodeTokenRejected})
}

// reuse answers with the same access token, once the vendor has said that it still accepts it.
func (o *oauth2Provider) reuse(ctx context.Context, token string, in RefreshInput) (Result, error) {
	if o.spec.hold == holdLasting && !in.ScopeGranted {
		return Result{}, fail(CodeScope, "Refresh failed, session has not been granted the requested scope", nil)
	}
	if err := o.checkOwn(ctx, token, in.Subject); err != nil {
		return Result{}, err
	}
	result, err := o.identify(ctx, tokenAnswer{AccessToken: token, Scope: in.Scope}, "", idTokenCheck{subject: in.Subject})
	if errors.Is(err, errTokenRefused) {
		return Result{}, &Error{Kind: ErrExpired, Code: CodeTokenRejected, Message: "Invalid access token"}
	}
	if err != nil {
		return Result{}, err
	}
	result.Session.RefreshToken = ""
	return result, nil
}

// checkOwn refuses an access token that was not given to this client. A session from a sign-in here has a subject; one without was a
// cookie of the Node backend, into which a browser may write any token. Unlike a refresh token, which the vendor takes from its own
// client alone, an access token names its user to whoever has it: a token that another application got from jane would be jane.
//
// Differs from Backstage: it takes any token.
func (o *oauth2Provider) checkOwn(ctx context.Context, token, subject string) error {
	if subject != "" {
		return nil
	}
	own, err := false, error(nil)
	if o.spec.owns != nil {
		own, err = o.spec.owns(ctx, o.upstream, o.client, token)
	}
	if err == nil && !own {
		return &Error{Kind: ErrExpired, Code: CodeTokenRejected, Message: "Invalid access token"}
	}
	return err
}

// token is the access token that stands in for a refresh token.
func (h oauth2Hold) token(refreshToken string) (string, bool) {
	switch h {
	case holdLasting:
		return strings.CutPrefix(refreshToken, heldPrefix)
	case holdAlways:
		return refreshToken, true
	}
	return "", false
}

// refreshToken is what to keep for the next refresh.
func (h oauth2Hold) refreshToken(t tokenAnswer) string {
	switch {
	case h == holdAlways:
		return t.AccessToken
	case h == holdLasting && t.RefreshToken == "" && t.ExpiresIn == 0:
		return heldPrefix + t.AccessToken
	}
	return t.RefreshToken
}

// Logout tells the vendor, within revokeTimeout.
func (o oauth2Leaver) Logout(ctx context.Context, in LogoutInput) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	return o.spec.logout(ctx, o.upstream, in)
}
