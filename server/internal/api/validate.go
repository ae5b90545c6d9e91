package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"

	"stagedoor/gen"
	"stagedoor/server/internal/fault"
)

// contract is the document as the validator reads it. It must not be changed once requests are served.
type contract struct {
	doc     *openapi3.T
	options *openapi3filter.Options
}

// loadContract reads the embedded document and calls it 3.0.3: for a 3.1 document kin-openapi compiles a schema for every
// parameter of every request and throws it away, which costs more than signing a token. The other checker knows all but a
// few keywords; a test fails if the document uses one of those. The generator's copy stays as it is.
func loadContract() (*contract, error) {
	doc, err := gen.GetSpec()
	if err != nil {
		return nil, fmt.Errorf("load document: %w", err)
	}
	doc.OpenAPI = "3.0.3"
	return &contract{doc, &openapi3filter.Options{AuthenticationFunc: credentialsPresent, SkipSettingDefaults: true}}, nil
}

// flags names the parameters that are true when they come without a value.
func (c *contract) flags() map[string]bool {
	names := map[string]bool{}
	for _, item := range c.doc.Paths.Map() {
		for _, op := range item.Operations() {
			for _, p := range op.Parameters {
				if p.Value.AllowEmptyValue && p.Value.Schema.Value.Type.Is(openapi3.TypeBoolean) {
					names[p.Value.Name] = true
				}
			}
		}
	}
	return names
}

// validate holds requests of one operation against the document. Operations that take nothing are left alone.
func (c *contract) validate(op *routers.Route, next echo.HandlerFunc) echo.HandlerFunc {
	if len(op.Operation.Parameters) == 0 && op.Operation.Security == nil && op.Operation.RequestBody == nil {
		return next
	}
	return func(ec echo.Context) error {
		in := openapi3filter.RequestValidationInput{
			Request: ec.Request(), PathParams: pathParams(ec), QueryParams: ec.QueryParams(), Route: op, Options: c.options,
		}
		if err := openapi3filter.ValidateRequest(ec.Request().Context(), &in); err != nil {
			return validationFault(err)
		}
		return next(ec)
	}
}

func pathParams(c echo.Context) map[string]string {
	names, values := c.ParamNames(), c.ParamValues()
	params := make(map[string]string, len(names))
	for i, name := range names {
		params[name] = values[i]
	}
	return params
}

// credentialsPresent only sees whether the caller brought any credential of the kind; whose it is and whether it is good is
// the handler's question. Cookies are not looked up by the document's name: browsers that come from Node bring others.
func credentialsPresent(_ context.Context, in *openapi3filter.AuthenticationInput) error {
	name := "Authorization"
	if in.SecurityScheme.In == openapi3.ParameterInCookie {
		name = "Cookie"
	}
	if in.RequestValidationInput.Request.Header.Get(name) == "" {
		return fmt.Errorf("no %s header", name)
	}
	return nil
}

// validationFault says which part of the request is wrong and by which rule, and never repeats the value: it may be an
// authorization code. The validator's error is not kept as the cause for the same reason.
func validationFault(err error) *fault.Error {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return bodyFault(tooLarge)
	}
	if _, ok := errors.AsType[*openapi3filter.SecurityRequirementsError](err); ok {
		return fault.New(fault.Authentication, "credentials_missing", "Missing credentials", nil)
	}
	re, ok := errors.AsType[*openapi3filter.RequestError](err)
	switch {
	case !ok:
		return fault.New(fault.Input, "request_invalid", "Invalid request", nil)
	case re.Parameter == nil:
		return requestBodyFault(re)
	}
	message := fmt.Sprintf("Invalid %s parameter '%s'%s", re.Parameter.In, re.Parameter.Name, brokenRule(re))
	return fault.New(fault.Input, "parameter_invalid", message, nil)
}

// requestBodyFault tells by the validator's words, which is all there is to tell by.
func requestBodyFault(err *openapi3filter.RequestError) *fault.Error {
	switch {
	case strings.HasPrefix(err.Reason, "header Content-Type"):
		return fault.New(fault.UnsupportedMediaType, "media_type_unsupported", "The request's body is of another type than what is accepted here", nil)
	case err.Reason == "reading failed":
		return fault.New(fault.Input, "body_unreadable", "The request's body is broken or did not come in time", nil)
	}
	return fault.New(fault.Input, "request_invalid", "Invalid request", nil)
}

func brokenRule(re *openapi3filter.RequestError) string {
	if pe, ok := errors.AsType[*openapi3filter.ParseError](re); ok && pe.Reason != "" {
		return ": " + pe.Reason
	}
	if se, ok := errors.AsType[*openapi3.SchemaError](re); ok {
		return ": violates " + se.SchemaField
	}
	if re.Reason != "" {
		return ": " + re.Reason
	}
	return ""
}
