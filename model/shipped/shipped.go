// Package shipped holds the bundle that is inside the binary: trained from the
// UCI credit card default data by `make ship`.
package shipped

import _ "embed" // the bundle

// Bundle is the shipped bundle's bytes, as model.Parse reads them. They must not
// be changed.
//
//go:embed credit-default.bundle
var Bundle []byte
