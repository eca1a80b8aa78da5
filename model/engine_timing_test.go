package model

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model/onnx"
	"github.com/creditstream/creditstream/model/shipped"
)

// BenchmarkEngine scores rows with the shipped model: the native engine with the
// reasons of every row, ONNX Runtime without. ns/row is the figure to compare.
func BenchmarkEngine(b *testing.B) {
	m, err := Parse(shipped.Bundle, EngineNative)
	require.NoError(b, err)
	_, files, err := unpack(shipped.Bundle)
	require.NoError(b, err)
	const most = 1024
	rows := make([]float32, 0, most*NumInputs)
	for i := range most {
		rows = append(rows, m.golden[i%len(m.golden)].row()...)
	}
	run := func(engine string, batch int, score func(rows []float32)) {
		b.Run(fmt.Sprintf("engine=%s/batch=%d", engine, batch), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				from := i * batch % most
				score(rows[from*NumInputs : (from+batch)*NumInputs])
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/row")
		})
	}
	results := make([]Result, most)
	for _, batch := range []int{1, most} {
		run("native", batch, func(rows []float32) {
			if err := m.Evaluate(rows, results[:batch]); err != nil {
				b.Fatal(err)
			}
		})
	}
	if os.Getenv("CREDITSTREAM_ONNXRUNTIME") == "" {
		b.Log("no ONNX Runtime: deploy/dev/onnxruntime.sh fetches it, CREDITSTREAM_ONNXRUNTIME names it")
		return
	}
	session, err := onnx.Open(files["model.onnx"], NumInputs)
	require.NoError(b, err)
	b.Cleanup(session.Close)
	probabilities := make([]float32, most)
	for _, batch := range []int{1, most} {
		run("onnxruntime", batch, func(rows []float32) {
			if err := session.Probabilities(rows, probabilities[:batch]); err != nil {
				b.Fatal(err)
			}
		})
	}
	require.NoError(b, m.Evaluate(rows, results))
	for i := range results {
		require.InDelta(b, probabilities[i], results[i].Probability, ProbabilityTolerance)
	}
}
