// Package model is a credit model as it travels: a bundle of one ONNX graph with
// its manifest, reference distribution and golden rows, opened, verified and run.
package model

import "errors"

// NumInputs is the number of raw features a model reads.
const NumInputs = 23

// MaxGroups is the most reason groups a model may have.
const MaxGroups = 8

// Engines.
const (
	EngineNative = "native"
	EngineONNX   = "onnx"
)

// Group is a reason group: tree inputs whose contributions are summed.
type Group struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// Result is what a model says about one row.
type Result struct {
	Probability float32            // of default
	LogOdds     float32            // raw margin
	Groups      [MaxGroups]float32 // SHAP contribution of each reason group, log-odds
}

// Model is an opened and verified bundle on one engine. Its methods may be
// called from several goroutines at once.
type Model struct {
	Version string
	Digest  string  // sha256:<hex> of the bundle's bytes
	Engine  string  // EngineNative or EngineONNX
	Groups  []Group // at most MaxGroups
	Inputs  []int   // indexes of the raw features that feed the graph; the others feed no node
}

// Evaluate scores len(out) rows (row-major, NumInputs float32 each, NaN where
// missing) and explains each.
func (m *Model) Evaluate(rows []float32, out []Result) error {
	return errors.New("model: being built")
}

// Parse checks a bundle's digests, compiles its graph for the engine (native or
// onnx) and replays its golden rows.
func Parse(bundle []byte, engine string) (*Model, error) {
	return nil, errors.New("model: being built")
}
