package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"stagedoor/providers"
	"stagedoor/server/internal/catalog"
	"stagedoor/server/internal/fault"
	"stagedoor/tokens"
)

// errNobody is what a sign-in ends in if no resolver finds a user (contract/core.md S3).
var errNobody = fault.New(fault.Failed, "no_catalog_user", "Failed to sign-in, unable to resolve user identity. Please verify "+
	"that your catalog contains the expected User entities that would match your configured sign-in resolver.", nil)

// identify says who the user of a provider's result is in the portal and issues their token. It is nil without error for an
// entry without resolvers (F39).
func (f *Flow) identify(ctx context.Context, e *Entry, r providers.Result) (*Identity, error) {
	user, err := f.resolve(ctx, e, r)
	if err != nil || user.Ref == "" {
		return nil, err
	}
	tok, err := f.cfg.Tokens.Issue(ctx, tokens.Identity{Subject: user.Ref, Ownership: user.Ownership})
	if err != nil {
		return nil, issueFault(err)
	}
	if err := f.saveUserInfo(ctx, user); err != nil {
		return nil, err
	}
	return &Identity{
		Token: tok.Raw, ExpiresIn: tok.ExpiresAt.Sub(f.cfg.Now()), UserRef: user.Ref, Ownership: user.Ownership,
	}, nil
}

// resolve asks the resolvers in order. Only one that finds nobody passes on to the next (S3).
func (f *Flow) resolve(ctx context.Context, e *Entry, r providers.Result) (catalog.User, error) {
	if r.Identity != nil {
		return f.find(ctx, *r.Identity)
	}
	if len(e.Resolvers) == 0 {
		return catalog.User{}, nil
	}
	for _, resolver := range e.Resolvers {
		l, err := resolver(r)
		if errors.Is(err, providers.ErrNoMatch) {
			continue
		}
		if err != nil {
			return catalog.User{}, err
		}
		user, err := f.find(ctx, l)
		if !errors.Is(err, errNobody) {
			return user, err
		}
	}
	return catalog.User{}, errNobody
}

// find asks the catalog, then for what the look-up names next, then takes the fallback if there is one (S13, S14).
func (f *Flow) find(ctx context.Context, l providers.Lookup) (catalog.User, error) {
	var err error
	for step := &l; step != nil; step = step.Then {
		var user catalog.User
		if user, err = f.cfg.Catalog.FindUser(ctx, *step); err == nil {
			return user, nil
		}
		if !errors.Is(err, catalog.ErrNotFound) {
			break
		}
	}
	if l.Fallback != "" && (l.FallbackAlways || errors.Is(err, catalog.ErrNotFound)) {
		own := l.FallbackOwnership
		if len(own) == 0 {
			own = []string{l.Fallback}
		}
		return catalog.User{Ref: l.Fallback, Ownership: own}, nil
	}
	return catalog.User{}, catalogFault(err)
}

func catalogFault(err error) error {
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return errNobody
	case errors.Is(err, catalog.ErrAmbiguous):
		return fault.New(fault.Conflict, "catalog_ambiguous", "User lookup resulted in multiple matches", err)
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
