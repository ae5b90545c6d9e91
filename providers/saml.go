package providers

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"
)

// saml.go: sign-in through a SAML 2.0 identity provider, in the Web Browser SSO profile: the request over HTTP-Redirect, the answer
// over HTTP-POST. Docs: SAML 2.0 Core, Bindings and Profiles (OASIS, 2005, with errata); contract/providers.md section 4.
//
// The library's own ParseXMLResponse is not used: of two signatures it wants one, of several assertions it takes the first, it reads
// the document and not what was signed, and its clocks are package variables. Its types, its requests and its decryption are.
//
// Deviations of ours: InResponseTo is checked, an assertion is good for one sign-in, SHA-1 is refused, times are checked with a
// minute of tolerance unless the config says otherwise, the signing certificate is the configured one whatever the message brings.

func init() {
	register(Kind{
		ID: "saml", Title: "SAML", New: newSAML, Resolvers: resolversFor("saml"),
		FlatKey: "issuer", StateField: "RelayState",
	})
}

var _ interface {
	Provider
	Starter
	Logouter
	Unsolicited
	Describer
	ClaimsReader
} = (*samlProvider)(nil)

// samlProvider is one service provider: us, as one identity provider knows us.
type samlProvider struct {
	config samlConfig
	// acs is where answers come in, slo where the browser returns from the provider's logout.
	acs, slo string
	trust    samlTrust
	signer   *samlSigner
	opener   *samlOpener
	now      func() time.Time
	log      *slog.Logger
}

// samlMemo is what a sign-in must remember until the browser returns.
type samlMemo struct {
	// Request is the ID of the AuthnRequest.
	Request string `json:"r"`
}

func newSAML(s Setup) (Provider, error) {
	var c samlConfig
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	signer, signerErr := newSAMLSigner(c.PrivateKey, c.SignatureAlgorithm)
	opener, openerErr := newSAMLOpener(c.DecryptionKey)
	trust, trustErr := c.newTrust(s)
	if err := errors.Join(c.checkAlgorithms(), c.checkStrictness(), signerErr, openerErr, trustErr); err != nil {
		return nil, err
	}
	return &samlProvider{
		config: c, acs: s.CallbackURL, slo: samlLogoutAddress(s.CallbackURL), trust: trust, signer: signer, opener: opener,
		now: s.Now, log: s.Log,
	}, nil
}

// Start builds the AuthnRequest (SAML Core section 3.4.1) and the address that takes it to the provider (Bindings section 3.4).
func (p *samlProvider) Start(ctx context.Context, in StartInput) (Redirect, error) {
	idp, err := p.trust.party(ctx)
	if err != nil {
		return Redirect{}, err
	}
	memo := samlMemo{Request: "_" + rand.Text()}
	sealed, err := json.Marshal(memo)
	if err != nil {
		return Redirect{}, fmt.Errorf("encode memo: %w", err)
	}
	address, err := p.signer.redirect(idp.entryPoint, p.authnRequest(memo.Request, idp.entryPoint), in.State)
	if err != nil {
		return Redirect{}, err
	}
	return Redirect{URL: address, Memo: sealed}, nil
}

// AcceptsUnsolicited is true if the config lets the provider sign in users who did not start here.
func (p *samlProvider) AcceptsUnsolicited() bool { return p.config.AllowIDPInitiated }

// Handle turns the Response of a form into a user.
func (p *samlProvider) Handle(ctx context.Context, r Request) (Result, error) {
	var memo samlMemo
	if err := json.Unmarshal(r.Memo, &memo); len(r.Memo) > 0 && (err != nil || memo.Request == "") {
		return Result{}, fail(CodeTransaction, "Authentication failed, the sign-in is unreadable", nil)
	}
	if memo.Request == "" && !p.config.AllowIDPInitiated {
		return Result{}, fail(CodeSAMLUnsolicited, "Authentication failed, the sign-in did not start here", nil)
	}
	idp, err := p.trust.party(ctx)
	if err != nil {
		return Result{}, prefixed("Authentication failed, ", err)
	}
	doc, err := readSAMLResponse(r.Form["SAMLResponse"])
	if err != nil {
		return Result{}, prefixed("Authentication failed, ", err)
	}
	a, err := p.verify(ctx, idp, doc, memo.Request)
	if err != nil {
		return Result{}, prefixed("Authentication failed, ", err)
	}
	return p.result(a), nil
}

// verify checks the Response. If no known certificate fits, the provider's metadata may have changed: it is read again, and the
// Response is checked once more.
func (p *samlProvider) verify(ctx context.Context, idp *samlParty, doc *samlDocument, request string) (*samlAssertion, error) {
	check := samlCheck{samlProvider: p, idp: idp, request: request, now: p.now()}
	a, err := check.response(doc)
	if e, ok := err.(*Error); !ok || e.Code != CodeSAMLSignature {
		return a, err
	}
	newer, changed := p.trust.reread(ctx, idp)
	if !changed {
		return nil, err
	}
	check.idp = newer
	return check.response(doc)
}

// Logout returns the address of the provider's single logout (SAML Core section 3.7, Profiles section 4.4), where the config or the
// provider's metadata names one.
func (p *samlProvider) Logout(ctx context.Context, in LogoutInput) (string, error) {
	idp, err := p.trust.party(ctx)
	if err != nil || idp.logout == "" {
		return "", err
	}
	name := member(in.Claims, samlNameID)
	if name == "" {
		return "", nil
	}
	return p.signer.redirect(idp.logout, p.logoutRequest(idp, in.Claims, name), "")
}

// samlLogoutAddress stands beside the callback.
func samlLogoutAddress(callback string) string {
	u, err := url.Parse(callback)
	if err != nil {
		return ""
	}
	u.RawQuery = ""
	return u.JoinPath("..", "logout").String()
}
