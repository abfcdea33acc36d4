package event

import _ "embed" // the schema travels in the binary

// Schema is the JSON Schema (2020-12) of the document: schema.json beside this file.
//
//go:embed schema.json
var Schema []byte
