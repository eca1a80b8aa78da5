package schemas

import _ "embed" // the generated schemas

// PredictionJSONSchema is the generated JSON Schema of a prediction.
//
//go:embed jsonschema/prediction.json
var PredictionJSONSchema []byte
