package model

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model/onnx"
	"github.com/creditstream/creditstream/model/shipped"
)

// shippedThresholds are golden rows at every threshold of the shipped model and
// next to it, written by training (testdata/README.md).
func shippedThresholds(t *testing.T) []goldenRow {
	t.Helper()
	f, err := os.Open("testdata/shipped-thresholds.json.gz")
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	type split struct {
		TreeInput string  `json:"tree_input"`
		Threshold float64 `json:"threshold"`
	}
	var all struct {
		Splits int `json:"splits"` // of the model, each counted once
		Rows   []struct {
			split
			goldenRow
		} `json:"rows"`
	}
	require.NoError(t, json.NewDecoder(z).Decode(&all))
	seen, missing := map[split]bool{}, map[split]bool{}
	rows := make([]goldenRow, len(all.Rows))
	for i, r := range all.Rows {
		rows[i] = r.goldenRow
		seen[r.split] = true
		if slices.Contains(r.Features, nil) {
			missing[r.split] = true
		}
	}
	require.NotEmpty(t, rows)
	require.Len(t, seen, all.Splits)
	require.Equal(t, seen, missing, "every split has a row with missing values")
	return rows
}

// holdToThresholds holds an engine to what scikit-learn and shap said of the rows,
// as opening a bundle holds it to the bundle's own.
func holdToThresholds(t *testing.T, engine string) {
	m, err := Parse(shipped.Bundle, engine)
	require.NoError(t, err)
	defer m.Close()
	m.golden = shippedThresholds(t)
	require.NoError(t, m.replay(t.Context()))
	require.Equal(t, len(m.golden), m.Agreement.Rows)
	t.Logf("%d rows: probability within %.1e, contributions within %.1e", m.Agreement.Rows, m.Agreement.Probability, m.Agreement.Contribution)

	off := m.golden[len(m.golden)/2]
	off.Probability += 2 * ProbabilityTolerance
	m.golden = []goldenRow{off}
	require.ErrorContains(t, m.replay(t.Context()), off.Name, "what is off is noticed")
}

func TestNativeEngineAtEveryShippedThreshold(t *testing.T) {
	holdToThresholds(t, EngineNative)
}

func TestONNXEngineAtEveryShippedThreshold(t *testing.T) {
	onnxRuntime(t)
	holdToThresholds(t, EngineONNX)
}

// onnxRuntime skips a test where nobody asked for ONNX Runtime. Where somebody
// did (`make test-onnx` fetches the library and sets the variable) one that cannot
// be loaded, or a build without it, fails the test.
func onnxRuntime(t *testing.T) {
	t.Helper()
	if _, asked := os.LookupEnv(onnx.LibraryVariable); !asked {
		t.Skipf("%s is not set; make test-onnx sets it", onnx.LibraryVariable)
	}
}
