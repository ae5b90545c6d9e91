//go:build tools

// Package tools makes the code generator a direct requirement of the module, so that go.mod pins it.
package tools

import _ "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen"
