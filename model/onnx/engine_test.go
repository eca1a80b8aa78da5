package onnx

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The fixtures are those of the native engine: rows at every threshold of small
// models and one unit in the last place off it, probabilities by scikit-learn.
//
// It needs the ONNX Runtime library: `make test-onnx` fetches it and sets
// CREDITSTREAM_ONNXRUNTIME. Where that is set and the library cannot be loaded, or
// the build has no cgo, the test fails.
func TestONNXEngineAtEveryThreshold(t *testing.T) {
	if _, asked := os.LookupEnv(LibraryVariable); !asked {
		t.Skipf("%s is not set; make test-onnx sets it", LibraryVariable)
	}
	graphs, err := filepath.Glob("../forest/testdata/*.onnx")
	require.NoError(t, err)
	require.Len(t, graphs, 4)
	for _, path := range graphs {
		t.Run(filepath.Base(path), func(t *testing.T) {
			graph, err := os.ReadFile(path)
			require.NoError(t, err)
			rows := fixture(t, path[:len(path)-len(".onnx")]+".json.gz")
			width := len(rows[0].Inputs)
			var inputs []float32
			for _, r := range rows {
				inputs = append(inputs, r.Inputs...)
			}
			s, err := Open(graph, width)
			require.NoError(t, err)
			defer s.Close()
			all, one := make([]float32, len(rows)), make([]float32, 1)
			require.NoError(t, s.Probabilities(inputs, all))
			for i, r := range rows {
				require.InDelta(t, r.Probability, all[i], 1e-6, "row %d", i)
				require.NoError(t, s.Probabilities(r.Inputs, one))
				require.InDelta(t, r.Probability, one[0], 1e-6, "row %d alone", i)
			}
		})
	}
}

type row struct {
	Inputs      []float32 `json:"inputs"`
	Probability float64   `json:"probability"`
}

func fixture(t *testing.T, path string) []row {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	var all struct {
		Rows []row `json:"rows"`
	}
	require.NoError(t, json.NewDecoder(z).Decode(&all))
	require.NotEmpty(t, all.Rows, fmt.Sprint(path, " has no rows"))
	return all.Rows
}
