package playground

import (
	_ "embed"
	"html"
	"net/http"
	"strconv"
	"strings"
)

//go:embed page/index.html
var document string

// The script is one module, kept in three files by concern and sent as one.
var (
	//go:embed page/client.js
	client string
	//go:embed page/token.js
	token string
	//go:embed page/page.js
	page string
)

//go:embed page/playground.css
var styles string

// policy lets the page run its own script and style sheet and talk to its own origin. Pictures are the exception: a
// profile's picture lies wherever the identity provider keeps it.
//
// There is deliberately no Cross-Origin-Opener-Policy beside it: one would cut the popup off from the page that waits for
// its message (contract/core.md R32).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' https: data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

type asset struct{ contentType, body string }

// Handler serves the page at "/", "/playground.js" and "/playground.css". Every other path is an empty 404, as outside of
// any plugin (contract/core.md R13), and every method but GET and HEAD is a 405 with Allow.
//
// base is the address of the API without trailing slash, absolute ("http://localhost:7007/api/auth") or just a path. It
// must lie on the origin that serves the page: where it does not, the page says so and links to the one that does.
func Handler(base string) http.Handler {
	base = html.EscapeString(strings.TrimRight(base, "/"))
	assets := map[string]asset{
		"/":               {"text/html; charset=utf-8", strings.ReplaceAll(document, "{{base}}", base)},
		"/playground.js":  {"text/javascript; charset=utf-8", client + "\n" + token + "\n" + page},
		"/playground.css": {"text/css; charset=utf-8", styles},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := assets[r.URL.Path]
		switch {
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
		default:
			a.write(w)
		}
	})
}

// write answers with the asset. A body that the client never gets is no error of ours, so none is returned.
func (a asset) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(a.body))
}
