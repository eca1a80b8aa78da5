// Package model is a credit model as it travels: a bundle of one ONNX graph with
// its manifest, reference distribution and golden rows, opened, verified and run.
package model

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/creditstream/creditstream/model/forest"
	"github.com/creditstream/creditstream/model/onnx"
	"github.com/creditstream/creditstream/schemas"
)

// NumInputs is the number of raw features a model reads.
const NumInputs = schemas.NumFeatures

// MaxGroups is the most reason groups a model may have.
const MaxGroups = forest.MaxGroups

// Engines that compute a probability. Reasons always come from the native one.
const (
	EngineAuto   = "auto" // native
	EngineNative = "native"
	EngineONNX   = "onnx"
)

// ErrNative says that the native engine cannot compile a graph; ONNX Runtime may
// run it all the same.
var ErrNative = errors.New("the native engine cannot compile the graph")

// Result is what a model says about one row.
type Result struct {
	Probability float32            // of default
	LogOdds     float32            // raw margin
	Groups      [MaxGroups]float32 // SHAP contribution of each reason group, log-odds
}

// Model is an opened and verified bundle on one engine. Its methods may be
// called from several goroutines at once; its fields must not be changed.
type Model struct {
	Version   string
	Digest    string  // sha256:<hex> of the bundle's bytes
	Engine    string  // EngineNative or EngineONNX
	Groups    []Group // at most MaxGroups
	Inputs    []int   // indexes of the raw features that feed the graph; the others feed no node
	Manifest  *Manifest
	Reference *Reference
	Card      string // card.md, for people
	Agreement Agreement

	forest  *forest.Forest // nil where the native engine cannot compile the graph
	refused error          // why it could not
	session *onnx.Session  // nil on the native engine
	groupOf []int          // reason group of each tree input
	golden  []goldenRow
}

// Parse checks a bundle's digests, compiles its graph for the engine and replays
// its golden rows. On EngineONNX a graph that the native engine cannot compile
// still opens, without reasons: Explains then says why.
func Parse(bundle []byte, engine string) (*Model, error) {
	return ParseContext(context.Background(), bundle, engine)
}

// ParseContext is Parse until ctx ends; its error is then ctx's.
func ParseContext(ctx context.Context, bundle []byte, engine string) (*Model, error) {
	if engine == EngineAuto {
		engine = EngineNative
	}
	if engine != EngineNative && engine != EngineONNX {
		return nil, fmt.Errorf("engine %q: expected %s, %s or %s", engine, EngineAuto, EngineNative, EngineONNX)
	}
	manifest, files, err := unpack(bundle)
	if err != nil {
		return nil, err
	}
	m := &Model{
		Version: manifest.Version, Digest: Digest(bundle), Engine: engine,
		Groups: manifest.Groups, Manifest: manifest, Card: string(files["card.md"]),
	}
	if m.Inputs, err = manifest.usedIndexes(); err != nil {
		return nil, err
	}
	if m.groupOf, err = manifest.inputGroups(); err != nil {
		return nil, err
	}
	if m.Reference, err = parseReference(files["reference.json"], manifest.Inputs); err != nil {
		return nil, err
	}
	if m.golden, err = parseGolden(files["golden.json"], len(manifest.TreeInputs)); err != nil {
		return nil, err
	}
	if err := m.compile(files["model.onnx"]); err != nil {
		return nil, err
	}
	if err := m.replay(ctx); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// compile makes the engines and holds the manifest to what the graph says.
func (m *Model) compile(graph []byte) error {
	f, err := forest.Compile(graph, m.groupOf)
	switch {
	case err != nil && m.Engine == EngineNative:
		return fmt.Errorf("model.onnx: %w: %w", ErrNative, err)
	case err != nil:
		m.refused = err
	default:
		if got := f.Inputs(); !slices.Equal(got, m.Inputs) {
			return fmt.Errorf("manifest.json: used_inputs are %v, the graph reads %v", m.names(m.Inputs), m.names(got))
		}
		if d := math.Abs(f.ExpectedValue() - m.Manifest.ExpectedValue); !(d <= ContributionTolerance) {
			return fmt.Errorf("manifest.json: expected_value is %v, the graph's is %v", m.Manifest.ExpectedValue, f.ExpectedValue())
		}
		m.forest = f
	}
	if m.Engine == EngineONNX {
		if m.session, err = onnx.Open(graph, NumInputs); err != nil {
			return err
		}
	}
	return nil
}

func (m *Model) names(at []int) []string {
	out := make([]string, len(at))
	for i, k := range at {
		out[i] = m.Manifest.Inputs[k]
	}
	return out
}

// Close frees what the engine holds at once; otherwise that is freed when the
// model is no longer referred to. The model must not be used afterwards.
func (m *Model) Close() {
	if m.session != nil {
		m.session.Close()
	}
}

// Explains is nil when the model gives reasons with its decisions, which a
// champion and a canary must; otherwise it says why not.
func (m *Model) Explains() error {
	if m.forest == nil {
		return fmt.Errorf("model %s: the native engine gives the reasons and cannot compile its graph: %w", m.Version, m.refused)
	}
	return nil
}

// Evaluate scores len(out) rows (row-major, NumInputs float32 each, NaN where
// missing) and explains each.
func (m *Model) Evaluate(rows []float32, out []Result) error {
	if len(rows) != len(out)*NumInputs {
		return fmt.Errorf("%d values for %d rows of %d", len(rows), len(out), NumInputs)
	}
	if m.forest != nil {
		m.explain(rows, out)
	}
	if m.session == nil {
		return nil
	}
	p := make([]float32, len(out))
	if err := m.session.Probabilities(rows, p); err != nil {
		return fmt.Errorf("model %s: %w", m.Version, err)
	}
	for i := range out {
		out[i].Probability = p[i]
		if m.forest == nil {
			out[i].LogOdds = float32(math.Log(float64(p[i]) / (1 - float64(p[i]))))
		}
	}
	return nil
}

// explain is Evaluate on the native engine.
func (m *Model) explain(rows []float32, out []Result) {
	var (
		margins [16]float64
		groups  [len(margins)][MaxGroups]float32
	)
	for len(out) > 0 {
		n := min(len(out), len(margins))
		m.forest.ExplainRows(rows[:n*NumInputs], margins[:n], groups[:n])
		for i := range n {
			out[i] = Result{forest.Probability(margins[i]), float32(margins[i]), groups[i]}
		}
		rows, out = rows[n*NumInputs:], out[n:]
	}
}

// Contribution is what one tree input, raw or engineered, moved the margin by.
type Contribution struct {
	Input string  `json:"input"`
	Group string  `json:"group"`
	Value float64 `json:"contribution"` // log-odds
}

// Contributions explains one row (NumInputs values, NaN where missing) by every
// tree input, in the manifest's order. They sum to the log-odds less
// Manifest.ExpectedValue.
func (m *Model) Contributions(row []float32) ([]Contribution, error) {
	if err := m.Explains(); err != nil {
		return nil, err
	}
	if len(row) != NumInputs {
		return nil, errors.New("a row has NumInputs values")
	}
	phi := m.forest.Contributions(row)
	out := make([]Contribution, len(phi))
	for i, v := range phi {
		in := m.Manifest.TreeInputs[i]
		out[i] = Contribution{in.Name, in.Group, v}
	}
	return out, nil
}

// TreeRow is what the trees read of a row (NumInputs values, NaN where missing):
// imputed and engineered, in the order of the manifest's tree inputs. An input that
// no tree splits on is NaN.
func (m *Model) TreeRow(row []float32) ([]float32, error) {
	if err := m.Explains(); err != nil {
		return nil, err
	}
	if len(row) != NumInputs {
		return nil, errors.New("a row has NumInputs values")
	}
	return m.forest.TreeRow(row), nil
}

// Missing counts the model's inputs that were handed in as null.
func (m *Model) Missing(f *schemas.Features) (n int) {
	for _, i := range m.Inputs {
		if f[i] == schemas.Missing {
			n++
		}
	}
	return n
}

// ReasonText is what a reason code means, for the applicant; the code itself
// when the model has no such group.
func (m *Model) ReasonText(code string) string {
	for _, g := range m.Groups {
		if g.Code == code {
			return g.Text
		}
	}
	return code
}
