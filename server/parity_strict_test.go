package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"stagedoor/server/internal/api/apitest"
)

// TestParityCaseIsStrict: a case that could pass without saying anything is not read.
func TestParityCaseIsStrict(t *testing.T) {
	const heading = "# what was recorded\ndiffers other (design D1): in words\n"
	const step = "-- step --\nGET /\nA: b\n---\nstatus 200\nempty\n"
	const differs = "differs other\n- header A: b\n"
	for _, tt := range []struct{ name, text, want string }{
		{"in order", heading + step + differs, ""},
		{"a body and a continued line", heading + "-- step --\nPOST /\n\n{}\n---\nstatus 200\njson\n\t {}\n" + differs, ""},
		{"empty", "", "what was recorded"},
		{"no heading", step, "what was recorded"},
		{"no steps", "# what was recorded\n", "no steps"},
		{"a heading that nobody understands", "# recorded\nnot a comment\n" + step, "not a comment"},
		{"a difference that nobody decided", "# recorded\ndiffers other: in words\n" + step + differs, "in words"},
		{"a difference declared twice", heading + "differs other (design D2): again\n" + step + differs, "again"},
		{"a difference that no step shows", heading + step, "no step shows"},
		{"a difference that is not declared", "# recorded\n" + step + differs, "does not declare"},
		{"no line between request and facts", heading + "-- step --\nGET /\nstatus 200\nempty\n", "no line ---"},
		{"no target", heading + "-- step --\nGET\n---\nstatus 200\nempty\n", "the request has"},
		{"no value of a header", heading + "-- step --\nGET /\nA\n---\nstatus 200\nempty\n", "the request has"},
		{"an unknown fact", heading + step + "color blue\n", "no such fact"},
		{"a signed fact of no difference", heading + step + "- header A: b\n", "belongs to no difference"},
		{"an unsigned fact behind a difference", heading + step + differs + "header A: b\n", "belongs to no difference"},
		{"no status", heading + "-- step --\nGET /\n---\nempty\n" + differs, "want one each"},
		{"no body", heading + "-- step --\nGET /\n---\nstatus 200\n" + differs, "want one each"},
		{"two statuses", heading + step + "status 201\n" + differs, "want one each"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseParityCase([]byte(tt.text))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestParityFacts: every fact holds where it should, fails where it should, and says so when it cannot be read.
func TestParityFacts(t *testing.T) {
	a := func(edit func(*apitest.Response)) *parityAnswer {
		t.Helper()
		res := apitest.Response{Status: 200, Header: http.Header{}}
		edit(&res)
		got, err := newParityAnswer(res)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	header := func(name, value string) *parityAnswer {
		return a(func(r *apitest.Response) { r.Header.Set(name, value) })
	}
	body := func(kind, text string) *parityAnswer {
		return a(func(r *apitest.Response) { r.Header.Set("Content-Type", kind); r.Body = []byte(text) })
	}
	const typeJSON = "application/json; charset=utf-8"
	page := body("text/html", `<script>decodeURIComponent('%7B%22a%22%3A3599%7D') decodeURIComponent('http%3A%2F%2Fapp')</script>`)
	for _, tt := range []struct {
		fact, text string
		answer     *parityAnswer
		holds      bool
	}{
		{"status", "200", header("A", "b"), true},
		{"status", "201", header("A", "b"), false},
		{"header", "a: b", header("A", "b"), true},
		{"header", "a: c", header("A", "b"), false},
		{"match", "A: [a-c]", header("A", "b"), true},
		{"match", "A: b", header("A", "bb"), false},
		{"absent", "B", header("A", "b"), true},
		{"absent", "A", header("A", "b"), false},
		{"cookie", "a+: ; Path=/; Expires", header("Set-Cookie", "aa=; Expires=now; Path=/"), true},
		{"cookie", "a: <text>; Path=/", header("Set-Cookie", "a=b; Path=/; Secure"), false},
		{"cookie", "a: <text>; Path=/", header("Set-Cookie", "a=; Path=/"), false},
		{"location", "http://a/b", header("Location", "http://a/b?c=d"), true},
		{"location", "http://a/b", header("Location", "http://a/c"), false},
		{"parameter", "c: d e", header("Location", "http://a/b?c=d+e"), true},
		{"parameter", "c: d", header("Location", "http://a/b?c=d&c=d"), false},
		{"parameter", "f: <text>", header("Location", "http://a/b?c=d"), false},
		{"json", `{"b":"<text>","a":["<hour>"]}`, body(typeJSON, `{"a":[3600],"b":"c"}`), true},
		{"json", `{"a":"<text>"}`, body(typeJSON, `{"a":"c","b":"d"}`), false},
		{"json", `{"a":"<hour>"}`, body(typeJSON, `{"a":"3600"}`), false},
		{"json", `{"a":["<text>"]}`, body(typeJSON, `{"a":["b","c"]}`), false},
		{"json", `{}`, body("application/json", `{}`), false},
		{"json", `{}`, body("text/plain", `{}`), false},
		{"posted", `http://app {"a":"<hour>"}`, page, true},
		{"posted", `http://evil {"a":"<hour>"}`, page, false},
		{"posted", `http://app {"a":3600}`, page, false},
		{"text", "abc", body("text/plain", "abc"), true},
		{"text", "ab", body("text/plain", "abc"), false},
		{"begins", "ab", body("text/plain", "abc"), true},
		{"begins", "abcd", body("text/plain", "abc"), false},
		{"empty", "", header("A", "b"), true},
		{"empty", "", body("text/plain", "abc"), false},
		{"code", "c", body(typeJSON, `{"error":{"code":"c"}}`), true},
		{"code", "c", body(typeJSON, `{"error":{"code":"d"}}`), false},
		{"attempt", "", body(typeJSON, `{"error":{"attemptId":"c"}}`), true},
		{"attempt", "", body(typeJSON, `{"error":{}}`), false},
	} {
		err := parityFacts[tt.fact](tt.answer, tt.text)
		if (err == nil) != tt.holds || errors.Is(err, errMalformed) {
			t.Errorf("%s %s of %v %s: %v, holds: %v", tt.fact, tt.text, tt.answer.Header, tt.answer.Body, err, tt.holds)
		}
	}
	for _, f := range [][2]string{
		{"header", "A"},
		{"match", "A"},
		{"match", "A: ["},
		{"cookie", "a"},
		{"cookie", "[: a"},
		{"parameter", "a"},
		{"json", "{"},
		{"json", `{"a":"<nothing>"}`},
		{"posted", "{}"},
		{"posted", "http://app {"},
		{"empty", "text"},
		{"attempt", "text"},
	} {
		if err := parityFacts[f[0]](header("A", "b"), f[1]); !errors.Is(err, errMalformed) {
			t.Errorf("%s %s: %v, want a malformed fact", f[0], f[1], err)
		}
	}
}

// TestParityJudgement: what a step does not say counts, and so does a difference that is gone.
func TestParityJudgement(t *testing.T) {
	usual := func(pairs ...string) http.Header {
		h := http.Header{}
		for name, value := range usualHeaders {
			h.Set(name, value)
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	for _, tt := range []struct {
		name, facts string
		header      http.Header
		want        string
	}{
		{"nothing to say", "header A: {known}", usual("A", "b"), ""},
		{"a fact that fails", "header A: c", usual("A", "b"), "header"},
		{"a name that nobody kept", "header A: {unknown}", usual("A", "b"), "nothing was kept"},
		{"a cookie that nobody states", "", usual("Set-Cookie", "a=b"), "Set-Cookie"},
		{"a parameter that nobody states", "location http://a", usual("Location", "http://a?b=c"), "parameter b"},
		{"a usual header is missing", "", http.Header{}, "X-Frame-Options"},
		{"a usual header that a fact is about", "header X-Frame-Options: sameorigin", usual("X-Frame-Options", "sameorigin"), ""},
		{"a difference", "differs d\n- header A: c\n+ header A: b", usual("A", "b"), ""},
		{"a difference that is gone", "differs d\n- header A: b", usual("A", "b"), "is gone"},
		{"a difference that cannot be read", "differs d\n- header A", usual("A", "b"), "malformed"},
		{"a removed cookie of a difference", "differs d\n- cookie a: b\n+ cookie a: c", usual("Set-Cookie", "a=c"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := parseParityStep("step", "GET /\n---\nstatus 200\nempty\n"+tt.facts)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := newParityAnswer(apitest.Response{Status: 200, Header: tt.header})
			if err != nil {
				t.Fatal(err)
			}
			r := &replay{kept: map[string]string{"known": "b"}}
			err = r.judge(s, answer)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
