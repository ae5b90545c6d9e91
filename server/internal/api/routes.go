package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"

	"stagedoor/gen"
)

// mount is where Backstage puts the plugin named auth (contract/core.md R1). A reverse proxy that adds a prefix has to take
// it off again.
const mount = "/api/auth"

// addRoutes registers every operation of the document, and the answer to OPTIONS for every path.
func (s *Server) addRoutes(ops operations) error {
	doc, err := loadContract()
	if err != nil {
		return err
	}
	s.flags = doc.flags()
	p := &placer{server: s, doc: doc, methods: map[string][]string{}}
	gen.RegisterHandlers(p, gen.NewStrictHandler(ops, []gen.StrictMiddlewareFunc{writeCookies}))
	for path, methods := range p.methods {
		s.allow[path] = joinMethods(methods)
		s.echo.OPTIONS(path, s.options)
	}
	return p.err
}

// joinMethods writes an Allow header as Express does: in order of the alphabet, without spaces.
func joinMethods(methods []string) string {
	slices.Sort(methods)
	return strings.Join(methods, ",")
}

// placer is the router that the generated code registers with. It puts each operation below the mount, or where the
// document's own servers put it, behind its checks, and gives every GET a HEAD, which Echo does not.
type placer struct {
	server  *Server
	doc     *contract
	methods map[string][]string
	err     error
}

func (p *placer) add(method, path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	op, err := p.doc.operation(method, path)
	if err != nil {
		p.err = err
		return nil
	}
	at := mount + path
	if len(op.PathItem.Servers) > 0 {
		at = strings.TrimRight(op.PathItem.Servers[0].URL, "/") + path
		p.server.root[strings.ToLower(at)] = true
	}
	h = p.guard(op, path, h, m)
	if method == http.MethodGet {
		p.methods[at] = append(p.methods[at], http.MethodHead)
		p.server.echo.HEAD(at, h)
	}
	p.methods[at] = append(p.methods[at], method)
	return p.server.echo.Add(method, at, h)
}

// guard puts the checks in front of a handler, once and for all: Echo would chain them anew for every request.
func (p *placer) guard(op *routers.Route, path string, h echo.HandlerFunc, m []echo.MiddlewareFunc) echo.HandlerFunc {
	for _, wrap := range slices.Backward(m) {
		h = wrap(h)
	}
	h = p.doc.validate(op, h)
	if strings.HasPrefix(path, "/:provider/") {
		h = p.server.knownProvider(h)
	}
	return note(op.Operation.OperationID, h)
}

// note names the operation that the request is for.
func note(operation string, next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		exchangeOf(c.Request().Context()).operation = operation
		return next(c)
	}
}

// knownProvider answers for providers that are not there before anything else is looked at, as Backstage's router does.
func (s *Server) knownProvider(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := s.signIn.Known(exchangeOf(c.Request().Context()).segment); err != nil {
			return err
		}
		return next(c)
	}
}

// options answers OPTIONS as Express does: 200, with the methods in Allow and in the body. Preflights of allowed origins do
// not come here, see crossOrigin.
func (s *Server) options(c echo.Context) error {
	if err := s.checkSegment(c); err != nil {
		return err
	}
	allow := s.allow[c.Path()]
	return reply{http.StatusOK, map[string]string{"Content-Type": typeHTML, "Allow": allow}, []byte(allow)}.write(c.Response())
}

// checkSegment returns the fault of an unknown provider if the matched route is one of a provider's.
func (s *Server) checkSegment(c echo.Context) error {
	if !strings.HasPrefix(c.Path(), mount+"/:provider/") {
		return nil
	}
	return s.signIn.Known(exchangeOf(c.Request().Context()).segment)
}

// operation finds what the document says about a route of the generated code.
func (c *contract) operation(method, path string) (*routers.Route, error) {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if name, ok := strings.CutPrefix(segment, ":"); ok {
			segments[i] = "{" + name + "}"
		}
	}
	template := strings.Join(segments, "/")
	item := c.doc.Paths.Value(template)
	if item == nil || item.GetOperation(method) == nil {
		return nil, fmt.Errorf("place %s %s: not in the document", method, template)
	}
	return &routers.Route{Spec: c.doc, Path: template, PathItem: item, Method: method, Operation: item.GetOperation(method)}, nil
}

// CONNECT and its siblings complete gen.EchoRouter.
func (p *placer) CONNECT(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return p.add(http.MethodConnect, path, h, m...)
}

// DELETE adds a route.
func (p *placer) DELETE(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return p.add(http.MethodDelete, path, h, m...)
}

// GET adds a route, for HEAD as well.
func (p *placer) GET(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return p.add(http.MethodGet, path, h, m...)
}

// HEAD adds a route.
func (p *placer) HEAD(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return p.add(http.MethodHead, path, h, m...)
}

// OPTIONS adds a route.
func (p *placer) OPTIONS(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return p.add(http.MethodOptions, path, h, m...)
}

// PATCH adds a route.
func (p *placer) PATCH(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return p.add(http.MethodPatch, path, h, m...)
}

// POST adds a route.
func (p *placer) POST(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return p.add(http.MethodPost, path, h, m...)
}

// PUT adds a route.
func (p *placer) PUT(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return p.add(http.MethodPut, path, h, m...)
}

// TRACE adds a route.
func (p *placer) TRACE(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return p.add(http.MethodTrace, path, h, m...)
}
