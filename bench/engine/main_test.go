package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFiguresAreReadFromWhatGoTestPrints(t *testing.T) {
	f := figures{}
	require.NoError(t, f.read(strings.NewReader(`goos: linux
cpu: some-2 processor
BenchmarkEngine/engine=native/batch=1024-2         	      94	   2163992 ns/op	      2113 ns/row	       0 B/op	       0 allocs/op
BenchmarkEngine/engine=native/batch=1024-2         	      90	   2000000 ns/op	      2000 ns/row	       0 B/op	       1 allocs/op
BenchmarkPredict                                   	    8863	      7137 ns/op
PASS
`)))
	require.Equal(t, figures{
		"Engine/engine=native/batch=1024": {
			"ns/op": {2163992, 2000000}, "ns/row": {2113, 2000}, "B/op": {0, 0}, "allocs/op": {0, 1},
		},
		"Predict": {"ns/op": {7137}},
	}, f)
	require.Error(t, f.read(strings.NewReader("BenchmarkX-2 5 many ns/op\n")))
}

func TestRatiosSayWhoIsFaster(t *testing.T) {
	f := figures{}
	f.add("Engine/engine=native/batch=1", "ns/row", 500)
	f.add("Engine/engine=onnxruntime/batch=1", "ns/row", 20_000)
	f.add("Rows/model=40x3/what=score-and-reasons", "ns/row", 300)
	f.add("Rows/model=40x3/what=score", "ns/row", 200)
	var out strings.Builder
	f.show(&out)
	require.Contains(t, out.String(), "40.0 × faster")
	require.Contains(t, out.String(), "1.50 ×")
	require.Equal(t, len(comparisons)+2, strings.Count(out.String(), "\n"), "what was not measured is seen to be missing")
}
