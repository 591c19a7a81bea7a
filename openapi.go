// Package imca holds the contract of the service: openapi.yaml, as it is served at /openapi.yaml and as the tests hold every request and
// answer against it. It contains no code.
package imca

import _ "embed"

// OpenAPI is the description of the HTTP interface in OpenAPI 3.0, YAML.
//
//go:embed openapi.yaml
var OpenAPI []byte
