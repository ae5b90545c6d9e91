package signin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// SessionCookie is the name of the one opaque cookie that a session has (design D5). The framework's limited-user cookie has
// the same name on another path.
const SessionCookie = "backstage-auth"

// maxCandidates bounds how many cookies of one name are looked at.
const maxCandidates = 8

// randomToken returns 256 random bits, base64url: 43 characters.
func randomToken() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand, since Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b)
}

// rowID is where the session of a cookie value is stored.
func rowID(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])
}

// sessionIDs returns the rows that the request's cookies may stand for, each once, in the order they came. Values of another
// shape, such as the framework's token, are not ours.
func sessionIDs(cookies []*http.Cookie) []string {
	var ids []string
	for _, c := range cookies {
		if c.Name != SessionCookie || len(c.Value) != 43 || len(ids) == maxCandidates {
			continue
		}
		id := rowID(c.Value)
		dup := false
		for _, seen := range ids {
			dup = dup || seen == id
		}
		if !dup {
			ids = append(ids, id)
		}
	}
	return ids
}

// path is where the provider's cookies live: the callback's path without handler/frame (contract/core.md F25).
func (e *Entry) path() string {
	p := e.callback.Path
	if cut, ok := strings.CutSuffix(p, e.ID+"/handler/frame"); ok {
		return cut + e.ID
	}
	return strings.TrimSuffix(p, "/") + "/" + e.ID
}

// secure reports whether cookies of the entry are only for https.
func (e *Entry) secure() bool { return e.callback.Scheme == "https" }

// sameSite is Lax, but None on https if the app lives on another host than the callback (F27).
func (e *Entry) sameSite(appHost string) http.SameSite {
	if e.secure() && !strings.EqualFold(appHost, e.callback.Hostname()) {
		return http.SameSiteNoneMode
	}
	return http.SameSiteLaxMode
}

// appHost is the host name of an origin, or that of the portal if there is none.
func (f *Flow) appHost(origin string) string {
	if u, ok := parseAbsolute(origin); ok {
		return u.Hostname()
	}
	return f.app.Hostname()
}

// cookie makes a cookie of the entry. A life of 0 or less removes it.
func (f *Flow) cookie(e *Entry, name, value string, life time.Duration, origin string) *http.Cookie {
	c := &http.Cookie{
		Name: name, Value: value, Path: e.path(), HttpOnly: true, Secure: e.secure(), SameSite: e.sameSite(f.appHost(origin)),
		MaxAge: int(life / time.Second), Expires: f.cfg.Now().Add(life),
	}
	if c.MaxAge <= 0 {
		c.Value, c.MaxAge, c.Expires = "", -1, time.Unix(1, 0)
	}
	return c
}

// sessionCookie carries value for as long as the session may still last.
func (f *Flow) sessionCookie(e *Entry, value string, expires time.Time, origin string) *http.Cookie {
	life := min(expires.Sub(f.cfg.Now()), f.cfg.Idle)
	return f.cookie(e, SessionCookie, value, life, origin)
}

func (f *Flow) clearSession(e *Entry, origin string) *http.Cookie {
	return f.cookie(e, SessionCookie, "", 0, origin)
}

// nodeCookie reads a cookie that the Node backend wrote: percent-encoded, and in chunks name-0, name-1, … if it was longer than
// 4000 characters; chunks win over a plain one (contract/core.md F28, F30).
func nodeCookie(cookies []*http.Cookie, name string) string {
	find := func(name string) string {
		for _, c := range cookies {
			if c.Name == name {
				if v, err := url.PathUnescape(c.Value); err == nil && checkText(v) == nil {
					return v
				}
			}
		}
		return ""
	}
	const digits = "0123456789"
	var joined strings.Builder
	for i := 0; i < len(digits); i++ {
		chunk := find(name + "-" + digits[i:i+1])
		if chunk == "" {
			break
		}
		joined.WriteString(chunk)
	}
	if joined.Len() > 0 {
		return joined.String()
	}
	return find(name)
}

// clearNode removes whatever cookies of the Node backend the request carried (F31).
func (f *Flow) clearNode(e *Entry, cookies []*http.Cookie, origin string) []*http.Cookie {
	var out []*http.Cookie
	seen := map[string]bool{}
	for _, c := range cookies {
		if isNodeCookie(c.Name, e.ID) && !seen[c.Name] {
			seen[c.Name] = true
			out = append(out, f.cookie(e, c.Name, "", 0, origin))
		}
	}
	return out
}

// isNodeCookie reports whether name is <id>-refresh-token or <id>-granted-scope, or a chunk of one.
func isNodeCookie(name, id string) bool {
	rest, ok := strings.CutPrefix(name, id+"-")
	if !ok {
		return false
	}
	if n := len(rest); n > 2 && rest[n-2] == '-' && rest[n-1] >= '0' && rest[n-1] <= '9' {
		rest = rest[:n-2]
	}
	return rest == "refresh-token" || rest == "granted-scope"
}
