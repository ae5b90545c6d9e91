package providers

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// maxAnswer is the most that is read of any upstream answer, decompressed.
const maxAnswer = 1 << 20

// upstream is the way to one identity provider: every call has a deadline, every answer a limit, and no redirect is
// followed, since a back channel that moves is an attack or a mistake.
type upstream struct {
	client  *http.Client
	timeout time.Duration
}

// answer is what came back, whatever its status.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// newUpstream works on a copy of the client, so that nobody else's redirects change.
func newUpstream(client *http.Client, timeout time.Duration) *upstream {
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &upstream{&own, timeout}
}

// get reads address. The error is an *Error.
func (u *upstream) get(ctx context.Context, address string, header http.Header) (answer, error) {
	return u.do(ctx, http.MethodGet, address, header, nil)
}

// post sends form to address, once: the caller cannot know what became of a call that failed half-way. The error is an
// *Error.
func (u *upstream) post(ctx context.Context, address string, header http.Header, form url.Values) (answer, error) {
	header = header.Clone()
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	return u.do(ctx, http.MethodPost, address, header, strings.NewReader(form.Encode()))
}

func (u *upstream) do(ctx context.Context, method, address string, header http.Header, body io.Reader) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, u.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return answer{}, unavailable(CodeUnreachable, "the address of the identity provider is unusable", err)
	}
	req.Header = header
	res, err := u.client.Do(req)
	if err != nil {
		return answer{}, transportError(err)
	}
	defer res.Body.Close()
	return readAnswer(res)
}

func readAnswer(res *http.Response) (answer, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, transportError(err)
	case len(body) > maxAnswer:
		return answer{}, unavailable(CodeAnswerSize, "the answer of the identity provider is too large", nil)
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return answer{}, unavailable(CodeRedirected, "the identity provider redirected a back-channel call",
			fmt.Errorf("status %d", res.StatusCode))
	}
	return answer{res.StatusCode, res.Header, body}, nil
}

// transportError says why there was no answer. All of these may pass.
func transportError(err error) *Error {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return unavailable(CodeTLS, "the identity provider's certificate is not trusted", err)
	}
	timeout, ok := errors.AsType[net.Error](err)
	if errors.Is(err, context.DeadlineExceeded) || ok && timeout.Timeout() {
		return unavailable(CodeTimeout, "the identity provider did not answer in time", err)
	}
	return unavailable(CodeUnreachable, "the identity provider cannot be reached", err)
}

// object reads the body as one JSON object. The error does not quote it.
func (a answer) object() (map[string]any, error) {
	return jsonObject(a.body)
}

// passing is true for a status that says nothing about what was asked: try again later. GitHub says 403 to who asks too often
// (https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api), which is no refusal either.
func (a answer) passing() bool {
	limited := a.header.Get("Retry-After") != "" || a.header.Get("X-RateLimit-Remaining") == "0"
	return a.status >= 500 || a.status == http.StatusForbidden && limited || a.status == http.StatusTooManyRequests || a.status == http.StatusRequestTimeout
}

// jsonObject reads one JSON object. Keys are compared exactly, unlike those of a struct: no "SUB" overrides "sub".
func jsonObject(b []byte) (map[string]any, error) {
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil || m == nil {
		return nil, errors.New("not a JSON object")
	}
	return m, nil
}

// text returns a member that must be a string if it is there at all.
func text(m map[string]any, key string) (string, error) {
	v, ok := m[key]
	if !ok || v == nil {
		return "", nil
	}
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("%s is not a string", key)
	}
	return s, nil
}

// texts reads several members as text does.
func texts(m map[string]any, into map[string]*string) error {
	for key, p := range into {
		s, err := text(m, key)
		if err != nil {
			return err
		}
		*p = s
	}
	return nil
}

// oauthError words an error answer of OAuth (RFC 6749 sections 4.1.2.1 and 5.2) as Backstage does: "code (description)".
func oauthError(code, description string) string {
	const longCode, longDescription = 64, 300
	code, description = printable(code, longCode), printable(description, longDescription)
	if description == "" {
		return code
	}
	return code + " (" + description + ")"
}

// printable keeps at most n runes of foreign text, without control, formatting and line separator characters.
func printable(s string, n int) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case n == 0:
			return strings.TrimSpace(b.String())
		case r == unicode.ReplacementChar, !unicode.IsPrint(r):
		default:
			b.WriteRune(r)
			n--
		}
	}
	return strings.TrimSpace(b.String())
}
