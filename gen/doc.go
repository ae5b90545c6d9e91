// Package gen holds what oapi-codegen makes of openapi/auth.yaml: the models, the strict Echo server interface and the
// embedded document. It is never edited; only server/internal/api imports it.
package gen

//go:generate go -C .. tool oapi-codegen -config openapi/gen.yaml openapi/auth.yaml
