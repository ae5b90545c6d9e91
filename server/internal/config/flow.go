package config

import (
	"slices"
	"unicode/utf8"

	"github.com/goccy/go-yaml/token"
)

// plainTypes are the tokens of a scalar without quotes.
var plainTypes = []token.Type{
	token.StringType, token.BoolType, token.NullType, token.IntegerType, token.FloatType, token.InfinityType, token.NanType,
	token.HexIntegerType, token.OctetIntegerType, token.BinaryIntegerType,
}

// rejoin mends what the lexer does to a colon inside braces. It ends a key there even when no space follows, so that
// {scopes: [read:user]} would hold an object; YAML, and Backstage with it, reads the string read:user (YAML 1.2.2
// section 7.3.3; goccy/go-yaml issue 832).
func rejoin(tokens token.Tokens) token.Tokens {
	var out token.Tokens
	braces := 0
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		switch t.Type {
		case token.MappingStartType:
			braces++
		case token.MappingEndType:
			braces--
		}
		if braces > 0 && i+1 < len(tokens) && len(out) > 0 && splitScalar(out[len(out)-1], t, tokens[i+1]) {
			key, value := out[len(out)-1], tokens[i+1]
			out = out[:len(out)-1]
			out.Add(token.String(key.Value+":"+value.Value, key.Origin+t.Origin+value.Origin, key.Position))
			i++
			continue
		}
		out.Add(t)
	}
	return out
}

// splitScalar is true if three tokens stand side by side and only a colon parts the outer two.
func splitScalar(key, colon, value *token.Token) bool {
	if colon.Type != token.MappingValueType || !slices.Contains(plainTypes, key.Type) || !slices.Contains(plainTypes, value.Type) {
		return false
	}
	from, at, to := key.Position, colon.Position, value.Position
	return from.Line == at.Line && at.Line == to.Line &&
		from.Column+utf8.RuneCountInString(key.Value) == at.Column && at.Column+1 == to.Column
}
