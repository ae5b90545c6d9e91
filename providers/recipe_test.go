package providers_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"stagedoor/providers"
	"stagedoor/providers/providertest"
)

// recipe is one file of testdata/recipes: the Kind, the section signIn of an entry, and what it makes of users.
type recipe struct {
	title, kind, signIn string
	cases               []recipeCase
}

// recipeCase is one user. Want is the look-up, or the code of the refusal.
type recipeCase struct {
	Name             string            `yaml:"name"`
	Claims, UserInfo map[string]any    `yaml:",omitempty"`
	Headers          map[string]string `yaml:"headers"`
	Email            string            `yaml:"email"`
	Subject          string            `yaml:"subject"`
	// Missing is how many look-ups find nobody before this one.
	Missing int    `yaml:"missing"`
	Want    string `yaml:"want"`
}

func readRecipes(t *testing.T) []recipe {
	t.Helper()
	files, err := filepath.Glob("testdata/recipes/*.txtar")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d recipes, %v", len(files), err)
	}
	var all []recipe
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r := recipe{title: strings.TrimSpace(string(a.Comment))}
		for _, f := range a.Files {
			switch f.Name {
			case "kind":
				r.kind = strings.TrimSpace(string(f.Data))
			case "signIn.yaml":
				r.signIn = string(f.Data)
			case "cases.yaml":
				if err := yaml.UnmarshalWithOptions(f.Data, &r.cases, yaml.Strict()); err != nil {
					t.Fatalf("%s: %v", file, err)
				}
			}
		}
		all = append(all, r)
	}
	return all
}

// result has claims and userinfo with the types that a provider's JSON comes in.
func (c recipeCase) result(t *testing.T) providers.Result {
	t.Helper()
	r := providers.Result{
		Session: providers.Session{Subject: c.Subject}, Profile: providers.Profile{Email: c.Email}, Headers: c.Headers,
	}
	for from, to := range map[*map[string]any]*map[string]any{&c.Claims: &r.Claims, &c.UserInfo: &r.UserInfo} {
		text, err := json.Marshal(*from)
		if err == nil {
			err = json.Unmarshal(text, to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// policy is a recipe as the server builds it.
type policy struct {
	admission providers.Admission
	resolvers []providers.Resolver
}

func (r recipe) open(t *testing.T) policy {
	t.Helper()
	var section struct {
		SignIn struct {
			Admission map[string]any   `yaml:"admission"`
			Resolvers []map[string]any `yaml:"resolvers"`
		} `yaml:"signIn"`
	}
	if err := yaml.UnmarshalWithOptions([]byte(r.signIn), &section, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	var p policy
	var err error
	if p.admission, err = providers.NewAdmission(r.kind, decodeAgain(t, section.SignIn.Admission)); err != nil {
		t.Fatal(err)
	}
	kind := providers.Kind{ID: r.kind, Resolvers: providers.ResolversFor(r.kind)}
	for _, options := range section.SignIn.Resolvers {
		name, _ := options["resolver"].(string)
		newResolver, ok := kind.Resolver(name, r.kind, "production")
		if !ok {
			t.Fatalf("no resolver %q", name)
		}
		resolver, err := newResolver(decodeAgain(t, options))
		if err != nil {
			t.Fatal(err)
		}
		p.resolvers = append(p.resolvers, resolver)
	}
	return p
}

func decodeAgain(t *testing.T, options map[string]any) func(any) error {
	t.Helper()
	text, err := yaml.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	return providertest.Decode(string(text))
}

// outcome is what a sign-in comes to if the catalog has nobody for the first missing look-ups.
func (p policy) outcome(r providers.Result, missing int) string {
	if err := p.admission.Admit(r); err != nil {
		return providertest.Code(err)
	}
	for _, resolve := range p.resolvers {
		l, err := resolve(r)
		switch {
		case errors.Is(err, providers.ErrNoMatch):
		case err != nil:
			return providertest.Code(err)
		case missing == 0:
			return l.Describe(true)
		default:
			missing--
		}
	}
	return "nobody"
}

func TestRecipes(t *testing.T) {
	for _, r := range readRecipes(t) {
		t.Run(r.title, func(t *testing.T) {
			p := r.open(t)
			for _, c := range r.cases {
				if got := p.outcome(c.result(t), c.Missing); got != c.Want {
					t.Errorf("%s: %s, want %s", c.Name, got, c.Want)
				}
			}
		})
	}
}

var fenced = regexp.MustCompile("(?ms)^### ([^\n]+)\n(.*?)^```yaml\n(.*?)^```\n.*?^```text\n(.*?)^```\n")

// TestRecipesAreDocumented: docs/rules.md shows every recipe as it is tested, with its outcomes, and no other.
func TestRecipesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, recipes, ok := strings.Cut(string(page), "\n## Recipes\n")
	if !ok {
		t.Fatal("docs/rules.md has no recipes")
	}
	type shown struct{ Title, SignIn, Outcomes string }
	var want, got []shown
	for _, r := range readRecipes(t) {
		var outcomes strings.Builder
		for _, c := range r.cases {
			outcomes.WriteString(c.Name + "\n    " + c.Want + "\n")
		}
		want = append(want, shown{r.title, r.signIn, outcomes.String()})
	}
	for _, m := range fenced.FindAllStringSubmatch(recipes, -1) {
		got = append(got, shown{m[1], m[3], m[4]})
	}
	if n := strings.Count(recipes, "\n### "); n != len(got) {
		t.Errorf("%d recipes have no configuration or no outcomes", n-len(got))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/rules.md (-tested +shown):\n%s", diff)
	}
}
