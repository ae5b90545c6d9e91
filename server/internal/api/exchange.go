package api

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"stagedoor/gen"
)

// exchange is one request and what is known of its answer. Handlers reach it through their context: the strict interface
// passes neither the request nor more than one cookie.
type exchange struct {
	http.ResponseWriter
	// status is 0 until the answer has begun, written its bytes so far.
	status  int
	written int64

	// request is as it arrived, before any normalisation.
	request *http.Request
	started time.Time
	id      string
	// operation is the operationId, "" where no operation was found. It is the only name of a route that logs may carry:
	// the path is foreign text of any length.
	operation string
	// segment is the first one below the mount, decoded; on provider routes the provider's id as the caller wrote it.
	segment string
	header  http.Header
	// query is the query as it was sent, repeated keys included.
	query url.Values
	// form is a form body, nil if there is none.
	form    url.Values
	cookies []*http.Cookie
}

type exchangeKey struct{}

// exchangeOf returns the exchange that ServeHTTP put there; every context below it has one.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// WriteHeader notes the status of the answer; informational ones do not begin it.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && status >= http.StatusOK {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes of the body.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(b)
	x.written += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// setCookies keeps cookies for the answer, whatever it will be: they count beside an error, too.
func (x *exchange) setCookies(cs []*http.Cookie) { x.cookies = append(x.cookies, cs...) }

var errNoResponse = errors.New("handler returned neither a response nor an error")

// writeCookies is the strict middleware: it keeps the form that the binder has read, writes the exchange's cookies before the
// response is visited or the error is rendered, and turns a forgotten response into an error, which the generated code would send
// as an empty 200.
func writeCookies(next gen.StrictHandlerFunc, _ string) gen.StrictHandlerFunc {
	return func(c echo.Context, request any) (any, error) {
		x := exchangeOf(c.Request().Context())
		if isForm(c.Request().Header.Get("Content-Type")) {
			x.form = c.Request().PostForm
		}
		response, err := next(c, request)
		for _, cookie := range x.cookies {
			http.SetCookie(x, cookie)
		}
		if err == nil && response == nil {
			err = errNoResponse
		}
		return response, err
	}
}

func isForm(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == "application/x-www-form-urlencoded"
}
