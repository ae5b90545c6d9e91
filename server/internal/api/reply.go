package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// reply is an answer as a value: every operation's handler returns one. Cookies are not in it, see writeCookies.
type reply struct {
	status int
	header map[string]string
	body   []byte
}

// Content types as Express writes them (contract/core.md R35).
const (
	typeJSON = "application/json; charset=utf-8"
	typeHTML = "text/html; charset=utf-8"
	typeText = "text/plain; charset=utf-8"
)

// write sends the reply. Content-Length is explicit, so that HEAD answers as GET does.
func (r reply) write(w http.ResponseWriter) error {
	h := w.Header()
	for name, value := range r.header {
		h.Set(name, value)
	}
	if r.status != http.StatusNotModified && r.status != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(len(r.body)))
	}
	w.WriteHeader(r.status)
	if len(r.body) == 0 {
		return nil
	}
	if _, err := w.Write(r.body); err != nil {
		return fmt.Errorf("write body: %w", err)
	}
	return nil
}

// marshal writes JSON as JavaScript does: without escaping what only HTML needs escaped.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// jsonReply answers v; fresh says that nobody may keep it.
func jsonReply(status int, v any, fresh bool) (reply, error) {
	body, err := marshal(v)
	if err != nil {
		return reply{}, err
	}
	r := reply{status, map[string]string{"Content-Type": typeJSON}, body}
	if fresh {
		r.header["Cache-Control"] = noStore
	}
	return r, nil
}

// redirect sends the browser elsewhere. The address may hold a state or an error, so nobody may keep it.
func redirect(to, body string) reply {
	r := reply{http.StatusFound, map[string]string{"Location": to, "Cache-Control": noStore}, []byte(body)}
	if body != "" {
		r.header["Content-Type"] = typeText
	}
	return r
}

// VisitStartProviderAuthResponse and its siblings make reply an answer of every operation of the strict interface.
func (r reply) VisitStartProviderAuthResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitHandleProviderFrameResponse writes the reply.
func (r reply) VisitHandleProviderFrameResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitHandleProviderFramePostResponse writes the reply.
func (r reply) VisitHandleProviderFramePostResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitRefreshProviderTokenResponse writes the reply.
func (r reply) VisitRefreshProviderTokenResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitRefreshProviderTokenPostResponse writes the reply.
func (r reply) VisitRefreshProviderTokenPostResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitGetProviderMetadataResponse writes the reply.
func (r reply) VisitGetProviderMetadataResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitFinishProviderLogoutResponse writes the reply.
func (r reply) VisitFinishProviderLogoutResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitLogoutProviderResponse writes the reply.
func (r reply) VisitLogoutProviderResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitGetJwksResponse writes the reply.
func (r reply) VisitGetJwksResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitGetJwksWellKnownResponse writes the reply.
func (r reply) VisitGetJwksWellKnownResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitGetOpenidConfigurationResponse writes the reply.
func (r reply) VisitGetOpenidConfigurationResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitGetUserInfoResponse writes the reply.
func (r reply) VisitGetUserInfoResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitListProvidersResponse writes the reply.
func (r reply) VisitListProvidersResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitGetLivenessResponse writes the reply.
func (r reply) VisitGetLivenessResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitGetReadinessResponse writes the reply.
func (r reply) VisitGetReadinessResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitGetPluginJwksResponse sends the reply.
func (r reply) VisitGetPluginJwksResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitIssueUserCookieResponse sends the reply.
func (r reply) VisitIssueUserCookieResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitClearUserCookieResponse sends the reply.
func (r reply) VisitClearUserCookieResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitGetAttemptResponse sends the reply.
func (r reply) VisitGetAttemptResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitListSessionsResponse sends the reply.
func (r reply) VisitListSessionsResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitEndSessionsOfUserResponse sends the reply.
func (r reply) VisitEndSessionsOfUserResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitEndSessionResponse sends the reply.
func (r reply) VisitEndSessionResponse(w http.ResponseWriter) error { return r.write(w) }

// VisitBackchannelLogoutResponse sends the reply.
func (r reply) VisitBackchannelLogoutResponse(w http.ResponseWriter) error { return r.write(w) }
