package api

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"strings"

	"stagedoor/gen"
	"stagedoor/server/internal/signin"
)

// frameHTML is the popup page (contract/core.md P2 to P4): it announces where it will post to, posts the result there and
// nowhere else, and closes after a pause that gives the opener's own check of the window time to see the message.
//
//go:embed frame.html
var frameHTML string

// frameMessage is what the page posts (contract/core.md P5).
type frameMessage struct {
	Type     string            `json:"type"`
	Response *gen.AuthResponse `json:"response,omitempty"`
	Error    *gen.ErrorDetail  `json:"error,omitempty"`
}

// frame is the page for the result of a sign-in, 200 even where it failed (contract/core.md P1).
//
// Differs from Backstage: the charset is named, nobody may keep the page, the policy allows its one script and nothing else,
// and an error carries its code and attempt id.
func frame(out signin.FinishOutput) (reply, error) {
	message := frameMessage{Type: "authorization_response"}
	if out.Err != nil {
		f := classify(out.Err)
		message.Error = &gen.ErrorDetail{Name: f.Kind.Name, Message: fullMessage(f), Code: filled(f.Code), AttemptID: filled(f.AttemptID)}
	} else {
		response := authResponse(out.Session)
		message.Response = &response
	}
	result, err := marshal(message)
	if err != nil {
		return reply{}, err
	}
	page := renderFrame(string(result), out.Origin)
	return reply{http.StatusOK, map[string]string{
		"Content-Type":            typeHTML,
		"Cache-Control":           noStore,
		"Content-Security-Policy": scriptPolicy(page) + "; form-action 'none'",
		"Referrer-Policy":         "no-referrer",
		"X-Frame-Options":         "sameorigin",
	}, []byte(page)}, nil
}

// renderFrame puts two texts into the script. Whatever they hold is inert there: encoded, they are letters, digits and
// percent signs, so they can end neither the literal nor the script.
func renderFrame(result, target string) string {
	return strings.NewReplacer("{{result}}", encodeURIComponent(result), "{{target}}", encodeURIComponent(target)).Replace(frameHTML)
}

// scriptPolicy allows the page's one script by its hash, which covers every character between the tags. Of forms it says nothing.
func scriptPolicy(page string) string {
	_, script, _ := strings.Cut(page, "<script>")
	script, _, _ = strings.Cut(script, "</script>")
	sum := sha256.Sum256([]byte(script))
	return "default-src 'none'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; frame-ancestors 'self'; base-uri 'none'"
}

// encodeURIComponent is the function of that name in ECMAScript, section 19.2.6.4, and escapes the apostrophe as well
// (contract/core.md P3). What is not UTF-8 becomes U+FFFD, as a JavaScript string could not hold it.
func encodeURIComponent(s string) string {
	const hex = "0123456789ABCDEF"
	s = strings.ToValidUTF8(s, "\uFFFD")
	var b strings.Builder
	b.Grow(len(s) + len(s)/2)
	for i := range len(s) {
		if c := s[i]; isUnreserved(c) || c == '!' || c == '*' || c == '(' || c == ')' {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
