package providers_test

import (
	"bytes"
	"crypto/elliptic"
	"encoding/base64"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	xrv "github.com/mattermost/xml-roundtrip-validator"

	"stagedoor/providers"
	"stagedoor/providers/samltest"
)

// samlBombs are the most expensive documents that come past the limits, each with a SignedInfo that verifies, so that all of it is
// made canonical: whoever may sign in once has one.
func samlBombs() []badSAML {
	bomb := func(name, insert string) badSAML {
		return badSAML{name: name, want: providers.CodeSAMLSignature, answer: samltest.Answer{EditText: func(s string) string {
			return strings.Replace(s, "<samlp:Status>", insert+"<samlp:Status>", 1)
		}}}
	}
	prefixes := manyAttributes(`xmlns:p%d="u"`, 24)
	used := "<a" + prefixes + ">" + strings.Repeat("<p1:a/>", 7_600) + "</a>"
	deep := strings.Repeat("<a"+prefixes+">", 28) + strings.Repeat("<a/>", 7_000) + strings.Repeat("</a>", 28)
	wide := strings.Repeat("<a"+manyAttributes(`a%d=""`, 31)+"/>", 240)
	return []badSAML{
		bomb("elements", strings.Repeat("<a/>", 7_600)),
		bomb("elements with prefixes", used),
		bomb("elements below redeclared prefixes", deep),
		bomb("attributes", wide),
		bomb("one text", "<a>"+strings.Repeat("x", 180_000)+"</a>"),
		bomb("references", "<a>"+strings.Repeat("&lt;", 45_000)+"</a>"),
		bomb("texts between elements", strings.Repeat("x<a/>", 7_600)),
	}
}

// eightCertificates are the most that a provider may have; the one that signs is the last.
func eightCertificates(t testing.TB, idp *samltest.IdP) string {
	var b strings.Builder
	for range 7 {
		b.WriteString(strconv.Quote(samltest.NewECDSA(t, elliptic.P256()).PEM()) + ", ")
	}
	return "issuer: " + idp.Audience + "\nentryPoint: " + idp.SSO + "\nidpIssuer: " + idp.EntityID +
		"\ncert: [" + b.String() + strconv.Quote(idp.Signer.PEM()) + "]"
}

// allocated is what f allocates, in bytes, whether or not it keeps it.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestSAMLBounded: no document costs more than a fixed amount of memory, and one that is too large costs nothing. (What they cost in
// time, BenchmarkSAML tells.)
func TestSAMLBounded(t *testing.T) {
	idp := samltest.New(t, samlNow)
	s := openSAML(t, idp, eightCertificates(t, idp), nil)
	cases := slices.Concat(badSAMLFields(), badSAMLText(), samlBombs())
	for _, b := range cases {
		t.Run(b.name, func(t *testing.T) {
			form := url.Values{"SAMLResponse": {b.make(t, s)}}
			bound := uint64(40 << 20)
			if b.want == providers.CodeSAMLSize {
				bound = 4 << 10
			}
			var err error
			got := allocated(func() { _, err = s.Handle(t.Context(), providers.Request{Form: form, Memo: s.memo}) })
			refuses(t, err, b.want)
			if t.Logf("%d KiB", got>>10); got > bound {
				t.Errorf("allocates %d bytes, want at most %d", got, bound)
			}
		})
	}
}

// BenchmarkSAML is what documents cost: a good one, the dearest bad ones, and those that are refused at once.
func BenchmarkSAML(b *testing.B) {
	idp := samltest.New(b, samlNow)
	s := openSAML(b, idp, eightCertificates(b, idp), nil)
	all := slices.Concat([]badSAML{{name: "good"}}, samlBombs(), badSAMLText(), badSAMLFields())
	all = append(all, badSAML{name: "2000 groups", answer: samltest.Answer{Attributes: map[string][]string{"groups": make([]string, 2000)}}})
	for _, bad := range all {
		b.Run(bad.name, func(b *testing.B) {
			r := providers.Request{Form: url.Values{"SAMLResponse": {bad.make(b, s)}}, Memo: s.memo}
			b.ReportAllocs()
			for b.Loop() {
				_, _ = s.Handle(b.Context(), r)
			}
		})
	}
}

// FuzzSAMLResponse: whatever the field holds, nothing panics, and a user comes of a document that the provider signed alone.
func FuzzSAMLResponse(f *testing.F) {
	fuzzSAML(f, func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }, func(s string) string { return s })
}

// FuzzSAMLDocument is the same from the document on.
func FuzzSAMLDocument(f *testing.F) {
	fuzzSAML(f, func(text string) string { return text }, func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) })
}

// fuzzSAML begins at good documents and at the wrapped ones, in the form that seed gives them.
func fuzzSAML(f *testing.F, seed, field func(string) string) {
	idp := samltest.New(f, samlNow)
	idp.Signer = samltest.FixedECDSA(f) // the fuzzer's workers are processes of their own
	config, key := samlDecryption(f)
	var sps []*samlSP
	for _, strictness := range []string{"", samlAssertionOnly, samlResponseOnly} {
		s := newSAML(f, idp, config+strictness)
		s.memo = []byte(`{"r":"_request"}`)
		sps = append(sps, s)
	}
	for _, text := range samlSeeds(f, idp, &samltest.Encryption{Key: key}) {
		f.Add(seed(text))
	}
	f.Fuzz(func(t *testing.T, input string) {
		for _, s := range sps {
			r, err := s.post(t, field(input))
			if err == nil {
				checkGenuine(t, r, idp)
				checkReadable(t, field(input))
			} else if providers.Codes()[err.(*providers.Error).Code] == "" {
				t.Errorf("code of %v is not documented", err)
			}
		}
	})
}

// checkReadable holds a document that was accepted to what its reader sees twice.
func checkReadable(t *testing.T, field string) {
	t.Helper()
	plain, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(field), ""))
	if err == nil {
		err = xrv.Validate(bytes.NewReader(plain))
	}
	if err != nil {
		t.Errorf("accepted a document that is ambiguous: %v", err)
	}
}

func samlSeeds(t testing.TB, idp *samltest.IdP, e *samltest.Encryption) []string {
	t.Helper()
	answers := []samltest.Answer{
		{},
		{UnsignedResponse: true},
		{UnsignedAssertion: true},
		{UnsignedResponse: true, Encrypt: e},
		{Encrypt: e},
		{UnsignedAssertion: true, UnsignedResponse: true},
	}
	for _, w := range wrappings {
		answers = append(answers, samltest.Answer{UnsignedResponse: true, Edit: w.wrap}, samltest.Answer{UnsignedAssertion: true, Edit: w.wrap})
	}
	var all []string
	for _, a := range answers {
		a.InResponseTo = "_request"
		text, err := idp.Document(a)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	return all
}

// checkGenuine holds a user to what the seeds say, all of which are signed for alice.
func checkGenuine(t *testing.T, r providers.Result, idp *samltest.IdP) {
	t.Helper()
	genuine := r.Session.Subject == idp.NameID && r.Profile.Email == idp.NameID && r.Profile.DisplayName == "Alice" &&
		r.Claims["issuer"] == idp.EntityID && r.Claims["sessionIndex"] == "_session" && len(r.Claims) == 7 && r.Once != nil
	if groups, _ := r.Claims["groups"].([]any); !genuine || !slices.Equal(groups, []any{"staff", "admins"}) {
		t.Errorf("a user whom nobody signed for: %+v", r)
	}
}
