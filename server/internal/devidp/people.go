package devidp

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"github.com/goccy/go-yaml"
)

//go:embed people.yaml
var defaultPeople []byte

//go:embed catalog.yaml
var defaultCatalog []byte

// Person is somebody who can sign in, and what the userinfo endpoint says of them (OpenID Connect Core 1.0 §5.1).
type Person struct {
	// Subject is the stable `sub`: letters, digits, dot, dash and underscore, at most 255 of them.
	Subject string
	// Name, GivenName, FamilyName, Username and Picture are the claims of the scope profile; empty ones are left out.
	Name, GivenName, FamilyName, Username, Picture string
	// Email and EmailVerified are the claims of the scope email.
	Email         string
	EmailVerified bool
	// Note is shown beside the name on the login page, and nowhere else.
	Note string
	// Declines makes the person's button refuse the sign-in: the application gets access_denied.
	Declines bool
}

// personYAML is a Person as it is written, where emailVerified may be left out and then is true.
type personYAML struct {
	Subject       string `yaml:"subject"`
	Name          string `yaml:"name"`
	GivenName     string `yaml:"givenName"`
	FamilyName    string `yaml:"familyName"`
	Username      string `yaml:"username"`
	Picture       string `yaml:"picture"`
	Email         string `yaml:"email"`
	EmailVerified *bool  `yaml:"emailVerified"`
	Note          string `yaml:"note"`
	Declines      bool   `yaml:"declines"`
}

// LoadPeople reads people from YAML: a list of mappings with the keys that the comment of the default people.yaml names.
// An unknown key, a missing subject or e-mail, a subject that appears twice and an empty list are errors.
func LoadPeople(data []byte) ([]Person, error) {
	written, err := decodePeople(data)
	if err != nil {
		return nil, fmt.Errorf("read people: %w", err)
	}
	people := make([]Person, len(written))
	for i, p := range written {
		people[i] = p.person()
	}
	if err := checkPeople(people); err != nil {
		return nil, err
	}
	return people, nil
}

var errYAML = errors.New("the file is no list of people")

// decodePeople turns a panic into an error: goccy/go-yaml 1.19 follows a nil pointer for a tagged mapping in a list's place.
func decodePeople(data []byte) (written []personYAML, err error) {
	defer func() {
		if recover() != nil {
			err = errYAML
		}
	}()
	err = yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&written)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	return written, err
}

// DefaultPeople are the people of a development server without settings: two who can sign in, one whose e-mail address is
// not verified, one whom the catalog does not know, and one who always declines.
func DefaultPeople() []Person {
	people, err := LoadPeople(defaultPeople)
	if err != nil {
		return nil // Unreachable: a test loads the embedded list. New refuses an empty one.
	}
	return people
}

// Catalog is the development catalog that matches DefaultPeople: a stream of Backstage User and Group entities in YAML.
// The caller may keep and change the slice.
func Catalog() []byte { return slices.Clone(defaultCatalog) }

func (p personYAML) person() Person {
	return Person{
		Subject: p.Subject, Name: p.Name, GivenName: p.GivenName, FamilyName: p.FamilyName, Username: p.Username,
		Picture: p.Picture, Email: p.Email, EmailVerified: p.EmailVerified == nil || *p.EmailVerified,
		Note: p.Note, Declines: p.Declines,
	}
}

// subjectPattern leaves no room for the colon that ends the token id inside an opaque access token.
var subjectPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,255}$`)

func checkPeople(people []Person) error {
	if len(people) == 0 {
		return errors.New("check people: want at least one")
	}
	seen := map[string]bool{}
	for i, p := range people {
		switch {
		case !subjectPattern.MatchString(p.Subject):
			return fmt.Errorf("check person %d: subject wants 1 to 255 letters, digits, '.', '_' or '-'", i+1)
		case seen[p.Subject]:
			return fmt.Errorf("check person %d: subject appears twice", i+1)
		case p.Email == "":
			return fmt.Errorf("check person %d: email is missing", i+1)
		}
		seen[p.Subject] = true
	}
	return nil
}
