package catalogtest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
)

// Fault is a way to fail: it stands between a request and the catalog.
type Fault func(catalog http.Handler) http.Handler

// Answer is a fixed answer instead of the catalog's.
func Answer(status int, body string) Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
	}
}

// Status is an answer with that status and a Backstage error body.
func Status(status int) Fault {
	name := map[int]string{
		http.StatusBadRequest: "InputError", http.StatusUnauthorized: "AuthenticationError",
		http.StatusForbidden: "NotAllowedError", http.StatusNotFound: "NotFoundError",
	}[status]
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeError(w, status, name) })
	}
}

// Garbage is a 200 that is not what a catalog answers.
func Garbage() Fault { return Answer(http.StatusOK, "<html><title>Please log in</title></html>") }

// Huge is a 200 with a list of strangers that is larger than anybody should read: 8 MiB.
func Huge() Fault {
	stranger := `{"kind":"User","metadata":{"name":"stranger","description":"` + strings.Repeat("x", 1000) + `"}}`
	return Answer(http.StatusOK, "["+strings.Repeat(stranger+",", 8<<20/len(stranger))+stranger+"]")
}

// Down closes the connection without an answer.
func Down() Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	}
}

// Hang lets requests wait until release is closed. One whose client leaves first is aborted.
func Hang(release <-chan struct{}) Fault {
	return func(catalog http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
				catalog.ServeHTTP(w, r)
			case <-r.Context().Done():
				panic(http.ErrAbortHandler)
			}
		})
	}
}

// Once is the fault for the first request that meets it; later ones are served.
func Once(f Fault) Fault {
	var done atomic.Bool
	return func(catalog http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if done.CompareAndSwap(false, true) {
				f(catalog).ServeHTTP(w, r)
				return
			}
			catalog.ServeHTTP(w, r)
		})
	}
}

// Twins gives every entity in a list a second one that differs in its name only.
func Twins() Fault {
	return func(catalog http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			catalog.ServeHTTP(answer, r)
			var list []document
			if json.Unmarshal(answer.Body.Bytes(), &list) != nil {
				w.WriteHeader(answer.Code)
				_, _ = w.Write(answer.Body.Bytes())
				return
			}
			for _, e := range list {
				list = append(list, e.twin())
			}
			writeJSON(w, answer.Code, list)
		})
	}
}

func (e document) twin() document {
	twin, meta := document{}, map[string]any{}
	for k, v := range e {
		twin[k] = v
	}
	was, _ := e["metadata"].(map[string]any)
	for k, v := range was {
		meta[k] = v
	}
	meta["name"] = e.text("metadata", "name") + "-twin"
	twin["metadata"] = meta
	return twin
}
