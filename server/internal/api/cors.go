package api

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// CORS says which pages of other origins may call the API and read its answers (backend.cors). Without Origins it is off.
type CORS struct {
	// Origins are whole origins, or globs in which a star stands for any run of characters but a slash. Case does not matter
	// (contract/core.md R33). The origin null is only meant by the word itself.
	Origins []string
	// Methods are allowed in a preflight; empty means GET, HEAD, PUT, PATCH, POST and DELETE.
	Methods []string
	// AllowedHeaders are allowed in a preflight; empty means whatever the preflight asks for.
	AllowedHeaders []string
	// ExposedHeaders may be read by the page beside those that always may; empty means none.
	ExposedHeaders []string
	// Credentials allows cookies.
	Credentials bool
	// MaxAge is how long a preflight's answer may be kept; 0 leaves it to the browser.
	MaxAge time.Duration
}

// crossOrigin is a CORS made ready; nil is off.
type crossOrigin struct {
	origins                          []*regexp.Regexp
	null, credentials                bool
	methods, headers, expose, maxAge string
}

func newCrossOrigin(c CORS) (*crossOrigin, error) {
	if len(c.Origins) == 0 {
		return nil, nil
	}
	x := &crossOrigin{
		credentials: c.Credentials, methods: "GET,HEAD,PUT,PATCH,POST,DELETE",
		headers: strings.Join(c.AllowedHeaders, ","), expose: strings.Join(c.ExposedHeaders, ","),
	}
	if len(c.Methods) > 0 {
		x.methods = strings.Join(c.Methods, ",")
	}
	if c.MaxAge > 0 {
		x.maxAge = strconv.Itoa(int(c.MaxAge.Seconds()))
	}
	for _, glob := range c.Origins {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimRight(glob, "/")), `\*`, `[^/]*`)
		re, err := regexp.Compile("(?i)^(?:" + pattern + ")$")
		if err != nil {
			return nil, fmt.Errorf("read CORS origin %q: %w", glob, err)
		}
		x.origins = append(x.origins, re)
		x.null = x.null || strings.EqualFold(glob, "null")
	}
	return x, nil
}

// allows judges an Origin header.
func (c *crossOrigin) allows(origin string) bool {
	if strings.EqualFold(origin, "null") {
		return c.null
	}
	for _, re := range c.origins {
		if origin != "" && re.MatchString(origin) {
			return true
		}
	}
	return false
}

// answer sets the headers of CORS, and answers the preflight of an allowed origin itself: it says so by true. Everybody else
// gets the ordinary answer without those headers (contract/core.md R34).
//
// Differs from Backstage: Vary names Origin for every caller, or a shared cache could give one origin's answer to another.
func (c *crossOrigin) answer(w http.ResponseWriter, r *http.Request) bool {
	if c == nil {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !c.allows(origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if c.credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if r.Method == http.MethodOptions {
		c.preflight(h, r)
		w.WriteHeader(http.StatusNoContent)
		return true
	}
	if c.expose != "" {
		h.Set("Access-Control-Expose-Headers", c.expose)
	}
	return false
}

func (c *crossOrigin) preflight(h http.Header, r *http.Request) {
	h.Set("Access-Control-Allow-Methods", c.methods)
	if c.maxAge != "" {
		h.Set("Access-Control-Max-Age", c.maxAge)
	}
	headers := c.headers
	if headers == "" {
		h.Add("Vary", "Access-Control-Request-Headers")
		headers = r.Header.Get("Access-Control-Request-Headers")
	}
	if headers != "" {
		h.Set("Access-Control-Allow-Headers", headers)
	}
}
