package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"stagedoor/providers"
	"stagedoor/server/internal/catalog"
	"stagedoor/server/internal/fault"
	"stagedoor/tokens"
)

// errNobody is what a sign-in ends in if no resolver finds a user (contract/core.md S3).
var errNobody = fault.New(fault.Failed, "no_catalog_user", "Failed to sign-in, unable to resolve user identity. Please verify "+
	"that your catalog contains the expected User entities that would match your configured sign-in resolver.", nil)

// largeToken is from where a token is worth a warning, in bytes: many servers take 8 KiB of headers.
const largeToken = 8 << 10

// identify says who the user of a provider's result is in the portal and issues their token. It is nil without error for an
// entry without resolvers (F39).
func (f *Flow) identify(ctx context.Context, e *Entry, r providers.Result, t *trace) (*Identity, error) {
	user, err := f.resolve(ctx, e, r, t)
	if err != nil || user.Ref == "" {
		return nil, err
	}
	tok, err := f.cfg.Tokens.Issue(ctx, tokens.Identity{Subject: user.Ref, Ownership: user.Ownership})
	if err != nil {
		return nil, issueFault(err)
	}
	if len(tok.Raw) >= largeToken {
		f.cfg.Log.WarnContext(ctx, "large Backstage token: proxies may refuse the header it travels in",
			"provider", e.ID, "env", e.Env, "bytes", len(tok.Raw), "ownership", len(user.Ownership))
	}
	if err := f.saveUserInfo(ctx, user); err != nil {
		return nil, err
	}
	return &Identity{
		Token: tok.Raw, ExpiresIn: tok.ExpiresAt.Sub(f.cfg.Now()), UserRef: user.Ref, Ownership: user.Ownership,
	}, nil
}

// resolve asks the resolvers in order. Only one that finds nobody passes on to the next (S3).
func (f *Flow) resolve(ctx context.Context, e *Entry, r providers.Result, t *trace) (catalog.User, error) {
	if r.Identity != nil {
		return f.find(ctx, *r.Identity, t.step(e.Kind.ID))
	}
	if err := e.Admission.Admit(r); err != nil {
		return catalog.User{}, t.step("admission").ends(err)
	}
	if len(e.Resolvers) == 0 {
		return catalog.User{}, nil
	}
	for _, resolver := range e.Resolvers {
		s := t.step(resolver.Name)
		l, err := resolver.Resolve(r)
		if errors.Is(err, providers.ErrNoMatch) {
			s.passes(err)
			continue
		}
		if err != nil {
			return catalog.User{}, s.ends(err)
		}
		user, err := f.find(ctx, l, s)
		if !errors.Is(err, errNobody) {
			return user, err
		}
	}
	return catalog.User{}, errNobody
}

// find turns a look-up into a user, with what the look-up adds to the user's ownership.
func (f *Flow) find(ctx context.Context, l providers.Lookup, s *step) (catalog.User, error) {
	user, l, err := f.ask(ctx, l, s)
	if err != nil {
		return catalog.User{}, s.ends(err)
	}
	if l.OwnershipMustExist {
		missing, err := f.cfg.Catalog.EntitiesExist(ctx, l.Ownership)
		if err != nil {
			return catalog.User{}, s.ends(catalogFault(err))
		}
		if len(missing) > 0 {
			return catalog.User{}, s.ends(errOwnership)
		}
	}
	for _, ref := range l.Ownership {
		if !slices.Contains(user.Ownership, ref) {
			user.Ownership = append(slices.Clip(user.Ownership), ref)
		}
	}
	return user, nil
}

// ask asks the catalog, then for what the look-up names next, then takes the fallback if there is one (S13, S14). It returns the
// look-up that was answered.
func (f *Flow) ask(ctx context.Context, l providers.Lookup, s *step) (catalog.User, providers.Lookup, error) {
	var err error
	for next := &l; next != nil; next = next.Then {
		s.lookups = append(s.lookups, *next)
		if next.SignIn != "" {
			return s.finds(ownUser(next.SignIn, nil), "signed in without the catalog"), *next, nil
		}
		var user catalog.User
		if user, err = f.cfg.Catalog.FindUser(ctx, *next); err == nil {
			return s.finds(user, "one user found"), *next, nil
		}
		if !errors.Is(err, catalog.ErrNotFound) {
			break
		}
	}
	if l.Fallback != "" && (l.FallbackAlways || errors.Is(err, catalog.ErrNotFound)) {
		user := ownUser(l.Fallback, l.FallbackOwnership)
		return s.finds(user, "not in the catalog, signed in without an entity"), providers.Lookup{}, nil
	}
	return catalog.User{}, l, catalogFault(err)
}

// ownUser is a user who is not in the catalog: who owns themselves, or what is given instead.
func ownUser(ref string, ownership []string) catalog.User {
	if len(ownership) == 0 {
		ownership = []string{ref}
	}
	return catalog.User{Ref: ref, Ownership: ownership}
}

var errOwnership = fault.New(fault.NotAllowed, "ownership_unknown", "Login failed, the catalog lacks an entity that the user would own through", nil)

func catalogFault(err error) error {
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return errNobody
	case errors.Is(err, catalog.ErrAmbiguous):
		return fault.New(fault.Conflict, "catalog_ambiguous", "User lookup resulted in multiple matches", err)
	case errors.Is(err, catalog.ErrInexact):
		return fault.New(fault.Failed, "catalog_inexact", "The catalog's entity differs from the provider's user in upper and lower case", err)
	case errors.Is(err, catalog.ErrRefused):
		return fault.New(fault.ServiceUnavailable, "catalog_refused", "The catalog does not accept our credentials", err)
	case errors.Is(err, catalog.ErrLookup):
		return fault.New(fault.Input, "catalog_lookup_invalid", "Invalid user lookup query", err)
	default:
		return fault.New(fault.ServiceUnavailable, "catalog_unavailable", "The catalog is not available", err)
	}
}

func issueFault(err error) error {
	switch {
	case errors.Is(err, tokens.ErrTooLarge):
		return fault.New(fault.Failed, "token_too_large",
			"Failed to issue a new user token. The resulting token is excessively large, the user owns through too many groups", err)
	case errors.Is(err, tokens.ErrSubject):
		return fault.New(fault.Failed, "subject_invalid",
			`"sub" claim provided by the auth resolver is not a valid EntityRef.`, err)
	default:
		return fault.New(fault.ServiceUnavailable, "keys_unavailable", "Signing keys are not available", err)
	}
}

// saveUserInfo keeps for /v1/userinfo what this sign-in said (R21, T8).
func (f *Flow) saveUserInfo(ctx context.Context, user catalog.User) error {
	var doc struct {
		Claims struct {
			Sub string   `json:"sub"`
			Ent []string `json:"ent"`
		} `json:"claims"`
	}
	doc.Claims.Sub, doc.Claims.Ent = user.Ref, user.Ownership
	text, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("encode user info: %w", err)
	}
	if err := f.cfg.UserInfo.SaveUserInfo(ctx, user.Ref, text); err != nil {
		return storeFault(err)
	}
	return nil
}
