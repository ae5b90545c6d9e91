package providers

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// rule.go: the resolver "rule", which says in expressions of the Common Expression Language what would else be a module of
// code. docs/rules.md describes it for those who write rules.
//
//	resolver: rule
//	when: EXPRESSION        true or false: may this rule decide? Absent means true; false passes on to the next resolver.
//	deny: EXPRESSION        true, or a text for the user written out in the expression, refuses; false or "" does not.
//	user:                   whom to sign in, exactly one of:
//	  ref: EXPRESSION         a User entity, "user:namespace/name"
//	  annotations: {key: EXPRESSION, …}     the User entity that has all of them
//	  filter: {path: EXPRESSION, …}         the User entity whose fields have all of these values
//	  signIn: EXPRESSION      the identity itself, "user:namespace/name"; the catalog is not asked
//	  exact: BOOLEAN          annotations and filter tell upper and lower case apart
//	ownership: EXPRESSION   list of further entity refs that the user owns through
//	ownershipMustExist: BOOLEAN   refuse the sign-in if the catalog lacks one of them
//
// They are evaluated in this order. A rule needs user or deny; one without user passes on whom it does not deny. A user whom
// the catalog does not have passes on as well (contract/core.md S3). Any error in an expression refuses.

// ruleOptions stand beside the name.
type ruleOptions struct {
	Resolver           string      `config:"resolver"`
	When               string      `config:"when"`
	Deny               string      `config:"deny"`
	User               userOptions `config:"user"`
	Ownership          string      `config:"ownership"`
	OwnershipMustExist bool        `config:"ownershipMustExist"`
}

// userOptions are the expressions below user.
type userOptions struct {
	Ref         string            `config:"ref"`
	Annotations map[string]string `config:"annotations"`
	Filter      map[string]string `config:"filter"`
	SignIn      string            `config:"signIn"`
	Exact       bool              `config:"exact"`
}

// rule is a compiled one. Expressions that are absent are nil.
type rule struct {
	provider          map[string]string
	when, deny        *expression
	ref, signIn       *expression
	annotations       map[string]*expression
	filter            map[string]*expression
	ownership         *expression
	exact, ownedExist bool
	// decides is false for a rule without user.
	decides bool
}

// newRule makes rules for the entry id and env.
func newRule(id, env string) NewResolver {
	return func(decode func(into any) error) (Resolver, error) {
		var o ruleOptions
		if err := decode(&o); err != nil {
			return nil, err
		}
		if err := o.check(); err != nil {
			return nil, err
		}
		r := &rule{
			provider: map[string]string{"id": id, "env": env}, exact: o.User.Exact, ownedExist: o.OwnershipMustExist,
			decides: len(o.User.ways()) > 0,
		}
		if err := r.compile(o); err != nil {
			return nil, err
		}
		return r.resolve, nil
	}
}

// check finds options that contradict each other or do nothing.
func (o ruleOptions) check() error {
	ways := o.User.ways()
	switch {
	case len(ways) > 1:
		return fmt.Errorf("user has %s: want one of them", strings.Join(ways, " and "))
	case len(ways) == 0 && (o.User.Exact || o.Ownership != ""):
		return errors.New("user is missing: want one of ref, annotations, filter and signIn below it")
	case len(ways) == 0 && o.Deny == "":
		return errors.New("a rule needs user, or deny, or both")
	case o.OwnershipMustExist && o.Ownership == "":
		return errors.New("ownershipMustExist needs ownership")
	case o.User.Exact && (o.User.Ref != "" || o.User.SignIn != ""):
		return errors.New("user.exact is for annotations and filter: entity refs have no upper and lower case")
	}
	for path := range o.User.Filter {
		// The catalog client adds kind=user only where no kind is given (contract/core.md S8).
		if !filterPath.MatchString(path) || strings.EqualFold(path, "kind") {
			return fmt.Errorf("user.filter: %q is not the path of a field, such as spec.profile.email", path)
		}
	}
	for key := range o.User.Annotations {
		if !filterPath.MatchString(key) {
			return fmt.Errorf("user.annotations: %q is not the key of an annotation", key)
		}
	}
	return nil
}

// filterPath is what may stand left of the = in a catalog filter.
var filterPath = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*$`)

// ways lists which of the alternatives are given.
func (o userOptions) ways() []string {
	var ways []string
	for _, w := range []struct {
		name  string
		given bool
	}{
		{"ref", o.Ref != ""},
		{"annotations", len(o.Annotations) > 0},
		{"filter", len(o.Filter) > 0},
		{"signIn", o.SignIn != ""},
	} {
		if w.given {
			ways = append(ways, w.name)
		}
	}
	return ways
}

// compile compiles all expressions and reports all that are wrong.
func (r *rule) compile(o ruleOptions) error {
	var wrong []error
	one := func(option, text string, want expressionType) *expression {
		e, err := compileExpression(option, text, want)
		wrong = append(wrong, err)
		return e
	}
	all := func(option string, texts map[string]string) map[string]*expression {
		expressions := map[string]*expression{}
		for _, key := range slices.Sorted(maps.Keys(texts)) {
			expressions[key] = one(option+"."+key, texts[key], textExpression)
		}
		return expressions
	}
	r.when = one("when", o.When, boolExpression)
	r.deny = one("deny", o.Deny, denyExpression)
	if r.deny != nil && r.deny.isText && !r.deny.fixed {
		wrong = append(wrong, errors.New("deny: a text for the user must be written out, it may not be made of what the provider sends"))
	}
	r.ref = one("user.ref", o.User.Ref, textExpression)
	r.annotations = all("user.annotations", o.User.Annotations)
	r.filter = all("user.filter", o.User.Filter)
	r.signIn = one("user.signIn", o.User.SignIn, textExpression)
	r.ownership = one("ownership", o.Ownership, listExpression)
	return oneLine(wrong)
}

// oneLine makes one error of several: the caller puts the place in the file before it. It is nil if all of them are.
func oneLine(errs []error) error {
	var lines []string
	for _, err := range errs {
		if err != nil {
			lines = append(lines, err.Error())
		}
	}
	if lines == nil {
		return nil
	}
	return errors.New(strings.Join(lines, "; "))
}

// resolve is the Resolver.
func (r *rule) resolve(result Result) (Lookup, error) {
	in, err := ruleInput(result, r.provider)
	if err != nil {
		return Lookup{}, ruleFailed(err)
	}
	applies, err := r.when.condition(in, true)
	if err != nil {
		return Lookup{}, ruleFailed(err)
	}
	if !applies {
		return Lookup{}, ruleSkipped
	}
	if err := r.refuse(in); err != nil {
		return Lookup{}, err
	}
	if !r.decides {
		return Lookup{}, ruleSkipped
	}
	l, err := r.lookup(in)
	if err != nil {
		return Lookup{}, ruleFailed(err)
	}
	return l, nil
}

// ruleSkipped passes on to the next resolver.
var ruleSkipped = &Error{Kind: ErrNoMatch, Code: CodeRuleSkipped, Message: "The sign-in rule does not apply"}

// ruleFailed refuses, whatever the expression would have said.
func ruleFailed(err error) error {
	return fail(CodeRuleFailed, "Sign-in was refused, a sign-in rule cannot be evaluated for this account", err)
}

// refuse is an error if deny says so. Its message is the rule's own, which holds no claim (see fixedText).
func (r *rule) refuse(in ruleVariables) error {
	denied, message, err := r.deny.verdict(in)
	if err != nil {
		return ruleFailed(err)
	}
	if !denied {
		return nil
	}
	return &Error{Kind: ErrForbidden, Code: CodeRuleDenied, Message: message}
}

// lookup evaluates user and ownership.
func (r *rule) lookup(in ruleVariables) (Lookup, error) {
	l := Lookup{Exact: r.exact, OwnershipMustExist: r.ownedExist}
	var err error
	if l.EntityRef, err = r.ref.userRef(in); err != nil {
		return Lookup{}, err
	}
	if l.SignIn, err = r.signIn.userRef(in); err != nil {
		return Lookup{}, err
	}
	l.SignIn = strings.ToLower(l.SignIn)
	if l.Annotations, err = filterValues(r.annotations, in); err != nil {
		return Lookup{}, err
	}
	if l.Filter, err = filterValues(r.filter, in); err != nil {
		return Lookup{}, err
	}
	l.Ownership, err = r.ownership.entityRefs(in)
	return l, err
}

// filterValues evaluates the values of annotations or filter; nil if there are none.
func filterValues(expressions map[string]*expression, in ruleVariables) (map[string]string, error) {
	if len(expressions) == 0 {
		return nil, nil
	}
	values := make(map[string]string, len(expressions))
	for key, e := range expressions {
		v, err := e.text(in)
		if err != nil {
			return nil, err
		}
		if err := checkFilterValue(v); err != nil {
			return nil, e.fails(err)
		}
		values[key] = v
	}
	return values, nil
}

// userRef evaluates to a complete reference of a user; "" if there is no such expression.
func (e *expression) userRef(in ruleVariables) (string, error) {
	if e == nil {
		return "", nil
	}
	ref, err := e.text(in)
	if err != nil {
		return "", err
	}
	// A user may be named by an email, as Backstage names one without an entity.
	if kind, _, _ := strings.Cut(ref, ":"); !equalASCIIFold(kind, "user") || !isEntityRef(ref, "@+") {
		return "", e.fails(errors.New("want an entity ref such as user:default/jane"))
	}
	return ref, nil
}

// entityRefs evaluates to complete entity refs in lower case, each once; nil if there is no such expression.
func (e *expression) entityRefs(in ruleVariables) ([]string, error) {
	if e == nil {
		return nil, nil
	}
	refs, err := e.texts(in)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(refs))
	var unique []string
	for _, ref := range refs {
		if !isEntityRef(ref, "") {
			return nil, e.fails(errors.New("want a list of entity refs such as group:default/platform"))
		}
		if ref = strings.ToLower(ref); !seen[ref] {
			seen[ref] = true
			unique = append(unique, ref)
		}
	}
	return unique, nil
}

// isEntityRef accepts a complete reference, kind:namespace/name, of the characters that the catalog allows (and more of them in
// the name). A claim within it can change neither kind nor namespace, for it brings no separator.
func isEntityRef(ref, alsoInName string) bool {
	kind, rest, _ := strings.Cut(ref, ":")
	namespace, name, _ := strings.Cut(rest, "/")
	return len(ref) <= longestValue && isWord(kind, "") && isWord(namespace, "-") && isWord(name, "-_."+alsoInName)
}

// isWord accepts ASCII letters and digits, and after the first character what is in also.
func isWord(s, also string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || strings.IndexByte(also, c) < 0) {
			return false
		}
	}
	return s != ""
}
