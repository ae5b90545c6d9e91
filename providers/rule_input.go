package providers

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Bounds of what a rule reads of one user. They are far beyond what a token carries, and keep a hostile answer from being
// worked through by every rule.
const (
	maxInputValues = 20_000
	maxInputBytes  = 512 << 10
	maxInputDepth  = 16
)

// ruleVariables are the variables of an expression by name.
type ruleVariables = map[string]any

// profileFields are the keys of the variable profile, providerFields those of provider.
var (
	profileFields  = []string{"email", "displayName", "picture", "username", "subject"}
	providerFields = []string{"id", "env"}
)

// ruleInput makes plain maps of a Result, so that an expression reaches nothing but what stands here (GHSA-gcjh-h69q-9w9g
// let expressions read the private fields of native types). What the provider did not send is absent, not empty: has() and
// orValue() tell the difference, and a rule that forgets to ask refuses instead of looking for nobody.
func ruleInput(r Result, provider map[string]string) (ruleVariables, error) {
	b := inputBudget{values: maxInputValues, bytes: maxInputBytes}
	claims, err := b.object(r.Claims, 0)
	if err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	userinfo, err := b.object(r.UserInfo, 0)
	if err != nil {
		return nil, fmt.Errorf("read userinfo: %w", err)
	}
	profile := map[string]string{}
	p := r.Profile
	for i, value := range []string{p.Email, p.DisplayName, p.Picture, p.Username, r.Session.Subject} {
		if value != "" {
			profile[profileFields[i]] = value
		}
	}
	headers := r.Headers
	if headers == nil {
		headers = map[string]string{}
	}
	for _, m := range []map[string]string{profile, headers} {
		if err := b.texts(m); err != nil {
			return nil, fmt.Errorf("read profile and headers: %w", err)
		}
	}
	return ruleVariables{
		"claims": claims, "userinfo": userinfo, "profile": profile, "provider": provider, "headers": headers,
	}, nil
}

// inputBudget is what is left of the bounds.
type inputBudget struct{ values, bytes int }

var errInputSize = errors.New("input is too large for a rule")

func (b *inputBudget) spend(text string) error {
	b.values--
	b.bytes -= len(text)
	if b.values < 0 || b.bytes < 0 {
		return errInputSize
	}
	return nil
}

func (b *inputBudget) texts(m map[string]string) error {
	for k, v := range m {
		if err := errors.Join(b.spend(k), b.spend(v)); err != nil {
			return err
		}
	}
	return nil
}

func (b *inputBudget) object(m map[string]any, depth int) (map[string]any, error) {
	out := make(map[string]any, len(m))
	for k, v := range m {
		if err := b.spend(k); err != nil {
			return nil, err
		}
		plain, err := b.value(v, depth+1)
		if err != nil {
			return nil, err
		}
		out[k] = plain
	}
	return out, nil
}

func (b *inputBudget) list(items []any, depth int) ([]any, error) {
	out := make([]any, len(items))
	for i, v := range items {
		plain, err := b.value(v, depth+1)
		if err != nil {
			return nil, err
		}
		out[i] = plain
	}
	return out, nil
}

// value copies what JSON consists of. Whole numbers become integers, which text can be made of without an exponent.
func (b *inputBudget) value(v any, depth int) (any, error) {
	if depth > maxInputDepth {
		return nil, errInputSize
	}
	if s, ok := v.(string); ok {
		return s, b.spend(s)
	}
	if err := b.spend(""); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case nil, bool:
		return v, nil
	case float64:
		if n, ok := wholeNumber(v); ok {
			return n, nil
		}
		return v, nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		return v.Float64()
	case map[string]any:
		return b.object(v, depth)
	case []any:
		return b.list(v, depth)
	}
	return nil, fmt.Errorf("input holds a %T, which is not JSON", v)
}
