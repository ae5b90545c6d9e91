package providers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/ext"
)

// Bounds of one expression. The cost is in the units of CEL's cost model, where a comparison is one and a new list ten.
const (
	maxExpressionRunes = 4096
	maxExpressionDepth = 64
	maxExpressionNodes = 4096
	maxExpressionCost  = 500_000
)

// expression is one compiled option of a rule. A nil one is absent.
type expression struct {
	// option is the config key, for messages.
	option  string
	program cel.Program
	source  *ast.SourceInfo
	// words are the names and texts that stand in the expression: they may be repeated in an error.
	words map[string]bool
	// isText is true if it can give nothing but texts; fixed, if each of these is among words.
	isText, fixed bool
}

// expressionType is what an expression has to give.
type expressionType struct {
	name    string
	allowed []*cel.Type
}

var (
	boolExpression = expressionType{"true or false", []*cel.Type{cel.BoolType, cel.DynType}}
	textExpression = expressionType{"a text", []*cel.Type{cel.StringType, cel.DynType}}
	listExpression = expressionType{"a list of texts", []*cel.Type{cel.ListType(cel.StringType), cel.ListType(cel.DynType), cel.DynType}}
	denyExpression = expressionType{"true or false, or a text", []*cel.Type{cel.BoolType, cel.StringType, cel.DynType}}
)

// ruleEnvironment is the language: CEL's standard functions, its string functions and optional values, and the variables of
// ruleInput.
var ruleEnvironment = sync.OnceValues(func() (*cel.Env, error) {
	texts := cel.MapType(cel.StringType, cel.StringType)
	object := cel.MapType(cel.StringType, cel.DynType)
	return cel.NewEnv(
		cel.Variable("claims", object), cel.Variable("userinfo", object),
		cel.Variable("profile", texts), cel.Variable("provider", texts), cel.Variable("headers", texts),
		ext.Strings(), cel.OptionalTypes(), cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxExpressionRunes), cel.ParserRecursionLimit(maxExpressionDepth),
		cel.ExpressionNodeLimit(maxExpressionNodes),
	)
})

// compileExpression is nil without error for an empty text. The error names the option and the place in its text.
func compileExpression(option, text string, want expressionType) (*expression, error) {
	if text == "" {
		return nil, nil
	}
	env, err := ruleEnvironment()
	if err != nil {
		return nil, fmt.Errorf("prepare expressions: %w", err)
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		first := issues.Errors()[0]
		return nil, errors.New(placed(option, first.Location) + first.Message)
	}
	isType := func(t *cel.Type) bool { return t.IsExactType(checked.OutputType()) }
	if !slices.ContainsFunc(want.allowed, isType) {
		return nil, fmt.Errorf("%s: want %s, found %s", option, want.name, checked.OutputType())
	}
	root := ast.NavigateAST(checked.NativeRep())
	e := &expression{
		option: option, source: checked.NativeRep().SourceInfo(), words: map[string]bool{},
		isText: checked.OutputType() == cel.StringType, fixed: fixedText(root),
	}
	if err := e.inspect(root); err != nil {
		return nil, err
	}
	e.program, err = env.Program(checked, cel.CostLimit(maxExpressionCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	return e, nil
}

// inspect finds what compiles and must not run: a pattern that a user could write, and fields that do not exist.
func (e *expression) inspect(root ast.NavigableExpr) error {
	for _, node := range ast.MatchDescendants(root, ast.AllMatcher()) {
		var err error
		switch node.Kind() {
		case ast.LiteralKind:
			if s, ok := node.AsLiteral().(types.String); ok {
				e.words[string(s)] = true
			}
		case ast.SelectKind:
			e.words[node.AsSelect().FieldName()] = true
			err = checkField(node.AsSelect())
		case ast.CallKind:
			err = checkPattern(node.AsCall())
		}
		if err != nil {
			return fmt.Errorf("%s%w", e.place(node.ID()), err)
		}
	}
	return nil
}

// checkField finds a misspelled profile or provider field, which would else refuse everybody at their first sign-in.
func checkField(s ast.SelectExpr) error {
	if s.Operand().Kind() != ast.IdentKind {
		return nil
	}
	known := map[string][]string{"profile": profileFields, "provider": providerFields}[s.Operand().AsIdent()]
	if known == nil || slices.Contains(known, s.FieldName()) {
		return nil
	}
	return fmt.Errorf("%s has no %s, want one of %s", s.Operand().AsIdent(), s.FieldName(), strings.Join(known, ", "))
}

// checkPattern demands that a regular expression is written out: then it is compiled once and is nobody's but ours.
func checkPattern(call ast.CallExpr) error {
	args := call.Args()
	if call.FunctionName() != overloads.Matches || len(args) == 0 || args[len(args)-1].Kind() == ast.LiteralKind {
		return nil
	}
	return errors.New("the pattern of matches must be written out")
}

// fixedText is true for an expression whose every outcome is a literal.
func fixedText(e ast.Expr) bool {
	if e.Kind() == ast.LiteralKind {
		return true
	}
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operators.Conditional {
		return false
	}
	args := e.AsCall().Args()
	return fixedText(args[1]) && fixedText(args[2])
}

// place is where a node stands in the expression.
func (e *expression) place(node int64) string {
	return placed(e.option, e.source.GetStartLocation(node))
}

// placed is "option, line 1, column 2: ", or "option: " for what has no place.
func placed(option string, at common.Location) string {
	if at.Line() <= 0 {
		return option + ": "
	}
	return fmt.Sprintf("%s, line %d, column %d: ", option, at.Line(), at.Column()+1)
}

// fails says that the outcome of e cannot be used.
func (e *expression) fails(err error) error { return fmt.Errorf("%s: %w", e.option, err) }

// eval evaluates e. An error says where, and what is wrong in words of ours: the library's hold values of claims.
func (e *expression) eval(in ruleVariables) (ref.Val, error) {
	v, _, err := e.program.Eval(in)
	if err == nil {
		return v, nil
	}
	var node int64
	if ce, ok := errors.AsType[*types.Err](err); ok {
		node = ce.NodeID()
	}
	return nil, fmt.Errorf("%s%w", e.place(node), e.reason(err.Error()))
}

// reason is what went wrong, without a value. A missing key is named if it stands in the expression.
func (e *expression) reason(message string) error {
	if key, ok := strings.CutPrefix(message, "no such key: "); ok && e.words[key] {
		return fmt.Errorf("no such key: %s", key)
	}
	for words, meaning := range map[string]string{
		"no such key": "no such key", "no such overload": "a value has the wrong type", "type conversion": "a value has the wrong type",
		"index out of bounds": "index out of range", "cost limit": "the expression costs too much",
	} {
		if strings.Contains(message, words) {
			return errors.New(meaning)
		}
	}
	return errors.New("cannot be evaluated")
}

// condition evaluates to true or false; to absent without an expression.
func (e *expression) condition(in ruleVariables, absent bool) (bool, error) {
	if e == nil {
		return absent, nil
	}
	v, err := e.eval(in)
	if err != nil {
		return false, err
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, e.fails(errors.New("want true or false"))
	}
	return bool(b), nil
}

// verdict evaluates deny, with the message for the user.
func (e *expression) verdict(in ruleVariables) (denied bool, message string, err error) {
	if e == nil {
		return false, "", nil
	}
	v, err := e.eval(in)
	if err != nil {
		return false, "", err
	}
	switch v := v.(type) {
	case types.Bool:
		return bool(v), "Sign-in is not allowed for this account", nil
	case types.String:
		if e.fixed {
			return v != "", string(v), nil
		}
	}
	return false, "", e.fails(errors.New("want true or false, or a text that is written out"))
}

func (e *expression) text(in ruleVariables) (string, error) {
	v, err := e.eval(in)
	if err != nil {
		return "", err
	}
	s, ok := v.(types.String)
	if !ok {
		return "", e.fails(errors.New("want a text"))
	}
	return string(s), nil
}

func (e *expression) texts(in ruleVariables) ([]string, error) {
	v, err := e.eval(in)
	if err != nil {
		return nil, err
	}
	list, ok := v.(traits.Lister)
	if !ok {
		return nil, e.fails(errors.New("want a list of texts"))
	}
	var texts []string
	for it := list.Iterator(); it.HasNext() == types.True; {
		s, ok := it.Next().(types.String)
		if !ok {
			return nil, e.fails(errors.New("want a list of texts"))
		}
		texts = append(texts, string(s))
	}
	return texts, nil
}
