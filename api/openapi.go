package api

import (
	_ "embed" // the document
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/creditstream/creditstream/schemas"
)

//go:embed openapi.yaml
var openAPIYAML []byte

// object is a JSON object of the OpenAPI document.
type object = map[string]any

// demoTag marks the operations that are there in a demo only.
const demoTag = "demo"

// openAPI is the OpenAPI 3.1 document, in JSON: openapi.yaml, and of a prediction and its
// features what the contract's own schema says. demo says whether there is one to describe.
func openAPI(version string, demo bool) ([]byte, error) {
	var document struct {
		OpenAPI    string                       `json:"openapi" yaml:"openapi"`
		Info       object                       `json:"info" yaml:"info"`
		Servers    []object                     `json:"servers" yaml:"servers"`
		Tags       []object                     `json:"tags" yaml:"tags"`
		Security   []object                     `json:"security" yaml:"security"`
		Paths      map[string]map[string]object `json:"paths" yaml:"paths"`
		Components map[string]map[string]object `json:"components" yaml:"components"`
	}
	if err := yaml.Unmarshal(openAPIYAML, &document); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	var prediction struct {
		Type       string   `json:"type"`
		Required   []string `json:"required"`
		Properties object   `json:"properties"`
	}
	if err := json.Unmarshal(schemas.PredictionJSONSchema, &prediction); err != nil {
		return nil, fmt.Errorf("the prediction's schema: %w", err)
	}
	document.Info["version"] = version
	documents := document.Components["schemas"]
	fill(documents["Prediction"], object{"type": prediction.Type, "required": prediction.Required, "properties": prediction.Properties})
	features, ok := prediction.Properties["features"].(object)
	if !ok {
		return nil, fmt.Errorf("the prediction's schema: features are %T, not an object", prediction.Properties["features"])
	}
	fill(documents["Features"], features)
	for _, alternative := range documents["PredictRequest"]["oneOf"].([]any) {
		if bare := alternative.(object); bare["not"] != nil {
			fill(bare, features)
		}
	}
	if !demo {
		withoutDemo(document.Paths)
		delete(documents, "Scenario")
		document.Tags = slices.DeleteFunc(document.Tags, func(tag object) bool { return tag["name"] == demoTag })
	}
	return json.Marshal(document)
}

// fill adds to a schema what another says and it does not, and does the same for the
// objects that both have.
func fill(schema, more object) {
	for name, value := range more {
		has, ok := schema[name]
		inner, isObject := has.(object)
		from, isToo := value.(object)
		switch {
		case !ok:
			schema[name] = value
		case isObject && isToo:
			fill(inner, from)
		}
	}
}

// withoutDemo takes the operations of the demo out.
func withoutDemo(paths map[string]map[string]object) {
	for _, operations := range paths {
		maps.DeleteFunc(operations, func(_ string, operation object) bool {
			return slices.Contains(operation["tags"].([]any), any(demoTag))
		})
	}
	maps.DeleteFunc(paths, func(_ string, operations map[string]object) bool { return len(operations) == 0 })
}
