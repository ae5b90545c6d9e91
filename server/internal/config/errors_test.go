package config

import (
	"errors"
	"testing"
)

func TestProblemString(t *testing.T) {
	tests := []struct {
		name string
		p    Problem
		want string
	}{
		{"everything", Problem{Position{"a.yaml", 3, 5}, "a.b", "is wrong"}, "a.yaml:3:5 a.b: is wrong"},
		{"a file", Problem{Position{File: "a.yaml"}, "", "is wrong"}, "a.yaml: is wrong"},
		{"no place", Problem{Position{}, "a.b", "Missing 'a.b'"}, "Missing 'a.b'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.p.String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestErrorsKeepTheirProblems(t *testing.T) {
	_, err := Load(one("app: {baseUrl: 5}\n").input())
	e, ok := errors.AsType[*Errors](err)
	if !ok || len(e.Problems) != 2 {
		t.Fatalf("got %v, want two problems", err)
	}
	want := Problem{Position{"app-config.yaml", 1, 16}, "app.baseUrl", "want a string, found a number: put it in quotes"}
	if e.Problems[0] != want {
		t.Errorf("got %+v, want %+v", e.Problems[0], want)
	}
	if e.Problems[1].Key != "backend.baseUrl" {
		t.Errorf("got key %s", e.Problems[1].Key)
	}
}
